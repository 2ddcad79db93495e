/* address.h - may this address be dialled? */
#pragma once

#include "policy/policy.h"

#include <netinet/in.h>
#include <sys/socket.h>

/** struct address - 16 bytes in network order; IPv4 as ::ffff:a.b.c.d, the form of policy_cidr */
struct address {
	uint8_t bytes[16];
};

#define ADDRESS_TEXT_BYTES INET6_ADDRSTRLEN

/** address_parse() - a literal as inet_pton() reads it; false if @text is none */
must_use bool address_parse(struct str text, struct address *ret);
/** address_of() - 4 or 16 bytes in network order; false for any other size */
must_use bool address_of(struct str bytes, struct address *ret);
/** address_is_ipv4() - in the mapped form */
bool address_is_ipv4(const struct address *a);
/** address_is_public() - an address of the public Internet by the IANA special-purpose registries
 *  (RFC 6890 and its successors), and no cloud's metadata service */
bool address_is_public(const struct address *a);
/** address_admit() - public, or within a CIDR that @rule names; else ERR_ADDRESS_REFUSED */
must_use enum err address_admit(const struct address *a, const struct policy_rule *rule);
/** address_text() - for records; returns @ret */
const char *address_text(const struct address *a, char ret[ADDRESS_TEXT_BYTES]);
/** address_socket() - a socket address; returns its size */
socklen_t address_socket(const struct address *a, uint16_t port, struct sockaddr_storage *ret);
