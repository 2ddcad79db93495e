/* vault.h - the secrets of one sandbox, as the courier holds them
 *
 * Asked of the keeper when first needed and kept; a file is looked at for each that asks, the rest again when
 * told that an upstream refuses them. Every secret that may still be reflected is searched for in every
 * answer, whichever credential it was asked with.
 */
#pragma once

#include "courier/keeper_client.h"
#include "courier/waiter.h"
#include "credential/scrub.h"
#include "policy/policy.h"

#define VAULT_OLD_MAX 4		/* former secrets of one credential and part that are still searched for */

struct vault;

/** struct vault_secret - one secret; counted, immutable */
struct vault_secret {
	unsigned references;
	uint64_t generation;	/* of this vault's secrets no two have the same */
	struct secret *secret;	/* secret_str() */
};

/** struct vault_set - the needles of all secrets that may be reflected; counted, immutable */
struct vault_set {
	unsigned references;
	struct scrub_set *set;
};

/** vault_new() - @client: borrowed; @first: the policy that the keeper was given, whose credential indices it
 *  knows; borrowed for the call. NULL without memory. */
struct vault *vault_new(struct keeper_client *client, const struct policy *first);
void vault_free(struct vault *v);
/** vault_knows() - can the keeper have a secret for @c, of a policy that was loaded later? The name, the
 *  source and the strategy must be those of the policy that the keeper was given. */
bool vault_knows(const struct vault *v, const struct policy_credential *c);
/** vault_number() - the keeper's number of @c, the same under every policy of the run whatever its place in
 *  them; -1: unknown */
int32_t vault_number(const struct vault *v, const struct policy_credential *c);

/** vault_ask() - the present secret of @c, or of what its token block names beside it
 * @w:       @changed(@user) is called from the loop, once, when it is worth to ask again; then, and after each
 *           return but ERR_MORE, @w is free to be used again
 * *ret:     counted: vault_secret_release()
 * *ret_reason: static words for the operator, on ERR_CREDENTIAL
 * Return: ERR_OK; ERR_MORE; ERR_CREDENTIAL; ERR_MEMORY. However many wait,
 * the source is asked once; a file is looked at after @w asked first. */
must_use enum err vault_ask(struct vault *v, const struct policy_credential *c, enum keeper_part part,
			    struct waiter *w, void (*changed)(void *user), void *user,
			    const struct vault_secret **ret, const char **ret_reason);
const struct vault_secret *vault_secret_hold(const struct vault_secret *s);
void vault_secret_release(const struct vault_secret *s);	/* NULL is fine */
/** vault_invalidate() - an upstream refuses @generation of @c: the next to ask gets it anew from its source,
 *  if it is still the present one. At most once in VAULT_FAILURE_MS. */
void vault_invalidate(struct vault *v, const struct policy_credential *c, uint64_t generation);
/** vault_learn() - @secret is @c's too (a token that was fetched, a session token, the parts of a login): it
 *  is searched for in answers from now on, with VAULT_OLD_MAX * 4 former ones of @c's. Known ones are kept.
 * *ret: counted, or NULL if it is not wanted
 * Return: ERR_OK; ERR_CREDENTIAL (it cannot be searched for: too short); ERR_MEMORY */
must_use enum err vault_learn(struct vault *v, const struct policy_credential *c, struct str secret,
			      const struct vault_secret **ret);

/** vault_detach() - @c is given to nobody any more, under any policy of this run; who uses it is told.
 *  It is searched for as before. Idempotent. */
void vault_detach(struct vault *v, const struct policy_credential *c);
bool vault_detached(const struct vault *v, const struct policy_credential *c);
/** vault_on_detach() - @detached is called, within vault_detach(), with vault_number() of the credential */
void vault_on_detach(struct vault *v, void (*detached)(void *user, int32_t number), void *user);

/** vault_acquire() - the present set, NULL while there is nothing to search for; vault_release() */
struct vault_set *vault_acquire(struct vault *v);
void vault_release(struct vault_set *s);
/** vault_reveals() - does @s hold one of the secrets? */
bool vault_reveals(const struct vault *v, struct str s);
/** vault_current() - borrowed, to see whether it has changed */
const struct vault_set *vault_current(const struct vault *v);
