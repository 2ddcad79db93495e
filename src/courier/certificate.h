/* certificate.h - client certificates and their keys, as the keeper reads them */
#pragma once

#include "courier/courier.h"

struct certificates;

/** struct certificate - PEM of certificates and key; counted, immutable */
struct certificate {
	unsigned references;
	uint64_t generation;	/* no two have the same */
	struct buf pem;		/* secret */
};

struct certificates *certificates_new(struct courier *c);
/** certificates_free() - before the keeper's client; NULL is fine */
void certificates_free(struct certificates *t);
/** certificate_ask() - the present one of @c, as its file or command has it after @w asked first; waits as
 *  vault_ask() does
 * *ret: counted: certificate_release(). ERR_OK; ERR_MORE; ERR_CREDENTIAL; ERR_MEMORY */
must_use enum err certificate_ask(struct certificates *t, const struct policy_credential *c,
				  struct waiter *w, void (*changed)(void *user), void *user,
				  struct certificate **ret, const char **ret_reason);
void certificate_release(struct certificate *c);	/* NULL is fine */
