/* vault.h - the secrets of one sandbox, as the courier holds them
 *
 * Fetched from the keeper when first needed, then kept until the courier ends. All that were
 * fetched are searched for in every answer, whichever credential it was asked with.
 */
#pragma once

#include "credential/keeper.h"
#include "credential/scrub.h"
#include "policy/policy.h"

#define VAULT_KEEPER_MS 35000	/* a credential command's own time limit, and some */

struct vault;

/** struct vault_set - the needles of all secrets that are known; counted, immutable */
struct vault_set {
	unsigned references;
	struct scrub_set *set;
};

/** vault_new() - @keeper: descriptor, borrowed; @first: the policy that the keeper was given, whose
 *  credential indices it knows. NULL without memory. */
struct vault *vault_new(int keeper, const struct policy *first);
void vault_free(struct vault *v);
/** vault_knows() - can the keeper have a secret for @c, of a policy that was loaded later? The name
 *  and the source must be those of the policy that the keeper was given. */
bool vault_knows(const struct vault *v, const struct policy_credential *c);
/** vault_number() - the same for @c under every policy of the run, whatever its place in them; -1: unknown */
int32_t vault_number(const struct vault *v, const struct policy_credential *c);
/** vault_secret() - @c's secret, borrowed until vault_free(); asks the keeper if need be, which blocks
 * *ret_reason: static words for the operator, on failure
 * Return: ERR_OK, ERR_CREDENTIAL, ERR_MEMORY */
must_use enum err vault_secret(struct vault *v, const struct policy_credential *c, struct str *ret_secret,
			       const char **ret_reason);
/** vault_acquire() - the present set, NULL while there is nothing to search for; vault_release() */
struct vault_set *vault_acquire(struct vault *v);
void vault_release(struct vault_set *s);
/** vault_current() - borrowed, to see whether it has changed */
const struct vault_set *vault_current(const struct vault *v);
