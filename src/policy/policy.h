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
#define POLICY_WALL_DAYS_MAX 365	/* of limits.wall_time */

enum policy_verdict { POLICY_DENY, POLICY_ALLOW, POLICY_OBSERVE };
enum policy_source { POLICY_SOURCE_ENVIRONMENT, POLICY_SOURCE_FILE, POLICY_SOURCE_COMMAND,
		     POLICY_SOURCE_SEALED };
enum policy_strategy {
	POLICY_STRATEGY_HEADER, POLICY_STRATEGY_PLACEHOLDER,
	POLICY_STRATEGY_SIGV4,		/* the agent's AWS signature is replaced by one of the keeper's */
	POLICY_STRATEGY_TOKEN,		/* a token that the courier fetches; put where `header` says */
	POLICY_STRATEGY_LOGIN,		/* an agent's own OAuth file (Claude Code, Codex) */
	POLICY_STRATEGY_CERTIFICATE,	/* a client certificate for the TLS connection to the upstream */
};
enum policy_part {			/* of a request, where a placeholder may stand; bits */
	POLICY_IN_HEADER = 1, POLICY_IN_BASIC = 2, POLICY_IN_QUERY = 4, POLICY_IN_PATH = 8,
	POLICY_IN_BODY = 16, POLICY_IN_WEBSOCKET = 32,
};
/* a request that brings a credential of its own (not the placeholder) where ours would stand */
enum policy_own { POLICY_OWN_REFUSE, POLICY_OWN_REPLACE, POLICY_OWN_PASS };
enum policy_grant {
	POLICY_GRANT_CLIENT_CREDENTIALS,	/* RFC 6749 s4.4; the source is the client's secret */
	POLICY_GRANT_REFRESH_TOKEN,		/* RFC 6749 s6; the source is the refresh token */
	POLICY_GRANT_TOKEN_EXCHANGE,		/* RFC 8693; the source is the subject token */
	POLICY_GRANT_JWT_BEARER,		/* RFC 7523; the source is a GCP
						   service account's JSON, or a PEM key */
	POLICY_GRANT_GITHUB_APP,		/* installation token; the source
						   is the App's private key, PEM */
};
enum policy_login { POLICY_LOGIN_CLAUDE, POLICY_LOGIN_CODEX };
/* files that tools insist on, rendered into the guest with placeholders that parse */
enum policy_render {
	POLICY_RENDER_AWS, POLICY_RENDER_NETRC, POLICY_RENDER_GH, POLICY_RENDER_NPMRC, POLICY_RENDER_DOCKER,
	POLICY_RENDER_KUBECONFIG, POLICY_RENDER_SERVICE_ACCOUNT, POLICY_RENDER_CLAUDE, POLICY_RENDER_CODEX,
};

struct policy_token {
	enum policy_grant grant;
	enum head_scheme scheme;		/* of the endpoint: https, or http with `addresses` */
	struct str host, path;			/* canonical; path as sent (github_app: whole, with the installation's
						   id). jwt_bearer without an endpoint: both empty, the JSON says */
	uint16_t port;
	struct str client_id, scope, audience, resource;	/* empty: not sent */
	bool client_basic;			/* client authentication by Basic; else in the body */
	struct str client_secret_environment;	/* refresh, exchange: the client's
						   own secret, if it has one */
	struct str subject, subject_token_type, actor_token_environment;	/* by grant */
	struct str issuer, key_id;		/* jwt_bearer with a PEM key */
	struct str app_id, installation_id;	/* github_app */
	uint32_t address_count;			/* CIDRs that the endpoint may be dialled at */
	const struct policy_cidr *addresses;
};
struct policy_file {				/* one rendered file; several credentials may share one path of one kind,
						   but for kubeconfig, service_account, claude and codex */
	enum policy_render kind;
	struct str path;			/* in the guest: absolute, or "~/..."
						   of the guest's home; NUL after it */
	struct str user;			/* netrc, docker: login name; gh: user; kubeconfig: name */
};

/** struct policy_credential - what a policy says of one credential; never the secret */
struct policy_credential {
	struct str name;
	uint32_t line;
	enum policy_source source;
	struct str environment, file, sealed;	/* by source; each str here is followed by a NUL */
	uint32_t command_count;			/* command: argv, run without a shell */
	const struct str *command;
	uint64_t command_timeout_ms;
	uint32_t host_count;			/* patterns, as in rules: who may receive the secret */
	const struct str *hosts;
	uint32_t placeholder_host_count;	/* who may see the placeholder itself, unreplaced */
	const struct str *placeholder_hosts;
	enum policy_strategy strategy;
	enum policy_own own;
	struct str header_name, header_format;	/* header, token, login: format has
						   "{secret}" exactly once; else empty */
	struct str header_user;			/* if not empty: base64("user:secret")
						   stands for "{secret}" */
	struct str placeholder_environment;	/* variable in the guest that holds the placeholder */
	struct str placeholder;			/* fixed by the policy, or empty: made for each run, of the
						   shape placeholder_prefix + random */
	struct str placeholder_prefix;
	unsigned parts;				/* placeholder: bits of enum
						   policy_part, where it is substituted */
	uint32_t placeholder_field_count;	/* in: header: only these fields
						   (lower case); none: the usual ones */
	const struct str *placeholder_fields;
	bool scrub;				/* false: "scrub: false", for secrets under 16 bytes */
	uint32_t detach_after;			/* reflected answers until it is detached; 0: never */
	struct str aws_profile;			/* sigv4: of the source, if that is an INI file */
	uint32_t aws_service_count, aws_region_count;	/* sigv4: none listed: any */
	const struct str *aws_services, *aws_regions;
	const struct policy_token *token;	/* strategy token; else NULL */
	enum policy_login login;		/* strategy login */
	uint32_t file_count;			/* rendered into the guest */
	const struct policy_file *files;
};

/* Rules that understand what passes: a file per protocol in policy/protocol_*.c, a table of them in
 * policy/protocol.h. `data` is that protocol's own. */
enum policy_protocol { POLICY_PROTOCOL_NONE, POLICY_PROTOCOL_GIT, POLICY_PROTOCOL_REGISTRY };

enum policy_kind {
	POLICY_KIND_HTTP,
	POLICY_KIND_PASSTHROUGH,		/* TLS is not opened; name and port are all that is known */
	POLICY_KIND_TCP,			/* raw bytes to a host and port */
};

/** struct policy_websocket - what a rule says of WebSockets; a rule without it refuses the handshake */
struct policy_websocket {
	uint32_t allow_count, deny_count;	/* text globs over a whole text message
						   from the agent: if there are */
	const struct str *allow, *deny;		/* any to allow one must match; none to deny may */
	bool binary;				/* binary messages may pass */
	uint64_t message_max;			/* bytes of one message; <= WEBSOCKET_MESSAGE_MAX */
};

/** struct policy_rule - what the courier needs to know of the rule that matched */
struct policy_rule {
	struct str name;			/* "rule 3" if the policy gives none */
	uint32_t index, line;			/* line in the policy file, from 1 */
	uint64_t request_body_max, response_body_max;	/* UINT64_MAX: none */
	int32_t credential;			/* index, or -1 */
	uint32_t address_count;			/* CIDRs that may be dialled although not public */
	const struct policy_cidr *addresses;
	const struct policy_websocket *websocket;	/* NULL: WebSockets are refused */
	bool unscrubbed;			/* `unscrubbed: pass`: an answer
						   that cannot be searched passes */
	enum policy_kind kind;			/* from here on, what a decision reads: together */
	enum policy_verdict verdict;
	enum policy_protocol protocol;
	const void *data;			/* the protocol's own part of the rule; NULL without one */
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

/** policy_match() - first rule for requests that matches @head; allocates nothing
 * A WebSocket's handshake is matched as the GET that it is;
 * that the rule has `websocket` is the caller's to see.
 * Return: ERR_OK and *ret_rule (verdict ALLOW, OBSERVE, or DENY by an explicit rule). With OBSERVE
 * the rule's protocol may say no, if no other rule decides: such a rule is tried, not kept;
 * ERR_PROTOCOL_UNRECOGNISED and *ret_rule: denied by that rule, whatever its verdict:
 * all its other conditions agree, and its protocol does not know this request (I5);
 * ERR_POLICY_DENIED if none matches, *ret_rule is then untouched */
must_use enum err policy_match(const struct policy *p, const struct head *head,
			       const struct policy_rule **ret_rule);
/** policy_match_tunnel() - may a connection to @host (canonical) and @port pass unopened, as @kind?
 * The first rule of the file decides that names the host and port (and, for a passthrough, does not speak of
 * http alone). If it is of @kind, it is the answer: *ret_rule, verdict ALLOW or OBSERVE. So is one for
 * requests that denies all of them, verdict DENY: who can should still let a request come, to answer it in
 * words. Any other says that the connection is for opening (or a tunnel of the other kind).
 * Return: ERR_OK and *ret_rule; ERR_POLICY_DENIED: no tunnel, *ret_rule is untouched; judge its requests */
must_use enum err policy_match_tunnel(const struct policy *p, enum policy_kind kind, struct str host,
				      uint16_t port, const struct policy_rule **ret_rule);
/** policy_refusing() - the first rule whose protocol alone keeps it from matching
 *  @head; NULL if there is none. For words: what a denied request was about */
const struct policy_rule *policy_refusing(const struct policy *p, const struct head *head);
/** policy_host_named() - could any allowing rule match a request or a tunnel to @host (canonical)?
 *  What it says no to gets NXDOMAIN. */
bool policy_host_named(const struct policy *p, struct str host);
/** policy_host_tunnelled() - might any port of @host (canonical) pass unopened? */
bool policy_host_tunnelled(const struct policy *p, struct str host);
/** policy_host_matches() - a host pattern ("a.example", "*.example" which is one or more
 *  labels before the suffix, "*" which is any name, an IP literal) against a canonical host */
bool policy_host_matches(struct str pattern, struct str host);
/** policy_glob() - path globs as a rule that allows compares them (base/glob.h, GLOB_URL); linear time */
bool policy_glob(struct str pattern, struct str path);

const char *policy_file(const struct policy *p);
/** policy_digest() - SHA-256 of the text, in lower-case hex (64 bytes and NUL) */
const char *policy_digest(const struct policy *p);
struct str policy_name(const struct policy *p);
uint32_t policy_rule_count(const struct policy *p);
const struct policy_rule *policy_rule(const struct policy *p, uint32_t index);
/** policy_names_header() - does any rule look at that (lower-case) field of a request's head? */
bool policy_names_header(const struct policy *p, struct str name);
uint32_t policy_credential_count(const struct policy *p);
const struct policy_credential *policy_credential(const struct policy *p, uint32_t index);
const struct policy_filesystem *policy_filesystem(const struct policy *p);
const struct policy_limits *policy_limits(const struct policy *p);
/** policy_durable() - must a record of the trail be on disk before it counts as stored? */
bool policy_durable(const struct policy *p);

/** policy_allows() - would @head be let through: by
 * policy_match(), and with `websocket` where it is a handshake */
bool policy_allows(const struct policy *p, const struct head *head);
/** policy_explain() - why @head would be decided so: the rule, its line, and for a denial the
 *  nearest rule and what would have to change; text for people, or one JSON object */
must_use enum err policy_explain(const struct policy *p, const struct head *head, bool json,
				 struct buf *out);
/** policy_explain_told() - the same with what is known of the
 *  body or of a registry's metadata, as facts of the rule's
 *  protocol: git.ref, git.change (and git.forced for an update); registry.version, registry.age in seconds.
 *  *ret: what comes of it; FOREIGN: something was told
 *  that such a request has not: @out says so, nothing else */
enum policy_answer { POLICY_ANSWER_PASSES, POLICY_ANSWER_DENIED, POLICY_ANSWER_UNDECIDED,
		     POLICY_ANSWER_FOREIGN };
struct protocol_facts;
must_use enum err policy_explain_told(const struct policy *p, const struct head *head,
				      const struct protocol_facts *told, bool json, struct buf *out,
				      enum policy_answer *ret);
/** policy_explain_tunnel() - what would become of a connection to @host (canonical) and @port that is not
 *  opened; as policy_explain() */
must_use enum err policy_explain_tunnel(const struct policy *p, struct str host, uint16_t port, bool json,
					struct buf *out);
/** policy_denial_text() - one line for the agent whose request @p denies: the rule or the
 *  nearest one, with file and line, and what would have to change. At most about 1.5 KiB,
 *  printable, UTF-8 if the policy's file name is; buf_err(@out) */
must_use enum err policy_denial_text(const struct policy *p, const struct head *head, struct buf *out);
