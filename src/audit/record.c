/* record.c - one record: members in any order, one canonical line in the end
 *
 * Theory of operation: each member is encoded at once into one buffer as "name":value; an index
 * of where each begins is sorted when the line is made. Values may be a peer's bytes: text that
 * is not UTF-8 becomes base64, and what is too long is cut, and said to be cut. Two bounds hold:
 * the caller's for each value, and the line's for all. So that a long value cannot push out a
 * short one that comes later, text of more than SHORT_BYTES leaves KEEP_BYTES free.
 * Failure is sticky and is reported by record_line().
 */
#include "audit/record.h"

#include "audit/json.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define MEMBERS_MAX 56		/* of one record, with the three of the chain; json.h reads up to 64 */
#define CHAIN_BYTES 256		/* seq, prev, time, braces, commas, newline */
#define SHORT_BYTES 128
#define KEEP_BYTES 2048
#define ANCESTOR_BYTES 256
#define LIST_ITEM_BYTES 1024

struct member {
	uint64_t order;				/* the name's first bytes, as a number that sorts as they do */
	uint32_t start, name_bytes, bytes;	/* of "name":value in record.text; the name after its quote */
};

struct record {
	struct buf text;
	size_t count;
	struct member members[MEMBERS_MAX];
	enum err err;
};

static struct record *spare;	/* the last one freed: there is seldom more than one at a time */

static struct record *record_alloc(void)
{
	struct record *r = spare;

	if (r) {
		spare = NULL;
		buf_clear(&r->text);
		return r;
	}
	r = malloc(sizeof *r);
	if (!r)
		return NULL;
	buf_init(&r->text, AUDIT_RECORD_MAX);
	if (!buf_reserve(&r->text, 1024))
		return r;
	free(r);
	return NULL;
}

struct record *record_new(struct str kind, struct str process)
{
	struct record *r = record_alloc();

	if (!r)
		return NULL;
	r->count = 0;
	r->err = ERR_OK;
	record_text(r, "kind", kind, 64);
	record_text(r, "process", process, 64);
	return r;
}

void record_free(struct record *r)
{
	if (!r)
		return;
	if (!spare) {
		spare = r;
		return;
	}
	buf_free(&r->text);
	free(r);
}

static void fail(struct record *r, enum err e)
{
	if (!r->err)
		r->err = e;
}

static uint64_t order_of(struct str name)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | (i < name.n ? (uint8_t)name.p[i] : 0);
	return v;
}

static void member_begin(struct record *r, struct str name)
{
	if (r->count == MEMBERS_MAX || !json_name_is_ours(name)) {
		fail(r, r->count == MEMBERS_MAX ? ERR_LIMIT : ERR_INPUT);
		return;
	}
	r->members[r->count++] =
		(struct member){ order_of(name), (uint32_t)r->text.len, (uint32_t)name.n, 0 };
	buf_put_byte(&r->text, '"');
	buf_put(&r->text, name);
	buf_put_z(&r->text, "\":");
}

static void member_end(struct record *r)
{
	struct member *m;

	if (r->err)
		return;
	m = &r->members[r->count - 1];
	m->bytes = (uint32_t)r->text.len - m->start;
	fail(r, buf_err(&r->text));
}

/* Bytes that a value of @n bytes may still take in the line, quotes included. */
static size_t room_for(const struct record *r, size_t n)
{
	size_t keep = n > SHORT_BYTES ? KEEP_BYTES : 0, room;

	if (r->text.len > AUDIT_RECORD_MAX - CHAIN_BYTES)
		return 0;
	room = AUDIT_RECORD_MAX - CHAIN_BYTES - r->text.len;
	if (room > keep + SHORT_BYTES)
		return room - keep;
	return room < SHORT_BYTES ? room : SHORT_BYTES;
}

static bool is_continuation(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

/* Text in quotes, or {"base64":"..."}, of at most @max_bytes of @value and @room encoded bytes;
 * returns how many bytes of @value it holds. */
static size_t put_text(struct record *r, struct str value, size_t max_bytes, size_t room)
{
	struct str head = str_head(value, max_bytes);
	struct str whole = head;

	if (value.n <= max_bytes && value.n + 2 <= room && json_is_plain(value)) {
		buf_put_byte(&r->text, '"');
		buf_put(&r->text, value);
		buf_put_byte(&r->text, '"');
		return value.n;
	}

	/* The bound may have split a character: the part of it goes too. */
	for (int i = 0; i < 3 && whole.n && whole.n < value.n && is_continuation(value.p[whole.n]); i++)
		whole.n--;
	if (str_is_utf8(whole)) {
		whole.n = room > 2 ? json_string_fit(whole, room - 2) : 0;
		json_put_string(&r->text, whole);
		return whole.n;
	}
	head = str_head(head, room > 32 ? (room - 32) / 4 * 3 : 0);
	buf_put_z(&r->text, "{\"base64\":\"");
	buf_put_base64(&r->text, head);
	buf_put_z(&r->text, "\"}");
	return head.n;
}

static void put_cut(struct record *r, const char *name, size_t original)
{
	char cut[80];
	struct str base = str_of(name);

	if (base.n > sizeof cut - 5) {
		fail(r, ERR_INPUT);
		return;
	}
	memcpy(cut, name, base.n);
	memcpy(cut + base.n, "_cut", 5);
	record_integer(r, cut, original);
}

void record_text(struct record *r, const char *name, struct str value, size_t max_bytes)
{
	size_t held;

	member_begin(r, str_of(name));
	if (r->err)
		return;
	held = put_text(r, value, max_bytes, room_for(r, value.n));
	member_end(r);
	if (held < value.n)
		put_cut(r, name, value.n);
}

void record_integer(struct record *r, const char *name, uint64_t value)
{
	bool exact = value <= JSON_INTEGER_MAX;

	member_begin(r, str_of(name));
	if (r->err)
		return;
	if (!exact)
		buf_put_byte(&r->text, '"');
	buf_put_decimal(&r->text, value);
	if (!exact)
		buf_put_byte(&r->text, '"');
	member_end(r);
}

void record_bool(struct record *r, const char *name, bool value)
{
	member_begin(r, str_of(name));
	if (r->err)
		return;
	buf_put_z(&r->text, value ? "true" : "false");
	member_end(r);
}

/* [...], as many of @values as fit; returns whether all are there whole. */
static bool put_list(struct record *r, const struct str *values, size_t count, size_t item_max)
{
	bool whole = true;
	size_t room;

	buf_put_byte(&r->text, '[');
	for (size_t i = 0; i < count; i++) {
		room = room_for(r, SIZE_MAX);
		if (room <= SHORT_BYTES) {
			whole = false;
			break;
		}
		if (i)
			buf_put_byte(&r->text, ',');
		whole &= put_text(r, values[i], item_max, room - 8) == values[i].n;
	}
	buf_put_byte(&r->text, ']');
	return whole;
}

void record_list(struct record *r, const char *name, const struct str *values, size_t count)
{
	bool whole;

	member_begin(r, str_of(name));
	if (r->err)
		return;
	whole = put_list(r, values, count, LIST_ITEM_BYTES);
	member_end(r);
	if (!whole)
		put_cut(r, name, count);
}

void record_process(struct record *r, const struct msg_process *p)
{
	if (p->pid == 0 && p->uid == 0 && p->exe.n == 0)
		return;
	member_begin(r, STR("asked_by"));
	if (r->err)
		return;
	buf_put_z(&r->text, "{\"ancestors\":");
	(void)put_list(r, p->ancestors, p->ancestor_count, ANCESTOR_BYTES);
	buf_put_z(&r->text, ",\"exe\":");
	(void)put_text(r, p->exe, 1024, room_for(r, p->exe.n));
	buf_put_z(&r->text, ",\"pid\":");
	buf_put_decimal(&r->text, p->pid);
	buf_put_z(&r->text, ",\"uid\":");
	buf_put_decimal(&r->text, p->uid);
	buf_put_byte(&r->text, '}');
	member_end(r);
}

static struct str claim_name(enum claim_kind kind)
{
	switch (kind) {
	case CLAIM_DNS: return STR("dns");
	case CLAIM_CONNECTION: return STR("connection");
	case CLAIM_CONNECTION_END: return STR("connection_end");
	case CLAIM_REFUSED: return STR("refused");
	case CLAIM_EXEC: return STR("exec");
	case CLAIM_EXIT: return STR("exit");
	case CLAIM_FILE: return STR("file");
	case CLAIM_START: return STR("start");
	case CLAIM_STOP: return STR("stop");
	case CLAIM_TERMINAL: return STR("terminal");
	case CLAIM_LIMIT: return STR("limit");
	}
	return STR("unknown");
}

struct str record_claim_kind(enum claim_kind kind)
{
	switch (kind) {
	case CLAIM_DNS: return STR("dns");
	case CLAIM_CONNECTION:
	case CLAIM_CONNECTION_END: return STR("connection");
	case CLAIM_REFUSED: return STR("denial");
	case CLAIM_LIMIT: return STR("limit");
	case CLAIM_START:	/* the supervisor's word; the trail's own start and stop are the courier's */
	case CLAIM_STOP:
	case CLAIM_EXEC:
	case CLAIM_EXIT:
	case CLAIM_FILE:
	case CLAIM_TERMINAL: break;
	}
	return STR("claim");
}

static void put_address(struct record *r, struct str address)
{
	char text[INET6_ADDRSTRLEN];

	if (address.n != 4 && address.n != 16)
		return;
	if (inet_ntop(address.n == 4 ? AF_INET : AF_INET6, address.p, text, sizeof text))
		record_text(r, "address", str_of(text), sizeof text);
}

void record_claim(struct record *r, const struct msg_claim *c)
{
	record_text(r, "claim", claim_name(c->kind), 64);
	if (c->result)
		record_text(r, "result", str_of(err_name(c->result)), 64);
	if (c->text.n)
		record_text(r, "text", c->text, 512);
	if (c->host.n)
		record_text(r, "host", c->host, 255);
	put_address(r, c->address);
	if (c->port)
		record_integer(r, "port", c->port);
	if (c->query_type)
		record_integer(r, "query_type", c->query_type);
	if (c->path.n)
		record_text(r, "path", c->path, 1024);
	if (c->protocol.n)
		record_text(r, "protocol", c->protocol, 16);
	if (c->has_verdict)
		record_text(r, "verdict", c->verdict ? STR("yes") : STR("no"), 8);
	if (c->connection)
		record_integer(r, "connection", c->connection);
	if (c->bytes_in)
		record_integer(r, "bytes_in", c->bytes_in);
	if (c->bytes_out)
		record_integer(r, "bytes_out", c->bytes_out);
	if (c->has_exit_code)
		record_integer(r, "exit_code", c->exit_code);
	if (c->has_exit_signal)
		record_integer(r, "exit_signal", c->exit_signal);
	record_process(r, &c->process);
}

static struct str name_of(const struct record *r, const struct member *m)
{
	return str_make(r->text.p + m->start + 1, m->name_bytes);
}

static int compare(const struct record *r, const struct member *a, const struct member *b)
{
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return str_compare(name_of(r, a), name_of(r, b));
}

/* Insertion sort: a handful of members, most of them nearly in order. */
static enum err sort_members(struct record *r)
{
	for (size_t i = 1; i < r->count; i++) {
		struct member m = r->members[i];
		size_t at = i;

		for (; at > 0; at--) {
			int c = compare(r, &r->members[at - 1], &m);

			if (c == 0)
				return ERR_INPUT;
			if (c < 0)
				break;
			r->members[at] = r->members[at - 1];
		}
		r->members[at] = m;
	}
	return ERR_OK;
}

static enum err put_line(struct record *r, struct buf *line)
{
	enum err e = r->err ? r->err : sort_members(r);

	if (e)
		return e;
	buf_put_byte(line, '{');
	for (size_t i = 0; i < r->count; i++) {
		const struct member *m = &r->members[i];

		if (i)
			buf_put_byte(line, ',');
		buf_put(line, str_make(r->text.p + m->start, m->bytes));
	}
	buf_put_byte(line, '}');
	return buf_err(line);
}

enum err record_line(struct record *r, uint64_t seq, struct str prev_hex, uint64_t time_ns, struct buf *line)
{
	struct member before[MEMBERS_MAX];
	size_t count = r->count, len = r->text.len;
	char time[CLOCK_RFC3339_BYTES];
	enum err e;

	if (r->err)
		return r->err;
	memcpy(before, r->members, count * sizeof *before);
	clock_rfc3339(time_ns, time);
	record_text(r, "time", str_of(time), sizeof time);
	record_text(r, "prev", prev_hex, 64);
	record_integer(r, "seq", seq);
	e = put_line(r, line);
	memcpy(r->members, before, count * sizeof *before);
	r->count = count;
	r->text.len = len;
	r->err = r->text.err = ERR_OK;
	return e;
}
