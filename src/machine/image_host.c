/* image_host.c - the host's own toolchain as a root file system
 *
 * What is in it is a list, here, and everything else of the host is not: no home, no /root,
 * no /var, no /opt, and of /etc only what programs need to run and what no administrator
 * keeps a secret in (so no shadow, no ssh, no npmrc, pip.conf, gitconfig, or maven settings,
 * which are where tokens are put, and nothing that shells read at their start, profile.d above
 * all, which is where proxies are set with their passwords: of no use inside, where no proxy is
 * reached and PATH is given); nor the places beneath /usr where the same files can be. Of all that
 * a file or directory is left out which not everybody may read (image_walk.c).
 * What identifies users and hosts is generated.
 */
#include "machine/image_parts.h"

#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY_VERSION "paddock host image 3"

static const char *const directories[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };

static const char *const left_out[] = {
	/* where programs that were built for another prefix look for what others keep in /etc */
	"/usr/local/etc", "/usr/etc", "/usr/pip.conf", "/usr/local/pip.conf",
	"/usr/local/*maven*/conf/settings.xml", "/usr/share/*maven*/conf/settings.xml",
	"/usr/local/cargo/credentials*",
	/* big, and not of a toolchain that a command line runs: "--image" takes an own image for the rest */
	"/usr/local/cuda*", "/usr/lib/google-cloud-sdk", "/usr/lib/modules", "/usr/lib/firmware",
	"/usr/lib/debug",
	"/usr/src/linux-*", "/usr/share/doc", "/usr/share/locale", "/usr/share/icons",
	"/usr/share/wallpapers", "/usr/share/sounds", "/usr/share/fpcsrc", "/usr/games",
};

static const char *const etc[] = {
	"alternatives", "ssl/certs", "ssl/openssl.cnf", "ca-certificates*", "pki/tls/certs", "pki/ca-trust",
	"ld.so.*", "ld-musl-*", "bash_completion*", "inputrc",
	"mime.types", "magic*", "protocols", "services", "rpc", "networks", "login.defs", "shells",
	"terminfo",
	"debian_version", "os-release", "lsb-release", "redhat-release", "alpine-release", "localtime",
	"timezone",
	"locale.alias", "locale.conf", "gai.conf", "python*", "perl", "java*", "vim", "nanorc", "emacs",
	"groff",
	"manpath.config", "xml", "sgml", "fonts", "php*", "ruby*", "lua*", "R", "gnucobol", "fpc*.cfg",
	"dpkg",
};

static const char *const databases[] = { "/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite",
	"/var/lib/pacman/local", "/lib/apk/db/installed" };

static const char *const empty_directories[] = { "/proc", "/sys", "/dev", "/run", "/home", "/root", "/mnt",
						 "/srv",
	"/opt", "/etc", "/var", "/var/lib", "/var/cache", "/var/log", "/var/spool" };

#define EACH(i, list) (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)

/* ---- lists given as text ---- */

/* the next of a colon-separated list, NUL-terminated; false at its end */
static bool next_item(const char **list, char ret[IMAGE_PATH_MAX])
{
	while (*list && **list) {
		struct str rest = str_of(*list);
		struct str item = str_head(rest, str_find(rest, ':'));

		*list += item.n + (item.n < rest.n ? 1 : 0);
		if (item.n == 0 || item.n >= IMAGE_PATH_MAX || item.p[0] != '/')
			continue;
		memcpy(ret, item.p, item.n);
		ret[item.n] = 0;
		return true;
	}
	return false;
}

static bool matches(const char *pattern, const char *path)
{
	return fnmatch(pattern, path, FNM_PATHNAME | FNM_NOESCAPE) == 0;
}

bool image_host_left_out(const struct image_job *j, const char *relative)
{
	char path[IMAGE_PATH_MAX], pattern[IMAGE_PATH_MAX];
	const char *list = j->options->exclude;

	if (snprintf(path, sizeof path, "/%s", relative) >= (int)sizeof path)
		return true;
	for EACH(i, left_out)
		if (matches(left_out[i], path))
			return true;
	while (next_item(&list, pattern))
		if (matches(pattern, path))
			return true;
	return false;
}

static bool is_below(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return strncmp(path, directory, n) == 0 && (path[n] == 0 || path[n] == '/');
}

bool image_host_contains(const char *path)
{
	char part[IMAGE_PATH_MAX];
	bool inside = false;

	if (strlen(path) >= sizeof part)
		return false;
	for EACH(i, directories)
		inside |= is_below(path, directories[i]);
	/* a pattern may match any directory above it */
	for (size_t n = 1; inside && n <= strlen(path); n++) {
		if (path[n] && path[n] != '/')
			continue;
		memcpy(part, path, n);
		part[n] = 0;
		for EACH(i, left_out)
			if (matches(left_out[i], part))
				return false;
	}
	return inside;
}

/* ---- key ---- */

static void key_etc(struct image_key *k)
{
	for EACH(i, etc) {
		char pattern[128];
		glob_t found = { 0 };

		snprintf(pattern, sizeof pattern, "/etc/%s", etc[i]);
		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t n = 0; n < found.gl_pathc; n++)
				image_key_stat(k, found.gl_pathv[n]);
		globfree(&found);
	}
}

void image_host_key(struct image_key *k, const struct image_options *o)
{
	const struct passwd *user = getpwuid(getuid());
	const char *list = o->directories;
	char path[IMAGE_PATH_MAX];

	image_key_put(k, STR(KEY_VERSION));
	for EACH(i, directories)
		image_key_tree(k, directories[i], 2);
	image_key_tree(k, "/usr/local", 4);
	for EACH(i, left_out)
		image_key_put(k, str_of(left_out[i]));
	for EACH(i, databases)
		image_key_stat(k, databases[i]);
	image_key_file(k, databases[0]);
	key_etc(k);
	image_key_put(k, str_of(o->exclude));
	image_key_put(k, str_of(o->directories));
	while (next_item(&list, path))
		image_key_tree(k, path, 3);
	image_key_put(k, str_of(user ? user->pw_name : ""));
	image_key_put(k, str_of(user ? user->pw_dir : ""));
}

/* ---- stage ---- */

/* the user is there under its own name, without anything else of it */
static bool add_user(const struct image_job *j, const char *stage)
{
	const struct passwd *user = getpwuid(j->user);
	auto_buf passwd = BUF_EMPTY, group = BUF_EMPTY;

	if (!user || user->pw_uid == 0 || user->pw_uid == 65534 || strpbrk(user->pw_name, ":\n") ||
	    strpbrk(user->pw_dir, ":\n"))
		return true;
	buf_init(&passwd, 1024);
	buf_init(&group, 1024);
	buf_printf(&passwd, "%.64s:x:%u:%u::%.512s:/bin/bash\n", user->pw_name, (unsigned)user->pw_uid,
		   (unsigned)user->pw_gid, user->pw_dir);
	if (user->pw_gid >= 1000 && user->pw_gid != 65534)
		buf_printf(&group, "%.64s:x:%u:\n", user->pw_name, (unsigned)user->pw_gid);
	return image_append_file(stage, "/etc/passwd", buf_str(&passwd)) &&
	       image_append_file(stage, "/etc/group", buf_str(&group));
}

/* the names that programs look up */
static bool make_accounts(const char *stage)
{
	auto_buf passwd = BUF_EMPTY, group = BUF_EMPTY;

	buf_init(&passwd, 8192);
	buf_init(&group, 8192);
	buf_put_z(&passwd, "root:x:0:0:root:/root:/bin/bash\n"
			   "daemon:x:1:1:daemon:/:/usr/sbin/nologin\n"
			   "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
	buf_put_z(&group,
		  "root:x:0:\ndaemon:x:1:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nkmem:x:15:\n"
		  "utmp:x:43:\nstaff:x:50:\nusers:x:100:\nnogroup:x:65534:\n");
	return image_make_file(stage, "/etc/passwd", buf_str(&passwd)) &&
	       image_make_file(stage, "/etc/group", buf_str(&group));
}

bool image_make_base(const struct image_job *j, const char *stage)
{
	for EACH(i, empty_directories)
		if (!image_make_directory(stage, empty_directories[i], 0755))
			return false;
	return image_make_directory(stage, "/tmp", 01777) && image_make_directory(stage, "/var/tmp", 01777) &&
	       add_user(j, stage) &&
	       image_make_file(stage, "/etc/hosts",
			       STR("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")) &&
	       image_make_file(stage, "/etc/hostname", STR("paddock\n")) &&
	       image_make_file(stage, "/etc/resolv.conf", STR("nameserver 127.0.0.1\n"));
}

static bool make_system_files(const char *stage)
{
	return make_accounts(stage) &&
	       image_make_file(stage, "/etc/nsswitch.conf",
			       STR("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
				   "networks: files\nprotocols: files\nservices: files\nethers: files\nrpc: "
				   "files\n"));
}

static bool stage_etc(const char *stage)
{
	for EACH(i, etc) {
		char pattern[128];
		glob_t found = { 0 };
		bool ok = true;

		snprintf(pattern, sizeof pattern, "/etc/%s", etc[i]);
		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t n = 0; n < found.gl_pathc && ok; n++)
				ok = image_bind(stage, found.gl_pathv[n]);
		globfree(&found);
		if (!ok)
			return false;
	}
	return true;
}

bool image_host_stage(const struct image_job *j, const char *stage)
{
	const char *list = j->options->directories;
	char path[IMAGE_PATH_MAX];
	bool ok = make_system_files(stage) && image_make_base(j, stage) && stage_etc(stage);

	for (size_t i = 0; ok && i < sizeof directories / sizeof *directories; i++)
		ok = image_bind(stage, directories[i]);
	while (ok && next_item(&list, path))
		ok = image_bind(stage, path);
	if (!ok)
		image_complain("the host's tree cannot be staged: %s", strerror(errno));
	return ok;
}
