/* files_relay.c - mounts FUSE here and relays it to paddock-files, as PID 1 of a guest does
 *
 *   files_relay [-r] [-u] [-H glob] [-R glob] PROGRAM DIRECTORY MOUNTPOINT -- COMMAND...
 *
 * Starts PROGRAM (paddock-files) for DIRECTORY, mounts it on MOUNTPOINT, runs COMMAND there, unmounts,
 * and ends with COMMAND's status. Claims are printed to standard error. -r serves read-only,
 * -u as user and group 65534. Needs the right to mount. The FUSE
 * root holds one directory, "0", which is bound over MOUNTPOINT.
 */
#include "base/buf.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_MAX (256 * 1024)

struct relay {
	int fuse, guest, claims;
	struct link *link, *claims_link;
	uint32_t stream;
	struct buf to_guest;	/* what came from the kernel and waits for credit */
	struct buf from_guest;	/* replies that are not whole yet */
	bool over;
};

static void die(const char *what)
{
	perror(what);
	exit(125);
}

static int flush_link(int fd, struct link *l)
{
	struct str out;

	while ((out = link_output(l)).n > 0) {
		ssize_t n = send(fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		link_sent(l, (size_t)n);
	}
	return 0;
}

static void write_replies(struct relay *r)
{
	uint32_t length;

	while (r->from_guest.len >= sizeof length) {
		memcpy(&length, r->from_guest.p, sizeof length);
		if (length > r->from_guest.len)
			return;
		/* ENOENT: the request was interrupted meanwhile */
		if (write(r->fuse, r->from_guest.p, length) < 0 && errno != ENOENT)
			die("reply");	/* malformed: PID 1 would give up the mount */
		buf_drop(&r->from_guest, length);
	}
}

static void show_claim(struct str message)
{
	struct msg_claim c;

	if (msg_get_claim(message, &c) == ERR_OK)
		fprintf(stderr, "claim: %.*s: %.*s (%s)\n", STR_FMT(c.path), STR_FMT(c.text),
			c.has_verdict && !c.verdict ? "refused" : "told");
	else
		fprintf(stderr, "claim: malformed\n");
}

static void read_link(struct relay *r, int fd, struct link *l)
{
	static char bytes[128 * 1024];
	ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	struct str input = str_make(bytes, n > 0 ? (size_t)n : 0);
	struct link_frame f;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		r->over = true;
	while (link_receive(l, &input, &f) == ERR_OK) {
		if (f.type == LINK_HELLO && l == r->link) {
			if (link_open(l, LINK_KIND_FUSE, (struct str){ NULL, 0 }, &r->stream))
				die("stream");
		} else if (f.type == LINK_DATA) {
			buf_put(&r->from_guest, f.payload);
			link_consumed(l, f.stream, f.payload.n);
			write_replies(r);
		} else if (f.type == LINK_HEAD) {
			show_claim(f.payload);
			link_consumed(l, f.stream, f.payload.n);
		} else if (f.type == LINK_RESET || f.type == LINK_END) {
			r->over = true;
		}
	}
}

static void read_kernel(struct relay *r)
{
	static char bytes[MESSAGE_MAX];
	ssize_t n = read(r->fuse, bytes, sizeof bytes);

	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT))
		return;
	if (n <= 0)
		r->over = true;		/* ENODEV: unmounted */
	else
		buf_put(&r->to_guest, str_make(bytes, (size_t)n));
}

static void send_data(struct relay *r)
{
	while (r->to_guest.len > 0) {
		size_t n = link_sendable(r->link, r->stream);

		n = n < r->to_guest.len ? n : r->to_guest.len;
		if (n == 0 || link_data(r->link, r->stream, 0, str_head(buf_str(&r->to_guest), n)))
			return;
		buf_drop(&r->to_guest, n);
	}
}

static void relay(struct relay *r)
{
	while (!r->over) {
		struct pollfd p[3] = {
			{ r->guest, (short)(POLLIN | (link_output(r->link).n ? POLLOUT : 0)), 0 },
			{ r->claims, (short)(POLLIN | (link_output(r->claims_link).n ? POLLOUT : 0)), 0 },
			{ r->to_guest.len < MESSAGE_MAX && r->stream ? r->fuse : -1, POLLIN, 0 },
		};

		if (poll(p, 3, -1) < 0 && errno != EINTR)
			die("poll");
		if (p[0].revents & ~POLLOUT)
			read_link(r, r->guest, r->link);
		if (p[1].revents & ~POLLOUT)
			read_link(r, r->claims, r->claims_link);
		if (p[2].revents)
			read_kernel(r);
		if (r->stream)
			send_data(r);
		if (flush_link(r->guest, r->link) || flush_link(r->claims, r->claims_link))
			r->over = true;
	}
}

static void put_json_list(struct buf *b, const char *name, const char *const *items, size_t count)
{
	buf_printf(b, ",\"%s\":[", name);
	for (size_t i = 0; i < count; i++)
		buf_printf(b, "%s\"%s\"", i ? "," : "", items[i]);
	buf_put_z(b, "]");
}

static int config_fd(const char *path, bool read_only, const char *const *hidden, size_t hidden_count,
		     const char *const *fixed, size_t fixed_count)
{
	int fd = memfd_create("config", 0);
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	buf_printf(&b, "{\"mounts\":[{\"path\":\"%s\",\"read_only\":%s", path, read_only ? "true" : "false");
	put_json_list(&b, "hidden", hidden, hidden_count);
	put_json_list(&b, "read_only_globs", fixed, fixed_count);
	buf_put_z(&b, "}],\"uid\":0,\"gid\":0,\"protected_files\":[\"paddock.yaml\"]}");
	if (fd < 0 || write(fd, b.p, b.len) != (ssize_t)b.len)
		die("config");
	return fd;
}

static pid_t start_files(const char *program, bool as_nobody, int guest, int claims, int config, int root)
{
	pid_t pid = fork();

	if (pid == 0) {
		int from[] = { guest, claims, config, root };

		for (int i = 0; i < 4; i++)	/* out of the way first */
			from[i] = fcntl(from[i], F_DUPFD, 64);
		for (int i = 0; i < 4; i++)
			dup2(from[i], 3 + i);
		closefrom(7);
		if (as_nobody &&
		    (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
			_exit(126);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* The process is our parent's child, not ours: it can only be looked at. */
static void waitpid_gone(pid_t pid)
{
	for (int i = 0; i < 500 && kill(pid, 0) == 0; i++)
		usleep(1000);
}

static int mount_fuse(const char *mountpoint)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[200];

	if (fd < 0)
		die("/dev/fuse");
	snprintf(options, sizeof options,
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fd);
	if (mount("paddock", mountpoint, "fuse.paddock", MS_NOSUID | MS_NODEV, options))
		die("mount");
	return fd;
}

static pid_t run_command(const char *mountpoint, char **argv)
{
	pid_t pid = fork();
	char path[4096];

	if (pid)
		return pid;
	/* the mount of directory 0 over the mountpoint is this command's alone */
	snprintf(path, sizeof path, "%s/0", mountpoint);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount(path, mountpoint, NULL, MS_BIND, NULL) || chdir(mountpoint))
		die("bind");
	execvp(argv[0], argv);
	_exit(127);
}

int main(int argc, char **argv)
{
	const char *hidden[16], *fixed[16];
	size_t hidden_count = 0, fixed_count = 0;
	bool read_only = false, as_nobody = false;
	int option, guest[2], claims[2], root, status = 0;
	struct relay r = { 0 };
	pid_t files, command, relaying;

	while ((option = getopt(argc, argv, "+ruH:R:")) != -1) {
		if (option == 'r')
			read_only = true;
		else if (option == 'u')
			as_nobody = true;
		else if (option == 'H' && hidden_count < 16)
			hidden[hidden_count++] = optarg;
		else if (option == 'R' && fixed_count < 16)
			fixed[fixed_count++] = optarg;
		else
			return 125;
	}
	if (argc - optind < 4)
		return 125;
	argv += optind;
	root = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, guest) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, claims))
		die(argv[1]);
	files = start_files(argv[0], as_nobody, guest[1], claims[1],
			    config_fd(argv[1], read_only, hidden, hidden_count, fixed, fixed_count), root);
	close(guest[1]);
	close(claims[1]);
	r.fuse = mount_fuse(argv[2]);
	relaying = fork();
	if (relaying == 0) {
		r.guest = guest[0];
		r.claims = claims[0];
		r.link = link_new(LINK_LOWER, &LINK_LIMITS_DEFAULT);
		r.claims_link = link_new(LINK_UPPER, &LINK_LIMITS_DEFAULT);
		buf_init(&r.to_guest, 2 * MESSAGE_MAX);
		buf_init(&r.from_guest, 2 * MESSAGE_MAX);
		relay(&r);
		close(guest[0]);	/* before the claims': this is how a sandbox ends */
		waitpid_gone(files);
		_exit(0);
	}
	close(r.fuse);
	close(guest[0]);
	close(claims[0]);
	command = run_command(argv[2], argv + (strcmp(argv[3], "--") == 0 ? 4 : 3));
	waitpid(command, &status, 0);
	umount2(argv[2], MNT_DETACH);
	if (waitpid(files, &option, 0) != files || option != 0)
		fprintf(stderr, "paddock-files: status 0x%x\n", (unsigned)option);
	waitpid(relaying, NULL, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
