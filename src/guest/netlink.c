/* netlink.c - the sandbox's network
 *
 * Theory of operation: the network namespace holds nothing but lo. A local route for 0/0 and
 * ::/0 makes every address "ours", so that each connect() reaches the output hook, where it
 * is redirected to PID 1's listener; DNS likewise. All else is refused at once by the kernel,
 * so that nothing hangs. Loopback itself stays the agent's own.
 *
 *   chain nat { type nat hook output priority -100;
 *     ip daddr 127.0.0.0/8 return; ip6 daddr ::1 return
 *     meta l4proto tcp redirect to :15001; udp dport 53 redirect to :53 }
 *   chain out { type filter hook output priority 0; policy drop;
 *     ct state established,related accept
 *     ip daddr 127.0.0.0/8 accept; ip6 daddr ::1 accept
 *     reject with icmpx admin-prohibited }
 *
 * The agent has no capability over this namespace, so it can change none of it.
 * Written by hand: a library for one constant transaction would be larger than it.
 * Sources: linux/netfilter/nf_tables.h, netlink(7), rtnetlink(7).
 */
#include "guest/netlink.h"

#include "base/auto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

#define TABLE "paddock"
#define CT_ESTABLISHED_OR_RELATED 0x06u	/* NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED */
#define REPLY_TIMEOUT_SECONDS 5

/* -- messages and attributes; lengths are patched in when an element is closed ------- */

static void pad(struct buf *b)
{
	while (!buf_err(b) && b->len % 4)
		buf_put_byte(b, 0);
}

static void patch(struct buf *b, size_t at, const void *p, size_t n)
{
	if (!buf_err(b))
		memcpy(b->p + at, p, n);
}

static size_t message_begin(struct buf *b, uint16_t type, uint16_t flags, uint32_t sequence)
{
	size_t at = b->len;
	struct nlmsghdr h = { .nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
			      .nlmsg_seq = sequence };

	buf_put(b, str_make(&h, sizeof h));
	return at;
}

static void message_end(struct buf *b, size_t at)
{
	uint32_t n = (uint32_t)(b->len - at);

	patch(b, at, &n, sizeof n);
}

static size_t attribute_begin(struct buf *b, uint16_t type)
{
	size_t at = b->len;
	struct nlattr a = { .nla_type = type };

	buf_put(b, str_make(&a, sizeof a));
	return at;
}

static void attribute_end(struct buf *b, size_t at)
{
	uint16_t n = (uint16_t)(b->len - at);

	patch(b, at, &n, sizeof n);
	pad(b);
}

static size_t nest(struct buf *b, uint16_t type) { return attribute_begin(b, type | NLA_F_NESTED); }

static void put_bytes(struct buf *b, uint16_t type, const void *p, size_t n)
{
	size_t at = attribute_begin(b, type);

	buf_put(b, str_make(p, n));
	attribute_end(b, at);
}

static void put_text(struct buf *b, uint16_t type, const char *z) { put_bytes(b, type, z, strlen(z) + 1); }

static void put_u32(struct buf *b, uint16_t type, uint32_t v)
{
	uint32_t big = htonl(v);

	put_bytes(b, type, &big, sizeof big);
}

/* -- expressions ---------------------------------------------------------------------- */

struct expression { size_t element, data; };

static struct expression expression_begin(struct buf *b, const char *name)
{
	struct expression x = { .element = nest(b, NFTA_LIST_ELEM) };

	put_text(b, NFTA_EXPR_NAME, name);
	x.data = nest(b, NFTA_EXPR_DATA);
	return x;
}

static void expression_end(struct buf *b, struct expression x)
{
	attribute_end(b, x.data);
	attribute_end(b, x.element);
}

static void put_value(struct buf *b, uint16_t type, const void *p, size_t n)
{
	size_t at = nest(b, type);

	put_bytes(b, NFTA_DATA_VALUE, p, n);
	attribute_end(b, at);
}

static void load_meta(struct buf *b, uint32_t key)
{
	struct expression x = expression_begin(b, "meta");

	put_u32(b, NFTA_META_DREG, NFT_REG_1);
	put_u32(b, NFTA_META_KEY, key);
	expression_end(b, x);
}

static void load_payload(struct buf *b, uint32_t base, uint32_t offset, uint32_t n)
{
	struct expression x = expression_begin(b, "payload");

	put_u32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_u32(b, NFTA_PAYLOAD_BASE, base);
	put_u32(b, NFTA_PAYLOAD_OFFSET, offset);
	put_u32(b, NFTA_PAYLOAD_LEN, n);
	expression_end(b, x);
}

static void compare(struct buf *b, uint32_t operation, const void *p, size_t n)
{
	struct expression x = expression_begin(b, "cmp");

	put_u32(b, NFTA_CMP_SREG, NFT_REG_1);
	put_u32(b, NFTA_CMP_OP, operation);
	put_value(b, NFTA_CMP_DATA, p, n);
	expression_end(b, x);
}

static void match_byte(struct buf *b, uint8_t v) { compare(b, NFT_CMP_EQ, &v, 1); }

static void match_protocol(struct buf *b, uint8_t protocol)
{
	load_meta(b, NFT_META_L4PROTO);
	match_byte(b, protocol);
}

static void match_loopback4(struct buf *b)
{
	load_meta(b, NFT_META_NFPROTO);
	match_byte(b, NFPROTO_IPV4);
	load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 16, 1);
	match_byte(b, 127);
}

static void match_loopback6(struct buf *b)
{
	const uint8_t one[16] = { [15] = 1 };

	load_meta(b, NFT_META_NFPROTO);
	match_byte(b, NFPROTO_IPV6);
	load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 24, sizeof one);
	compare(b, NFT_CMP_EQ, one, sizeof one);
}

static void match_answered(struct buf *b)
{
	const uint32_t mask = CT_ESTABLISHED_OR_RELATED, none = 0;
	struct expression x = expression_begin(b, "ct");

	put_u32(b, NFTA_CT_DREG, NFT_REG_1);
	put_u32(b, NFTA_CT_KEY, NFT_CT_STATE);
	expression_end(b, x);
	x = expression_begin(b, "bitwise");
	put_u32(b, NFTA_BITWISE_SREG, NFT_REG_1);
	put_u32(b, NFTA_BITWISE_DREG, NFT_REG_1);
	put_u32(b, NFTA_BITWISE_LEN, sizeof mask);
	put_value(b, NFTA_BITWISE_MASK, &mask, sizeof mask);
	put_value(b, NFTA_BITWISE_XOR, &none, sizeof none);
	expression_end(b, x);
	compare(b, NFT_CMP_NEQ, &none, sizeof none);
}

static void verdict(struct buf *b, int code)
{
	struct expression x = expression_begin(b, "immediate");
	size_t data, inner;

	put_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nest(b, NFTA_IMMEDIATE_DATA);
	inner = nest(b, NFTA_DATA_VERDICT);
	put_u32(b, NFTA_VERDICT_CODE, (uint32_t)code);
	attribute_end(b, inner);
	attribute_end(b, data);
	expression_end(b, x);
}

static void redirect(struct buf *b, uint16_t port)
{
	uint16_t big = htons(port);
	struct expression x = expression_begin(b, "immediate");

	put_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	put_value(b, NFTA_IMMEDIATE_DATA, &big, sizeof big);
	expression_end(b, x);
	x = expression_begin(b, "redir");
	put_u32(b, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
	expression_end(b, x);
}

static void refuse(struct buf *b)
{
	const uint8_t code = NFT_REJECT_ICMPX_ADMIN_PROHIBITED;
	struct expression x = expression_begin(b, "reject");

	put_u32(b, NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	put_bytes(b, NFTA_REJECT_ICMP_CODE, &code, 1);
	expression_end(b, x);
}

/* -- the transaction -------------------------------------------------------------------- */

struct batch {
	struct buf *b;
	uint32_t sequence;
};

static size_t object_begin(struct batch *t, uint16_t operation)
{
	struct nfgenmsg g = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	size_t at = message_begin(t->b, (uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | operation),
				  NLM_F_CREATE | NLM_F_ACK | (operation == NFT_MSG_NEWRULE ? NLM_F_APPEND : 0),
				  ++t->sequence);

	buf_put(t->b, str_make(&g, sizeof g));
	return at;
}

static void batch_mark(struct buf *b, uint16_t type)
{
	struct nfgenmsg g = { .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	size_t at = message_begin(b, type, 0, 0);

	buf_put(b, str_make(&g, sizeof g));
	message_end(b, at);
}

static void chain(struct batch *t, const char *name, const char *type, int priority, bool drop)
{
	size_t at = object_begin(t, NFT_MSG_NEWCHAIN), hook;

	put_text(t->b, NFTA_CHAIN_TABLE, TABLE);
	put_text(t->b, NFTA_CHAIN_NAME, name);
	hook = nest(t->b, NFTA_CHAIN_HOOK);
	put_u32(t->b, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
	put_u32(t->b, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	attribute_end(t->b, hook);
	put_u32(t->b, NFTA_CHAIN_POLICY, drop ? NF_DROP : NF_ACCEPT);
	put_text(t->b, NFTA_CHAIN_TYPE, type);
	message_end(t->b, at);
}

struct rule { size_t message, expressions; };

static struct rule rule_begin(struct batch *t, const char *in)
{
	struct rule r = { .message = object_begin(t, NFT_MSG_NEWRULE) };

	put_text(t->b, NFTA_RULE_TABLE, TABLE);
	put_text(t->b, NFTA_RULE_CHAIN, in);
	r.expressions = nest(t->b, NFTA_RULE_EXPRESSIONS);
	return r;
}

static void rule_end(struct batch *t, struct rule r)
{
	attribute_end(t->b, r.expressions);
	message_end(t->b, r.message);
}

/* One rule: where a packet matches, @code. */
static void rule(struct batch *t, const char *in, void (*match)(struct buf *), int code)
{
	struct rule r = rule_begin(t, in);

	match(t->b);
	verdict(t->b, code);
	rule_end(t, r);
}

static void redirect_rules(struct batch *t)
{
	const uint16_t domain = htons(NETLINK_DNS_PORT);
	struct rule r;

	rule(t, "nat", match_loopback4, NFT_RETURN);
	rule(t, "nat", match_loopback6, NFT_RETURN);
	r = rule_begin(t, "nat");
	match_protocol(t->b, IPPROTO_TCP);
	redirect(t->b, NETLINK_RELAY_PORT);
	rule_end(t, r);
	r = rule_begin(t, "nat");
	match_protocol(t->b, IPPROTO_UDP);
	load_payload(t->b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof domain);
	compare(t->b, NFT_CMP_EQ, &domain, sizeof domain);
	redirect(t->b, NETLINK_DNS_PORT);
	rule_end(t, r);
}

enum err netlink_rules(struct buf *b, uint32_t *ret_messages)
{
	struct batch t = { .b = b };
	struct rule r;
	size_t at;

	batch_mark(b, NFNL_MSG_BATCH_BEGIN);
	at = object_begin(&t, NFT_MSG_NEWTABLE);
	put_text(b, NFTA_TABLE_NAME, TABLE);
	message_end(b, at);
	chain(&t, "nat", "nat", -100, false);
	chain(&t, "out", "filter", 0, true);
	redirect_rules(&t);
	rule(&t, "out", match_answered, NF_ACCEPT);
	rule(&t, "out", match_loopback4, NF_ACCEPT);
	rule(&t, "out", match_loopback6, NF_ACCEPT);
	r = rule_begin(&t, "out");
	refuse(b);
	rule_end(&t, r);
	batch_mark(b, NFNL_MSG_BATCH_END);
	if (buf_err(b))
		return buf_err(b);
	*ret_messages = t.sequence;
	return ERR_OK;
}

/* -- talking to the kernel -------------------------------------------------------------- */

static enum err netlink_open(int protocol, int *ret_fd)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	struct timeval timeout = { .tv_sec = REPLY_TIMEOUT_SECONDS };
	auto_fd fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout))
		return ERR_LOCAL;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

/* Sends @b and waits for @expected acknowledgements; the first refusal ends it. */
static enum err transact(int fd, const struct buf *b, uint32_t expected)
{
	_Alignas(struct nlmsghdr) char reply[8192];

	if (send(fd, b->p, b->len, 0) != (ssize_t)b->len)
		return ERR_LOCAL;
	while (expected > 0) {
		ssize_t n = recv(fd, reply, sizeof reply, 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n <= 0)
			return ERR_LOCAL;
		for (char *p = reply; left >= sizeof(struct nlmsghdr) + sizeof(struct nlmsgerr);) {
			struct nlmsghdr h;
			struct nlmsgerr e;

			memcpy(&h, p, sizeof h);
			memcpy(&e, p + sizeof h, sizeof e);
			if (h.nlmsg_type != NLMSG_ERROR || h.nlmsg_len < sizeof h || h.nlmsg_len > left) {
				errno = EPROTO;
				return ERR_LOCAL;
			}
			if (e.error) {
				errno = -e.error;
				return ERR_LOCAL;
			}
			expected -= expected > 0;
			if (NLMSG_ALIGN(h.nlmsg_len) >= left)
				break;
			p += NLMSG_ALIGN(h.nlmsg_len);
			left -= NLMSG_ALIGN(h.nlmsg_len);
		}
	}
	return ERR_OK;
}

static enum err loopback_up(int fd)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC, .ifi_index = 1, .ifi_flags = IFF_UP,
				  .ifi_change = IFF_UP };
	auto_buf b = BUF_EMPTY;
	size_t at;

	buf_init(&b, 4096);
	at = message_begin(&b, RTM_NEWLINK, NLM_F_ACK, 1);
	buf_put(&b, str_make(&link, sizeof link));
	message_end(&b, at);
	return buf_err(&b) ? buf_err(&b) : transact(fd, &b, 1);
}

/* Every address of @family is local: delivered to lo, whoever it belongs to outside. */
static enum err all_local(int fd, uint8_t family)
{
	struct rtmsg route = { .rtm_family = family, .rtm_table = RT_TABLE_LOCAL, .rtm_protocol = RTPROT_BOOT,
			       .rtm_scope = RT_SCOPE_HOST, .rtm_type = RTN_LOCAL };
	const uint32_t loopback = 1;
	auto_buf b = BUF_EMPTY;
	size_t at;

	buf_init(&b, 4096);
	at = message_begin(&b, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, 1);
	buf_put(&b, str_make(&route, sizeof route));
	put_bytes(&b, RTA_OIF, &loopback, sizeof loopback);
	message_end(&b, at);
	return buf_err(&b) ? buf_err(&b) : transact(fd, &b, 1);
}

/* An address that is not loopback's: resolvers asked for "configured families only"
 * (AI_ADDRCONFIG) take a host that has none for one without a network. Both are of the ranges
 * for documentation (RFC 5737, RFC 3849), so they mean nothing anywhere else. */
static enum err add_address(int fd, uint8_t family, const void *address, uint8_t n)
{
	struct ifaddrmsg m = { .ifa_family = family, .ifa_prefixlen = (uint8_t)(n * 8),
			       .ifa_flags = IFA_F_NODAD,
			       .ifa_scope = RT_SCOPE_UNIVERSE, .ifa_index = 1 };
	auto_buf b = BUF_EMPTY;
	size_t at;

	buf_init(&b, 4096);
	at = message_begin(&b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, 1);
	buf_put(&b, str_make(&m, sizeof m));
	put_bytes(&b, IFA_LOCAL, address, n);
	put_bytes(&b, IFA_ADDRESS, address, n);
	message_end(&b, at);
	return buf_err(&b) ? buf_err(&b) : transact(fd, &b, 1);
}

static enum err family6_setup(int fd)
{
	const uint8_t address[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

	if (all_local(fd, AF_INET6))	/* a kernel without IPv6 has nothing that must be redirected */
		return errno == EAFNOSUPPORT || errno == EOPNOTSUPP ? ERR_OK : ERR_LOCAL;
	return add_address(fd, AF_INET6, address, sizeof address);
}

static enum err routes_setup(void)
{
	const uint8_t address[4] = { 192, 0, 2, 1 };
	auto_fd fd = -1;
	enum err e = netlink_open(NETLINK_ROUTE, &fd);

	if (!e)
		e = loopback_up(fd);
	if (!e)
		e = all_local(fd, AF_INET);
	if (!e)
		e = add_address(fd, AF_INET, address, sizeof address);
	return e ? e : family6_setup(fd);
}

enum err netlink_setup(void)
{
	auto_fd fd = -1;
	auto_buf b = BUF_EMPTY;
	uint32_t messages = 0;
	enum err e;

	buf_init(&b, 16384);
	e = netlink_rules(&b, &messages);
	if (!e)
		e = netlink_open(NETLINK_NETFILTER, &fd);
	if (!e)
		e = transact(fd, &b, messages);	/* refusal first, routes after it */
	return e ? e : routes_setup();
}
