/* image_tree.c - what of the host must be visible for one command to run
 *
 * Theory of operation: the command is looked up as a shell would, its links are followed to a
 * file; if that file is a script its interpreter is looked up in turn. Each file that the host
 * image does not hold needs its installation tree, which is guessed from well-known layouts,
 * and from nothing that a home keeps: when no layout is recognised it is the file alone.
 * A tree is never the home, a directory above it, one of its common roots (~/.local, ~/.config,
 * ~/.cache, ...), or a directory of the system that the image leaves out on purpose (/etc, /var).
 *
 * Input: the user's own command and files; they decide what is shown to the agent, read-only. What lies
 * where an agent writes, the workspace above all, decides nothing: from the first file, link or script
 * there on, only what is there itself is named, and what would have been needed besides is told. No
 * exception is made for a virtual environment: its pyvenv.cfg and links are as hostile as the rest, and
 * the interpreter that they lead to can be in another, private one.
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
#define LINKS_MAX 40		/* MAXSYMLINKS of Linux */

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

/* ---- paths ---- */

/* is @path, resolved, beneath one of the directories @agents, which agents write? */
static bool is_agents(const char *path, const char *const *agents)
{
	for (size_t i = 0; agents[i]; i++) {
		size_t n = strlen(agents[i]);

		if (str_starts(str_of(path), str_of(agents[i])) && path[n] == '/')
			return true;
	}
	return false;
}

struct walk {
	char done[IMAGE_PATH_MAX];	/* resolved; "" is the root */
	char rest[IMAGE_PATH_MAX];	/* to be walked from there */
	unsigned links;
};

static bool join(char ret[IMAGE_PATH_MAX], const char *head, const char *tail)
{
	char whole[IMAGE_PATH_MAX];
	int n = snprintf(whole, sizeof whole, "%s/%s", head, tail);

	if (n < 0 || n >= (int)sizeof whole) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(ret, whole, (size_t)n + 1);
	return true;
}

/* If ->done names a link, its target comes next. */
static bool follow(struct walk *w)
{
	char target[IMAGE_PATH_MAX];
	ssize_t n = readlink(w->done, target, sizeof target - 1);

	if (n < 0)
		return errno == EINVAL;		/* it is there, and no link */
	if (++w->links > LINKS_MAX) {
		errno = ELOOP;
		return false;
	}
	target[n] = 0;
	w->done[target[0] == '/' ? 0 : parent(w->done, strlen(w->done))] = 0;
	return join(w->rest, target, w->rest);
}

/* As realpath(3), which does not tell what was on the way: sets *through if an entry of an agent's
 * directory was. The agent of another run may change such an entry meanwhile; what is resolved without
 * one is not the agent's to change. With @name_kept a link that @path itself is stays one. */
static bool resolve(const char *path, bool name_kept, const char *const *agents, char ret[IMAGE_PATH_MAX],
		    bool *through)
{
	struct walk w = { .done = "" };

	if (path[0] != '/' && !getcwd(w.done, sizeof w.done))
		return false;
	if (strcmp(w.done, "/") == 0)
		w.done[0] = 0;
	if (strlen(path) >= sizeof w.rest) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(w.rest, path, strlen(path) + 1);
	for (;;) {
		char *name = w.rest + strspn(w.rest, "/"), *end = name + strcspn(name, "/");
		char part[IMAGE_PATH_MAX];
		bool last = !end[strspn(end, "/")];

		if (!*name)
			break;
		memcpy(part, name, (size_t)(end - name));
		part[end - name] = 0;
		memmove(w.rest, end, strlen(end) + 1);
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			w.done[parent(w.done, strlen(w.done))] = 0;
			continue;
		}
		if (!join(w.done, w.done, part))
			return false;
		*through |= is_agents(w.done, agents);
		if (!(last && name_kept) && !follow(&w))
			return false;
	}
	memcpy(ret, w.done[0] ? w.done : "/", w.done[0] ? strlen(w.done) + 1 : 2);
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

struct search {
	struct image_trees *trees;
	const char *path, *home;	/* where commands are looked up; resolved, or NULL */
	const char *const *agents;
	bool theirs;		/* what is needed is said by what an agent could have written */
};

struct program {
	char path[IMAGE_PATH_MAX];	/* to be executed */
	char real[IMAGE_PATH_MAX];	/* what it resolves to */
};

/* @n as for add_tree(). What an agent named is added if it sees it anyway, else left to the user. */
static bool need_tree(struct search *s, const char *file, size_t n)
{
	char path[IMAGE_PATH_MAX];
	size_t path_n = n ? n : strlen(file);

	if (!s->theirs)
		return add_tree(s->trees, file, n);
	memcpy(path, file, path_n);
	path[path_n] = 0;
	if (is_agents(path, s->agents))
		return add_tree(s->trees, file, n);
	if (n && is_agents(file, s->agents))	/* it lies there, and the tree around it is larger */
		return add_tree(s->trees, file, 0);
	if (!s->trees->withheld[0])
		memcpy(s->trees->withheld, path, path_n + 1);
	return true;
}

/* One file: what to execute, and its tree if the image does not have it. It keeps the name that it was
 * found by where that matters and can be seen: in the image (some programs go by it), and in a Python
 * environment (whose python is a link to the system's, told apart by where it lies). */
static enum err add_program(struct search *s, const char *name, struct program *ret, struct buf *ret_text)
{
	char found[IMAGE_PATH_MAX];
	size_t environment;
	bool keep, ok = true;

	if (!find_command(name, s->path, found)) {
		buf_printf(ret_text, "%.500s: not found, or not executable", name);
		return ERR_INPUT;
	}
	if (!resolve(found, false, s->agents, ret->real, &s->theirs) ||
	    !resolve(found, true, s->agents, ret->path, &s->theirs)) {
		buf_printf(ret_text, "%.500s: %s", name, strerror(errno));
		return ERR_INPUT;
	}
	environment = environment_of(ret->path, s->home);
	keep = environment || (image_host_contains(ret->path) && image_host_contains(ret->real));
	if (environment)
		ok = need_tree(s, ret->path, environment);
	if (ok && !image_host_contains(ret->real))
		ok = need_tree(s, ret->real, tree_of(ret->real, s->home));
	if (!keep)
		memcpy(ret->path, ret->real, sizeof ret->path);
	if (ok)
		return ERR_OK;
	buf_printf(ret_text, "%.500s: it needs more than %d installation trees", name, IMAGE_TREES_MAX);
	return ERR_INPUT;
}

enum err image_command_trees(const char *command, const char *search, const char *home,
			     const char *const *agents, struct image_trees *ret, struct buf *ret_text)
{
	char next[SHEBANG_MAX], home_real[IMAGE_PATH_MAX];
	struct search s = { .trees = ret, .path = search, .agents = agents,
			    .home = home && realpath(home, home_real) ? home_real : NULL };
	struct program p;
	enum err e;

	ret->count = 0;
	ret->withheld[0] = 0;
	e = add_program(&s, command, &p, ret_text);
	if (e)
		return e;
	memcpy(ret->executable, p.path, sizeof ret->executable);
	for (unsigned depth = 0; interpreter(p.real, next); depth++) {
		if (depth == INTERPRETERS_MAX) {
			buf_printf(ret_text, "%.500s: too many interpreters", command);
			return ERR_INPUT;
		}
		e = add_program(&s, next, &p, ret_text);
		if (e)
			return e;
	}
	return ERR_OK;
}
