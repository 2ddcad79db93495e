/* resolver.c - the guest's DNS
 *
 * Theory of operation: a stream carries one query and gets one answer. The name is made canonical,
 * and the courier is asked whether anything may be said to it, each time anew: its policy can
 * change. Yes gives the name an address of its own (names.h); no is NXDOMAIN at once, and uses up
 * none. No packet of the guest's goes further than this process (I6). The courier records what it
 * was asked; queries that never get so far are claimed from here.
 *
 * Every byte is hostile. A name that no host can have, "localhost" (the guest's own business), and
 * anything while the courier does not answer, get no address.
 * Sources: RFC 1035; RFC 6761 s6.3.
 */
#include "inspector/resolver.h"

#include "inspector/ask.h"
#include "inspector/claims.h"
#include "wire/dns.h"

#include <stdlib.h>

struct lookup {
	struct stream stream;	/* first */
	struct inspector *inspector;
	struct lookup *next, **link;
	uint32_t number;
	struct wait wait;
	struct ask *ask;
	struct buf open, packet;
	struct msg_connect asked;	/* views into open */
	struct dns_query query;
};

static void forget(struct lookup *q)
{
	struct inspector *i = q->inspector;

	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	i->lookup_count--;
	wait_clear(&q->wait);
	ask_cancel(q->ask);
	link_set_user(net_link(i), q->number, NULL);
	buf_free(&q->open);
	buf_free(&q->packet);
	free(q);
}

static void give_up(struct lookup *q, enum err why)
{
	link_reset(net_link(q->inspector), q->number, why);
	forget(q);
}

static void reply(struct lookup *q, enum dns_rcode rcode, struct str address)
{
	struct link *l = net_link(q->inspector);
	auto_buf answer = BUF_EMPTY;

	buf_init(&answer, DNS_ANSWER_MAX);
	if (dns_put_answer(&answer, &q->query, rcode, address) ||
	    link_sendable(l, q->number) < answer.len || link_data(l, q->number, 0, buf_str(&answer))) {
		give_up(q, ERR_LIMIT);
		return;
	}
	link_end(l, q->number);
	forget(q);
}

/* The courier never heard of this one. */
static void refuse(struct lookup *q, enum dns_rcode rcode, enum err why, const char *text)
{
	claims_put(q->inspector->claims, &(struct msg_claim){
		.kind = CLAIM_DNS, .result = why, .text = str_of(text), .host = str_of(q->query.host),
		.query_type = q->query.type, .has_verdict = true, .process = q->asked.process });
	reply(q, rcode, STR(""));
}

/* Numbers are few, and never given back: what is said of a name is kept only where it gets one. */
static void reply_address(struct lookup *q, const struct msg_status *status)
{
	uint8_t address[NAMES_IPV6_BYTES];
	uint32_t number;
	enum err e = names_give(q->inspector->names, str_of(q->query.host), &number);

	if (!e && status->has_tunnel)
		names_set_tunnelled(q->inspector->names, str_of(q->query.host),
				    status->tunnel != MSG_TUNNEL_OPENED);
	if (e) {
		refuse(q, DNS_SERVFAIL, e, "no synthetic address is left");
	} else if (q->query.type == DNS_TYPE_A) {
		names_ipv4(number, address);
		reply(q, DNS_OK, str_make(address, NAMES_IPV4_BYTES));
	} else if (q->query.type == DNS_TYPE_AAAA) {
		names_ipv6(number, address);
		reply(q, DNS_OK, str_make(address, NAMES_IPV6_BYTES));
	} else {
		reply(q, DNS_OK, STR(""));	/* exists, and has nothing of that type */
	}
}

static void answered(void *context, enum err e, const struct msg_status *status)
{
	struct lookup *q = context;

	q->ask = NULL;
	if (e == ERR_POLICY_DENIED || (!e && status->has_verdict && !status->verdict))
		reply(q, DNS_NXDOMAIN, STR(""));
	else if (e || !status->has_verdict)
		refuse(q, DNS_SERVFAIL, e ? e : ERR_LINK_STATE, "the courier did not say");
	else
		reply_address(q, status);
}

static bool is_localhost(struct str host)
{
	return str_eq(host, STR("localhost")) || str_ends(host, STR(".localhost"));
}

static void resolve(struct lookup *q)
{
	struct msg_connect m = { .query_type = q->query.type, .process = q->asked.process };
	enum dns_rcode rcode;
	enum err e = dns_parse_query(buf_str(&q->packet), &q->query, &rcode);

	if (e && rcode == DNS_OK) {
		give_up(q, ERR_DNS_MALFORMED);
	} else if (e) {
		refuse(q, rcode, e, "malformed query");
	} else if (q->query.host[0] == 0) {
		refuse(q, DNS_NXDOMAIN, ERR_DNS_MALFORMED, "no host can have this name");
	} else if (is_localhost(str_of(q->query.host))) {
		reply(q, DNS_NXDOMAIN, STR(""));
	} else {
		m.host = str_of(q->query.host);
		e = ask_start(q->inspector, LINK_KIND_NAME, &m, answered, q, &q->ask);
		if (e)
			refuse(q, DNS_SERVFAIL, e, "the courier cannot be asked");
		else
			wait_clear(&q->wait);	/* the ask has its own */
	}
}

static void frame(struct stream *s, const struct link_frame *f)
{
	struct lookup *q = (struct lookup *)s;

	switch (f->type) {
	case LINK_DATA:
		link_consumed(net_link(q->inspector), q->number, f->payload.n);
		buf_put(&q->packet, f->payload);
		if (q->ask || buf_err(&q->packet))
			give_up(q, ERR_DNS_MALFORMED);
		break;
	case LINK_END:
		resolve(q);
		break;
	case LINK_CREDIT:
		break;
	case LINK_RESET:
	case LINK_HEAD:
	case LINK_OPEN:
	case LINK_HELLO:
		give_up(q, ERR_LINK_STATE);
		break;
	}
}

static void expired(struct wait *w)
{
	struct lookup *q = (struct lookup *)((char *)w - offsetof(struct lookup, wait));
	struct inspector *i = q->inspector;

	give_up(q, ERR_TIMEOUT);
	inspector_flush(i);
}

/* Who asks is kept as it came: a claim, to be passed on. */
static enum err keep_open(struct lookup *q, struct str fields)
{
	buf_init(&q->open, LINK_OPEN_MAX);
	buf_init(&q->packet, DNS_QUERY_MAX);
	buf_put(&q->open, fields);
	return buf_err(&q->open) ? buf_err(&q->open) : msg_get_connect(buf_str(&q->open), &q->asked);
}

void resolver_open(struct inspector *i, uint32_t number, struct str fields)
{
	struct lookup *q = i->lookup_count < i->limits.lookups_max ? calloc(1, sizeof *q) : NULL;
	enum err e;

	if (!q) {
		if (!i->refused_lookups)
			claims_put(i->claims, &(struct msg_claim){ .kind = CLAIM_LIMIT, .result = ERR_LIMIT,
					.text = STR("too many DNS queries at once") });
		i->refused_lookups = true;
		link_reset(net_link(i), number, ERR_LIMIT);
		return;
	}
	i->refused_lookups = false;
	*q = (struct lookup){ .stream = { frame }, .inspector = i, .number = number, .next = i->lookups,
			      .link = &i->lookups };
	if (q->next)
		q->next->link = &q->next;
	i->lookups = q;
	i->lookup_count++;
	link_set_user(net_link(i), number, q);
	e = keep_open(q, fields);
	if (e)
		give_up(q, e);
	else
		wait_set(&i->waits, &q->wait, i->limits.head_ms, expired);
}

void resolver_stop(struct inspector *i)
{
	for (struct lookup *q = i->lookups, *next; q; q = next) {
		next = q->next;
		forget(q);
	}
}
