/* binding_internal.h - what the strategies of binding*.c share; for them alone */
#pragma once

#include "courier/binding.h"

/** struct binding_ops - one strategy */
struct binding_ops {
	/** as binding_run() */
	enum err (*run)(struct binding *b, const char **ret_reason);
	/** as binding_apply(); NULL: attach_apply() with b->secret */
	enum err (*apply)(struct binding *b, const struct head *in, struct buf *out, struct head *ret_head);
	/** NULL: nothing of its own */
	void (*free)(struct binding *b);
	/** as binding_refused(); NULL: the vault is told of 401 */
	void (*refused)(struct binding *b, uint16_t status);
	/** as binding_certificate(); NULL: none */
	struct str (*certificate)(const struct binding *b);
};

struct binding {
	struct exchange *exchange;
	const struct policy_credential *credential;
	const struct binding_ops *ops;
	struct str placeholder;			/* of this run; may be empty */
	struct waiter wait;
	const struct vault_secret *secret;	/* counted: what goes out; NULL: not yet, or nothing does */
	uint64_t pool;
	bool ready, body_done;
	void *own;				/* the strategy's */
};

/** binding_changed() - for waits: the exchange runs again */
void binding_changed(void *binding);
/** binding_number() - vault_number() of its credential */
int32_t binding_number(const struct binding *b);
/** binding_take() - @secret (counted, taken) is what goes out */
void binding_take(struct binding *b, const struct vault_secret *secret);

extern const struct binding_ops binding_sigv4, binding_token, binding_client_certificate;
/** binding_sigv4_examine() - binding_examine() for that strategy, of requests that are signed: *ret_signed */
must_use enum step binding_sigv4_examine(struct exchange *x, struct str placeholder, bool *ret_signed);
