/* keeper_replace.c - LOGIN and REPLACE: tokens that are refreshed, in the user's own files; see keeper_ops.h
 *
 * Theory of operation: a provider takes a refresh token that is used twice for theft, so an agent of the
 * user's outside of the sandbox must find what a refresh inside it gave, and the other way round. REPLACE
 * takes a lock, reads the file again, and writes it only if it still holds the refresh token that was read
 * before the refresh (compare and swap); else it answers with what the file holds by now. It is written under
 * another name, synced and renamed, with its mode; nobody ever sees half of it.
 * The lock is Claude Code's own for its file (a directory, stale after 15 seconds without a sign of life, as
 * its proper-lockfile has it), else flock() on a file beside. It is never waited for here: ERR_MORE.
 * A lease is the same from before a refresh until after it: of two sandboxes, or a sandbox and Claude
 * Code itself (whose own lock of that purpose it is), one refreshes, and the other finds what came of it.
 */
#include "credential/keeper_login.h"
#include "credential/keeper_ops.h"

#include "base/auto.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/sha.h>
#undef ERR_STATE
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define NAME_MAX_BYTES 200
#define CLAUDE_LOCK ".storage-write.lock"
#define CLAUDE_STALE_S 15
#define CLAUDE_LEASE ".oauth_refresh.lock"
#define CLAUDE_LEASE_STALE_S 60

enum { ASKED_HASH, ASKED_ACCESS, ASKED_REFRESH, ASKED_ID_TOKEN, ASKED_EXPIRES, ASKED_FIELDS };

enum err keeper_op_login(const struct keeper_credential *c, struct str text, struct buf *out,
			 const char **ret_reason)
{
	struct keeper_login_file f;
	enum err e = keeper_login_parse(c->use, text, &f, ret_reason);

	if (e)
		return e;
	keeper_put_login(out, &f.login);
	keeper_login_close(&f);
	return buf_err(out);
}

/* ---- the file's place and its lock ---- */

struct place {
	struct keeper_lease held;
	char name[NAME_MAX_BYTES + 1];
};

void keeper_lease_leave(struct keeper_lease *l)
{
	struct stat st;

	if (l->made && fstatat(l->directory, l->made, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_ino == l->inode && st.st_ctim.tv_sec == l->since.tv_sec &&
	    st.st_ctim.tv_nsec == l->since.tv_nsec)
		(void)unlinkat(l->directory, l->made, AT_REMOVEDIR);
	l->made = NULL;
	auto_fd_close(&l->lock);
	auto_fd_close(&l->directory);
	l->lock = l->directory = -1;
}

/* A directory is the lock. */
static enum err make_lock(struct keeper_lease *l, const char *name, int stale_s)
{
	struct stat st;

	for (int i = 0; i < 2; i++) {
		if (mkdirat(l->directory, name, 0700) == 0) {
			if (fstatat(l->directory, name, &st, AT_SYMLINK_NOFOLLOW)) {
				(void)unlinkat(l->directory, name, AT_REMOVEDIR);
				return ERR_LOCAL;
			}
			l->made = name;
			l->inode = st.st_ino;
			l->since = st.st_ctim;
			return ERR_OK;
		}
		if (errno != EEXIST)
			return ERR_LOCAL;
		if (fstatat(l->directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtim.tv_sec + stale_s >= time(NULL))
			return ERR_MORE;
		(void)unlinkat(l->directory, name, AT_REMOVEDIR);
	}
	return ERR_MORE;
}

static enum err take_file_lock(struct keeper_lease *l, const char *of, const char *suffix)
{
	char name[NAME_MAX_BYTES + 16];

	snprintf(name, sizeof name, ".%s%s", of, suffix);
	l->lock = openat(l->directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (l->lock < 0)
		return ERR_LOCAL;
	if (flock(l->lock, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? ERR_MORE : ERR_LOCAL;
	return ERR_OK;
}

static enum err open_directory(const struct keeper_credential *c, struct place *p)
{
	const char *slash = strrchr(c->source.real, '/');
	size_t n = (size_t)(slash - c->source.real);
	char directory[4096];

	*p = (struct place){ .held = { .directory = -1, .lock = -1 } };
	if (n >= sizeof directory || strlen(slash + 1) > NAME_MAX_BYTES || !slash[1])
		return ERR_LOCAL;
	memcpy(directory, n ? c->source.real : "/", n ? n : 1);
	directory[n ? n : 1] = 0;
	memcpy(p->name, slash + 1, strlen(slash + 1) + 1);
	p->held.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->held.directory < 0 ? ERR_LOCAL : ERR_OK;
}

/* For a moment, to write; or as a lease. */
static enum err place_enter(const struct keeper_credential *c, bool lease, struct place *p)
{
	enum err e = open_directory(c, p);

	if (e)
		return e;
	if (c->use == KEEPER_USE_CLAUDE)
		e = make_lock(&p->held, lease ? CLAUDE_LEASE : CLAUDE_LOCK,
			      lease ? CLAUDE_LEASE_STALE_S : CLAUDE_STALE_S);
	else
		e = take_file_lock(&p->held, p->name, lease ? ".refresh.lock" : ".lock");
	if (e)
		keeper_lease_leave(&p->held);
	return e;
}

static enum err write_file(const struct place *p, struct str text)
{
	char temporary[NAME_MAX_BYTES + 32];
	struct stat st;
	uint64_t number;
	bool ok;

	/* of another owner's file there would be one of ours afterwards */
	if (fstatat(p->held.directory, p->name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() || getrandom(&number, sizeof number, 0) != sizeof number)
		return ERR_LOCAL;
	snprintf(temporary, sizeof temporary, ".%s.%016llx", p->name, (unsigned long long)number);
	auto_fd fd = openat(p->held.directory, temporary,
			    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, st.st_mode & 0777);
	if (fd < 0)
		return ERR_LOCAL;
	ok = fd_write(fd, text) == ERR_OK && fsync(fd) == 0 &&
	     renameat(p->held.directory, temporary, p->held.directory, p->name) == 0;
	if (!ok)
		(void)unlinkat(p->held.directory, temporary, 0);
	return ok && fsync(p->held.directory) == 0 ? ERR_OK : ERR_LOCAL;
}

/* ---- compare and swap ---- */

static bool is_the_hash_of(struct str hex, struct str secret)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	auto_buf now = BUF_EMPTY;

	buf_init(&now, 2 * sizeof digest);
	SHA256((const uint8_t *)secret.p, secret.n, digest);
	buf_put_hex(&now, str_make(digest, sizeof digest));
	return !buf_err(&now) && secret_eq(hex, buf_str(&now));
}

static bool well_formed(const struct keeper_credential *c, const struct str asked[ASKED_FIELDS])
{
	uint64_t number;

	if (asked[ASKED_HASH].n != 64 || (c->use == KEEPER_USE_REFRESH) != (asked[ASKED_ACCESS].n == 0) ||
	    (c->use == KEEPER_USE_REFRESH && asked[ASKED_REFRESH].n == 0) ||
	    (asked[ASKED_EXPIRES].n && !str_decimal(asked[ASKED_EXPIRES], INT64_MAX, &number)))
		return false;
	for (int i = 0; i < ASKED_FIELDS; i++)
		for (size_t k = 0; k < asked[i].n; k++) {
			char byte = asked[i].p[k];

			if (byte <= ' ' || byte > '~' || byte == '"' || byte == '\\')
				return false;
		}
	return true;
}

/* ERR_OK: *ret_same, and if so @fresh is the file's new text; *@out has the fields as they are then */
static enum err swap_login(const struct keeper_credential *c, struct str text,
			   const struct str asked[ASKED_FIELDS], bool *ret_same, struct buf *fresh,
			   struct buf *out, const char **ret_reason)
{
	const struct keeper_login login = {
		.access = asked[ASKED_ACCESS], .refresh = asked[ASKED_REFRESH],
		.id_token = asked[ASKED_ID_TOKEN], .expires_ms = asked[ASKED_EXPIRES],
	};
	struct keeper_login_file f;
	enum err e = keeper_login_parse(c->use, text, &f, ret_reason);

	if (e)
		return e;
	*ret_same = is_the_hash_of(asked[ASKED_HASH], f.login.refresh);
	if (*ret_same)
		e = keeper_login_change(c->use, &f, &login, fresh);
	keeper_login_close(&f);
	*ret_reason = "its file would be too long";
	if (e)
		return e;
	keeper_put_field(out, *ret_same ? STR("replaced") : STR("other"));
	return keeper_op_login(c, *ret_same ? buf_str(fresh) : text, out, ret_reason);
}

static enum err swap_token(struct str text, const struct str asked[ASKED_FIELDS], bool *ret_same,
			   struct buf *fresh, struct buf *out, const char **ret_reason)
{
	struct keeper_login now = { .access = { NULL, 0 } };
	enum err e = keeper_source_line(text, &now.refresh, ret_reason);

	if (e)
		return e;
	*ret_same = is_the_hash_of(asked[ASKED_HASH], now.refresh);
	if (*ret_same) {
		now.refresh = asked[ASKED_REFRESH];
		buf_put(fresh, now.refresh);
		buf_put_z(fresh, "\n");
	}
	keeper_put_field(out, *ret_same ? STR("replaced") : STR("other"));
	keeper_put_login(out, &now);
	return buf_err(fresh) ? buf_err(fresh) : buf_err(out);
}

static enum err replace(const struct keeper_credential *c, const struct place *p,
			const struct str asked[ASKED_FIELDS], struct buf *out, const char **ret_reason)
{
	auto_buf text = BUF_EMPTY, fresh = BUF_EMPTY;
	bool same = false;
	uint64_t stamp;
	enum err e;

	buf_init_secret(&text, KEEPER_SOURCE_MAX);
	buf_init_secret(&fresh, KEEPER_SOURCE_MAX);
	e = keeper_source_read(&c->source, &text, &stamp, ret_reason);
	if (!e)
		e = c->use == KEEPER_USE_REFRESH
			    ? swap_token(buf_str(&text), asked, &same, &fresh, out, ret_reason)
			    : swap_login(c, buf_str(&text), asked, &same, &fresh, out, ret_reason);
	if (e || !same)
		return e;
	*ret_reason = "its file cannot be replaced (not the user's own, or its directory cannot be written)";
	return write_file(p, buf_str(&fresh));
}

enum err keeper_op_replace(const struct keeper_credential *c, struct str asked, struct buf *out,
			   const char **ret_reason)
{
	struct str fields[ASKED_FIELDS];
	struct place place;
	enum err e;

	*ret_reason = "a replacement was asked for that is none";
	if (c->source.kind != KEEPER_FILE || !keeper_fields(asked, fields, ASKED_FIELDS) ||
	    !well_formed(c, fields))
		return ERR_INPUT;
	*ret_reason = "its file cannot be locked";
	e = place_enter(c, false, &place);
	if (e)
		return e;
	e = replace(c, &place, fields, out, ret_reason);
	keeper_lease_leave(&place.held);
	return e;
}

/* ---- leases ---- */

enum err keeper_op_lease(const struct keeper_credential *c, struct keeper_lease *lease, struct buf *out,
			 const char **ret_reason)
{
	auto_buf text = BUF_EMPTY;
	struct keeper_login token = { .access = { NULL, 0 } };
	struct place place;
	uint64_t stamp;
	enum err e = lease->directory >= 0 ? ERR_OK : place_enter(c, true, &place);

	*ret_reason = "its file cannot be locked";
	if (e && e != ERR_MORE)
		return e;
	if (!e && lease->directory < 0)
		*lease = place.held;
	buf_init_secret(&text, KEEPER_SOURCE_MAX);
	keeper_put_field(out, e ? STR("busy") : STR("taken"));
	e = keeper_source_read(&c->source, &text, &stamp, ret_reason);
	if (!e && c->use != KEEPER_USE_REFRESH)
		return keeper_op_login(c, buf_str(&text), out, ret_reason);
	if (!e)
		e = keeper_source_line(buf_str(&text), &token.refresh, ret_reason);
	if (!e)
		keeper_put_login(out, &token);
	return e ? e : buf_err(out);
}
