/* names.h - the synthetic addresses of a sandbox, and the names that they stand for
 *
 * An address is all that the guest gets of a name (I6). A name keeps its address as long as the
 * process lives: what a client remembered yesterday may not mean another name today.
 */
#pragma once

#include "wire/head.h"

#define NAMES_MAX 16384		/* then no further name resolves; 4 MB at the very most */
#define NAMES_IPV4_BYTES 4
#define NAMES_IPV6_BYTES 16

struct names;

struct names *names_new(void);	/* NULL without memory */
void names_free(struct names *n);
/** names_give() - the number of @host (a canonical name), a new one if it had none
 * Return: ERR_OK; ERR_LIMIT; ERR_INPUT (no canonical name) */
must_use enum err names_give(struct names *n, struct str host, uint32_t *ret_number);
/** names_set_tunnelled(), names_tunnelled() - may some port of @host pass unopened? As the courier said last;
 * kept for names that have a number, or get one now (false if that fails: then it is opened, or refused) */
void names_set_tunnelled(struct names *n, struct str host, bool tunnelled);
bool names_tunnelled(struct names *n, struct str host);
/** names_ipv4(), names_ipv6() - the addresses of a number: 198.18.0.0/15, fd00:7061:6464::/96 */
void names_ipv4(uint32_t number, uint8_t ret[NAMES_IPV4_BYTES]);
void names_ipv6(uint32_t number, uint8_t ret[NAMES_IPV6_BYTES]);
/** names_is_synthetic() - in one of the two ranges, given away or not */
bool names_is_synthetic(struct str address);
/** names_host() - the name that @address (4 or 16 bytes) was given for; empty if none was */
struct str names_host(const struct names *n, struct str address);
