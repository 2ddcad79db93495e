/* binding_sigv4.c - AWS requests, signed anew over what is sent; see credential/sigv4.h
 *
 * Theory of operation: the keeper is asked for the key's name and session token, then for a signature over
 * the head as it will be sent: two questions, since the name is part of what is signed. If the keys changed
 * in between, once more. The signing key never leaves the keeper; a signature is worth this request alone.
 */
#include "courier/binding_internal.h"

#include "base/clock.h"
#include "courier/relay.h"
#include "courier/request_chunked.h"
#include "credential/attach.h"
#include "credential/sigv4.h"

#include <stdlib.h>

#define ATTEMPTS_MAX 3
#define DOUBT_MS 60000		/* an answer that may be for the keys: the keeper gets them anew at most so often */
#define POOL (1ull << 63)	/* connections are not anybody's: each request is signed */

struct signing {
	struct sigv4 s;
	struct keeper_call *call;
	bool identified, done;
	bool again;			/* the call asks for keys other than those that the keeper has kept */
	enum err failed;
	unsigned attempts;
	struct buf key_id, token, out;
	struct head head;		/* prepared, then signed; values in out */
};

static void forget(struct signing *g)
{
	buf_free(&g->out);
	buf_init_secret(&g->out, ATTACH_BYTES_MAX);
}

static void signing_free(struct binding *b)
{
	struct signing *g = b->own;

	if (!g)
		return;
	keeper_cancel(g->call);
	sigv4_free(&g->s);
	buf_free(&g->key_id);
	buf_free(&g->token);
	buf_free(&g->out);
	free(g);
}

static enum err begin(struct binding *b, const char **ret_reason)
{
	struct signing *g = calloc(1, sizeof *g);

	if (!g)
		return ERR_MEMORY;
	buf_init(&g->key_id, SIGV4_KEY_ID_MAX);
	buf_init_secret(&g->token, SECRET_MAX_BYTES);
	buf_init_secret(&g->out, ATTACH_BYTES_MAX);
	b->own = g;
	return sigv4_parse(&b->exchange->head, &g->s, ret_reason);
}

/* ---- the keeper ---- */

static bool same(const struct buf *b, struct str s) { return str_eq(buf_str(b), s); }

/* Whose keys these are, if they are not those that we knew. */
static enum err identify(struct binding *b, struct str key_id, struct str token)
{
	struct signing *g = b->own;

	buf_clear(&g->key_id);
	buf_clear(&g->token);
	buf_put(&g->key_id, key_id);
	buf_put(&g->token, token);
	g->identified = true;
	if (buf_err(&g->key_id) || buf_err(&g->token))
		return ERR_CREDENTIAL;
	return token.n ? vault_learn(b->exchange->courier->vault, b->credential, token, NULL) : ERR_OK;
}

static enum err take_reply(struct binding *b, struct str reply)
{
	struct signing *g = b->own;
	struct str field[3];

	if (!keeper_fields(reply, field, 3))
		return ERR_CREDENTIAL;
	if (!g->identified || !same(&g->key_id, field[0]) || !same(&g->token, field[1]))
		return ++g->attempts > ATTEMPTS_MAX ? ERR_CREDENTIAL : identify(b, field[0], field[1]);
	g->done = true;
	return sigv4_finish(&g->s, field[0], field[2], &g->out, &g->head);
}

static void answered(void *user, enum err e, struct str reply)
{
	struct binding *b = user;
	struct signing *g = b->own;

	g->call = NULL;
	if (e == ERR_OK)
		g->failed = take_reply(b, reply);
	else if (!g->again)	/* those that are kept may be as good as ever */
		g->failed = ERR_CREDENTIAL;
	exchange_run(b->exchange);
}

static enum err ask(struct binding *b, struct str text)
{
	struct signing *g = b->own;
	int32_t number = binding_number(b);
	struct keeper_question question = { .op = KEEPER_SIGV4, .credential = (uint32_t)number,
					    .text = text };

	if (number < 0 || number >= POLICY_CREDENTIALS_MAX)
		return ERR_CREDENTIAL;
	struct courier_doubt *doubt = &b->exchange->courier->doubts[number];

	question.flags = doubt->due ? KEEPER_AGAIN : 0;
	enum err e = keeper_call(b->exchange->courier->keeper, &question, answered, b, &g->call);

	if (e != ERR_OK)
		return e;
	g->again = doubt->due;
	doubt->due = false;
	return ERR_MORE;
}

/* ---- what is signed ---- */

static enum err ask_signature(struct binding *b)
{
	struct signing *g = b->own;
	struct exchange *x = b->exchange;
	auto_buf hash = BUF_EMPTY, canonical = BUF_EMPTY, text = BUF_EMPTY;
	struct head plain;

	buf_init(&hash, HEAD_MAX_BYTES);
	buf_init_secret(&canonical, SIGV4_CANONICAL_MAX);
	buf_init(&text, KEEPER_TEXT_MAX);
	forget(g);
	enum err e = exchange_plain_head(x, &plain);

	if (e == ERR_OK)
		e = sigv4_prepare(&g->s, &plain, buf_str(&g->key_id), buf_str(&g->token), &g->out, &g->head);
	if (e == ERR_OK)
		e = sigv4_payload_hash(&g->s, &g->head, relay_body(x), &hash);
	if (e == ERR_OK)
		e = sigv4_canonical(&g->s, &g->head, buf_str(&hash), &canonical);
	if (e == ERR_OK)
		e = sigv4_string_to_sign(&g->s, buf_str(&canonical), &text);
	return e == ERR_OK ? ask(b, buf_str(&text)) : e;
}

/* Is all of the body here that has to be? */
static enum err body_ready(struct binding *b, const char **ret_reason)
{
	struct signing *g = b->own;
	struct exchange *x = b->exchange;

	if (g->s.payload == SIGV4_STATED || x->head.framing == HEAD_BODY_NONE)
		return ERR_OK;
	if (g->s.payload == SIGV4_CHUNKED) {
		*ret_reason = "its signed chunks";
		return x->up.chunked ? ERR_OK : request_chunked_begin(x, g->s.decoded_length);
	}
	relay_collect(x, BINDING_BODY_MAX);
	return x->up.complete ? ERR_OK : ERR_MORE;
}

static enum err signing_run(struct binding *b, const char **ret_reason)
{
	struct signing *g = b->own;
	enum err e = g ? g->failed : begin(b, ret_reason);

	g = b->own;
	if (e != ERR_OK) {
		if (g && g->failed)
			*ret_reason = "its keys are not available, or do not sign this";
		return e;
	}
	b->pool = POOL | (uint64_t)(uint32_t)binding_number(b);
	if (g->done || g->s.form == SIGV4_UNSIGNED)
		return ERR_OK;
	if (g->call)
		return ERR_MORE;
	if (!g->identified) {
		e = ask(b, STR(""));
	} else {
		e = body_ready(b, ret_reason);
		if (e == ERR_OK)
			e = ask_signature(b);
	}
	return e;
}

static enum err signing_apply(struct binding *b, const struct head *in, struct buf *out,
			      struct head *ret_head)
{
	const struct signing *g = b->own;

	(void)out;
	*ret_head = g->s.form == SIGV4_UNSIGNED ? *in : g->head;
	return ERR_OK;
}

/* Keys that are over: AWS says 403, S3 and the services that
 * speak JSON 400, and only in the body that it is this. */
static void signing_refused(struct binding *b, uint16_t status)
{
	const struct signing *g = b->own;
	struct courier_doubt *doubt = &b->exchange->courier->doubts[binding_number(b)];
	uint64_t now = clock_ms();

	if (!g->done || (status != 400 && status != 401 && status != 403) ||
	    (doubt->at_ms && now - doubt->at_ms < DOUBT_MS))
		return;
	doubt->at_ms = now;
	doubt->due = true;
}

const struct binding_ops binding_sigv4 = {
	.run = signing_run, .apply = signing_apply, .free = signing_free, .refused = signing_refused,
};

/* ---- before the intent ---- */

enum step binding_sigv4_examine(struct exchange *x, struct str placeholder, bool *ret_signed)
{
	const char *reason = "";
	struct sigv4 s;
	enum err e = sigv4_parse(&x->head, &s, &reason);

	if (e != ERR_OK)
		return exchange_fail(x, e, reason);
	if (s.form != SIGV4_UNSIGNED)
		e = sigv4_check(&s, x->credential, &x->head, clock_unix_ns() / 1000000000, &reason);
	bool own = s.form != SIGV4_UNSIGNED && !str_eq(s.key_id, placeholder) &&
		   attach_judge(s.key_id) == ATTACH_OWN_REAL;

	*ret_signed = s.form != SIGV4_UNSIGNED;
	sigv4_free(&s);
	if (e != ERR_OK)
		return exchange_fail(x, e, reason);
	if (!own || x->credential->own == POLICY_OWN_REPLACE)
		return STEP_NEXT;
	if (x->credential->own == POLICY_OWN_REFUSE)
		return exchange_fail(x, ERR_CREDENTIAL_FOREIGN, "its AWS signature is made with another key");
	x->credential = NULL;
	return STEP_NEXT;
}
