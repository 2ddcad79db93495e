/* mint.h - the certificate authority of one sandbox, and the leaves it signs
 *
 * Only the keeper holds a struct mint. P-256 and SHA-256 throughout.
 */
#pragma once

#include "base/buf.h"

#define MINT_POINT_BYTES 65		/* 0x04, X, Y */
#define MINT_LEAF_MAX_BYTES 2048	/* DER */
#define MINT_BACKDATE_SECONDS 3600	/* for clocks that are behind */
#define MINT_DAYS_MAX 398		/* longer ones are refused by some clients */

struct mint;

/** mint_new() - a fresh key and its self-signed certificate: CA, path length 0, valid from an
 *  hour before @now to @days (1..MINT_DAYS_MAX) after it
 * @sandbox: id, for the subject's name; cut to fit
 * @now:     seconds since 1970
 * Return: ERR_OK and *ret (mint_free()); ERR_INPUT, ERR_MEMORY (also if OpenSSL fails) */
must_use enum err mint_new(struct str sandbox, uint64_t now, unsigned days, struct mint **ret);
void mint_free(struct mint *m);
/** mint_ca_pem() - appends the CA's certificate; ERR_MEMORY, buf_err() */
must_use enum err mint_ca_pem(const struct mint *m, struct buf *out);
/** mint_leaf() - appends a certificate for @host and the key @point, DER, at most
 *  MINT_LEAF_MAX_BYTES: serverAuth, random serial, valid as long as the CA
 * Return: ERR_OK; ERR_INPUT (@host not canonical, @point not on the curve); ERR_MEMORY */
must_use enum err mint_leaf(const struct mint *m, struct str host, const uint8_t point[MINT_POINT_BYTES],
			    struct buf *out);

static inline void mint_freep(struct mint **m) { mint_free(*m); }
#define auto_mint __attribute__((cleanup(mint_freep))) struct mint *
