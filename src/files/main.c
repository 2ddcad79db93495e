/* main.c - paddock-files: serves the workspace to the guest's FUSE
 *
 * Theory of operation: PID 1 of the guest mounts FUSE and relays the messages of its kernel over the
 * files port; this process answers them from opened directories. It holds no secret, has no network,
 * and after its own set-up an empty root: the directories that it serves are mounts of their own, out of
 * which no ".." leads, and Landlock keeps it beneath them. It is confined before it reads its first byte from
 * anybody but the supervisor.
 *
 * Descriptors: 3 the guest's files port, 4 the link for claims to the courier, 5 the configuration
 * (config.h), from 6 up a root for each mount, in order (O_PATH|O_DIRECTORY; a file for a mount
 * that is one).
 * Exit status: 0 when the guest's end closes; 1 when something went wrong, which is logged.
 */
#include "files/config.h"
#include "files/service.h"
#include "files/tree.h"

#include "base/auto.h"
#include "base/buf.h"
#include "base/log.h"
#include "os/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define FD_GUEST 3
#define FD_CLAIMS 4
#define FD_CONFIG 5
#define FD_ROOTS 6
#define DESCRIPTORS_MAX 16384u

static bool read_config(struct config *ret)
{
	auto_buf json = BUF_EMPTY;
	char text[160] = "out of memory";
	ssize_t n = 1;
	off_t at = 0;

	buf_init(&json, CONFIG_BYTES_MAX);
	while (n > 0) {
		if (buf_reserve(&json, 4096)) {
			log_error("the configuration is too large");
			return false;
		}
		n = pread(FD_CONFIG, buf_tail(&json), 4096, at);
		if (n > 0) {
			json.len += (size_t)n;
			at += n;
		}
	}
	close(FD_CONFIG);
	if (n < 0 || config_parse(buf_str(&json), ret, text)) {
		log_error("the configuration is not valid: %s", n < 0 ? "cannot be read" : text);
		return false;
	}
	return true;
}

/* A file that is served by itself cannot be opened through a directory: it is opened here, while /proc
 * is there, unless the descriptor is good for it already. */
static bool open_file_root(const struct config_mount *m, int *fd)
{
	int flags = fcntl(*fd, F_GETFL), opened;
	int wanted = m->read_only ? O_RDONLY : O_RDWR;
	char path[32];

	if (flags < 0)
		return false;
	if (!(flags & O_PATH) && ((flags & O_ACCMODE) == O_RDWR || (flags & O_ACCMODE) == wanted))
		return true;
	snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
	opened = open(path, wanted | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (opened < 0)
		return false;
	close(*fd);
	*fd = opened;
	return true;
}

static bool check_roots(const struct config *c, int *roots)
{
	char text[TREE_TEXT_BYTES], path[256];

	for (uint32_t i = 0; i < c->mount_count; i++) {
		struct stat st;

		roots[i] = FD_ROOTS + (int)i;
		if (fstat(roots[i], &st) ||
		    (c->mounts[i].file ? !S_ISREG(st.st_mode) : !S_ISDIR(st.st_mode)) ||
		    (c->mounts[i].file && !open_file_root(&c->mounts[i], &roots[i]))) {
			log_error("the root of mount %u is not an open %s", i,
				  c->mounts[i].file ? "file" : "directory");
			return false;
		}
		if (!c->mounts[i].file && tree_root_error(c, &c->mounts[i], roots[i], text)) {
			log_error("%s cannot be served: %s",
				  log_escape(c->mounts[i].path, path, sizeof path), text);
			return false;
		}
	}
	return true;
}

/* Each directory becomes a mount of its own, out of which no ".." leads: Landlock does not govern everything
 * (modes, times, attributes), and a kernel may be without it. */
static enum err detach_roots(const struct config *c, int *roots, struct confine_path *paths,
			     size_t *ret_count)
{
	char path[PATH_MAX];

	*ret_count = 0;
	for (uint32_t i = 0; i < c->mount_count; i++) {
		const struct config_mount *m = &c->mounts[i];
		enum err e;

		if (m->file)
			continue;
		if (m->path.n >= sizeof path)
			return ERR_LIMIT;
		memcpy(path, m->path.p, m->path.n);
		path[m->path.n] = '\0';
		e = confine_tree(path, !m->read_only, &roots[i]);
		if (e)
			return e;
		paths[(*ret_count)++] = (struct confine_path){ .fd = roots[i], .write = !m->read_only };
	}
	return ERR_OK;
}

static bool confine(const struct config *c, int *roots)
{
	struct confine_path paths[CONFIG_MOUNTS_MAX];
	size_t count = 0;
	const char *step = "namespaces";
	enum err e = confine_namespaces(CONFINE_NET_EMPTY);

	if (!e) {
		step = "served directories";
		e = detach_roots(c, roots, paths, &count);
	}
	if (!e) {
		step = "root";
		e = confine_root(NULL, 0, false);
	}
	if (!e) {
		step = "limits";
		e = confine_limits(DESCRIPTORS_MAX, 1);
	}
	if (!e) {
		step = "privileges";
		e = confine_drop();
	}
	if (!e) {
		step = "Landlock";
		e = confine_landlock(paths, count, false, NULL);
	}
	if (!e) {
		step = "system calls";
		e = confine_seccomp(CONFINE_BASE | CONFINE_TREE);
	}
	if (e)
		log_error("cannot be confined (%s): %s", step, strerrordesc_np(errno));
	return e == ERR_OK;
}

/* What the descriptors that we may have allow. */
static struct inode_limits limits_of_process(void)
{
	struct inode_limits limits = INODE_LIMITS_DEFAULT;
	struct rlimit r = { 1024, 1024 };

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur <= DESCRIPTORS_MAX) {
		limits.handles_max = (uint32_t)r.rlim_cur / 2;
		limits.directories_max = (uint32_t)r.rlim_cur / 8;
	}
	return limits;
}

static int serve(uv_loop_t *loop, const struct config *c, const int *roots)
{
	struct inode_limits limits = limits_of_process();
	struct service *s;
	enum err e = service_new(loop, FD_GUEST, FD_CLAIMS, c, roots, &limits, &s);

	if (e) {
		log_error("cannot serve: %s", err_text(e));
		return 1;
	}
	uv_run(loop, UV_RUN_DEFAULT);
	e = service_ended(s);
	service_free(s);
	uv_run(loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(loop);
	if (e != ERR_CLOSED)
		log_error("ended: %s", err_text(e));
	return e == ERR_CLOSED ? 0 : 1;
}

int main(void)
{
	struct config c = { 0 };
	int roots[CONFIG_MOUNTS_MAX];
	uv_loop_t loop;
	int status = 1;

	log_init("paddock-files");
	umask(0);	/* the guest's kernel has applied the agent's */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (!read_config(&c) || !check_roots(&c, roots) || uv_loop_init(&loop)) {
		config_free(&c);
		return 1;
	}
	if (confine(&c, roots))
		status = serve(&loop, &c, roots);
	config_free(&c);
	return status;
}
