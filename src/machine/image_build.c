/* image_build.c - from a staged tree to an erofs file
 *
 * Theory of operation: a builder process gets user and mount namespaces of its own, so that
 * the stage can be made of bind mounts by any user, and nothing of it is left when the
 * builder ends. It stages, walks, and becomes mkfs.erofs. This process watches the output
 * grow, keeps the builder's last line of complaint, and renames the finished file into place.
 * Uncompressed: LZ4 builds in three quarters of the time and half the space, but every page
 * is then decompressed by the guest, which costs more under software emulation than it saves
 * (first command in a fresh guest: 0.4 s uncompressed, 0.6 s LZ4).
 * Trusts: the host's own files, its mkfs.erofs, mmdebstrap and tar.
 * Failure, also by a signal: the builder is killed, temporary files are removed here or, after
 * a kill -9, by the next build.
 */
#include "machine/image_parts.h"

#include "base/auto.h"
#include "os/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FACTS "@facts "		/* "@facts <bytes> <closed>": the only line that is no complaint */
#define ARGUMENTS_MAX (2 * IMAGE_EXCLUDED_MAX + 16)
#define POLL_MS 200
#define LINE_MAX_BYTES 512

/* ---- in the builder; standard error is a pipe to the parent ---- */

void image_complain(const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "%s\n", text);
}

static bool enter_namespaces(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
		if (confine_map_ids(uid, gid)) {
			image_complain("cannot map this user into a namespace: %s", strerror(errno));
			return false;
		}
	} else if (geteuid() != 0 || unshare(CLONE_NEWNS)) {
		image_complain("this user may not make namespaces (%s): see \"paddock doctor\"",
			       strerror(errno));
		return false;
	}
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static const char *find_mkfs(void)
{
	static const char *const places[] = { "/usr/bin/mkfs.erofs", "/usr/sbin/mkfs.erofs",
					      "/sbin/mkfs.erofs", "/usr/local/bin/mkfs.erofs",
					      "/usr/local/sbin/mkfs.erofs" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static void become_mkfs(const struct image_walk *w, const char *output, const char *stage)
{
	static const char *argv[ARGUMENTS_MAX];
	const char *program = find_mkfs();
	size_t n = 0;

	if (!program) {
		image_complain("mkfs.erofs is not installed: apt install erofs-utils");
		return;
	}
	argv[n++] = "mkfs.erofs";
	argv[n++] = "--quiet";
	argv[n++] = "--all-root";
	argv[n++] = "--preserve-mtime";	/* Python's caches and make go by it */
	argv[n++] = "-x-1";		/* extended attributes of the host mean nothing inside */
	for (size_t i = 0; i < w->excluded_count; i++) {
		auto_buf argument = BUF_EMPTY;

		buf_init(&argument, IMAGE_PATH_MAX + 32);
		buf_put_z(&argument, "--exclude-path=");
		buf_put_z(&argument, w->excluded[i]);
		argv[n++] = buf_z(&argument) ? strdup(buf_z(&argument)) : NULL;
		if (!argv[n - 1])
			return;
	}
	argv[n++] = output;
	argv[n++] = stage;
	argv[n] = NULL;
	execv(program, (char *const *)(uintptr_t)argv);
	image_complain("%s cannot be run: %s", program, strerror(errno));
}

static _Noreturn void builder(const struct image_job *j, const char *output, const char *stage, int report)
{
	static struct image_walk walk;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || dup2(report, STDERR_FILENO) < 0 ||
	    signal(SIGPIPE, SIG_DFL) == SIG_ERR || signal(SIGINT, SIG_DFL) == SIG_ERR ||
	    signal(SIGTERM, SIG_DFL) == SIG_ERR)
		_exit(1);
	umask(022);
	if (j->on_disk && !j->stage(j, stage))
		_exit(1);
	if (!enter_namespaces())
		_exit(1);
	if (!j->on_disk && mount("tmpfs", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")) {
		image_complain("cannot mount a tmpfs: %s", strerror(errno));
		_exit(1);
	}
	if (!j->on_disk && !j->stage(j, stage))
		_exit(1);
	if (!image_walk(j, stage, &walk)) {
		image_complain("the tree cannot be walked: %s", strerror(errno));
		_exit(1);
	}
	dprintf(STDERR_FILENO, FACTS "%llu %llu\n", (unsigned long long)walk.bytes,
		(unsigned long long)walk.closed);
	become_mkfs(&walk, output, stage);
	_exit(1);
}

/* ---- in the parent ---- */

struct watch {
	const struct image_job *job;
	const char *output;
	struct buf line;		/* being read */
	char complaint[LINE_MAX_BYTES];	/* the last whole line that was one */
	uint64_t total, closed;
};

static void take_line(struct watch *w)
{
	struct str line = buf_str(&w->line), facts;
	size_t space;

	if (str_starts(line, STR(FACTS))) {
		facts = str_from(line, sizeof FACTS - 1);
		space = str_find(facts, ' ');
		if (!str_decimal(str_head(facts, space), UINT64_MAX, &w->total) ||
		    !str_decimal(str_from(facts, space + 1), UINT64_MAX, &w->closed))
			w->total = 0;
	} else if (line.n && !str_starts(str_of(w->complaint), STR("E: "))) {	/* apt's word is the cause */
		memcpy(w->complaint, line.p, line.n);
		w->complaint[line.n] = 0;
	}
	buf_clear(&w->line);
}

static void take_bytes(struct watch *w, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' || s.p[i] == '\r')
			take_line(w);
		else if (w->line.len < LINE_MAX_BYTES - 1)
			buf_put_byte(&w->line, s.p[i] < ' ' && s.p[i] >= 0 ? '?' : (uint8_t)s.p[i]);
	}
}

static void tell(const struct watch *w)
{
	const struct image_options *o = w->job->options;
	struct stat st;

	if (o->progress && stat(w->output, &st) == 0)
		o->progress(o->ctx, w->job->what, (uint64_t)st.st_blocks * 512, w->total);
}

/* until the builder's last descriptor is closed */
static void watch_builder(struct watch *w, int report)
{
	char bytes[4096];

	for (;;) {
		struct pollfd p = { .fd = report, .events = POLLIN };
		int ready = poll(&p, 1, POLL_MS);
		ssize_t n = 0;

		if (ready < 0 && errno != EINTR)
			return;
		if (ready > 0) {
			n = read(report, bytes, sizeof bytes);
			if (n == 0 || (n < 0 && errno != EINTR))
				return;
		}
		take_bytes(w, str_make(bytes, n > 0 ? (size_t)n : 0));
		tell(w);
	}
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return kind == FTW_DP || kind == FTW_DNR ? rmdir(path) : unlink(path);
}

void image_remove_tree(const char *path)
{
	(void)nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static enum err run_builder(struct watch *w, const char *stage)
{
	int report[2], status = 0;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC))
		return ERR_LOCAL;
	pid = fork();
	if (pid == 0)
		builder(w->job, w->output, stage, report[1]);
	close(report[1]);
	if (pid > 0)
		watch_builder(w, report[0]);
	close(report[0]);
	if (pid < 0)
		return ERR_LOCAL;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		snprintf(w->complaint, sizeof w->complaint, "signal %d ended it", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? ERR_OK : ERR_INPUT;
}

static enum err finish(const char *output, const char *path, struct buf *ret_text)
{
	enum err e = image_check(output, ret_text);
	auto_fd fd = open(output, O_RDONLY | O_CLOEXEC);

	if (e)
		return e;
	if (fd >= 0 && fdatasync(fd) == 0 && chmod(output, 0444) == 0 && rename(output, path) == 0)
		return ERR_OK;
	buf_printf(ret_text, "%.900s cannot be written: %s", path, strerror(errno));
	return ERR_LOCAL;
}

enum err image_build(const struct image_job *j, const char *images, const char *path, uint64_t *ret_skipped,
		     struct buf *ret_text)
{
	char output[IMAGE_PATH_MAX], stage[IMAGE_PATH_MAX];
	struct watch w = { .job = j, .output = output };
	enum err e;
	int fd;

	buf_init(&w.line, LINE_MAX_BYTES);
	if (snprintf(output, sizeof output, "%s/tmp-XXXXXX", images) >= (int)sizeof output ||
	    snprintf(stage, sizeof stage, "%s/stage-XXXXXX", images) >= (int)sizeof stage)
		return ERR_INPUT;
	fd = mkostemp(output, O_CLOEXEC);
	if (fd < 0 || !mkdtemp(stage)) {
		buf_printf(ret_text, "%.900s cannot be written: %s", images, strerror(errno));
		if (fd >= 0)
			unlink(output);
		return ERR_LOCAL;
	}
	close(fd);
	e = run_builder(&w, stage);
	take_line(&w);
	buf_free(&w.line);
	if (e) {
		buf_printf(ret_text, "%s failed: %s", j->what,
			   w.complaint[0] ? w.complaint : "no reason was given");
		e = ERR_LOCAL;
	} else {
		e = finish(output, path, ret_text);
	}
	(void)unlink(output);
	image_remove_tree(stage);
	if (!e)
		*ret_skipped = w.closed;
	return e;
}
