/* guest_nft_test.c - the redirect's transaction is well formed, all of it and at any limit */
#include "guest/netlink.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Every attribute lies inside of its parent, nested ones too. */
static void check_attributes(const char *p, size_t n)
{
	while (n >= sizeof(struct nlattr)) {
		struct nlattr a;
		size_t step;

		memcpy(&a, p, sizeof a);
		assert_in_range(a.nla_len, sizeof a, n);
		if (a.nla_type & NLA_F_NESTED)
			check_attributes(p + sizeof a, a.nla_len - sizeof a);
		step = NLA_ALIGN(a.nla_len);
		assert_true(step <= n);
		p += step;
		n -= step;
	}
	assert_int_equal(n, 0);
}

static void the_transaction_is_well_formed(void **state)
{
	uint32_t expected = 0, acknowledged = 0, rules = 0;
	const char *p;
	size_t n;
	auto_buf b = BUF_EMPTY;

	(void)state;
	buf_init(&b, 16384);
	assert_int_equal(netlink_rules(&b, &expected), ERR_OK);
	for (p = b.p, n = b.len; n > 0;) {
		struct nlmsghdr h;

		assert_true(n >= sizeof h);
		memcpy(&h, p, sizeof h);
		assert_in_range(h.nlmsg_len, sizeof h + sizeof(struct nfgenmsg), n);
		assert_int_equal(h.nlmsg_len % 4, 0);
		acknowledged += (h.nlmsg_flags & NLM_F_ACK) != 0;
		rules += h.nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE);
		check_attributes(p + sizeof h + sizeof(struct nfgenmsg),
				 h.nlmsg_len - sizeof h - sizeof(struct nfgenmsg));
		p += h.nlmsg_len;
		n -= h.nlmsg_len;
	}
	assert_int_equal(acknowledged, expected);
	assert_int_equal(rules, 8);
	assert_int_equal(expected, 1 + 2 + 8);
}

static void no_room_is_an_error(void **state)
{
	(void)state;
	for (size_t max = 0; max < 2000; max += 7) {
		uint32_t expected;
		auto_buf b = BUF_EMPTY;

		buf_init(&b, max);
		assert_int_equal(netlink_rules(&b, &expected), ERR_LIMIT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_transaction_is_well_formed),
		cmocka_unit_test(no_room_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
