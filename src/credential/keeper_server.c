/* keeper_server.c - each operation as narrow as its purpose
 *
 * Theory of operation: a request is checked for shape, then for what the credential may be used for,
 * by our own configuration; then it is answered from the source's text. A value or a file is read at
 * once. A command runs beside everything else: requests that need its output wait for it, one run for
 * all that came while it ran. For SECRET it runs each time (the courier keeps what it gets); for the
 * others its output is kept as long as it says that it is valid, or an hour. A replacement whose file is
 * locked is tried again until its time is over.
 * The courier is trusted with what its ops return, one at a time, but might be captured by what it
 * parses least of all: so a leaf is only ever certified for the one key that was shown first, only a
 * checkpoint of this very sandbox is signed, keys that sign are never returned, and what they sign has
 * a form (keeper_ops.h).
 */
#include "credential/keeper_server.h"

#include "base/clock.h"
#include "credential/keeper_ops.h"
#include "wire/head.h"

#include <stdlib.h>
#include <sys/wait.h>

#define ORIGIN STR("paddock/trail/")
#define HASH_BYTES 32
#define SIGN_MAX 512
#define AGAIN_MS 5000		/* a command whose output is kept is not run again before, whoever asks */
#define LOCK_MS 5000
#define RETRY_MS 50

struct keeper_wait {
	struct keeper_wait *next;
	size_t text_bytes;
	uint64_t deadline_ms;		/* REPLACE */
	struct keeper_request request;	/* its text is cut to text_bytes */
};

/* ---- what needs no credential ---- */

static bool next_line(struct str *rest, struct str *ret_line)
{
	size_t n = str_find(*rest, '\n');

	if (n == rest->n)
		return false;
	*ret_line = str_head(*rest, n);
	*rest = str_from(*rest, n + 1);
	return true;
}

/* exactly: origin with our sandbox, a decimal size, base64 of a SHA-256 (c2sp.org/tlog-checkpoint) */
static bool is_our_checkpoint(const struct keeper *k, struct str body)
{
	struct str origin, size, hash;
	uint64_t number;
	auto_buf digest = BUF_EMPTY;

	buf_init(&digest, HASH_BYTES + 3);
	return body.n <= SIGN_MAX && next_line(&body, &origin) && next_line(&body, &size) &&
	       next_line(&body, &hash) && body.n == 0 &&
	       str_starts(origin, ORIGIN) && str_eq(str_from(origin, ORIGIN.n), str_of(k->config->sandbox)) &&
	       str_decimal(size, INT64_MAX, &number) && (size.n == 1 || size.p[0] != '0') &&
	       !base64_decode(&digest, hash) && digest.len == HASH_BYTES;
}

static enum err leaf(struct keeper *k, struct str text, struct buf *out, const char **ret_reason)
{
	struct str host = str_from(text, KEEPER_POINT_BYTES);
	enum err e;

	*ret_reason = "a certificate was asked for a host or a key that is not valid";
	if (text.n <= KEEPER_POINT_BYTES || host.n > HEAD_HOST_MAX)
		return ERR_INPUT;
	if (k->pinned && memcmp(k->point, text.p, sizeof k->point) != 0) {
		*ret_reason = "a certificate was asked for a second key";
		return ERR_INPUT;
	}
	e = mint_leaf(k->mint, host, (const uint8_t *)text.p, out);
	if (e)
		return e;
	memcpy(k->point, text.p, sizeof k->point);
	k->pinned = true;
	return ERR_OK;
}

static enum err sign(struct keeper *k, struct str body, struct buf *out, const char **ret_reason)
{
	uint8_t signature[KEEPER_SIGNATURE_BYTES];
	enum err e;

	*ret_reason = "a signature was asked for something else than a checkpoint of this sandbox";
	if (!is_our_checkpoint(k, body))
		return ERR_INPUT;
	*ret_reason = "OpenSSL could not sign";
	e = keeper_key_sign(k->key, body, signature);
	if (!e)
		buf_put(out, str_make(signature, sizeof signature));
	return e;
}

/* ---- what a credential may be used for ---- */

static bool use_takes(enum keeper_use use, uint32_t op, uint8_t part)
{
	switch (use) {
	case KEEPER_USE_SECRET:
		return op == KEEPER_SECRET;
	case KEEPER_USE_REFRESH:
		return op == KEEPER_SECRET || op == KEEPER_LEASE || op == KEEPER_REPLACE;
	case KEEPER_USE_SIGV4:
		return op == KEEPER_SIGV4;
	case KEEPER_USE_JWT:
		return op == KEEPER_ACCOUNT || op == KEEPER_JWT ||
		       (op == KEEPER_SECRET && part != KEEPER_PART_SOURCE);
	case KEEPER_USE_CLAUDE:
	case KEEPER_USE_CODEX:
		return op == KEEPER_LOGIN || op == KEEPER_LEASE || op == KEEPER_REPLACE;
	case KEEPER_USE_CERTIFICATE:
		return op == KEEPER_CERTIFICATE;
	case KEEPER_USES:
		break;
	}
	return false;
}

/* ---- answers from a source's text ---- */

static enum err secret(struct str known, struct str text, uint64_t stamp, struct buf *out,
		       const char **ret_reason)
{
	struct str line;
	enum err e = keeper_source_line(text, &line, ret_reason);

	if (e)
		return e;
	buf_put_u64le(out, stamp);
	if (!str_eq(known, buf_str(out)))
		buf_put(out, line);
	return ERR_OK;
}

static enum err certificate(struct str known, struct str text, uint64_t stamp, struct buf *out,
			    const char **ret_reason)
{
	buf_put_u64le(out, stamp);
	return str_eq(known, buf_str(out)) ? ERR_OK : keeper_op_certificate(text, out, ret_reason);
}

static enum err from_text(const struct keeper_credential *c, const struct keeper_request *r, size_t n,
			  struct str text, uint64_t stamp, struct buf *out, const char **ret_reason)
{
	struct str asked = str_make(r->text, n);

	switch (r->op) {
	case KEEPER_SECRET:
		return secret(asked, text, stamp, out, ret_reason);
	case KEEPER_SIGV4:
		return keeper_op_sigv4(c, text, asked, out, ret_reason);
	case KEEPER_ACCOUNT:
		return keeper_op_account(c, text, out, ret_reason);
	case KEEPER_JWT:
		return keeper_op_jwt(c, text, asked, out, ret_reason);
	case KEEPER_LOGIN:
		return keeper_op_login(c, text, out, ret_reason);
	case KEEPER_CERTIFICATE:
		return certificate(asked, text, stamp, out, ret_reason);
	default:
		return ERR_INPUT;
	}
}

static const struct buf nothing;	/* the data of a failure */

static void answer(struct keeper *k, const struct keeper_request *r, enum err e, const struct buf *out,
		   const char *reason)
{
	const char *name = r->op > KEEPER_SIGN && r->credential < k->config->credential_count
				   ? k->config->credentials[r->credential].name : "request";

	if (!e)
		e = buf_err(out);
	k->answer(k->user, e, r->sequence, e ? (struct str){ NULL, 0 } : buf_str(out), name,
		  e ? reason : NULL);
}

static void answer_from_text(struct keeper *k, const struct keeper_request *r, size_t n, struct str text,
			     uint64_t stamp)
{
	const char *reason = "the answer is too long";
	auto_buf out = BUF_EMPTY;
	enum err e;

	buf_init_secret(&out, KEEPER_DATA_MAX);
	e = from_text(&k->config->credentials[r->credential], r, n, text, stamp, &out, &reason);
	answer(k, r, e, &out, reason);
}

/* ---- commands ---- */

static enum err wait_new(struct keeper *k, const struct keeper_request *r, size_t n, struct keeper_wait **ret)
{
	struct keeper_wait *w;

	if (k->waiting == KEEPER_CALLS_MAX)
		return ERR_LIMIT;
	w = calloc(1, offsetof(struct keeper_wait, request.text) + n);
	if (!w)
		return ERR_MEMORY;
	w->text_bytes = n;
	memcpy(&w->request, r, KEEPER_REQUEST_HEAD + n);
	k->waiting++;
	*ret = w;
	return ERR_OK;
}

static void wait_free(struct keeper *k, struct keeper_wait *w)
{
	k->waiting--;
	explicit_bzero(&w->request, KEEPER_REQUEST_HEAD + w->text_bytes);
	free(w);
}

/* May the output of an earlier run serve? */
static bool serves(const struct keeper_desk *desk, const struct keeper_request *r)
{
	bool again = (r->flags & KEEPER_AGAIN) && clock_ms() - desk->started_ms >= AGAIN_MS;

	return r->op != KEEPER_SECRET && !again && clock_unix_ns() / 1000000000 < desk->kept_until_s;
}

static void keep(const struct keeper_credential *c, struct keeper_desk *desk)
{
	uint64_t now_s = clock_unix_ns() / 1000000000;

	desk->kept_until_s = 0;
	if (c->use == KEEPER_USE_SECRET || c->use == KEEPER_USE_REFRESH)
		return;
	buf_free(&desk->kept);
	buf_init_secret(&desk->kept, KEEPER_SOURCE_MAX);
	buf_put(&desk->kept, buf_str(&desk->run.text));
	if (!buf_err(&desk->kept))
		desk->kept_until_s = keeper_text_expires_s(c, buf_str(&desk->kept), now_s);
}

static enum err wait_for_run(struct keeper *k, const struct keeper_request *r, size_t n,
			     const char **ret_reason)
{
	const struct keeper_credential *c = &k->config->credentials[r->credential];
	struct keeper_desk *desk = &k->desks[r->credential];
	struct keeper_wait *w;
	enum err e;

	if (serves(desk, r)) {
		answer_from_text(k, r, n, buf_str(&desk->kept), desk->runs);
		return ERR_OK;
	}
	*ret_reason = "too many requests wait";
	e = wait_new(k, r, n, &w);
	if (e)
		return e;
	if (!desk->run.pid) {
		desk->started_ms = clock_ms();
		e = keeper_run_start(&c->source, k->config->environment, &desk->run, ret_reason);
	}
	if (e) {
		wait_free(k, w);
		return e;
	}
	w->next = desk->waits;
	desk->waits = w;
	return ERR_OK;
}

static void run_over(struct keeper *k, struct keeper_desk *desk, enum err e, const char *reason)
{
	struct keeper_wait *w = desk->waits, *next;

	desk->waits = NULL;
	desk->runs++;
	if (!e)
		keep(&k->config->credentials[desk - k->desks], desk);
	for (; w; w = next) {
		next = w->next;
		if (e)
			answer(k, &w->request, e, &nothing, reason);
		else
			answer_from_text(k, &w->request, w->text_bytes, buf_str(&desk->run.text), desk->runs);
		wait_free(k, w);
	}
	keeper_run_end(&desk->run);
}

/* ---- replacements ---- */

/* ERR_MORE: the file is locked */
static enum err try_replace(struct keeper *k, const struct keeper_request *r, size_t n)
{
	const char *reason = "the answer is too long";
	auto_buf out = BUF_EMPTY;
	enum err e;

	buf_init_secret(&out, KEEPER_DATA_MAX);
	e = keeper_op_replace(&k->config->credentials[r->credential], str_make(r->text, n), &out, &reason);
	if (e != ERR_MORE)
		answer(k, r, e, &out, reason);
	return e;
}

static enum err replace(struct keeper *k, const struct keeper_request *r, size_t n, const char **ret_reason)
{
	struct keeper_wait *w;
	enum err e;

	if (try_replace(k, r, n) != ERR_MORE)
		return ERR_OK;
	*ret_reason = "too many requests wait";
	e = wait_new(k, r, n, &w);
	if (e)
		return e;
	w->deadline_ms = clock_ms() + LOCK_MS;
	w->next = k->locked;
	k->locked = w;
	k->retry_ms = clock_ms() + RETRY_MS;
	return ERR_OK;
}

static void retry(struct keeper *k, uint64_t now_ms)
{
	if (now_ms < k->retry_ms)
		return;
	k->retry_ms = now_ms + RETRY_MS;
	for (struct keeper_wait *w, **at = &k->locked; (w = *at);) {
		enum err e = try_replace(k, &w->request, w->text_bytes);

		if (e == ERR_MORE && now_ms >= w->deadline_ms) {
			answer(k, &w->request, ERR_TIMEOUT, &nothing, "its file stayed locked");
			e = ERR_TIMEOUT;
		}
		if (e == ERR_MORE) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		wait_free(k, w);
	}
}

/* ---- leases ---- */

static void leave(struct keeper_desk *desk)
{
	if (desk->leased)
		keeper_lease_leave(&desk->lease);
	desk->leased = false;
}

static enum err lease(struct keeper *k, const struct keeper_request *r, size_t n, const char **ret_reason)
{
	const struct keeper_credential *c = &k->config->credentials[r->credential];
	struct keeper_desk *desk = &k->desks[r->credential];
	struct str asked = str_make(r->text, n);
	auto_buf out = BUF_EMPTY;
	enum err e = ERR_OK;

	*ret_reason = "a lease was asked for that is none";
	if (c->source.kind != KEEPER_FILE || (!str_eq(asked, STR("take")) && !str_eq(asked, STR("leave"))))
		return ERR_INPUT;
	buf_init_secret(&out, KEEPER_DATA_MAX);
	if (str_eq(asked, STR("leave"))) {
		leave(desk);
		keeper_put_field(&out, STR("left"));
	} else {
		if (!desk->leased)
			desk->lease = (struct keeper_lease){ .directory = -1, .lock = -1 };
		e = keeper_op_lease(c, &desk->lease, &out, ret_reason);
		desk->leased = desk->lease.directory >= 0;
		if (e)
			leave(desk);
	}
	if (!e)
		answer(k, r, ERR_OK, &out, *ret_reason);
	return e;
}

/* ---- time ---- */

size_t keeper_wants(const struct keeper *k, struct pollfd *fds, uint64_t *ret_deadline_ms)
{
	size_t count = 0;

	*ret_deadline_ms = k->locked ? k->retry_ms : UINT64_MAX;
	for (size_t i = 0; i < k->config->credential_count; i++) {
		const struct keeper_run *run = &k->desks[i].run;

		if (!run->pid)
			continue;
		fds[count++] = keeper_run_wants(run);
		if (run->deadline_ms < *ret_deadline_ms)
			*ret_deadline_ms = run->deadline_ms;
	}
	return count;
}

void keeper_step(struct keeper *k)
{
	bool any = false, ended = false;

	for (size_t i = 0; i < k->config->credential_count; i++) {
		struct keeper_desk *desk = &k->desks[i];
		const char *reason = NULL;
		enum err e = desk->run.pid ? keeper_run_step(&desk->run, &reason) : ERR_MORE;

		if (e != ERR_MORE) {
			run_over(k, desk, e, reason);
			ended = true;
		}
		any |= desk->run.pid != 0;
	}
	if (k->locked)
		retry(k, clock_ms());
	/* orphans, where the keeper is PID 1; without commands its filter knows no wait */
	while (ended && !any && waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void drop_all(struct keeper *k, struct keeper_wait **list)
{
	for (struct keeper_wait *w; (w = *list);) {
		*list = w->next;
		wait_free(k, w);
	}
}

void keeper_end(struct keeper *k)
{
	drop_all(k, &k->locked);
	for (size_t i = 0; i < k->config->credential_count; i++) {
		drop_all(k, &k->desks[i].waits);
		keeper_run_end(&k->desks[i].run);
		buf_free(&k->desks[i].kept);
		leave(&k->desks[i]);
	}
}

/* ---- requests ---- */

/* Answers, or waits for what will; ERR_* is the answer. */
static enum err ask_credential(struct keeper *k, const struct keeper_request *r, size_t n,
			       const char **ret_reason)
{
	const struct keeper_credential *c = &k->config->credentials[r->credential];
	const struct keeper_source *s = r->part ? &c->parts[r->part] : &c->source;
	auto_buf text = BUF_EMPTY;
	uint64_t stamp;
	enum err e;

	if (!use_takes(c->use, r->op, r->part)) {
		*ret_reason = "it was asked for what it is not for";
		return ERR_INPUT;
	}
	if (r->op == KEEPER_REPLACE)
		return replace(k, r, n, ret_reason);
	if (r->op == KEEPER_LEASE)
		return lease(k, r, n, ret_reason);
	if (s->kind == KEEPER_COMMAND)
		return wait_for_run(k, r, n, ret_reason);
	buf_init_secret(&text, KEEPER_SOURCE_MAX);
	e = keeper_source_read(s, &text, &stamp, ret_reason);
	if (!e)
		answer_from_text(k, r, n, buf_str(&text), stamp);
	return e;
}

/* Has the request the members of its op, and no others? */
static bool well_formed(const struct keeper *k, const struct keeper_request *r, size_t n)
{
	bool keeps = r->op == KEEPER_SIGV4 || r->op == KEEPER_ACCOUNT || r->op == KEEPER_JWT ||
		     r->op == KEEPER_CERTIFICATE;

	if (r->op < KEEPER_LEAF || r->op >= KEEPER_OP_END || r->zero[0] || r->zero[1] ||
	    r->part >= KEEPER_PARTS || (r->part && r->op != KEEPER_SECRET) || (r->flags & ~KEEPER_AGAIN) ||
	    (r->flags && !keeps && r->op != KEEPER_SECRET))
		return false;
	if (r->op <= KEEPER_SIGN)
		return r->credential == 0;
	if (r->credential >= k->config->credential_count)
		return false;
	if (r->op == KEEPER_SECRET || r->op == KEEPER_CERTIFICATE)
		return n == 0 || n == KEEPER_STAMP_BYTES;
	return n == 0 || r->op == KEEPER_SIGV4 || r->op == KEEPER_JWT || r->op == KEEPER_REPLACE ||
	       r->op == KEEPER_LEASE;
}

enum err keeper_take(struct keeper *k, const struct keeper_request *r, size_t n)
{
	const char *reason = "a malformed request";
	auto_buf out = BUF_EMPTY;
	enum err e;

	if (n < KEEPER_REQUEST_HEAD || n > sizeof *r)
		return ERR_INPUT;
	n -= KEEPER_REQUEST_HEAD;
	buf_init(&out, KEEPER_DATA_MAX);
	e = well_formed(k, r, n) ? ERR_OK : ERR_INPUT;
	if (!e && r->op > KEEPER_SIGN) {
		e = ask_credential(k, r, n, &reason);
		if (!e)
			return ERR_OK;	/* was answered, or waits */
	} else if (!e) {
		struct str text = str_make(r->text, n);

		e = r->op == KEEPER_LEAF ? leaf(k, text, &out, &reason) : sign(k, text, &out, &reason);
	}
	answer(k, r, e, &out, reason);
	return ERR_OK;
}
