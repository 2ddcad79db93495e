/* grant.h - what is asked of a token endpoint, and what it answers
 *
 * Pure: no I/O. What goes out may hold secrets, and so does what comes back: both live in buffers made by
 * buf_init_secret(). An answer is an upstream's: read strictly, and only what is needed of it.
 * Source: RFC 6749 s4.4, s5, s6; RFC 7523 s2.1; RFC 8693 s2; GitHub's REST API for Apps; the logins of Claude
 * Code and Codex as those programs do it.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"
#include "policy/policy.h"

#define GRANT_BODY_MAX (8 * (size_t)SECRET_MAX_BYTES)
#define GRANT_ANSWER_MAX (256u * 1024)
#define GRANT_TOKEN_MIN 16
#define GRANT_TOKEN_MAX 8192
#define GRANT_EXPIRES_DEFAULT_S 300		/* of a token whose endpoint does not say */
#define GRANT_ERROR_MAX 40

/** struct grant_material - secrets that go into a request; empty: there is none */
struct grant_material {
	struct str source;			/* client secret, refresh token, subject token: by grant */
	struct str client_secret, actor_token;
	struct str assertion;			/* a signed JWT */
};
/** grant_body() - appends the body: a form, or nothing (GitHub). buf_err(out) */
must_use enum err grant_body(const struct policy_token *t, const struct grant_material *m, struct buf *out);
/** grant_authorization() - appends the value of the
 * authorization field; nothing: there is none. buf_err(out) */
must_use enum err grant_authorization(const struct policy_token *t, const struct grant_material *m,
				      struct buf *out);

/** struct grant_account - what the keeper says of a key that signs assertions */
struct grant_account {
	struct str algorithm, email, key_id, endpoint;	/* endpoint: URL, of a service account */
};
/** grant_claims() - appends the signing input, base64url(header) "." base64url(claims)
 * @audience: whom it is for, if the policy does not say: the endpoint's URL
 * Return: ERR_OK; ERR_INPUT (no issuer); ERR_MEMORY; buf_err(out) */
must_use enum err grant_claims(const struct policy_token *t, const struct grant_account *a,
			       struct str audience, uint64_t now_s, struct buf *out);

/** struct grant_answer - views into `storage`; empty: not there */
struct grant_answer {
	struct str access, refresh, id_token;
	uint64_t expires_s;			/* from now */
	struct buf storage;			/* grant_answer_free() */
};
/** grant_parse() - a successful answer (status 200 or 201)
 * @github: its shape ("token", "expires_at")
 * Return: ERR_OK; ERR_UPSTREAM_MALFORMED (no JSON object, no
 * token of 16 to 8192 visible ASCII characters, ...); ERR_MEMORY */
must_use enum err grant_parse(struct str body, bool github, uint64_t now_s, struct grant_answer *ret);
void grant_answer_free(struct grant_answer *a);
/** grant_error() - the "error" of a failed answer, if it is one of the letters that RFC 6749
 *  errors are made of; else an empty text. Nothing else of such an answer is shown to anybody. */
void grant_error(struct str body, char ret[GRANT_ERROR_MAX + 1]);

/** ---- logins ---- */

/** grant_login_hosts(), -path: where @login is refreshed: the first host is asked, all are answered here */
const struct str *grant_login_hosts(enum policy_login login, size_t *ret_count);
struct str grant_login_path(enum policy_login login);
/** grant_login_body() - appends the JSON of a refresh request */
must_use enum err grant_login_body(enum policy_login login, struct str refresh, struct buf *out);

/** grant_wipe_json() - from now on what jansson frees is wiped first; once, before it is used */
void grant_wipe_json(void);
