/* snapshot.h - the policy in force, and what is derived from it; counted, so that a running
 * exchange keeps the one that it was decided by
 */
#pragma once

#include "courier/config.h"
#include "credential/scrub.h"
#include "policy/policy.h"

struct snapshot;

/** snapshot_new() - takes @policy on ERR_OK; @config is borrowed for good
 * Return: ERR_OK; ERR_INPUT (a placeholder that cannot be searched for), ERR_MEMORY */
must_use enum err snapshot_new(struct policy *policy, const struct config *config, struct snapshot **ret);
struct snapshot *snapshot_acquire(struct snapshot *s);
void snapshot_release(struct snapshot *s);
const struct policy *snapshot_policy(const struct snapshot *s);
/** snapshot_credential() - the policy's credential of that name, or NULL */
const struct policy_credential *snapshot_credential(const struct snapshot *s, struct str name);
/** enum snapshot_place - where a placeholder was found, which says whether it may stand there */
enum snapshot_place {
	SNAPSHOT_HEAD,		/* of a request as it came; the bound
				   credential's own are looked for in SENT */
	SNAPSHOT_SENT,		/* of a request with its credential in
				   place: what is still there of its own */
	SNAPSHOT_BODY,		/* a body or message that passes as it is */
	SNAPSHOT_REPLACED,	/* one in which the bound credential's own are replaced */
};
/** snapshot_foreign() - the placeholders that must not stand in that place of a request to @host (canonical)
 *  that has @bound (or NULL). A placeholder goes unreplaced to the hosts that its credential lists for it;
 *  if it lists none, in bodies to those that may receive the secret; nowhere else. *ret is borrowed, NULL
 *  if there are none; a hit's id goes to snapshot_placeholder_name(). ERR_LIMIT, ERR_MEMORY */
must_use enum err snapshot_foreign(struct snapshot *s, struct str host, const struct policy_credential *bound,
				   enum snapshot_place place, const struct scrub_set **ret);
/** snapshot_placeholder_name() - the credential that a placeholder stands for */
struct str snapshot_placeholder_name(const struct snapshot *s, uint32_t id);
