/* trust.c - the list of trusted policies; see trust.h
 *
 * Readers take the file as it is: it is only ever replaced whole, by rename. Writers hold a
 * lock beside it, so that two `paddock policy trust` at once both count.
 */
#include "cli/trust.h"

#include "base/auto.h"
#include "os/fd.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FILE_MAX  (4u * 1024 * 1024)
#define FILE_NAME "/trusted-policies"

bool trust_is_digest(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_digit(s.p[i]) && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return s.n == DIGEST_HEX_BYTES - 1;
}

static enum err failed(struct buf *why, enum err e, const char *path)
{
	int saved = errno;

	buf_clear(why);
	if (e == ERR_LOCAL)
		buf_printf(why, "%s: %s", path, strerror(saved));
	else
		buf_printf(why, "%s: %s", path, err_text(e));
	errno = saved;
	return e;
}

/* The directory's path into @ret. */
static enum err directory(struct buf *ret, struct buf *why)
{
	enum err e;

	buf_init(ret, PATHS_MAX);
	e = paths_directory(PATHS_CONFIG, ret);
	return e == ERR_OK ? ERR_OK
			   : failed(why, e, ret->len && buf_z(ret) ? buf_z(ret) : "$XDG_CONFIG_HOME");
}

static enum err read_list(struct str base, struct buf *list, struct buf *why)
{
	auto_buf path = BUF_EMPTY;
	enum err e;

	buf_init(list, FILE_MAX + 8192); /* paths_read() reads a block beyond */
	buf_init(&path, PATHS_MAX);
	buf_put(&path, base);
	buf_put_z(&path, FILE_NAME);
	if (!buf_z(&path))
		return failed(why, ERR_LIMIT, "$XDG_CONFIG_HOME");
	e = paths_read(buf_z(&path), FILE_MAX, list);
	if (e == ERR_LOCAL && errno == ENOENT) {
		buf_clear(list);
		return ERR_OK;
	}
	return e == ERR_OK ? ERR_OK : failed(why, e, buf_z(&path));
}

/* The next line that is one of ours; others are passed over. */
static bool next_entry(struct str *rest, struct str *ret_digest, struct str *ret_path, struct str *ret_line)
{
	while (rest->n) {
		struct str line = str_head(*rest, str_find(*rest, '\n'));

		*rest = str_from(*rest, line.n + 1);
		*ret_digest = str_head(line, DIGEST_HEX_BYTES - 1);
		*ret_path = str_from(line, DIGEST_HEX_BYTES + 1);
		*ret_line = line;
		if (trust_is_digest(*ret_digest) && str_starts(str_from(line, ret_digest->n), STR("  ")))
			return true;
	}
	return false;
}

static bool contains(struct str list, struct str digest)
{
	struct str found, path, line;

	while (next_entry(&list, &found, &path, &line))
		if (str_eq(found, digest))
			return true;
	return false;
}

bool trust_is_trusted(struct str text)
{
	char digest[DIGEST_HEX_BYTES];
	auto_buf base = BUF_EMPTY, list = BUF_EMPTY, why = BUF_EMPTY;

	buf_init(&base, PATHS_MAX);
	buf_init(&list, 0);
	buf_init(&why, PATHS_MAX + 256);
	if (!digest_hex(text.p, text.n, digest) || directory(&base, &why) != ERR_OK ||
	    read_list(buf_str(&base), &list, &why) != ERR_OK)
		return false;
	return contains(buf_str(&list), str_of(digest));
}

/* Every line but @digest's, and then, if @path is given, a new line for it. */
static void rewrite(struct str list, struct str digest, const char *path, struct buf *out, bool *ret_had)
{
	struct str found, where, line;
	unsigned count = 0;

	*ret_had = false;
	while (next_entry(&list, &found, &where, &line)) {
		if (str_eq(found, digest)) {
			*ret_had = true;
			continue;
		}
		if (++count == TRUST_ENTRIES_MAX)
			out->err = ERR_LIMIT;
		buf_put(out, line);
		buf_put_z(out, "\n");
	}
	if (path) {
		buf_put(out, digest);
		buf_put_z(out, "  ");
		buf_put_z(out, path);
		buf_put_z(out, "\n");
	}
}

/* The list with @digest in it or not: locked, written beside, renamed. */
static enum err change(const char *digest, const char *path, bool *ret_had, struct buf *why)
{
	auto_buf base = BUF_EMPTY, list = BUF_EMPTY, out = BUF_EMPTY;
	auto_fd dir = -1, lock = -1, fd = -1;
	enum err e;

	buf_init(&list, 0);
	buf_init(&out, FILE_MAX);
	e = directory(&base, why);
	if (e != ERR_OK)
		return e;
	dir = open(buf_z(&base), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		lock = openat(dir, "trusted-policies.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) != 0)
		return failed(why, ERR_LOCAL, buf_z(&base));
	e = read_list(buf_str(&base), &list, why);
	if (e != ERR_OK)
		return e;
	rewrite(buf_str(&list), str_of(digest), path, &out, ret_had);
	if (buf_err(&out) != ERR_OK)
		return failed(why, buf_err(&out), "trusted-policies");
	fd = openat(dir, "trusted-policies.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fd_write(fd, buf_str(&out)) != ERR_OK || fsync(fd) != 0 ||
	    renameat(dir, "trusted-policies.new", dir, "trusted-policies") != 0)
		return failed(why, ERR_LOCAL, buf_z(&base));
	return ERR_OK;
}

enum err trust_add(const char *digest, const char *path, struct buf *why)
{
	bool had;

	if (!trust_is_digest(str_of(digest)) || strchr(path, '\n'))
		return failed(why, ERR_INPUT, path);
	return change(digest, path, &had, why);
}

enum err trust_remove(const char *digest, bool *ret_removed, struct buf *why)
{
	return change(digest, NULL, ret_removed, why);
}

enum err trust_each(void (*f)(void *ctx, struct str digest, struct str path), void *ctx, struct buf *why)
{
	struct str rest, digest, path, line;
	auto_buf base = BUF_EMPTY, list = BUF_EMPTY;
	enum err e;

	buf_init(&list, 0);
	e = directory(&base, why);
	if (e == ERR_OK)
		e = read_list(buf_str(&base), &list, why);
	if (e != ERR_OK)
		return e;
	rest = buf_str(&list);
	while (next_entry(&rest, &digest, &path, &line))
		f(ctx, digest, path);
	return ERR_OK;
}
