/* request.h - a method, a URL and headers as a person writes them, to a canonical head */
#pragma once

#include "wire/head.h"

/** struct request - a head and the memory under it */
struct request {
	struct head head;
	char host[HEAD_HOST_MAX + 1];
	struct buf names;	/* header names in lower case, host header */
};

/** request_make() - request_free() in any case
 * Return: ERR_OK, or ERR_INPUT with one line in @why; views point into the arguments */
must_use enum err request_make(struct request *r, const char *method, const char *url, struct buf *why);
/** request_target() - "HOST:PORT", into head.host and head.port alone; otherwise as request_make() */
must_use enum err request_target(struct request *r, const char *target, struct buf *why);
/** request_header() - adds "Name: value" */
must_use enum err request_header(struct request *r, const char *header, struct buf *why);
void request_free(struct request *r);
