/* registry_digest.h - a file on its way to the guest, hashed as it passes */
#pragma once

#include "courier/protocol.h"

#define REGISTRY_DIGEST_TEXT 160		/* "sha512-<base64>", "sha256:<hex>", and a NUL */

/** registry_digest_answer() - the answer's body is hashed with @algorithm ("sha512", "sha384": base64;
 *  "sha256", "sha1": hex, or base64 as subresource integrity has it; anything else, or nothing: SHA-256,
 *  compared with nothing). Its last bytes wait until @digest agrees, or the exchange ends with
 *  ERR_CONTENT_DENIED.
 * @done: once, @text is what was delivered; @known: there was something to compare with. ERR_MEMORY */
must_use enum err registry_digest_answer(struct protocol_run *run, struct str algorithm, struct str digest,
					 void (*done)(void *user, const char *text, bool known, bool same));
