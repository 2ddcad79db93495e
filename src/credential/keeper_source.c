/* keeper_source.c - values and files; see keeper_source.h
 *
 * Files come from the user's own side and are trusted not to be hostile; still only a regular
 * file of bounded size is read. A file's stamp is made of what changes when it is written or
 * replaced. Two writes within one tick of the file system's clock would look the same: a file that
 * was changed a moment ago has a stamp of its own each time, so that it is read again.
 */
#include "credential/keeper_source.h"

#include "base/auto.h"
#include "base/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define SETTLED_NS 1000000000ull

enum err keeper_source_line(struct str text, struct str *ret_secret, const char **ret_reason)
{
	if (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	if (text.n && text.p[text.n - 1] == '\r')
		text.n--;
	if (text.n == 0 || text.n > SECRET_MAX_BYTES) {
		*ret_reason = text.n ? "the secret is too long" : "the secret is empty";
		return ERR_CREDENTIAL;
	}
	*ret_secret = text;
	return ERR_OK;
}

static uint64_t stamp_of(const struct stat *st)
{
	uint64_t changed = (uint64_t)st->st_ctim.tv_sec * 1000000000 + (uint64_t)st->st_ctim.tv_nsec;
	uint64_t now = clock_unix_ns();
	const uint64_t parts[] = {
		st->st_dev, st->st_ino, (uint64_t)st->st_size, changed,
		(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
		now - changed < SETTLED_NS || changed > now ? now : 0,
	};

	return str_hash(str_make(parts, sizeof parts)) | 1;
}

static enum err read_file(const char *path, struct buf *text, uint64_t *ret_stamp, const char **ret_reason)
{
	auto_fd fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	enum err e;

	if (fd < 0 || fstat(fd, &st)) {
		*ret_reason = errno == ENOENT ? "the file does not exist" : "the file cannot be opened";
		return ERR_CREDENTIAL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > KEEPER_SOURCE_MAX) {
		*ret_reason = S_ISREG(st.st_mode) ? "the file is too long" : "it is not a regular file";
		return ERR_CREDENTIAL;
	}
	e = fd_read(fd, text, KEEPER_SOURCE_MAX);
	if (e == ERR_LOCAL) {
		*ret_reason = "the file cannot be read";
		return ERR_CREDENTIAL;
	}
	if (e)
		return ERR_MEMORY;
	*ret_stamp = stamp_of(&st);
	return ERR_OK;
}

enum err keeper_source_read(const struct keeper_source *s, struct buf *text, uint64_t *ret_stamp,
			    const char **ret_reason)
{
	if (s->kind == KEEPER_FILE)
		return read_file(s->path, text, ret_stamp, ret_reason);
	if (!s->value) {
		*ret_reason = s->missing ? s->missing : "it has no value";
		return ERR_CREDENTIAL;
	}
	buf_put(text, secret_str(s->value));
	*ret_stamp = 0;
	return buf_err(text);
}
