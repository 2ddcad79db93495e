/* policy.c - what others may read of a compiled policy; see policy.h */
#include "policy/compiled.h"

const char *policy_file(const struct policy *p)
{
	return p->file;
}

const char *policy_digest(const struct policy *p)
{
	return p->digest;
}

struct str policy_name(const struct policy *p)
{
	return p->name;
}

uint32_t policy_rule_count(const struct policy *p)
{
	return p->rule_count;
}

const struct policy_rule *policy_rule(const struct policy *p, uint32_t index)
{
	return index < p->rule_count ? &p->rules[index].rule : NULL;
}

bool policy_names_header(const struct policy *p, struct str name)
{
	for (uint32_t i = 0; i < p->rule_count; i++)
		for (uint32_t j = 0; j < p->rules[i].header_count; j++)
			if (str_eq(p->rules[i].headers[j].name, name))
				return true;
	return false;
}

uint32_t policy_credential_count(const struct policy *p)
{
	return p->credential_count;
}

const struct policy_credential *policy_credential(const struct policy *p, uint32_t index)
{
	return index < p->credential_count ? &p->credentials[index] : NULL;
}

const struct policy_filesystem *policy_filesystem(const struct policy *p)
{
	return &p->filesystem;
}

const struct policy_limits *policy_limits(const struct policy *p)
{
	return &p->limits;
}

bool policy_durable(const struct policy *p) { return p->durable; }
