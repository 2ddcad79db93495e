/* scrub.c - Aho-Corasick over the encoded forms of a few needles; see scrub.h
 *
 * Theory of operation: one automaton holds, for each needle, the needle itself, its base64
 * in three alignments and two alphabets, and its hex in both cases. A stream walks it in
 * three lanes at once: over the bytes as they are, over the bytes with %XX undone, and over
 * the bytes with JSON's escapes undone. So every mixture of escaped and plain characters is
 * found, whatever an encoder chooses to escape and in whichever case of hex digits, also when
 * it is base64 that was escaped. The two decoding lanes sleep until an escape begins, and
 * again once they and the plain lane are all at the root, from where on what begins nothing is
 * passed over (scrub_skip.h): ordinary bytes cost a fraction of a look-up each.
 *
 * Base64: of a needle at an unknown offset only the characters are certain that no
 * neighbouring byte has a part in. These are searched; up to four bits at either end of the
 * needle are not compared.
 *
 * What is not found: base64 with line breaks inside; an encoding of an encoding other than
 * the above (base64 of base64, JSON inside of JSON); '+' for a space together with %XX;
 * characters outside of the BMP as a JSON surrogate pair; hex digits of changing case within
 * plain hex; quoted-printable, HTML entities, compression, encryption; a needle taken apart
 * by other bytes; an escaped form (not a plain one) whose first bytes complete an escape that
 * stray bytes before it began.
 *
 * The automaton spells its needles, so that it lives in the same kind of memory as they do.
 * Failure: without memory, or over SCRUB_BYTES_MAX, a set does not build, and there is
 * nothing to search with: the caller refuses.
 * Source: Aho, Corasick, CACM 18(6), 1975; RFC 4648; RFC 3986 s2.1; RFC 8259 s7.
 */
#include "credential/scrub.h"

#include "base/secret.h"
#include "credential/scrub_skip.h"

#include <assert.h>
#include <stdlib.h>

#define NODES_OF_BYTE 14u	/* plain, hex twice, six times 4/3 */
#define ROOT 0u
#define NO_ID 0u	/* ids are kept plus one */

/* 24 bytes; children are a list by `sibling`, but for the root's, which are a table */
struct node {
	uint32_t fail, child, sibling, depth;
	uint64_t id : 40, byte : 8;
};

struct scrub_set {
	size_t needle_count;
	struct secret *needles[SCRUB_NEEDLES_MAX];
	uint32_t ids[SCRUB_NEEDLES_MAX];

	struct node *nodes;	/* secret memory; NULL until built */
	size_t nodes_bytes;
	uint32_t node_count, depth_max;
	uint32_t *root;		/* secret memory: child of the root for each byte, or ROOT */
	struct scrub_skip *skip;	/* secret memory: what moves no lane away from the root for long */
};

enum lane_kind { LANE_PERCENT, LANE_JSON, LANES };

#define PENDING_MAX 6

struct lane {
	bool awake;
	uint32_t node;
	size_t pending_n;
	char pending[PENDING_MAX];	/* an escape whose end has not come */
	uint64_t decoded;		/* bytes put out since it woke */
	uint64_t *starts;		/* ring: where in the stream each of them began */
};

struct scrub {
	const struct scrub_set *set;
	uint64_t fed;
	uint32_t node;			/* of the plain lane */
	uint64_t hit;			/* id + 1 of the first hit of this feed */
	struct lane lanes[LANES];
	uint64_t ring_mask;
	uint64_t rings[];
};

/* ---- building ---- */

struct scrub_set *scrub_set_new(void)
{
	return calloc(1, sizeof(struct scrub_set));
}

void scrub_set_free(struct scrub_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->needle_count; i++)
		secret_free(s->needles[i]);
	secret_unmap(s->nodes, s->nodes_bytes);
	secret_unmap(s->root, 256 * sizeof *s->root);
	secret_unmap(s->skip, sizeof *s->skip);
	free(s);
}

enum err scrub_set_add(struct scrub_set *s, struct str needle, uint32_t id)
{
	enum err e;

	if (s->nodes)
		return ERR_STATE;
	if (needle.n < SCRUB_NEEDLE_MIN || s->needle_count == SCRUB_NEEDLES_MAX)
		return ERR_LIMIT;
	e = secret_new(needle.p, needle.n, &s->needles[s->needle_count]);
	if (e)
		return e;
	s->ids[s->needle_count++] = id;
	return ERR_OK;
}

bool scrub_set_empty(const struct scrub_set *s) { return s->needle_count == 0; }

static uint32_t child_of(const struct scrub_set *s, uint32_t node, uint8_t byte)
{
	if (node == ROOT)
		return s->root[byte];
	for (uint32_t c = s->nodes[node].child; c; c = s->nodes[c].sibling)
		if (s->nodes[c].byte == byte)
			return c;
	return ROOT;
}

/* there is room: the table was sized for the sum of all forms */
static void insert(struct scrub_set *s, struct str form, uint32_t id)
{
	uint32_t node = ROOT;

	for (size_t i = 0; i < form.n; i++) {
		uint8_t byte = (uint8_t)form.p[i];
		uint32_t next = child_of(s, node, byte);

		if (!next) {
			assert(s->node_count < s->nodes_bytes / sizeof *s->nodes);
			next = s->node_count++;
			s->nodes[next].byte = byte;
			s->nodes[next].depth = (uint32_t)i + 1;
			s->nodes[next].sibling = node == ROOT ? ROOT : s->nodes[node].child;
			s->nodes[node].child = next;
			if (node == ROOT)
				s->root[byte] = next;
		}
		node = next;
	}
	if (s->nodes[node].id == NO_ID)
		s->nodes[node].id = (uint64_t)id + 1;
	if (form.n > s->depth_max)
		s->depth_max = (uint32_t)form.n;
}

/* the characters of the base64 of (@before unknown bytes, @needle, unknown bytes) that are
 * the needle's alone, in @form */
static void base64_middle(struct str needle, size_t before, bool url, struct buf *form)
{
	size_t first = (8 * before + 5) / 6, end = 8 * (before + needle.n) / 6;
	auto_buf whole = BUF_EMPTY;

	buf_init_secret(&whole, form->max);
	buf_put(&whole, str_make("\0\0", before));
	buf_put(&whole, needle);
	if (url)
		buf_put_base64url(form, buf_str(&whole));
	else
		buf_put_base64(form, buf_str(&whole));
	if (buf_err(&whole) && !form->err)
		form->err = buf_err(&whole);
	if (form->err)
		return;
	form->len = end;
	buf_drop(form, first);
}

#define FORMS 9u	/* plain, hex in two cases, base64 in three alignments and two alphabets */

static void put_form(struct str needle, unsigned which, struct buf *form)
{
	buf_clear(form);
	switch (which) {
	case 0:
		buf_put(form, needle);
		break;
	case 1:
		buf_put_hex(form, needle);
		break;
	case 2:
		buf_put_hex(form, needle);
		for (size_t i = 0; i < form->len; i++)
			if (form->p[i] >= 'a')
				form->p[i] = (char)(form->p[i] - 32);
		break;
	default:
		base64_middle(needle, (which - 3) % 3, which >= 6, form);
		break;
	}
}

static enum err insert_all(struct scrub_set *s)
{
	enum err e = ERR_OK;
	auto_buf form = BUF_EMPTY;

	buf_init_secret(&form, 2 * SECRET_MAX_BYTES + 16);
	for (size_t i = 0; i < s->needle_count && !e; i++)
		for (unsigned which = 0; which < FORMS && !e; which++) {
			put_form(secret_str(s->needles[i]), which, &form);
			e = buf_err(&form);
			if (!e)
				insert(s, buf_str(&form), s->ids[i]);
		}
	return e;
}

static uint32_t step(const struct scrub_set *s, uint32_t node, uint8_t byte)
{
	for (;;) {
		uint32_t next = child_of(s, node, byte);

		if (next || node == ROOT)
			return next;
		node = s->nodes[node].fail;
	}
}

static void link_children(struct scrub_set *s, uint32_t node, uint32_t *queue, uint32_t *tail)
{
	for (uint32_t c = s->nodes[node].child; c; c = s->nodes[c].sibling) {
		s->nodes[c].fail = step(s, s->nodes[node].fail, s->nodes[c].byte);
		if (s->nodes[c].id == NO_ID)
			s->nodes[c].id = s->nodes[s->nodes[c].fail].id;
		queue[(*tail)++] = c;
	}
}

/* breadth first, so that a node's failure link is ready before its children's are made */
static enum err link_failures(struct scrub_set *s)
{
	size_t bytes = s->node_count * sizeof(uint32_t);
	uint32_t *queue = secret_map(bytes), tail = 0;

	if (!queue)
		return ERR_MEMORY;
	for (unsigned b = 0; b < 256; b++)
		if (s->root[b])
			queue[tail++] = s->root[b];
	for (uint32_t head = 0; head < tail; head++)
		link_children(s, queue[head], queue, &tail);
	secret_unmap(queue, bytes);
	return ERR_OK;
}

/* no form is shorter than two bytes */
static void prepare_skip(struct scrub_set *s)
{
	for (unsigned b = 0; b < 256; b++)
		for (uint32_t c = s->root[b] ? s->nodes[s->root[b]].child : ROOT; c; c = s->nodes[c].sibling)
			scrub_skip_pair(s->skip, (uint8_t)b, (uint8_t)s->nodes[c].byte);
	scrub_skip_ready(s->skip);
}

enum err scrub_set_build(struct scrub_set *s)
{
	size_t bytes = 0;
	enum err e;

	if (s->nodes)
		return ERR_STATE;
	for (size_t i = 0; i < s->needle_count; i++)
		bytes += secret_str(s->needles[i]).n;
	if (bytes > SCRUB_BYTES_MAX)
		return ERR_LIMIT;
	s->nodes_bytes = (1 + NODES_OF_BYTE * bytes) * sizeof *s->nodes;
	s->nodes = secret_map(s->nodes_bytes);
	s->root = secret_map(256 * sizeof *s->root);
	s->node_count = 1;
	s->skip = secret_map(sizeof *s->skip);
	if (!s->nodes || !s->root || !s->skip)
		return ERR_MEMORY;
	e = insert_all(s);
	if (!e)
		e = link_failures(s);
	if (!e)
		prepare_skip(s);
	return e;
}

/* ---- one stream ---- */

struct scrub *scrub_new(const struct scrub_set *set)
{
	size_t ring = 1;
	struct scrub *s;

	assert(set->nodes);
	while (ring < set->depth_max)
		ring *= 2;
	s = calloc(1, sizeof *s + LANES * ring * sizeof s->rings[0]);
	if (!s)
		return NULL;
	s->set = set;
	s->ring_mask = ring - 1;
	for (size_t i = 0; i < LANES; i++)
		s->lanes[i].starts = s->rings + i * ring;
	return s;
}

void scrub_reset(struct scrub *s)
{
	for (size_t i = 0; i < LANES; i++) {
		explicit_bzero(s->lanes[i].pending, sizeof s->lanes[i].pending);
		s->lanes[i].pending_n = 0;
		s->lanes[i].awake = false;
		s->lanes[i].node = ROOT;
	}
	s->node = ROOT;
	s->fed = 0;
	s->hit = NO_ID;
}

void scrub_free(struct scrub *s)
{
	if (s)
		scrub_reset(s);
	free(s);
}

static uint32_t walk(struct scrub *s, uint32_t node, uint8_t byte)
{
	uint32_t next = step(s->set, node, byte);
	uint64_t id = s->set->nodes[next].id;

	if (id != NO_ID && s->hit == NO_ID)
		s->hit = id;
	return next;
}

static void put_decoded(struct scrub *s, struct lane *l, uint8_t byte, uint64_t start)
{
	l->starts[l->decoded++ & s->ring_mask] = start;
	l->node = walk(s, l->node, byte);
}

/* joins the plain lane where that was before the escape's first byte, at @at */
static void lane_wake(struct scrub *s, struct lane *l, uint32_t node, uint64_t at)
{
	uint64_t depth = s->set->nodes[node].depth;

	l->awake = true;
	l->node = node;
	l->pending_n = 0;
	l->decoded = depth;
	for (uint64_t i = 0; i < depth; i++)
		l->starts[i & s->ring_mask] = at - depth + i;
}

enum escape { ESCAPE_PART, ESCAPE_DONE, ESCAPE_NONE };

/* what pending bytes are; *ret_code is the code point (or byte) that they stand for */
static enum escape percent_escape(const char *p, size_t n, uint32_t *ret_code)
{
	if (n > 1 && ascii_hex(p[n - 1]) < 0)
		return ESCAPE_NONE;
	if (n < 3)
		return ESCAPE_PART;
	*ret_code = (uint32_t)(ascii_hex(p[1]) * 16 + ascii_hex(p[2]));
	return ESCAPE_DONE;
}

static enum escape json_escape(const char *p, size_t n, uint32_t *ret_code)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *hit;

	if (n == 1 || (n == 2 && p[1] == 'u'))
		return ESCAPE_PART;
	if (n == 2) {
		hit = memchr(names, p[1], sizeof names - 1);
		if (!hit)
			return ESCAPE_NONE;
		*ret_code = (uint8_t)values[hit - names];
		return ESCAPE_DONE;
	}
	if (ascii_hex(p[n - 1]) < 0)
		return ESCAPE_NONE;
	if (n < 6)
		return ESCAPE_PART;
	*ret_code = 0;
	for (size_t i = 2; i < 6; i++)
		*ret_code = *ret_code * 16 + (uint32_t)ascii_hex(p[i]);
	return ESCAPE_DONE;
}

/* a JSON code point stands for its UTF-8, a percent escape for its byte */
static void put_code(struct scrub *s, struct lane *l, bool utf8, uint32_t code, uint64_t start)
{
	if (!utf8 || code < 0x80) {
		put_decoded(s, l, (uint8_t)code, start);
	} else if (code < 0x800) {
		put_decoded(s, l, (uint8_t)(0xc0 | code >> 6), start);
		put_decoded(s, l, (uint8_t)(0x80 | (code & 63)), start);
	} else {
		put_decoded(s, l, (uint8_t)(0xe0 | code >> 12), start);
		put_decoded(s, l, (uint8_t)(0x80 | (code >> 6 & 63)), start);
		put_decoded(s, l, (uint8_t)(0x80 | (code & 63)), start);
	}
}

/* the next byte @c, at @at, for a lane that is awake */
static void lane_byte(struct scrub *s, enum lane_kind kind, char c, uint64_t at)
{
	struct lane *l = &s->lanes[kind];
	char begin = kind == LANE_JSON ? '\\' : '%';
	uint32_t code = 0;
	enum escape e;

	if (l->pending_n == 0 && c != begin) {
		put_decoded(s, l, (uint8_t)c, at);
		return;
	}
	l->pending[l->pending_n++] = c;
	e = kind == LANE_JSON ? json_escape(l->pending, l->pending_n, &code)
			      : percent_escape(l->pending, l->pending_n, &code);
	if (e == ESCAPE_PART)
		return;
	if (e == ESCAPE_DONE) {
		put_code(s, l, kind == LANE_JSON, code, at + 1 - l->pending_n);
		l->pending_n = 0;
		return;
	}
	for (size_t i = 0; i < l->pending_n - 1; i++)	/* no escape: these were what they were */
		put_decoded(s, l, (uint8_t)l->pending[i], at + 1 - l->pending_n + i);
	l->pending_n = 0;
	if (c == begin)
		l->pending[l->pending_n++] = c;
	else
		put_decoded(s, l, (uint8_t)c, at);
}

static void lanes_byte(struct scrub *s, char c, uint32_t before)
{
	for (enum lane_kind kind = 0; kind < LANES; kind++) {
		struct lane *l = &s->lanes[kind];

		if (!l->awake) {
			if (c != (kind == LANE_JSON ? '\\' : '%'))
				continue;
			lane_wake(s, l, before, s->fed);
		}
		lane_byte(s, kind, c, s->fed);
		/* from the root on both lanes are one; deeper, they hold back different bytes */
		if (l->node == ROOT && s->node == ROOT && l->pending_n == 0)
			l->awake = false;
	}
}

bool scrub_feed(struct scrub *s, struct str bytes, uint32_t *ret_id)
{
	size_t i = 0;

	s->hit = NO_ID;
	while (i < bytes.n) {
		if (s->node == ROOT && !s->lanes[LANE_PERCENT].awake && !s->lanes[LANE_JSON].awake) {
			size_t from = i;

			i = scrub_skip(s->set->skip, bytes, i);
			s->fed += i - from;
			if (i == bytes.n)
				break;
		}
		uint32_t before = s->node;

		s->node = walk(s, before, (uint8_t)bytes.p[i]);
		lanes_byte(s, bytes.p[i], before);
		s->fed++;
		i++;
	}
	if (s->hit == NO_ID)
		return false;
	*ret_id = (uint32_t)(s->hit - 1);
	return true;
}

size_t scrub_held(const struct scrub *s)
{
	const struct node *nodes = s->set->nodes;
	uint64_t held = nodes[s->node].depth;

	for (size_t i = 0; i < LANES; i++) {
		const struct lane *l = &s->lanes[i];
		uint64_t depth = nodes[l->node].depth, n = l->pending_n;

		if (!l->awake)
			continue;
		if (depth)
			n = s->fed - l->starts[(l->decoded - depth) & s->ring_mask];
		if (n > held)
			held = n;
	}
	return (size_t)held;
}

/* Without the beginning of an escape there is the plain lane alone, and nothing to remember. */
static bool search_plain(const struct scrub_set *set, struct str bytes, uint32_t *ret_id)
{
	uint32_t node = ROOT;

	for (size_t i = 0; i < bytes.n; i++) {
		if (node == ROOT)
			i = scrub_skip(set->skip, bytes, i);
		if (i == bytes.n)
			break;
		node = step(set, node, (uint8_t)bytes.p[i]);
		if (set->nodes[node].id == NO_ID)
			continue;
		*ret_id = (uint32_t)(set->nodes[node].id - 1);
		return true;
	}
	return false;
}

bool scrub_search(const struct scrub_set *set, struct str bytes, uint32_t *ret_id)
{
	struct scrub *s;
	bool hit;

	if (scrub_set_empty(set) || bytes.n == 0)
		return false;
	if (!memchr(bytes.p, '%', bytes.n) && !memchr(bytes.p, '\\', bytes.n))
		return search_plain(set, bytes, ret_id);
	s = scrub_new(set);
	if (!s) {	/* without memory there is no saying that it is not there (I8) */
		*ret_id = set->ids[0];
		return true;
	}
	hit = scrub_feed(s, bytes, ret_id);
	scrub_free(s);
	return hit;
}
