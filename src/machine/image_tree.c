/* image_tree.c - what of the host must be visible for one command to run
 *
 * Theory of operation: the command is looked up as a shell would, its links are followed to a
 * file; if that file is a script its interpreter is looked up in turn. Each file that the host
 * image does not hold needs its installation tree, which is guessed from well-known layouts,
 * and from nothing that a home keeps: when no layout is recognised it is the file alone.
 * A tree is never the home, a directory above it, one of its common roots (~/.local, ~/.config,
 * ~/.cache, ...), or a directory of the system that the image leaves out on purpose (/etc, /var).
 * Input: the user's own command and files; they decide what is shown to the agent, read-only.
 */
#include "machine/image.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INTERPRETERS_MAX 4
#define SHEBANG_MAX 256		/* BINPRM_BUF_SIZE of Linux */

_Static_assert(IMAGE_PATH_MAX >= PATH_MAX, "realpath() writes PATH_MAX bytes");

static bool is_executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool exists(const char *directory, size_t n, const char *name)
{
	char path[IMAGE_PATH_MAX];

	return snprintf(path, sizeof path, "%.*s/%s", (int)n, directory, name) < (int)sizeof path &&
	       access(path, F_OK) == 0;
}

/* as a shell: with a slash it is a path, without it is searched */
static bool find_command(const char *command, const char *search, char ret[IMAGE_PATH_MAX])
{
	if (strchr(command, '/')) {
		if (!is_executable(command) || strlen(command) >= IMAGE_PATH_MAX)
			return false;
		memcpy(ret, command, strlen(command) + 1);
		return true;
	}
	for (struct str rest = str_of(search); rest.n;) {
		struct str part = str_head(rest, str_find(rest, ':'));
		char path[IMAGE_PATH_MAX];

		rest = str_from(rest, part.n + 1);
		if (part.n == 0 || part.p[0] != '/')
			continue;	/* an empty one would be the current directory: never */
		if (snprintf(path, sizeof path, "%.*s/%s", (int)part.n, part.p, command) < (int)sizeof path &&
		    is_executable(path)) {
			memcpy(ret, path, sizeof path);
			return true;
		}
	}
	return false;
}

/* ---- trees ---- */

/* may the directory path[0..n) be shown as a whole? */
static bool may_show(const char *path, size_t n, const char *home)
{
	static const char *const system[] = { "/", "/etc", "/var", "/root", "/home", "/opt", "/srv", "/mnt",
					      "/tmp",
		"/run", "/usr", "/usr/local", "/media", "/proc", "/sys", "/dev" };
	static const char *const of_home[] = { ".local", ".local/share", ".local/bin", ".local/lib",
					       ".config",
		".cache", ".ssh", ".gnupg", ".aws", ".kube", ".docker", "bin", "src", "Documents",
		"Downloads" };
	struct str tree = str_make(path, n);
	size_t home_n = home ? strlen(home) : 0;

	for (size_t i = 0; i < sizeof system / sizeof *system; i++)
		if (str_eq(tree, str_of(system[i])))
			return false;
	if (n == 0 || home_n == 0)
		return n != 0;
	/* the home itself, or above it */
	if (str_starts(str_of(home), tree) && (home[n] == 0 || home[n] == '/'))
		return false;
	if (!str_starts(tree, str_of(home)) || path[home_n] != '/')
		return true;
	for (size_t i = 0; i < sizeof of_home / sizeof *of_home; i++)
		if (str_eq(str_from(tree, home_n + 1), str_of(of_home[i])))
			return false;
	return true;
}

/* bytes of the directory that holds path[0..n) */
static size_t parent(const char *path, size_t n)
{
	while (n > 0 && path[n - 1] != '/')
		n--;
	return n > 0 ? n - 1 : 0;
}

static bool is_named(const char *path, size_t n, const char *name)
{
	size_t above = parent(path, n);

	return str_eq(str_make(path + above + 1, n - above - 1), str_of(name));
}

/* bytes of the path of the Python or conda environment that @file is in; 0: in none */
static size_t environment_of(const char *file, const char *home)
{
	for (size_t n = parent(file, strlen(file)); n > 0; n = parent(file, n))
		if ((exists(file, n, "pyvenv.cfg") || exists(file, n, "conda-meta")) &&
		    may_show(file, n, home))
			return n;
	return 0;
}

/* Return: bytes of the tree's path; 0: the file alone */
static size_t tree_of(const char *file, const char *home)
{
	size_t directory = parent(file, strlen(file)), prefix, found = 0;

	for (size_t n = directory; n > 0; n = parent(file, n))
		if (is_named(file, n, "node_modules") && may_show(file, n, home))
			found = n;	/* the outermost: packages look for others beside themselves */
	if (found)
		return found;
	found = environment_of(file, home);
	if (found)
		return found;
	prefix = parent(file, directory);
	if (directory > 0 && is_named(file, directory, "bin") && exists(file, prefix, "lib") &&
	    may_show(file, prefix, home))
		return prefix;
	/* pyenv, rbenv, asdf, mise: a shim asks the manager beside it for the version to run */
	if (directory > 0 && is_named(file, directory, "shims") && may_show(file, prefix, home))
		return prefix;
	for (size_t n = directory; n > 0; n = parent(file, n))
		if (exists(file, n, "package.json"))
			return may_show(file, n, home) ? n : 0;
	return 0;
}

/* the first @n bytes of @file, a directory; all of it, if @n is 0 */
static bool add_tree(struct image_trees *t, const char *file, size_t n)
{
	struct str path = n ? str_make(file, n) : str_of(file);

	for (uint32_t i = 0; i < t->count; i++) {
		struct str have = str_of(t->trees[i].path);

		if (str_eq(have, path) ||
		    (t->trees[i].directory && str_starts(path, have) && path.p[have.n] == '/'))
			return true;
	}
	if (t->count == IMAGE_TREES_MAX)
		return false;
	memcpy(t->trees[t->count].path, path.p, path.n);
	t->trees[t->count].path[path.n] = 0;
	t->trees[t->count++].directory = n != 0;
	return true;
}

/* ---- scripts ---- */

static struct str next_word(struct str *rest)
{
	struct str word;
	size_t n = 0;

	while (rest->n && (rest->p[0] == ' ' || rest->p[0] == '\t'))
		*rest = str_from(*rest, 1);
	while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
		n++;
	word = str_head(*rest, n);
	*rest = str_from(*rest, n);
	return word;
}

/* the program that runs @file, as its first line says: of "#!/usr/bin/env [-S] [A=B] node" it
 * is node. false: no script. */
static bool interpreter(const char *file, char ret[SHEBANG_MAX])
{
	auto_fd fd = open(file, O_RDONLY | O_NOCTTY | O_CLOEXEC);
	char line[SHEBANG_MAX];
	ssize_t n = fd >= 0 ? read(fd, line, sizeof line) : -1;
	struct str rest, word;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	rest = str_from(str_make(line, (size_t)n), 2);
	rest = str_head(rest, str_find(rest, '\n'));
	if (rest.n && rest.p[rest.n - 1] == '\r')
		rest.n--;
	word = next_word(&rest);
	if (str_ends(word, STR("/env")))
		do
			word = next_word(&rest);
		while (word.n && (word.p[0] == '-' || str_find(word, '=') < word.n));
	if (word.n == 0 || word.n >= SHEBANG_MAX)
		return false;
	memcpy(ret, word.p, word.n);
	ret[word.n] = 0;
	return true;
}

/* @path with the links of its directory resolved, but not its own */
static bool resolve_directory(const char *path, char ret[IMAGE_PATH_MAX])
{
	char copy[IMAGE_PATH_MAX], directory[IMAGE_PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (!slash || n >= sizeof copy)
		return false;
	memcpy(copy, n ? path : "/", n ? n : 1);
	copy[n ? n : 1] = 0;
	return realpath(copy, directory) &&
	       snprintf(ret, IMAGE_PATH_MAX, "%s/%s", directory[1] ? directory : "", slash + 1) <
		       IMAGE_PATH_MAX;
}

struct program {
	char path[IMAGE_PATH_MAX];	/* to be executed */
	char real[IMAGE_PATH_MAX];	/* what it resolves to */
};

/* One file: what to execute, and its tree if the image does not have it. It keeps the name that it was
 * found by where that matters and can be seen: in the image (some programs go by it), and in a Python
 * environment (whose python is a link to the system's, told apart by where it lies). */
static enum err add_program(struct image_trees *t, const char *name, const char *search, const char *home,
			    struct program *ret, struct buf *ret_text)
{
	char found[IMAGE_PATH_MAX];
	size_t environment;
	bool keep, ok = true;

	if (!find_command(name, search, found)) {
		buf_printf(ret_text, "%.500s: not found, or not executable", name);
		return ERR_INPUT;
	}
	if (!realpath(found, ret->real) || !resolve_directory(found, ret->path)) {
		buf_printf(ret_text, "%.500s: %s", name, strerror(errno));
		return ERR_INPUT;
	}
	environment = environment_of(ret->path, home);
	keep = environment || (image_host_contains(ret->path) && image_host_contains(ret->real));
	if (environment)
		ok = add_tree(t, ret->path, environment);
	if (ok && !image_host_contains(ret->real))
		ok = add_tree(t, ret->real, tree_of(ret->real, home));
	if (!keep)
		memcpy(ret->path, ret->real, sizeof ret->path);
	if (ok)
		return ERR_OK;
	buf_printf(ret_text, "%.500s: it needs more than %d installation trees", name, IMAGE_TREES_MAX);
	return ERR_INPUT;
}

enum err image_command_trees(const char *command, const char *search, const char *home,
			     struct image_trees *ret, struct buf *ret_text)
{
	char next[SHEBANG_MAX], home_real[IMAGE_PATH_MAX];
	struct program p;
	enum err e;

	ret->count = 0;
	home = home && realpath(home, home_real) ? home_real : NULL;
	e = add_program(ret, command, search, home, &p, ret_text);
	if (e)
		return e;
	memcpy(ret->executable, p.path, sizeof ret->executable);
	for (unsigned depth = 0; interpreter(p.real, next); depth++) {
		if (depth == INTERPRETERS_MAX) {
			buf_printf(ret_text, "%.500s: too many interpreters", command);
			return ERR_INPUT;
		}
		e = add_program(ret, next, search, home, &p, ret_text);
		if (e)
			return e;
	}
	return ERR_OK;
}
