/* protocol.c - the protocols that rules can speak, and their facts; see protocol.h */
#include "policy/protocol.h"

#include "policy/protocol_git.h"
#include "policy/registry.h"

#define FACTS_BYTES_MAX 65536u

static const struct protocol *const protocols[] = {
	[POLICY_PROTOCOL_NONE] = NULL,
	[POLICY_PROTOCOL_GIT] = &protocol_git,
	[POLICY_PROTOCOL_REGISTRY] = &protocol_registry,
};

const struct protocol *protocol_of(const struct policy_rule *rule)
{
	return (size_t)rule->protocol < sizeof protocols / sizeof *protocols ? protocols[rule->protocol]
									     : NULL;
}

void protocol_facts_init(struct protocol_facts *f)
{
	*f = (struct protocol_facts){ 0 };
	buf_init(&f->storage, FACTS_BYTES_MAX);
}

void protocol_facts_free(struct protocol_facts *f)
{
	buf_free(&f->storage);
	f->count = 0;
}

enum err protocol_facts_add(struct protocol_facts *f, struct str name, struct str value)
{
	size_t at;

	if (f->count == PROTOCOL_FACTS_MAX || name.n + value.n > FACTS_BYTES_MAX - f->storage.len)
		return ERR_LIMIT;
	/* all of it at once: views must not move when the buffer grows */
	if (buf_reserve(&f->storage, FACTS_BYTES_MAX - f->storage.len))
		return ERR_MEMORY;
	at = f->storage.len;
	buf_put(&f->storage, name);
	buf_put(&f->storage, value);
	if (buf_err(&f->storage))
		return buf_err(&f->storage);
	f->items[f->count++] = (struct protocol_fact){ str_make(f->storage.p + at, name.n),
						       str_make(f->storage.p + at + name.n, value.n) };
	return ERR_OK;
}

struct str protocol_fact_find(const struct protocol_facts *f, struct str name)
{
	static const struct str none = { NULL, 0 };

	for (uint32_t i = 0; i < f->count; i++)
		if (str_eq(f->items[i].name, name))
			return f->items[i].value;
	return none;
}
