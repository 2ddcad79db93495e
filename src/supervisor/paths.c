/* paths.c - see paths.h. Source: XDG Base Directory Specification 0.8: a relative path in a
 * variable is invalid; here that is an error instead of being ignored (I4). */
#include "supervisor/paths.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>

static const struct {
	const char *variable, *below_home;
} kinds[] = {
	[PATHS_STATE] = { "XDG_STATE_HOME", "/.local/state" },
	[PATHS_CACHE] = { "XDG_CACHE_HOME", "/.cache" },
	[PATHS_CONFIG] = { "XDG_CONFIG_HOME", "/.config" },
	[PATHS_RUNTIME] = { "XDG_RUNTIME_DIR", NULL },
};

enum err paths_make(const char *path)
{
	auto_buf part = BUF_EMPTY;

	buf_init(&part, PATHS_MAX);
	for (const char *p = path; *p; p++) {
		buf_put_byte(&part, (uint8_t)*p);
		if (p[1] && p[1] != '/')
			continue;
		if (!buf_z(&part))
			return ERR_LIMIT;
		if (mkdir(buf_z(&part), 0700) && errno != EEXIST)
			return ERR_LOCAL;
	}
	return ERR_OK;
}

static const char *home_directory(void)
{
	const char *home = getenv("HOME");
	const struct passwd *entry;

	if (home && home[0] == '/')
		return home;
	entry = getpwuid(getuid());
	return entry && entry->pw_dir && entry->pw_dir[0] == '/' ? entry->pw_dir : NULL;
}

/* A runtime directory is swept of what dead runs left: it must be ours, and nobody else's to prepare. A
 * variable that came along through su or sudo names another user's. */
static enum err runtime_check(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return ERR_LOCAL;
	if (!S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077)) {
		errno = EPERM;
		return ERR_LOCAL;
	}
	return ERR_OK;
}

/* A place for a user without a session: /tmp/paddock-<uid>, which must be ours and closed. */
static enum err runtime_fallback(struct buf *ret)
{
	const char *tmp = getenv("TMPDIR");

	buf_put_z(ret, tmp && tmp[0] == '/' ? tmp : "/tmp");
	buf_printf(ret, "/paddock-%u", (unsigned)getuid());
	if (!buf_z(ret))
		return ERR_LIMIT;
	if (mkdir(buf_z(ret), 0700) && errno != EEXIST)
		return ERR_LOCAL;
	return runtime_check(buf_z(ret));
}

/* Links are followed: people keep these elsewhere. Whoever owns the directory owns what is in it. */
static enum err kept_check(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return ERR_LOCAL;
	if (!S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 002)) {
		errno = EPERM;
		return ERR_LOCAL;
	}
	return ERR_OK;
}

enum err paths_directory(enum paths_kind kind, struct buf *ret)
{
	const char *set = getenv(kinds[kind].variable), *home;
	enum err e;

	buf_clear(ret);
	if (set && set[0]) {
		buf_put_z(ret, set);
		if (set[0] != '/') {
			buf_clear(ret);
			buf_printf(ret, "%s must be an absolute path", kinds[kind].variable);
			return ERR_INPUT;
		}
	} else if (kind == PATHS_RUNTIME) {
		return runtime_fallback(ret);
	} else {
		home = home_directory();
		if (!home) {
			buf_put_z(ret, "HOME is not set to an absolute path");
			return ERR_INPUT;
		}
		buf_put_z(ret, home);
		buf_put_z(ret, kinds[kind].below_home);
	}
	buf_put_z(ret, "/paddock");
	if (!buf_z(ret))
		return ERR_LIMIT;
	e = paths_make(buf_z(ret));
	if (e)
		return e;
	return kind == PATHS_RUNTIME ? runtime_check(buf_z(ret)) : kept_check(buf_z(ret));
}

bool paths_is_below(struct str path, struct str directory)
{
	return str_starts(path, directory) &&
	       (path.n == directory.n || path.p[directory.n] == '/' || str_eq(directory, STR("/")));
}

bool paths_hold_ours(const char *path)
{
	char *given = realpath(path, NULL);
	bool holds = false;

	for (int kind = PATHS_STATE; given && !holds && kind <= PATHS_RUNTIME; kind++) {
		auto_buf place = BUF_EMPTY;
		char *ours;

		buf_init(&place, PATHS_MAX);
		if (paths_directory((enum paths_kind)kind, &place))
			continue;
		ours = realpath(buf_z(&place), NULL);
		holds = ours && (paths_is_below(str_of(ours), str_of(given)) ||
				 paths_is_below(str_of(given), str_of(ours)));
		free(ours);
	}
	free(given);
	return holds;
}

bool paths_hold_home(struct str path)
{
	const char *home = getenv("HOME");
	char *real = home ? realpath(home, NULL) : NULL;
	bool holds = real && paths_is_below(str_of(real), path);

	free(real);
	return holds;
}

enum err paths_read(const char *path, size_t max, struct buf *ret)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return ERR_LOCAL;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return ERR_LOCAL;
	}
	buf_clear(ret);
	for (;;) {
		enum err e = buf_reserve(ret, 4096);
		ssize_t n;

		if (e)
			return e;
		n = read(fd, buf_tail(ret), 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_LOCAL;
		ret->len += (size_t)n;
		if (ret->len > max)
			return ERR_LIMIT;
		if (n == 0)
			return ERR_OK;
	}
}
