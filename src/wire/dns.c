/* dns.c - the guest's DNS queries, and the answers made for them
 *
 * Theory of operation: a query has a header, exactly one question, and at most one EDNS record.
 * Whatever else it holds makes it malformed: a resolver library never sends more, and a tunnel
 * would. The question goes back byte for byte (clients check the letter case of what they asked).
 * Names that are well-formed DNS but no host name (bytes other than letters, digits, '-', '_') are
 * well-formed queries for a name that cannot exist: host is empty, and the caller says NXDOMAIN.
 * Every byte is hostile. Source: dns.h.
 */
#include "wire/dns.h"

#include "base/reader.h"

#define CLASS_IN 1
#define EDNS_SIZE 1232	/* the size that the answer's OPT record offers; nothing larger is sent */

/* header flags */
#define FLAG_RESPONSE 0x8000u
#define FLAG_OPCODE 0x7800u
#define FLAG_TRUNCATED 0x0200u
#define FLAG_RECURSION_DESIRED 0x0100u
#define FLAG_RECURSION_AVAILABLE 0x0080u

struct header {
	uint16_t flags, questions, answers, authorities, additionals;
};

static bool read_header(struct reader *r, uint16_t *ret_id, struct header *ret)
{
	return reader_u16be(r, ret_id) && reader_u16be(r, &ret->flags) && reader_u16be(r, &ret->questions) &&
	       reader_u16be(r, &ret->answers) && reader_u16be(r, &ret->authorities) &&
	       reader_u16be(r, &ret->additionals);
}

/* Labels up to the root, joined by dots. A compression pointer has no business in a first name. */
static bool read_name(struct reader *r, char name[HEAD_HOST_MAX + 1], size_t *ret_bytes)
{
	size_t n = 0;

	for (;;) {
		struct str label;
		uint8_t size;

		if (!reader_u8(r, &size) || size > 63)
			return false;
		if (size == 0)
			break;
		if (!reader_take(r, size, &label) || label.n + 1 > HEAD_HOST_MAX - n)
			return false;
		if (n)
			name[n++] = '.';
		/* a dot inside of a label would make two names one */
		if (str_find(label, '.') < label.n || str_find(label, '\0') < label.n)
			name[n] = ' ';
		else
			memcpy(name + n, label.p, label.n);
		n += label.n;
	}
	name[n] = 0;
	*ret_bytes = n;
	return true;
}

static bool read_question(struct reader *r, struct dns_query *q)
{
	const char *start = r->p;
	char name[HEAD_HOST_MAX + 1] = { 0 };
	uint16_t class;
	size_t n;

	if (!read_name(r, name, &n) || !reader_u16be(r, &q->type) || !reader_u16be(r, &class) ||
	    class != CLASS_IN)
		return false;
	q->question = str_make(start, (size_t)(r->p - start));
	if (host_canonical(str_make(name, n), q->host) || host_type(str_of(q->host)) != HOST_NAME)
		q->host[0] = 0;
	return true;
}

/* The one record that a query may carry besides its question; its options are read over. */
static bool read_edns(struct reader *r)
{
	uint8_t root;
	uint16_t type, size, length;
	uint32_t flags;
	struct str skipped;

	if (!reader_u8(r, &root) || root != 0 || !reader_u16be(r, &type) || type != DNS_TYPE_OPT ||
	    !reader_u16be(r, &size) || !reader_u32be(r, &flags) || !reader_u16be(r, &length))
		return false;
	return (flags >> 16 & 0xff) == 0 && reader_take(r, length, &skipped);
}

enum err dns_parse_query(struct str packet, struct dns_query *ret, enum dns_rcode *ret_rcode)
{
	struct reader r = reader_of(packet);
	struct dns_query q = { 0 };
	struct header h;

	*ret_rcode = DNS_OK;
	*ret = q;
	if (!read_header(&r, &q.id, &h) || (h.flags & FLAG_RESPONSE))
		return ERR_DNS_MALFORMED;
	q.recursion_desired = h.flags & FLAG_RECURSION_DESIRED;
	*ret = q;
	*ret_rcode = h.flags & FLAG_OPCODE ? DNS_NOTIMP : DNS_FORMERR;
	if (packet.n > DNS_QUERY_MAX || (h.flags & (FLAG_OPCODE | FLAG_TRUNCATED)) || h.questions != 1 ||
	    h.answers || h.authorities || h.additionals > 1 || !read_question(&r, &q))
		return ERR_DNS_MALFORMED;
	if (h.additionals && !read_edns(&r))
		return ERR_DNS_MALFORMED;
	if (!reader_done(&r))
		return ERR_DNS_MALFORMED;
	q.edns = h.additionals;
	*ret = q;
	*ret_rcode = DNS_OK;
	return ERR_OK;
}

static void put_record(struct buf *b, struct str name, uint16_t type, struct str data)
{
	buf_put(b, name);
	buf_put_u16be(b, type);
	buf_put_u16be(b, CLASS_IN);
	buf_put_u32be(b, DNS_TTL_S);
	buf_put_u16be(b, (uint16_t)data.n);
	buf_put(b, data);
}

/* mname "." rname "." serial 1, refresh, retry, expire, minimum: DNS_TTL_S each (RFC 2308 s5) */
static void put_soa(struct buf *b)
{
	static const char data[] = { 0, 0, 0, 0, 0, 1, 0, 0, 0, DNS_TTL_S, 0, 0, 0, DNS_TTL_S,
				     0, 0, 0, DNS_TTL_S, 0, 0, 0, DNS_TTL_S };

	put_record(b, str_make("", 1), DNS_TYPE_SOA, str_make(data, sizeof data));
}

static void put_edns(struct buf *b)
{
	buf_put_byte(b, 0);
	buf_put_u16be(b, DNS_TYPE_OPT);
	buf_put_u16be(b, EDNS_SIZE);
	buf_put_u32be(b, 0);
	buf_put_u16be(b, 0);
}

enum err dns_put_answer(struct buf *b, const struct dns_query *q, enum dns_rcode rcode, struct str address)
{
	bool answer = rcode == DNS_OK && address.n;
	bool negative = q->question.n && (rcode == DNS_NXDOMAIN || (rcode == DNS_OK && !answer));
	unsigned flags = FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | (unsigned)rcode;

	if (q->recursion_desired)
		flags |= FLAG_RECURSION_DESIRED;
	buf_put_u16be(b, q->id);
	buf_put_u16be(b, (uint16_t)flags);
	buf_put_u16be(b, q->question.n ? 1 : 0);
	buf_put_u16be(b, answer ? 1 : 0);
	buf_put_u16be(b, negative ? 1 : 0);
	buf_put_u16be(b, q->edns ? 1 : 0);
	buf_put(b, q->question);
	if (answer)	/* 0xc00c: the name of the question, at offset 12 */
		put_record(b, STR("\xc0\x0c"), address.n == 4 ? DNS_TYPE_A : DNS_TYPE_AAAA, address);
	if (negative)
		put_soa(b);
	if (q->edns)
		put_edns(b);
	return buf_err(b);
}
