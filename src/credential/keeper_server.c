/* keeper_server.c - three operations, each as narrow as its purpose
 *
 * The courier is trusted with secrets one at a time, but might be captured by what it parses
 * least of all: so a leaf is only ever certified for the one key that was shown first, only a
 * checkpoint of this very sandbox is signed, and there is no operation that returns a key.
 */
#include "credential/keeper_server.h"

#include "wire/head.h"

#include <stdio.h>

#define ORIGIN STR("paddock/trail/")
#define HASH_BYTES 32

static bool next_line(struct str *rest, struct str *ret_line)
{
	size_t n = str_find(*rest, '\n');

	if (n == rest->n)
		return false;
	*ret_line = str_head(*rest, n);
	*rest = str_from(*rest, n + 1);
	return true;
}

/* exactly: origin with our sandbox, a decimal size, base64 of a SHA-256 (c2sp.org/tlog-checkpoint) */
static bool is_our_checkpoint(const struct keeper *k, struct str body)
{
	struct str origin, size, hash;
	uint64_t number;
	auto_buf digest = BUF_EMPTY;

	buf_init(&digest, HASH_BYTES + 3);
	return next_line(&body, &origin) && next_line(&body, &size) && next_line(&body, &hash) && body.n == 0 &&
	       str_starts(origin, ORIGIN) && str_eq(str_from(origin, ORIGIN.n), str_of(k->config->sandbox)) &&
	       str_decimal(size, INT64_MAX, &number) && (size.n == 1 || size.p[0] != '0') &&
	       !base64_decode(&digest, hash) && digest.len == HASH_BYTES;
}

static enum err leaf(struct keeper *k, const struct keeper_request *r, struct keeper_reply *reply,
		     const char **ret_reason)
{
	struct str host = str_make(r->text, r->text_bytes);
	auto_buf der = BUF_EMPTY;
	enum err e;

	buf_init(&der, MINT_LEAF_MAX_BYTES);
	if (k->pinned && memcmp(k->point, r->point, sizeof k->point) != 0) {
		*ret_reason = "a certificate was asked for a second key";
		return ERR_INPUT;
	}
	e = mint_leaf(k->mint, host, r->point, &der);
	if (e) {
		*ret_reason = "a certificate was asked for a host or a key that is not valid";
		return e;
	}
	memcpy(k->point, r->point, sizeof k->point);
	k->pinned = true;
	memcpy(reply->data, der.p, der.len);
	reply->data_bytes = (uint32_t)der.len;
	return ERR_OK;
}

static enum err sign(struct keeper *k, const struct keeper_request *r, struct keeper_reply *reply,
		     const char **ret_reason)
{
	struct str body = str_make(r->text, r->text_bytes);
	enum err e;

	if (!is_our_checkpoint(k, body)) {
		*ret_reason = "a signature was asked for something else than a checkpoint of this sandbox";
		return ERR_INPUT;
	}
	e = keeper_key_sign(k->key, body, reply->data);
	if (e)
		*ret_reason = "OpenSSL could not sign";
	else
		reply->data_bytes = KEEPER_SIGNATURE_BYTES;
	return e;
}

static enum err secret(struct keeper *k, const struct keeper_request *r, struct keeper_reply *reply,
		       const char **ret_reason)
{
	struct secret *s = NULL;
	enum err e;

	if (r->credential >= k->config->source_count) {
		*ret_reason = "a credential was asked for that is not in the policy";
		return ERR_INPUT;
	}
	e = keeper_source_read(&k->config->sources[r->credential], k->config->environment, &s, ret_reason);
	if (e)
		return e;
	memcpy(reply->data, secret_str(s).p, secret_str(s).n);
	reply->data_bytes = (uint32_t)secret_str(s).n;
	secret_free(s);
	return ERR_OK;
}

static bool all_zero(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const uint8_t *)p)[i])
			return false;
	return true;
}

static enum err dispatch(struct keeper *k, const struct keeper_request *r, struct keeper_reply *reply,
			 const char **ret_reason)
{
	*ret_reason = "a malformed request";
	if (r->text_bytes > sizeof r->text || !all_zero(r->text + r->text_bytes, sizeof r->text - r->text_bytes) ||
	    !all_zero(r->pad, sizeof r->pad) || (r->op != KEEPER_LEAF && !all_zero(r->point, sizeof r->point)) ||
	    (r->op != KEEPER_SECRET && r->credential) || (r->op == KEEPER_SECRET && r->text_bytes))
		return ERR_INPUT;
	switch (r->op) {
	case KEEPER_LEAF:
		return leaf(k, r, reply, ret_reason);
	case KEEPER_SIGN:
		return sign(k, r, reply, ret_reason);
	case KEEPER_SECRET:
		return secret(k, r, reply, ret_reason);
	default:
		return ERR_INPUT;
	}
}

void keeper_answer(struct keeper *k, const struct keeper_request *request, struct keeper_reply *reply,
		   const char **ret_reason)
{
	enum err e;

	reply->data_bytes = 0;
	reply->sequence = request->sequence;
	e = dispatch(k, request, reply, ret_reason);
	reply->result = (uint32_t)e;
	if (e)
		reply->data_bytes = 0;
	else
		*ret_reason = NULL;
}
