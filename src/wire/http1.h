/* http1.h - HTTP/1.1 messages to canonical heads, and back
 *
 * Pure codec, no I/O, strict (RFC 9112): what could be read in two ways is refused, never
 * repaired (I4). CRLF only; no obs-fold; no space before a colon; no control bytes; one Host;
 * at most one Content-Length, and none beside Transfer-Encoding, which is exactly "chunked".
 *
 * A receiver loops: http1_head_end() until a head is whole, http1_parse_*(), then http1_body
 * (http1_body.h) over what follows. Bytes after the message belong to the next one: nothing
 * here reads past what it returns. A sender uses http1_put_*().
 *
 * Two things are brought to one form, so that what is matched is what is sent: the hex digits of
 * %XX in the path become upper-case, and [ ] { } | ^ ` in path and query, which URLs of browsers
 * and of Node carry raw but RFC 3986 does not have there, become %XX. Nothing else is changed.
 */
#pragma once

#include "wire/head.h"

#define HTTP1_HEAD_MAX (60u * 1024)	/* start line and fields; leaves room in HEAD_MAX_BYTES */
#define HTTP1_LENGTH_MAX (1ull << 48)	/* a Content-Length above it is refused */

/** http1_head_end() - finds the end of a message head at the front of @bytes
 * @scanned: 0 for a new message, then what the last call left: no byte is looked at twice
 * Return:   ERR_OK and *ret_bytes (the head with its empty line); ERR_MORE; as soon as it is
 *           certain, ERR_HEAD_MALFORMED (bare CR or LF, NUL and other control bytes, an empty
 *           first line) or ERR_HEAD_TOO_LARGE (more than HTTP1_HEAD_MAX) */
must_use enum err http1_head_end(struct str bytes, size_t *scanned, size_t *ret_bytes);

/** struct http1_request - a request head, and what of it concerns this connection only */
struct http1_request {
	struct head head;	/* canonical; field 0 is host; views point into the storage */
	bool version_10;	/* HTTP/1.0: the answer may not be chunked, and is the last */
	bool close;		/* no further request will be read */
	bool expect_continue;	/* wants 100 Continue before it sends the body */
	bool upgrade; /* asks for another protocol that is not spoken: any but h2c (which is ignored) and a
			 whole WebSocket handshake (which is head.websocket) */
	struct str websocket_key;	/* with head.websocket: as sent, not yet checked */
};

/** http1_parse_request() - one whole head, as http1_head_end() measured it
 * @scheme:  what the connection is; gives the port if Host names none
 * @storage: cleared, then holds the bytes that @ret points into; limit >= HTTP1_STORAGE_MAX
 * Host and an absolute-form target must agree. That they agree with the connection is for the
 * caller to check (head.host, head.port). framing: NONE without Content-Length and
 * Transfer-Encoding, LENGTH (also for 0), STREAMED with `trailers` for chunked.
 * Return: ERR_OK; ERR_HEAD_MALFORMED, ERR_HEAD_TOO_LARGE, ERR_HEAD_VERSION (neither 1.1 nor 1.0),
 * ERR_BODY_FRAMING, ERR_BODY_TOO_LARGE, ERR_NAME_MISMATCH (target against Host), ERR_MEMORY.
 * Source: RFC 9112 s2.3, s3, s5, s6.3. */
#define HTTP1_STORAGE_MAX (4 * HTTP1_HEAD_MAX)
must_use enum err http1_parse_request(struct str bytes, enum head_scheme scheme, struct buf *storage,
				      struct http1_request *ret);

enum http1_framing { HTTP1_NONE, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

/** struct http1_response - an answer's head, and how its body is framed on this connection */
struct http1_response {
	struct head head;	/* canonical; `final` is false for 1xx */
	enum http1_framing framing;	/* what follows on the wire; NONE: no body follows */
	bool close;		/* the connection cannot carry another message after this one */
};

/** http1_parse_response() - one whole head of an answer to a request with @method
 * An answer without a body to HEAD, or 304, keeps the length that it states in head.framing and
 * head.length although ret->framing is NONE. 101 is refused: nobody asked for it. A reason phrase
 * may be missing together with its space; nothing else is forgiven.
 * Return: ERR_OK, ERR_UPSTREAM_MALFORMED, ERR_MEMORY. Source: RFC 9112 s4, s6.3. */
must_use enum err http1_parse_response(struct str bytes, struct str method, struct buf *storage,
				       struct http1_response *ret);

/** http1_parse_handshake() - an answer to a WebSocket handshake: 101 with exactly @accept becomes a canonical
 * 200 with head.websocket; any other status is an ordinary answer to a GET. The caller checks that
 * sec-websocket-protocol names one that was offered, and that there are no sec-websocket-extensions
 * (head_check() refuses them). Errors as http1_parse_response(). Source: RFC 6455 s4.1. */
must_use enum err http1_parse_handshake(struct str bytes, struct str accept, struct buf *storage,
					struct http1_response *ret);

/** http1_status_has_body() - false for 1xx, 204, 304, and for any answer to HEAD */
bool http1_status_has_body(struct str method, uint16_t status);

/** http1_put_request() - the head as it goes to an upstream: origin-form target, Host first, the
 * other fields in order, then content-length or "transfer-encoding: chunked" from head.framing,
 * and "connection: close" if @close. @h must be canonical: it is checked; a WebSocket's is ERR_HEAD_MALFORMED
 * here, as for http1_put_response().
 * Return: ERR_OK, ERR_HEAD_*, or buf_err(b). */
must_use enum err http1_put_request(struct buf *b, const struct head *h, bool close);

/** http1_put_handshake() - a request with head.websocket, as an HTTP/1.1 handshake with @key */
must_use enum err http1_put_handshake(struct buf *b, const struct head *h, struct str key);
/** http1_put_switching() - an answer with head.websocket, as 101 with @accept */
must_use enum err http1_put_switching(struct buf *b, const struct head *h, struct str accept);

/** http1_put_response() - the head as it goes to a client that asked with @method
 * @version_10: the client is one of HTTP/1.0: a STREAMED body goes without framing, until the close
 * @close:      say that the connection ends; must be true for a STREAMED body with @version_10
 * NONE where a body could be becomes "content-length: 0". Heads of 1xx have no framing.
 * Return: ERR_OK, ERR_HEAD_*, or buf_err(b). */
must_use enum err http1_put_response(struct buf *b, const struct head *h, struct str method,
				     bool version_10, bool close);

/** http1_reason() - the usual reason phrase, or an empty one */
struct str http1_reason(uint16_t status);

/** http1_put_chunk() - one chunk; nothing if @data is empty (that would end the body) */
void http1_put_chunk(struct buf *b, struct str data);
/** http1_put_last_chunk() - the end of a chunked body; @trailers may be NULL
 * Return: ERR_OK, ERR_HEAD_MALFORMED (not trailers, or not canonical), or buf_err(b) */
must_use enum err http1_put_last_chunk(struct buf *b, const struct head *trailers);
