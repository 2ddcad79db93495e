/* dns.h - the DNS that the guest speaks to its resolver: one query in, one answer out
 *
 * Pure codec. Only what the inspector needs: a query of one question is read, an answer of at most
 * one record is built. No packet of the guest's ever leaves (I6), so nothing else is parsed.
 * Source: RFC 1035 s4; RFC 6891 (EDNS); RFC 2308 (negative answers); RFC 6761 s6.4.
 */
#pragma once

#include "wire/head.h"

#define DNS_QUERY_MAX 4096	/* a query with EDNS options; longer ones are refused */
#define DNS_ANSWER_MAX 512	/* what every client takes over UDP (RFC 1035 s2.3.4) */
#define DNS_TTL_S 60		/* short: a synthetic address has a meaning in this run only */

enum dns_type {
	DNS_TYPE_A = 1, DNS_TYPE_SOA = 6, DNS_TYPE_AAAA = 28, DNS_TYPE_OPT = 41, DNS_TYPE_ANY = 255,
};

enum dns_rcode {
	DNS_OK = 0,	/* also "NODATA": the name exists and has nothing of that type */
	DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5,
};

/** struct dns_query - one question; @name holds what was asked, dots between labels */
struct dns_query {
	uint16_t id, type;
	bool recursion_desired, edns;
	char host[HEAD_HOST_MAX + 1];	/* canonical; empty if the name is no canonical host */
	struct str question;		/* the question's bytes in the packet,
					   to be given back as they came */
};

/** dns_parse_query() - reads @packet
 * *ret_rcode is written in every case: DNS_OK if the query is to be answered; else what to answer:
 * FORMERR (no single question, class other than IN, a compressed name, bytes left over, sections
 * that a query does not have), NOTIMP (an opcode other than QUERY).
 * Return: ERR_OK with *ret; ERR_DNS_MALFORMED. With it, *ret holds the id, if there was one, and no
 * question: dns_put_answer() can be called if *ret_rcode is not DNS_OK. A packet too short for a
 * header, or an answer instead of a query, has *ret_rcode DNS_OK: nothing is to be answered. */
must_use enum err dns_parse_query(struct str packet, struct dns_query *ret, enum dns_rcode *ret_rcode);

/** dns_put_answer() - appends an answer of at most DNS_ANSWER_MAX bytes
 * @address: for DNS_OK: 4 bytes (A) or 16 (AAAA), the answer's one record; 0 bytes: NODATA
 * Negative answers carry an SOA of the root, so that clients may cache them for DNS_TTL_S.
 * Return: buf_err(b) */
must_use enum err dns_put_answer(struct buf *b, const struct dns_query *q, enum dns_rcode rcode,
				 struct str address);
