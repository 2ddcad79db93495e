/* compiled.h - a policy as the policy layer itself sees it; for this layer's files only
 *
 * All of it lives in the policy's own arena and never changes after compile.c is done.
 */
#pragma once

#include "policy/digest.h"
#include "policy/index.h"
#include "policy/policy.h"
#include "policy/value.h"

struct compiled_condition {
	struct str name, glob;
};

struct compiled_rule {
	struct policy_rule rule;		/* first: a policy_rule is its compiled_rule */
	uint32_t host_count, method_count, port_count, path_count, query_count, header_count;
	const struct str *hosts;		/* "a.example", "*.example", "*", IP literals */
	const struct str *methods;		/* none: any */
	const struct value_ports *ports;	/* none: the scheme's own */
	const struct str *paths;		/* globs; none: any; of one, `path` */
	struct str path;
	const struct compiled_condition *query, *headers;
	unsigned schemes;			/* bits 1 << enum head_scheme; what a tunnel may carry */
};

struct policy {
	struct arena *arena;
	const char *file;
	bool none;				/* made by policy_deny_all() */
	char digest[DIGEST_HEX_BYTES];
	struct str name;
	uint32_t rule_count, credential_count;
	struct compiled_rule *rules;
	struct policy_credential *credentials;
	struct policy_filesystem filesystem;
	struct policy_limits limits;
	bool durable;
	struct index index;
};

/** host_covers() - does the host pattern @wide match every host that @narrow matches? */
bool host_covers(struct str wide, struct str narrow);
