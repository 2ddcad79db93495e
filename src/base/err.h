/* err.h - every way in which Paddock says no
 *
 * One table, one enum. A function that can fail returns `enum err` by value and
 * writes its outputs (`ret_*`) only on ERR_OK. The HTTP status and the text are
 * what an agent reads when the error ends its request.
 */
#pragma once

#define must_use __attribute__((warn_unused_result))

enum err_fault {
	FAULT_NONE,	/* not a failure */
	FAULT_AGENT,	/* the agent's request was malformed or not allowed */
	FAULT_UPSTREAM,	/* the far end failed, or could not be verified */
	FAULT_PADDOCK,	/* Paddock, its host, or its configuration */
};

/*        name                     HTTP  fault           text for the agent */
#define ERR_TABLE(X) \
	X(OK,                      200, FAULT_NONE,     "ok") \
	X(MORE,                    400, FAULT_NONE,     "more bytes are needed") \
	X(MEMORY,                  503, FAULT_PADDOCK,  "Paddock is out of memory for this request") \
	X(LIMIT,                   429, FAULT_AGENT,    "a limit of this sandbox is reached") \
	X(LOCAL,                   503, FAULT_PADDOCK,  "a system call failed on Paddock's host") \
	X(CLOSED,                  502, FAULT_PADDOCK,  "the peer has gone") \
	X(TIMEOUT,                 504, FAULT_PADDOCK,  "a deadline has passed") \
	X(INPUT,                   400, FAULT_PADDOCK,  "an option or a file is not valid") \
	X(STATE,                   500, FAULT_PADDOCK,  "this is not possible in the present state") \
	X(LINK_MALFORMED,          502, FAULT_PADDOCK,  "malformed link frame") \
	X(LINK_STATE,              502, FAULT_PADDOCK,  "link frame out of order") \
	X(LINK_CREDIT,             502, FAULT_PADDOCK,  "link credit exceeded") \
	X(HEAD_MALFORMED,          400, FAULT_AGENT,    "malformed or ambiguous request head") \
	X(HEAD_TOO_LARGE,          431, FAULT_AGENT,    "request head too large") \
	X(HEAD_VERSION,            505, FAULT_AGENT,    "only HTTP/2, HTTP/1.1 and HTTP/1.0 requests are spoken here") \
	X(BODY_FRAMING,            400, FAULT_AGENT,    "malformed or ambiguous message framing") \
	X(BODY_TOO_LARGE,          413, FAULT_AGENT,    "message body too large") \
	X(NAME_MISMATCH,           421, FAULT_AGENT,    "DNS name, TLS server name and Host do not agree") \
	X(UPGRADE_REFUSED,         426, FAULT_AGENT,    "only a whole WebSocket handshake is a protocol upgrade that is carried") \
	X(WEBSOCKET,               400, FAULT_AGENT,    "malformed WebSocket frame") \
	X(MESSAGE_DENIED,          403, FAULT_AGENT,    "a WebSocket message is denied by policy") \
	X(PROTOCOL_UNRECOGNISED,   403, FAULT_AGENT,    "the rule's protocol (git, a package registry) does not recognise this request") \
	X(CONTENT_DENIED,          403, FAULT_AGENT,    "what the request asks for (a ref, a package) is denied by policy") \
	X(CREDENTIAL_FOREIGN,      403, FAULT_AGENT,    "the request carries a credential of its own where policy has one: send the placeholder, or none") \
	X(DECODER,                 502, FAULT_UPSTREAM, "a body that must be read cannot be decoded") \
	X(ECH,                     403, FAULT_AGENT,    "an encrypted ClientHello hides the name that policy is about") \
	X(UNAUTHORIZED,            407, FAULT_AGENT,    "this gate asks for a token: Proxy-Authorization") \
	X(PROTOCOL_UNKNOWN,        400, FAULT_AGENT,    "only HTTP and HTTPS leave this sandbox") \
	X(TLS,                     400, FAULT_AGENT,    "TLS handshake failed") \
	X(DNS_MALFORMED,           400, FAULT_AGENT,    "malformed DNS message") \
	X(POLICY_SYNTAX,           500, FAULT_PADDOCK,  "the policy is not valid") \
	X(POLICY_DENIED,           403, FAULT_AGENT,    "denied by policy") \
	X(ADDRESS_REFUSED,         403, FAULT_AGENT,    "the name resolves to a private, loopback, link-local or metadata address, which no rule names") \
	X(RESOLVE,                 502, FAULT_UPSTREAM, "the upstream's name does not resolve") \
	X(DIAL,                    502, FAULT_UPSTREAM, "the upstream cannot be reached") \
	X(UPSTREAM_TLS,            502, FAULT_UPSTREAM, "the upstream's certificate cannot be verified") \
	X(UPSTREAM_MALFORMED,      502, FAULT_UPSTREAM, "the upstream's answer is malformed") \
	X(UPSTREAM_CLOSED,         502, FAULT_UPSTREAM, "the upstream closed the connection early") \
	X(UPSTREAM_TIMEOUT,        504, FAULT_UPSTREAM, "the upstream did not answer in time") \
	X(CREDENTIAL,              503, FAULT_PADDOCK,  "the credential for this request is not available") \
	X(PLACEHOLDER_BLOCKED,     403, FAULT_AGENT,    "a credential's placeholder was on its way to a place that may not have it") \
	X(SECRET_REFLECTED,        502, FAULT_UPSTREAM, "the answer contained a credential and was cut off") \
	X(CANNOT_SCRUB,            502, FAULT_UPSTREAM, "the answer's encoding hides it from the search for credentials") \
	X(AUDIT,                   503, FAULT_PADDOCK,  "the audit trail cannot be written, so nothing may leave") \
	X(AUDIT_BROKEN,            500, FAULT_PADDOCK,  "the audit trail does not verify") \
	X(CONFINE,                 500, FAULT_PADDOCK,  "a process could not be confined") \
	X(CANCELLED,               499, FAULT_AGENT,    "the agent gave up")

enum err {
#define ERR_ENUM(name, http, fault, text) ERR_##name,
	ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
	ERR_COUNT
};

/** err_name() - "POLICY_DENIED"; err_text() - one sentence without a full stop;
 *  err_http_status() - in [200, 599]; err_fault() - whose. Any value is answered,
 *  one outside of the table as LOCAL. All static storage. */
const char *err_name(enum err e);
const char *err_text(enum err e);
int err_http_status(enum err e);
enum err_fault err_fault(enum err e);
