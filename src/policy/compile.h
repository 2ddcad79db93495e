/* compile.h - what the parts of the compiler share; for compile*.c and shadow.c only */
#pragma once

#include "policy/compiled.h"
#include "policy/document.h"

struct compile {
	struct policy *p;
	struct arena *a;		/* the policy's */
	const struct document *d;	/* gone after the compilation */
	struct policy_error *error;
	const char *home;		/* may be NULL */
	bool *credential_used;
};

/** compile_fail() - node_error() into the compilation's error */
#define compile_fail(c, at, ...) node_error((c)->error, at, __VA_ARGS__)

/** compile_texts() - copies @in, each checked by @check (may be NULL), no text twice, at least
 *  one; @what is the key's name */
typedef enum err compile_check(struct compile *c, const struct document_text *t);
must_use enum err compile_texts(struct compile *c, const struct document_texts *in, const char *what,
				compile_check *check, uint32_t *ret_count, const struct str **ret);
/** compile_text() - a copy in the policy's arena, followed by a NUL */
must_use enum err compile_text(struct compile *c, struct str s, struct str *ret);
/** compile_name() - as compile_text(), for a value_name(); @what is whose */
must_use enum err compile_name(struct compile *c, const struct document_text *t, const char *what,
			       struct str *ret);
/** compile_choice() - @t is one of @words; *ret is which, @fallback if @t is absent */
must_use enum err compile_choice(struct compile *c, const struct document_text *t, const char *what,
				 const char *const *words, unsigned count, unsigned fallback,
				 unsigned *ret);
/** compile_path() - an absolute path of the host, "~/" expanded, no "." or ".." or "//" */
must_use enum err compile_path(struct compile *c, const struct document_text *t, struct str *ret);
/** compile_guest_path() - the same shape, of the guest: "~/" stays */
must_use enum err compile_guest_path(struct compile *c, const struct document_text *t, struct str *ret);
/** compile_host() - a compile_check for host patterns */
compile_check compile_host;
/** compile_variable() - a copy of a name for an environment variable */
must_use enum err compile_variable(struct compile *c, const struct document_text *t, struct str *ret);
/** compile_addresses() - 'addresses', which may be absent */
must_use enum err compile_addresses(struct compile *c, const struct document_texts *in, uint32_t *ret_count,
				    const struct policy_cidr **ret);

/** compile_source(), compile_token(), compile_placeholder() - parts of a credential; the last needs its
 *  strategy, and for strategy token its token. compile_refuse_shared() - credential @i, which is @in, against
 *  those before it: variable, placeholder and file must be its own */
must_use enum err compile_source(struct compile *c, const struct document_credential *in,
				 struct policy_credential *out);
must_use enum err compile_token(struct compile *c, const struct document_credential *in,
				struct policy_credential *out);
must_use enum err compile_placeholder(struct compile *c, const struct document_credential *in,
				      struct policy_credential *out);
must_use enum err compile_refuse_shared(struct compile *c, const struct document_credential *in, uint32_t i);

/** compile_kind() - whether a rule is for requests or for tunnels, and what a tunnel cannot have; its hosts
 *  stand already. compile_parts() - unscrubbed, protocol, WebSockets; its methods stand already */
must_use enum err compile_kind(struct compile *c, const struct document_rule *in, struct compiled_rule *out);
must_use enum err compile_parts(struct compile *c, const struct document_rule *in, struct compiled_rule *out);

/** compile_credentials(), compile_rules() - in this order */
must_use enum err compile_credentials(struct compile *c);
must_use enum err compile_rules(struct compile *c);
/** compile_shadows() - refuses a rule that an earlier one leaves nothing to; needs the index */
must_use enum err compile_shadows(struct compile *c);
