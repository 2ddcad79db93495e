/* policy.h - a compiled policy, and the one decision
 *
 * A policy is immutable once compiled (a snapshot); a reload makes another. Matching is
 * a pure function of (policy, canonical head, facts). First match wins; no match is a
 * denial. `document.c` reads the YAML, `compile.c` makes this, `match.c` decides,
 * `explain.c` says why. The language: docs/policy.md.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "wire/head.h"

#define POLICY_BYTES_MAX (8 * 1024 * 1024)	/* of the file: room for POLICY_RULES_MAX short rules */
#define POLICY_RULES_MAX 100000
#define POLICY_CREDENTIALS_MAX 256

enum policy_verdict { POLICY_DENY, POLICY_ALLOW, POLICY_OBSERVE };
enum policy_source { POLICY_SOURCE_ENVIRONMENT, POLICY_SOURCE_FILE, POLICY_SOURCE_COMMAND };
enum policy_strategy { POLICY_STRATEGY_HEADER, POLICY_STRATEGY_PLACEHOLDER };

/** struct policy_credential - what a policy says of one credential; never the secret */
struct policy_credential {
	struct str name;
	enum policy_source source;
	struct str environment, file;		/* by source; each str here is followed by a NUL */
	uint32_t command_count;			/* command: argv, run without a shell */
	const struct str *command;
	uint64_t command_timeout_ms;
	uint32_t host_count;			/* patterns, as in rules */
	const struct str *hosts;
	enum policy_strategy strategy;
	struct str header_name, header_format;	/* header: format has "{secret}" exactly once */
	struct str placeholder_environment;	/* variable in the guest that holds the placeholder */
	struct str placeholder;			/* fixed by the policy, or empty: made for each run, of the
						   shape placeholder_prefix + random */
	struct str placeholder_prefix;
	bool in_header, in_basic;		/* placeholder: where it is substituted */
	bool scrub;				/* false: "scrub: false", for secrets under 16 bytes */
};

/** struct policy_rule - what the courier needs to know of the rule that matched */
struct policy_rule {
	struct str name;			/* "rule 3" if the policy gives none */
	uint32_t index, line;			/* line in the policy file, from 1 */
	enum policy_verdict verdict;
	int32_t credential;			/* index, or -1 */
	uint64_t request_body_max, response_body_max;	/* UINT64_MAX: none */
	uint32_t address_count;			/* CIDRs that may be dialled although not public */
	const struct policy_cidr *addresses;
};
struct policy_cidr {
	uint8_t address[16];			/* IPv4 as ::ffff:a.b.c.d */
	uint8_t prefix;				/* of 128 */
};

enum policy_mode { POLICY_MODE_READ, POLICY_MODE_WRITE };
struct policy_visible {
	struct str path;			/* absolute on the host, "~" expanded by the loader */
	enum policy_mode mode;
	uint32_t line;
};
struct policy_filesystem {
	uint32_t visible_count, hidden_count, read_only_count;
	const struct policy_visible *visible;
	const struct str *hidden;		/* globs (base/glob.h) over the path inside the workspace */
	const struct str *read_only;		/* ditto: never written, created, renamed, linked; always
						   has paddock.yaml, at any depth. In either list a
						   pattern holds for what it names and all beneath */
	bool protect_git;			/* .git/hooks, .git/config, .git files present at the start */
};
struct policy_limits {				/* 0: the default of the program; documented */
	uint64_t memory_bytes, wall_time_ms, requests, bytes;
	uint32_t cpus, processes;
};

struct policy;

/** struct policy_error - one place, one sentence: "paddock.yaml:7:12: unknown key ..." */
struct policy_error {
	uint32_t line, column;			/* from 1; 0: the file as a whole */
	char text[512];				/* what is wrong, what was expected */
};

/** policy_load() - parse and compile @text; @file is used in nothing but explanations and
 *  denials; @home expands "~" (may be NULL: then "~" is an error)
 * Return: ERR_OK and *ret (policy_free()); ERR_POLICY_SYNTAX with *ret_error filled;
 * ERR_MEMORY */
must_use enum err policy_load(struct str text, const char *file, const char *home,
			      struct policy **ret, struct policy_error *ret_error);
/** policy_deny_all() - the policy that is in force when there is none; policy_file() says
 *  "no policy". ERR_MEMORY */
must_use enum err policy_deny_all(struct policy **ret);
void policy_free(struct policy *p);

/** policy_match() - first rule that matches; see style.md for the shape
 * Return: ERR_OK and *ret_rule (verdict ALLOW, OBSERVE, or DENY by an explicit rule);
 * ERR_POLICY_DENIED if none matches, *ret_rule is then untouched */
must_use enum err policy_match(const struct policy *p, const struct head *head,
			       const struct policy_rule **ret_rule);
/** policy_host_named() - could any allowing rule match a request to @host (canonical)?
 *  What it says no to gets NXDOMAIN. */
bool policy_host_named(const struct policy *p, struct str host);
/** policy_host_matches() - a host pattern ("a.example", "*.example" which is one or more
 *  labels before the suffix, "*" which is any name, an IP literal) against a canonical host */
bool policy_host_matches(struct str pattern, struct str host);
/** policy_glob() - path globs: '*' within a segment, '**' across segments, '?' one byte not
 *  '/', all else itself; linear time */
bool policy_glob(struct str pattern, struct str path);

const char *policy_file(const struct policy *p);
/** policy_digest() - SHA-256 of the text, in lower-case hex (64 bytes and NUL) */
const char *policy_digest(const struct policy *p);
struct str policy_name(const struct policy *p);
uint32_t policy_rule_count(const struct policy *p);
const struct policy_rule *policy_rule(const struct policy *p, uint32_t index);
uint32_t policy_credential_count(const struct policy *p);
const struct policy_credential *policy_credential(const struct policy *p, uint32_t index);
const struct policy_filesystem *policy_filesystem(const struct policy *p);
const struct policy_limits *policy_limits(const struct policy *p);

/** policy_explain() - why @head would be decided so: the rule, its line, and for a denial the
 *  nearest rule and what would have to change; text for people, or one JSON object */
must_use enum err policy_explain(const struct policy *p, const struct head *head, bool json,
				 struct buf *out);
/** policy_denial_text() - one line for the agent whose request @p denies: the rule or the
 *  nearest one, with file and line, and what would have to change. At most about 1.5 KiB,
 *  printable, UTF-8 if the policy's file name is; buf_err(@out) */
must_use enum err policy_denial_text(const struct policy *p, const struct head *head, struct buf *out);
