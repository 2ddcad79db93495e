/* image_debian.c - a minimal Debian, by mmdebstrap
 *
 * mmdebstrap writes a tar archive, which is unpacked as this user, so that every file of the
 * stage can be read and removed again. Its own namespaces need subordinate ids (/etc/subuid),
 * so that it runs before there are any of ours. Packages come from the host's own apt sources, with
 * apt's own verification of signatures.
 */
#include "machine/image_parts.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_VERSION "paddock debian image 2"
#define PACKAGES_DEFAULT "ca-certificates,curl,git,python3,procps,less"
#define SOURCES_MAX 64
#define OS_RELEASE_MAX 8192
#define SOURCE_BYTES_MAX 65536

/* any of these names, separated by commas: [a-z0-9][a-z0-9+.-]+ */
bool image_packages_check(const char *packages)
{
	struct str rest = str_of(packages);

	if (rest.n == 0 || rest.n > 4096)
		return false;
	for (;;) {
		struct str name = str_head(rest, str_find(rest, ','));

		if (name.n < 2 || name.p[0] == '+' || name.p[0] == '.' || name.p[0] == '-')
			return false;
		for (size_t i = 0; i < name.n; i++)
			if (!ascii_digit(name.p[i]) && !(name.p[i] >= 'a' && name.p[i] <= 'z') &&
			    !memchr("+.-", name.p[i], 3))
				return false;
		if (name.n == rest.n)
			return true;
		rest = str_from(rest, name.n + 1);
	}
}

/* sources of Debian itself: others would need their keys, and are not what "debian" says */
static void find_sources(glob_t *found)
{
	(void)glob("/etc/apt/sources.list", 0, NULL, found);
	(void)glob("/etc/apt/sources.list.d/debian*.sources", GLOB_APPEND, NULL, found);
	(void)glob("/etc/apt/sources.list.d/debian*.list", GLOB_APPEND, NULL, found);
}

void image_debian_key(struct image_key *k, const char *packages)
{
	glob_t found = { 0 };

	image_key_put(k, STR(KEY_VERSION));
	image_key_put(k, STR(PACKAGES_DEFAULT));
	image_key_put(k, str_of(packages));
	find_sources(&found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		image_key_file(k, found.gl_pathv[i]);
	globfree(&found);
	image_key_file(k, "/usr/lib/os-release");
}

bool image_debian_left_out(const struct image_job *j, const char *path)
{
	(void)j;
	return strncmp(path, "var/cache/apt/archives/", 23) == 0 || strcmp(path, "etc/machine-id") == 0;
}

/* VERSION_CODENAME of os-release, into @ret; false if this is no Debian */
static bool codename(char *ret, size_t cap)
{
	auto_fd fd = open("/usr/lib/os-release", O_RDONLY | O_CLOEXEC);
	char text[OS_RELEASE_MAX];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
	struct str rest = str_make(text, n > 0 ? (size_t)n : 0);
	bool debian = false, named = false;

	while (rest.n) {
		struct str line = str_head(rest, str_find(rest, '\n'));
		struct str value = str_from(line, 17);

		rest = str_from(rest, line.n + 1);
		debian |= str_eq(line, STR("ID=debian"));
		if (!str_starts(line, STR("VERSION_CODENAME=")) || value.n == 0 || value.n >= cap)
			continue;
		memcpy(ret, value.p, value.n);
		ret[value.n] = 0;
		named = true;
	}
	return debian && named;
}

/* https://user:password@mirror/, in any of the line's URLs. A comment counts as well: mmdebstrap puts the
 * sources into the image as they are, and the agent reads them there. */
static bool names_a_user(struct str line)
{
	struct str rest = line;

	for (;;) {
		const char *scheme = rest.n ? memmem(rest.p, rest.n, "://", 3) : NULL;

		if (!scheme)
			return false;
		rest = str_from(rest, (size_t)(scheme - rest.p) + 3);
		if (str_find(str_head(rest, str_find(rest, '/')), '@') < str_find(rest, '/'))
			return true;
	}
}

/* -1: it cannot be read; more than @cap: it is longer than that */
static ssize_t read_source(const char *path, char *text, size_t cap)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = fd >= 0 ? 1 : -1;
	char more;

	while (got > 0 && n < cap) {
		got = read(fd, text + n, cap - n);
		n += got > 0 ? (size_t)got : 0;
	}
	if (got > 0)
		got = read(fd, &more, 1);
	return got < 0 ? -1 : (ssize_t)n + got;
}

bool image_source_is_public(const char *path)
{
	char text[SOURCE_BYTES_MAX];
	ssize_t n = read_source(path, text, sizeof text);
	struct str rest;

	if (n < 0 || n > (ssize_t)sizeof text) {
		image_complain("%s: %s", path, n < 0 ? strerror(errno) : "too long for a list of mirrors");
		return false;
	}
	rest = str_make(text, (size_t)n);
	while (rest.n) {
		struct str line = str_head(rest, str_find(rest, '\n'));

		rest = str_from(rest, line.n + 1);
		if (!names_a_user(line))
			continue;
		image_complain("%s names a mirror with a user, which the agent could read in the image: "
			       "use a mirror that needs none", path);
		return false;
	}
	return true;
}

static bool sources_are_public(const glob_t *found)
{
	for (size_t i = 0; i < found->gl_pathc; i++)
		if (!image_source_is_public(found->gl_pathv[i]))
			return false;
	return true;
}

static pid_t start(const char *const *argv, int input, int output)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		_exit(1);
	if ((input >= 0 && dup2(input, 0) < 0) || (output >= 0 && dup2(output, 1) < 0))
		_exit(1);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	if (errno == ENOENT)
		image_complain("%s is not installed: apt install %s", argv[0], argv[0]);
	else
		image_complain("%s cannot be run: %s", argv[0], strerror(errno));
	_exit(127);
}

static bool succeeded(pid_t pid)
{
	int status = -1;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* mmdebstrap | tar: both must succeed */
static bool unpack(const char *const *bootstrap, const char *stage)
{
	const char *tar[] = { "tar", "-x", "-p", "--no-same-owner", "--exclude=./dev/*", "-C", stage, NULL };
	int ends[2];
	pid_t writer, reader;
	bool wrote, read;

	if (pipe2(ends, O_CLOEXEC))
		return false;
	writer = start(bootstrap, -1, ends[1]);
	reader = start(tar, ends[0], -1);
	close(ends[0]);
	close(ends[1]);
	wrote = succeeded(writer);
	read = succeeded(reader);
	return wrote && read;
}

bool image_debian_stage(const struct image_job *j, const char *stage)
{
	const char *argv[SOURCES_MAX + 16];
	char suite[64], include[4096 + 128];
	glob_t found = { 0 };
	size_t n = 0;
	bool ok;

	if (!codename(suite, sizeof suite)) {
		image_complain("this host is no Debian, so that there are no apt sources for it");
		return false;
	}
	snprintf(include, sizeof include, "--include=" PACKAGES_DEFAULT "%s%s", j->packages ? "," : "",
		 j->packages ? j->packages : "");
	if (geteuid() != 0 && access("/usr/bin/newuidmap", X_OK)) {
		image_complain("mmdebstrap needs newuidmap to work without root: apt install uidmap");
		return false;
	}
	find_sources(&found);
	argv[n++] = "mmdebstrap";
	argv[n++] = "--variant=minbase";
	argv[n++] = "--format=tar";
	argv[n++] = "--quiet";
	argv[n++] = include;
	argv[n++] = suite;
	argv[n++] = "-";
	for (size_t i = 0; i < found.gl_pathc && i < SOURCES_MAX; i++)
		argv[n++] = found.gl_pathv[i];
	argv[n] = NULL;
	ok = sources_are_public(&found) && unpack(argv, stage) && image_make_base(j, stage);
	globfree(&found);
	return ok;
}
