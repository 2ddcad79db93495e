/* snapshot.c - the policy in force
 *
 * Theory of operation: which placeholders are foreign depends on the host, but only by which
 * credentials list it: there are few such combinations, each gets a set of needles once.
 * A placeholder whose credential the policy no longer has is foreign everywhere.
 */
#include "courier/snapshot.h"

#include <stdlib.h>

#define COMBINATIONS_MAX 256	/* as many as a policy could mean; more is a refusal */

struct combination {
	uint8_t foreign[CONFIG_PLACEHOLDERS_MAX / 8];
	struct scrub_set *set;		/* NULL: none is foreign */
};

struct snapshot {
	unsigned references;
	struct policy *policy;
	const struct config *config;
	struct combination combinations[COMBINATIONS_MAX];
	uint32_t combination_count;
};

static bool bit(const uint8_t *bits, uint32_t i) { return bits[i / 8] >> (i % 8) & 1; }

static const struct policy_credential *credential_named(const struct policy *p, struct str name)
{
	for (uint32_t i = 0; i < policy_credential_count(p); i++)
		if (str_eq(policy_credential(p, i)->name, name))
			return policy_credential(p, i);
	return NULL;
}

static bool may_have(const struct policy_credential *c, struct str host)
{
	for (uint32_t i = 0; c && i < c->host_count; i++)
		if (policy_host_matches(c->hosts[i], host))
			return true;
	return false;
}

static enum err combination_build(struct snapshot *s, struct combination *c)
{
	bool any = false;
	enum err e = ERR_OK;

	c->set = scrub_set_new();
	if (!c->set)
		return ERR_MEMORY;
	for (uint32_t i = 0; e == ERR_OK && i < s->config->placeholder_count; i++)
		if (bit(c->foreign, i)) {
			e = scrub_set_add(c->set, s->config->placeholders[i].placeholder, i);
			any = true;
		}
	if (e == ERR_OK && any)
		e = scrub_set_build(c->set);
	if (e != ERR_OK || !any) {
		scrub_set_free(c->set);
		c->set = NULL;
	}
	return e;
}

enum err snapshot_foreign(struct snapshot *s, struct str host, const struct scrub_set **ret)
{
	struct combination c = { .set = NULL };

	for (uint32_t i = 0; i < s->config->placeholder_count; i++)
		if (!may_have(credential_named(s->policy, s->config->placeholders[i].credential), host))
			c.foreign[i / 8] = (uint8_t)(c.foreign[i / 8] | 1u << (i % 8));
	for (uint32_t i = 0; i < s->combination_count; i++)
		if (!memcmp(s->combinations[i].foreign, c.foreign, sizeof c.foreign)) {
			*ret = s->combinations[i].set;
			return ERR_OK;
		}
	if (s->combination_count == COMBINATIONS_MAX)
		return ERR_LIMIT;
	enum err e = combination_build(s, &c);

	if (e != ERR_OK)
		return e;
	s->combinations[s->combination_count++] = c;
	*ret = c.set;
	return ERR_OK;
}

enum err snapshot_new(struct policy *policy, const struct config *config, struct snapshot **ret)
{
	struct snapshot *s = calloc(1, sizeof *s);
	const struct scrub_set *unused;

	if (!s)
		return ERR_MEMORY;
	s->references = 1;
	s->policy = policy;
	s->config = config;
	/* An empty host is nobody's: every placeholder is tried, so that a bad one fails here. */
	enum err e = snapshot_foreign(s, STR(""), &unused);

	if (e != ERR_OK) {
		s->policy = NULL;
		snapshot_release(s);
		return e == ERR_MEMORY ? e : ERR_INPUT;
	}
	*ret = s;
	return ERR_OK;
}

struct snapshot *snapshot_acquire(struct snapshot *s)
{
	s->references++;
	return s;
}

void snapshot_release(struct snapshot *s)
{
	if (!s || --s->references)
		return;
	for (uint32_t i = 0; i < s->combination_count; i++)
		scrub_set_free(s->combinations[i].set);
	policy_free(s->policy);
	free(s);
}

const struct policy *snapshot_policy(const struct snapshot *s) { return s->policy; }

struct str snapshot_placeholder_name(const struct snapshot *s, uint32_t id)
{
	return id < s->config->placeholder_count ? s->config->placeholders[id].credential
						 : (struct str){ NULL, 0 };
}
