/* binding.c - the credential of one exchange; see binding.h
 *
 * Theory of operation: a strategy is a row of ops. Most of them end with a secret that attach.h puts into the
 * head: what the keeper gave, or a token that was fetched with it. The rest (bodies, connections, the record)
 * is the same for all and is here. What the agent itself brought is looked at before the intent, so that a
 * refusal leaves nothing but a denial behind; what is still there of the placeholder once the head is made is
 * looked for in that very head.
 * Invariant: no secret is in the exchange; each lives in the vault, counted, and in buffers that are wiped.
 */
#include "courier/binding_internal.h"

#include "base/clock.h"
#include "courier/relay.h"
#include "credential/attach.h"

#include <stdlib.h>

static struct str placeholder_of(const struct exchange *x, const struct policy_credential *c)
{
	return config_placeholder(x->courier->options.config, c->name);
}

/* ---- before the intent ---- */

static enum step refuse_or_pass(struct exchange *x, enum attach_own own)
{
	switch (x->credential->own) {
	case POLICY_OWN_PASS:
		x->credential = NULL;
		return STEP_NEXT;
	case POLICY_OWN_REPLACE:
		if (own == ATTACH_OWN_REAL)
			return STEP_NEXT;
		break;
	case POLICY_OWN_REFUSE:
		break;
	}
	return exchange_fail(x, ERR_CREDENTIAL_FOREIGN,
			     own == ATTACH_OWN_BESIDE ? "beside where the bound one goes" : "");
}

enum step binding_examine(struct exchange *x)
{
	auto_buf own = BUF_EMPTY;

	if (!x->credential || x->local)
		return STEP_NEXT;
	if (x->credential->strategy == POLICY_STRATEGY_SIGV4) {
		bool is_signed = false;
		enum step step = binding_sigv4_examine(x, placeholder_of(x, x->credential), &is_signed);

		if (step != STEP_NEXT || is_signed)
			return step;
	}
	buf_init_secret(&own, ATTACH_OWN_MAX);
	enum attach_own found = attach_own(x->credential, placeholder_of(x, x->credential), &x->head, &own);

	return found < ATTACH_OWN_REAL ? STEP_NEXT : refuse_or_pass(x, found);
}

enum err binding_foreign(struct exchange *x, const struct scrub_set **ret)
{
	bool replaced = x->credential &&
			(x->head.websocket ? x->credential->strategy == POLICY_STRATEGY_PLACEHOLDER &&
						     (x->credential->parts & POLICY_IN_WEBSOCKET)
					   : attach_body_kind(x->credential, &x->head) != ATTACH_BODY_NOT);

	return snapshot_foreign(x->snapshot, x->head.host, x->credential,
				replaced ? SNAPSHOT_REPLACED : SNAPSHOT_BODY, ret);
}

/* ---- a secret as it is ---- */

void binding_changed(void *binding)
{
	struct binding *b = binding;

	exchange_run(b->exchange);
}

int32_t binding_number(const struct binding *b)
{
	return vault_number(b->exchange->courier->vault, b->credential);
}

void binding_take(struct binding *b, const struct vault_secret *secret)
{
	vault_secret_release(b->secret);
	b->secret = secret;
	b->pool = secret->generation;
}

static enum err plain_run(struct binding *b, const char **ret_reason)
{
	const struct vault_secret *secret;
	enum err e = vault_ask(b->exchange->courier->vault, b->credential, KEEPER_PART_SOURCE, &b->wait,
			       binding_changed, b, &secret, ret_reason);

	if (e == ERR_OK)
		binding_take(b, secret);
	return e;
}

static const struct binding_ops binding_plain = { .run = plain_run };

static const struct binding_ops *const strategies[] = {
	[POLICY_STRATEGY_HEADER] = &binding_plain,
	[POLICY_STRATEGY_PLACEHOLDER] = &binding_plain,
	[POLICY_STRATEGY_SIGV4] = &binding_sigv4,
	[POLICY_STRATEGY_TOKEN] = &binding_token,
	[POLICY_STRATEGY_LOGIN] = &binding_token,
	[POLICY_STRATEGY_CERTIFICATE] = &binding_client_certificate,
};

/* ---- one binding ---- */

enum err binding_start(struct exchange *x, struct binding **ret)
{
	struct binding *b = calloc(1, sizeof *b);

	if (!b)
		return ERR_MEMORY;
	b->exchange = x;
	b->credential = x->credential;
	b->placeholder = placeholder_of(x, x->credential);
	b->ops = strategies[x->credential->strategy];
	*ret = b;
	return ERR_OK;
}

void binding_free(struct binding *b)
{
	if (!b)
		return;
	if (b->ops->free)
		b->ops->free(b);
	waiter_end(&b->wait);
	vault_secret_release(b->secret);
	free(b);
}

/* What is sent instead of a placeholder; the agent's own counts as one where policy says "replace". */
static struct str needle(struct binding *b, struct buf *own)
{
	buf_init_secret(own, ATTACH_OWN_MAX);
	if (b->credential->strategy == POLICY_STRATEGY_PLACEHOLDER &&
	    b->credential->own == POLICY_OWN_REPLACE &&
	    attach_own(b->credential, b->placeholder, &b->exchange->head, own) == ATTACH_OWN_REAL)
		return buf_str(own);
	return b->placeholder;
}

/* The body in which placeholders are replaced has to be here, all of it. */
static enum err replace_body(struct binding *b, const char **ret_reason)
{
	struct exchange *x = b->exchange;
	enum attach_body kind = attach_body_kind(b->credential, &x->head);
	auto_buf body = BUF_EMPTY;
	bool changed = false;

	if (kind == ATTACH_BODY_NOT || b->body_done || x->local)
		return ERR_OK;
	relay_collect(x, BINDING_BODY_MAX);
	if (!x->up.complete)
		return ERR_MORE;
	b->body_done = true;
	buf_init_secret(&body, 2 * (size_t)BINDING_BODY_MAX);
	enum err e = attach_text(kind, secret_str(b->secret->secret), b->placeholder, relay_body(x), &body,
				 &changed);

	if (e != ERR_OK)
		return e == ERR_LIMIT ? ERR_BODY_TOO_LARGE : e;
	if (changed && x->up.trailers.len) {
		*ret_reason = "trailers after a body in which a credential is put";
		return ERR_BODY_FRAMING;
	}
	if (changed)
		relay_replace_body(x, &body);
	return ERR_OK;
}

enum err binding_run(struct binding *b, const char **ret_reason)
{
	enum err e = ERR_OK;

	if (vault_detached(b->exchange->courier->vault, b->credential)) {
		*ret_reason = "it was detached from this sandbox";
		return ERR_CREDENTIAL;
	}
	if (!b->ready)
		e = b->ops->run(b, ret_reason);
	if (e != ERR_OK)
		return e;
	b->ready = true;
	return b->secret ? replace_body(b, ret_reason) : ERR_OK;
}

/* Is the placeholder still somewhere, where it is not replaced? */
static enum err refuse_left(struct binding *b, const struct head *sent)
{
	struct exchange *x = b->exchange;
	const struct scrub_set *left;
	enum err e = snapshot_foreign(x->snapshot, x->head.host, b->credential, SNAPSHOT_SENT, &left);

	if (e != ERR_OK)
		return e;
	return left && exchange_carries(x, left, sent) ? ERR_PLACEHOLDER_BLOCKED : ERR_OK;
}

enum err binding_apply(struct binding *b, const struct head *in, struct buf *out, struct head *ret_head)
{
	auto_buf own = BUF_EMPTY;
	bool attached;
	enum err e;

	if (b->ops->apply)
		e = b->ops->apply(b, in, out, ret_head);
	else
		e = attach_apply(b->credential, secret_str(b->secret->secret), needle(b, &own), in, out,
				 ret_head, &attached);
	return e == ERR_OK ? refuse_left(b, ret_head) : e;
}

bool binding_replaces_messages(const struct binding *b)
{
	return b->secret && b->credential->strategy == POLICY_STRATEGY_PLACEHOLDER &&
	       (b->credential->parts & POLICY_IN_WEBSOCKET);
}

enum err binding_message(struct binding *b, struct str message, struct buf *out, bool *ret_changed)
{
	return attach_text(binding_replaces_messages(b) ? ATTACH_BODY_JSON : ATTACH_BODY_NOT,
			   secret_str(b->secret->secret), b->placeholder, message, out, ret_changed);
}

uint64_t binding_pool(const struct binding *b) { return b->pool; }

struct str binding_certificate(const struct binding *b)
{
	return b->ops->certificate ? b->ops->certificate(b) : STR("");
}

uint64_t binding_generation(const struct binding *b) { return b->secret ? b->secret->generation : 0; }

void binding_refused(struct binding *b, uint16_t status)
{
	if (b->ops->refused)
		b->ops->refused(b, status);
	else if (status == 401 && b->secret)
		vault_invalidate(b->exchange->courier->vault, b->credential, b->secret->generation);
}
