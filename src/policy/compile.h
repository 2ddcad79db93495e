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
/** compile_host() - a compile_check for host patterns */
compile_check compile_host;

/** compile_credentials(), compile_rules() - in this order */
must_use enum err compile_credentials(struct compile *c);
must_use enum err compile_rules(struct compile *c);
/** compile_shadows() - refuses a rule that an earlier one leaves nothing to; needs the index */
must_use enum err compile_shadows(struct compile *c);
