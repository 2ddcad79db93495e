/* dns_fuzz.c - whatever the packet, an answer can be built that fits and gives the question back */
#include "wire/dns.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str packet = str_make(data, size);
	struct dns_query q;
	enum dns_rcode rcode;
	enum err e = dns_parse_query(packet, &q, &rcode);
	auto_buf answer = BUF_EMPTY;

	buf_init(&answer, DNS_ANSWER_MAX);
	if (e) {
		check(q.question.n == 0);
		if (rcode != DNS_OK)
			check(dns_put_answer(&answer, &q, rcode, STR("")) == ERR_OK && answer.len >= 12);
		return 0;
	}
	check(rcode == DNS_OK && q.question.n && q.question.p == packet.p + 12);
	check(q.host[0] == 0 || host_type(str_of(q.host)) == HOST_NAME);
	check(dns_put_answer(&answer, &q, DNS_OK, STR("\xc6\x12\x00\x01")) == ERR_OK);
	buf_clear(&answer);
	check(dns_put_answer(&answer, &q, DNS_OK, STR("\xfd\x00paddock\0\0\0\0\0\0\1")) == ERR_OK);
	check(str_eq(str_head(str_from(buf_str(&answer), 12), q.question.n), q.question));
	buf_clear(&answer);
	check(dns_put_answer(&answer, &q, DNS_NXDOMAIN, STR("")) == ERR_OK);
	return 0;
}
