/* http2.h - HTTP/2 fields to canonical heads, and back
 *
 * Pure glue between nghttp2's name-value pairs and wire/head.h; no session and no I/O here (the inspector
 * and the courier each own their sessions). Strict as http1.h is, and to the same end: requests that mean
 * the same over HTTP/1.1 and HTTP/2 give the same canonical head, byte for byte (I4); fuzz/http2_fuzz.c
 * holds the two together. What HTTP/2 cannot say is refused, never repaired: connection-specific fields,
 * upper-case names, pseudo-headers that are missing, doubled, late or unknown, an :authority that
 * disagrees with host, a content-length that disagrees with the body (the caller counts).
 * Source: RFC 9113 s8.2, s8.3; RFC 8441.
 */
#pragma once

#include "wire/head.h"

/* Fields of one block, in bytes as RFC 9113 s6.5.2 counts them (32 more for each); also what we announce. */
#define HTTP2_HEADER_LIST_MAX (60u * 1024)
#define HTTP2_STORAGE_MAX (4 * HTTP2_HEADER_LIST_MAX)

/** struct http2_fields - collects one header block, field by field as nghttp2 decodes it */
struct http2_fields {
	struct buf storage;		/* copies of names and values; limit HTTP2_STORAGE_MAX */
	uint32_t count;
	size_t list_bytes;		/* by the rule above */
	enum err failure;		/* the first thing that was wrong; the rest is then ignored */
	bool expect_continue;		/* http2_request() saw "expect: 100-continue" */
	struct { uint32_t name, name_bytes, value, value_bytes; } at[HEAD_FIELDS_MAX + 8];
};

void http2_fields_init(struct http2_fields *f);
void http2_fields_clear(struct http2_fields *f);
void http2_fields_free(struct http2_fields *f);
/** http2_fields_add() - one field; failures are kept in f->failure */
void http2_fields_add(struct http2_fields *f, struct str name, struct str value);

/** http2_request() - a request's block to a canonical head; views point into @f, once a block
 * @scheme:     what the connection is; :scheme must say the same
 * @end_stream: no body follows: framing NONE (or LENGTH 0 if content-length: 0 was sent)
 * Framing: LENGTH with a content-length, else STREAMED with `trailers`. A body of known length cannot have
 * trailers in the canonical form: the caller drops them.
 * An extended CONNECT with :protocol websocket gives a GET with h->websocket set, as the HTTP/1.1
 * handshake does; any other CONNECT is ERR_UPGRADE_REFUSED.
 * Return: ERR_OK; ERR_HEAD_MALFORMED, ERR_HEAD_TOO_LARGE, ERR_BODY_FRAMING, ERR_BODY_TOO_LARGE,
 * ERR_NAME_MISMATCH (:authority against host), ERR_UPGRADE_REFUSED, ERR_MEMORY */
must_use enum err http2_request(struct http2_fields *f, enum head_scheme scheme, bool end_stream,
				struct head *ret);
/** http2_response() - an answer's block to a canonical head; @method of the request, "CONNECT" for an
 * extended CONNECT (a 200 then grants the WebSocket: h->websocket)
 * Framing is NONE also where a body may be that just has no bytes, or where there can be none (HEAD, 204,
 * 304): DATA that comes all the same is for the caller to refuse.
 * Return: ERR_OK, ERR_UPSTREAM_MALFORMED, ERR_MEMORY */
must_use enum err http2_response(struct http2_fields *f, struct str method, bool end_stream,
				 struct head *ret);
/** http2_trailers() - a block after the body to a HEAD_TRAILERS head. ERR_HEAD_MALFORMED */
must_use enum err http2_trailers(struct http2_fields *f, struct head *ret);

/** struct http2_nv - one field to send; the layout of nghttp2_nv is made from it by the session's owner */
struct http2_nv {
	struct str name, value;
	bool never_index;		/* carries a credential, by name or as told: HPACK must not keep it */
};
#define HTTP2_NV_MAX (HEAD_FIELDS_MAX + 8)
#define HTTP2_PUT_STORAGE_MAX (HEAD_PATH_MAX + HEAD_QUERY_MAX + 64)

/** http2_put_request(), http2_put_response(), http2_put_trailers() - the block for a canonical head, which is
 * checked; views point into @h and @storage (cleared first; limit >= HTTP2_PUT_STORAGE_MAX)
 * @ret: HTTP2_NV_MAX entries. A request with h->websocket becomes an extended CONNECT.
 * Return: ERR_OK and *ret_count, ERR_HEAD_*, or buf_err(storage) */
must_use enum err http2_put_request(const struct head *h, struct buf *storage, struct http2_nv *ret,
				    size_t *ret_count);
must_use enum err http2_put_response(const struct head *h, struct buf *storage, struct http2_nv *ret,
				     size_t *ret_count);
must_use enum err http2_put_trailers(const struct head *h, struct http2_nv *ret, size_t *ret_count);
