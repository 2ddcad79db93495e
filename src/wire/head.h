/* head.h - the canonical head: the one form in which a request passes from the
 * inspector to the courier, and an answer's head passes back
 *
 * The path that is matched is the path that is sent, byte for byte. head_check() is
 * called by whoever makes a head and again by whoever receives one: the courier
 * believes nothing that it has not checked itself (I2).
 *
 *   offset size  field   little-endian
 *   0      1     version 1
 *   1      1     kind    1 request, 2 response, 3 trailers
 *   2      1     scheme  request: 1 http, 2 https; else 0
 *   3      1     framing 0 none, 1 length, 2 streamed
 *   4      2     port    request: 1..65535; else 0
 *   6      2     status  response: 100..599; else 0
 *   8      8     length  framing 1: bytes of body; else 0
 *   16     2     flags   bit 0: a query is present (it may be empty); bit 1: trailers
 *                        may follow; bit 2: (response) this is the last head (not 1xx);
 *                        bit 3: WebSocket: a GET that asks for one, or the 200 that grants it
 *   18     2     method bytes       request only, else 0
 *   20     2     host bytes
 *   22     2     path bytes
 *   24     2     query bytes (0 unless bit 0)
 *   26     2     field count
 *   28     ...   method, host, path, query, then per field: u16 name bytes,
 *                u16 value bytes, name, value; nothing after it
 *
 * Canonical means (head_check() enforces each):
 *  method  RFC 9110 token, 1..32 bytes, not CONNECT
 *  host    lower-case A-label name (1..253 bytes, labels 1..63 of [a-z0-9_-], not beginning
 *          or ending with '-', no trailing dot, last label no number: not all digits, nor 0x
 *          and hex digits), or a canonical
 *          dotted IPv4, or a canonical (RFC 5952) IPv6 without brackets or zone
 *  path    begins with '/', RFC 3986 pchar and '/', upper-case hex in %XX, no %00, no
 *          encoded control byte, no "." or ".." segment, also not with encoded dots, followed
 *          by ';', or between %2F or %5C, which many servers decode before they walk the path;
 *          or "*" for OPTIONS (path_check() itself refuses "*")
 *  query   RFC 3986 query characters, well-formed %XX (kept as sent)
 *  fields  names lower-case tokens; values visible ASCII, space, tab and bytes >= 0x80, no
 *          space or tab at either end; none of: connection, keep-alive, proxy-connection,
 *          transfer-encoding, te (but "trailers"), upgrade, trailer, expect, content-length,
 *          proxy-authorization, and any that Connection named; in a request neither
 *          content_length nor transfer_encoding (gateways take '_' for '-'), exactly one host,
 *          equal to host[:port unless default]
 *          (IPv6 bracketed), and at most one cookie (RFC 9113 s8.2.3: its crumbs are joined);
 *          content-length lives in framing/length and is re-made by the sender;
 *          trailers have none of: host, te, authorization, cookie, set-cookie, content-type,
 *          content-encoding, content-range
 *  framing trailers may follow a streamed body only; a 1xx response and trailers have none;
 *          bit 2 is set in exactly the responses from status 200 on; bit 3 in a request: GET, no
 *          body, no sec-websocket-key, -version, -accept, -extensions (each hop makes its own);
 *          in a response: status 200 and framing 0. What follows as DATA: websocket.h
 */
#pragma once

#include "base/buf.h"

#define HEAD_MAX_BYTES 65536		/* encoded; <= LINK_PAYLOAD_MAX */
#define HEAD_FIELDS_MAX 128
#define HEAD_METHOD_MAX 32
#define HEAD_HOST_MAX 253
#define HEAD_PATH_MAX 16384
#define HEAD_QUERY_MAX 16384

enum head_kind { HEAD_REQUEST = 1, HEAD_RESPONSE = 2, HEAD_TRAILERS = 3 };
enum head_scheme { HEAD_HTTP = 1, HEAD_HTTPS = 2 };
enum head_framing { HEAD_BODY_NONE = 0, HEAD_BODY_LENGTH = 1, HEAD_BODY_STREAMED = 2 };

struct head_field {
	struct str name, value;
};

/** struct head - a head; every view points into memory that the maker keeps */
struct head {
	enum head_kind kind;
	enum head_scheme scheme;
	enum head_framing framing;
	uint16_t port, status;
	uint64_t length;
	bool has_query, trailers, final, websocket;
	struct str method, host, path, query;
	uint32_t field_count;
	struct head_field fields[HEAD_FIELDS_MAX];
};

/** head_clear() - an empty one; fields beyond field_count are nobody's, and not touched */
static inline void head_clear(struct head *h) { memset(h, 0, offsetof(struct head, fields)); }
/** head_copy() - @from, whose fields are few most of the time */
static inline void head_copy(struct head *to, const struct head *from)
{
	memcpy(to, from, offsetof(struct head, fields) + from->field_count * sizeof from->fields[0]);
}
/** head_check() - ERR_OK, or ERR_HEAD_MALFORMED / ERR_HEAD_TOO_LARGE */
must_use enum err head_check(const struct head *h);
/** head_encode() - appends the encoded form of a head that head_check() accepts;
 *  ERR_HEAD_*, ERR_LIMIT, ERR_MEMORY */
must_use enum err head_encode(const struct head *h, struct buf *b);
/** head_decode() - reads and checks; views point into @bytes. ERR_HEAD_* */
must_use enum err head_decode(struct str bytes, struct head *ret);
/** head_find() - first field of that (lower-case) name, or NULL */
const struct head_field *head_find(const struct head *h, struct str name);
/** head_add() - appends a field; ERR_HEAD_TOO_LARGE when full. Views are kept, not copied. */
must_use enum err head_add(struct head *h, struct str name, struct str value);
/** head_remove() - removes every field of that name; returns how many */
uint32_t head_remove(struct head *h, struct str name);

/** host_canonical() - @raw (a DNS name, SNI, Host or authority host in any case, maybe with
 *  one trailing dot, IPv6 maybe bracketed) to its canonical form. Octal, hex, short and
 *  integer IPv4 forms, zones, and non-ASCII are refused: ERR_HEAD_MALFORMED. */
must_use enum err host_canonical(struct str raw, char ret[HEAD_HOST_MAX + 1]);
enum host_type { HOST_INVALID, HOST_NAME, HOST_IPV4, HOST_IPV6 };
/** host_type() - of a string that must already be canonical; HOST_INVALID if it is not */
enum host_type host_type(struct str host);
/** path_check(), query_check(), method_check(), field_name_check(), field_value_check() -
 *  one part each, by the rules above */
bool path_check(struct str path);
bool query_check(struct str query);
bool method_check(struct str method);
bool field_name_check(struct str name);
bool field_value_check(struct str value);
/** field_is_hop_by_hop() - in the list above, te included, whatever its value (host and
 *  content-length are not in it) */
bool field_is_hop_by_hop(struct str lower_name);
