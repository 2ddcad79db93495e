/* snapshot.c - the policy in force
 *
 * Theory of operation: which placeholders are foreign depends on the host, the bound credential and the
 * place, but there are few combinations that differ: each gets a set of needles once. Which hosts may receive
 * a secret, which parts of a request its placeholder is replaced in, and which hosts may see the placeholder
 * are three lists that say nothing of each other. A placeholder whose credential the policy no longer has is
 * foreign everywhere.
 */
#include "courier/snapshot.h"

#include <stdlib.h>

#define COMBINATIONS_MAX 1024	/* more than a policy means; beyond is a refusal */

struct combination {
	uint8_t foreign[CONFIG_PLACEHOLDERS_MAX / 8];
	struct scrub_set *set;		/* NULL: none is foreign */
};

struct snapshot {
	unsigned references;
	struct policy *policy;
	const struct config *config;
	const struct policy_credential *owners[CONFIG_PLACEHOLDERS_MAX];	/* of config->placeholders */
	struct combination combinations[COMBINATIONS_MAX];
	uint32_t combination_count;
};

static bool bit(const uint8_t *bits, uint32_t i) { return bits[i / 8] >> (i % 8) & 1; }

const struct policy_credential *snapshot_credential(const struct snapshot *s, struct str name)
{
	for (uint32_t i = 0; i < policy_credential_count(s->policy); i++)
		if (str_eq(policy_credential(s->policy, i)->name, name))
			return policy_credential(s->policy, i);
	return NULL;
}

/* A login has placeholders of its tokens: NAME, NAME.refresh, NAME.id. */
static const struct policy_credential *owner_of(const struct snapshot *s, struct str name)
{
	static const struct str tails[] = { STR_INIT(".refresh"), STR_INIT(".id") };
	const struct policy_credential *c = snapshot_credential(s, name);

	for (size_t i = 0; !c && i < sizeof tails / sizeof *tails; i++)
		if (str_ends(name, tails[i]))
			c = snapshot_credential(s, str_head(name, name.n - tails[i].n));
	return c;
}

static bool in_hosts(const struct str *hosts, uint32_t count, struct str host)
{
	for (uint32_t i = 0; i < count; i++)
		if (policy_host_matches(hosts[i], host))
			return true;
	return false;
}

static bool is_foreign(const struct policy_credential *owner, struct str host,
		       const struct policy_credential *bound, enum snapshot_place place)
{
	if (!owner)
		return true;
	if (in_hosts(owner->placeholder_hosts, owner->placeholder_host_count, host))
		return false;
	switch (place) {
	case SNAPSHOT_HEAD:
		return owner != bound;
	case SNAPSHOT_SENT:
		return owner == bound;
	case SNAPSHOT_REPLACED:
		if (owner == bound)
			return false;
		break;
	case SNAPSHOT_BODY:
		if (owner == bound && (owner->parts & POLICY_IN_BODY))
			return true;	/* to be replaced, in a body of a kind where it is not */
		break;
	}
	return owner->placeholder_host_count || !in_hosts(owner->hosts, owner->host_count, host);
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

enum err snapshot_foreign(struct snapshot *s, struct str host, const struct policy_credential *bound,
			  enum snapshot_place place, const struct scrub_set **ret)
{
	struct combination c = { .set = NULL };

	for (uint32_t i = 0; i < s->config->placeholder_count; i++)
		if (is_foreign(s->owners[i], host, bound, place))
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
	for (uint32_t i = 0; i < config->placeholder_count; i++)
		s->owners[i] = owner_of(s, config->placeholders[i].credential);
	/* Nothing is bound: every placeholder is tried, so that a bad one fails here. */
	enum err e = snapshot_foreign(s, STR(""), NULL, SNAPSHOT_HEAD, &unused);

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
