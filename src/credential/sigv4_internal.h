/* sigv4_internal.h - for sigv4*.c alone */
#pragma once

#include "credential/sigv4.h"

#define SIGV4_ALGORITHM STR("AWS4-HMAC-SHA256")
#define SIGV4_TERMINATOR STR("aws4_request")
#define SIGV4_CONTENT_HASH STR("x-amz-content-sha256")
#define SIGV4_UNSIGNED_PAYLOAD STR("UNSIGNED-PAYLOAD")

/** sigv4_put_encoded() - RFC 3986: all but unreserved characters as %XX, and '/' if @slash keeps it */
void sigv4_put_encoded(struct str s, bool slash, struct buf *out);
/** sigv4_put_decoded() - %XX as the byte it means; what is malformed stays */
void sigv4_put_decoded(struct str s, struct buf *out);
/** sigv4_parameter() - the next "name=value" of *query; false at its end */
bool sigv4_parameter(struct str *query, struct str *ret_name, struct str *ret_value);
/** sigv4_put_signed_headers() - the names that are signed, sorted, ';' between them: the
 *  agent's, and host and x-amz-* whether it signed them or not, as far as they are in @h */
void sigv4_put_signed_headers(const struct sigv4 *s, const struct head *h, struct buf *out);
static inline bool sigv4_is_s3(struct str service) { return str_starts(service, STR("s3")); }
