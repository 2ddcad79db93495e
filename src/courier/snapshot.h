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
/** snapshot_foreign() - the placeholders that must not go to @host (canonical): those of all
 *  credentials whose hosts do not include it. *ret is borrowed, NULL if there are none; a hit's id
 *  goes to snapshot_placeholder_name(). ERR_LIMIT, ERR_MEMORY */
must_use enum err snapshot_foreign(struct snapshot *s, struct str host, const struct scrub_set **ret);
/** snapshot_placeholder_name() - the credential that a placeholder stands for */
struct str snapshot_placeholder_name(const struct snapshot *s, uint32_t id);
