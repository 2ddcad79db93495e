/* encoded.c - a body in a content coding, that passes as it came once its plain form has been searched
 *
 * Theory of operation: a mark says that the first `input` bytes of the body are wholly in the first `output`
 * plain bytes. It is due when those plain bytes are searched and none of them may still become part of a
 * needle. Marks that are not due wait in a short list; when it is full the newest takes the place of the one
 * before it, which only sets bytes free later.
 * A compressed symbol that is cut by the end of what is clear can say something of the one plain byte that
 * follows, and the tables of a compressed block something of which bytes occur in it; never a part of a
 * needle beyond that.
 * Trust: a captured decoder can set this body free without a search (I2: it
 * misjudges its own exchange); that is why the owner searches the encoded bytes too.
 */
#include "courier/encoded.h"

#include <stdlib.h>

#define MARKS_MAX 32

struct encoded {
	struct decode *decode;
	const struct encoded_ops *ops;
	void *user;
	uint64_t output, clear;
	size_t held;			/* of the output's last bytes */
	struct { uint64_t input, output; } marks[MARKS_MAX];
	unsigned mark_count;
};

/* ---- which coding ---- */

static bool coding_of(struct str name, enum decoder_job *ret)
{
	static const struct { struct str name; enum decoder_job job; } codings[] = {
		{ STR_INIT("gzip"), DECODER_GZIP }, { STR_INIT("x-gzip"), DECODER_GZIP },
		{ STR_INIT("deflate"), DECODER_DEFLATE }, { STR_INIT("br"), DECODER_BROTLI },
		{ STR_INIT("zstd"), DECODER_ZSTD }, { STR_INIT("aws-chunked"), DECODER_AWS_CHUNKED },
	};

	for (size_t i = 0; i < sizeof codings / sizeof *codings; i++)
		if (str_eq_nocase(name, codings[i].name)) {
			*ret = codings[i].job;
			return true;
		}
	return false;
}

/* The members of one field's list. */
static enum err field_codings(struct str value, enum decoder_job *ret)
{
	while (value.n) {
		struct str member = str_head(value, str_find(value, ','));

		value = str_from(value, member.n + 1);
		member = str_trim(member);
		if (member.n == 0 || str_eq_nocase(member, STR("identity")))
			continue;
		if (*ret || !coding_of(member, ret))
			return ERR_CANNOT_SCRUB;
	}
	return ERR_OK;
}

enum err encoded_coding(const struct head *h, enum decoder_job *ret)
{
	enum decoder_job found = 0;
	enum err e = ERR_OK;

	for (uint32_t i = 0; e == ERR_OK && i < h->field_count; i++)
		if (str_eq(h->fields[i].name, STR("content-encoding")))
			e = field_codings(h->fields[i].value, &found);
	if (e == ERR_OK)
		*ret = found;
	return e;
}

/* ---- what is clear ---- */

/* The last mark that is due, and all before it. */
static bool settle(struct encoded *e)
{
	uint64_t searched = e->output - (e->held < e->output ? e->held : e->output);
	unsigned due = 0;

	while (due < e->mark_count && e->marks[due].output <= searched)
		due++;
	if (due == 0)
		return false;
	e->clear = e->marks[due - 1].input;
	e->mark_count -= due;
	memmove(e->marks, e->marks + due, e->mark_count * sizeof *e->marks);
	return true;
}

static void on_output(void *user, struct str bytes)
{
	struct encoded *e = user;
	size_t held = 0;
	enum err why = e->ops->search(e->user, bytes, &held);

	if (why != ERR_OK) {
		e->ops->done(e->user, why, "");
		return;
	}
	e->output += bytes.n;
	e->held = held;
	if (settle(e))
		e->ops->clear(e->user);
}

static void on_mark(void *user, uint64_t input)
{
	struct encoded *e = user;

	if (e->mark_count == MARKS_MAX)
		e->mark_count--;
	e->marks[e->mark_count].input = input;
	e->marks[e->mark_count++].output = e->output;
	if (settle(e))
		e->ops->clear(e->user);
}

static void on_room(void *user)
{
	struct encoded *e = user;

	e->ops->clear(e->user);
}

static void on_done(void *user, enum err why, const char *reason)
{
	struct encoded *e = user;

	e->ops->done(e->user, why, reason);
}

/* ---- beginning and end ---- */

enum err encoded_start(struct courier *c, enum decoder_job coding, const struct encoded_ops *ops, void *user,
		       struct encoded **ret)
{
	static const struct decode_ops decode_ops = { .output = on_output, .mark = on_mark, .room = on_room,
						      .done = on_done };
	struct encoded *e = calloc(1, sizeof *e);

	if (!e)
		return ERR_MEMORY;
	e->ops = ops;
	e->user = user;
	enum err why = decode_start(c, coding, STR(""), &decode_ops, e, &e->decode);

	if (why != ERR_OK) {
		free(e);
		return why;
	}
	*ret = e;
	return ERR_OK;
}

size_t encoded_room(const struct encoded *e) { return decode_room(e->decode); }

enum err encoded_input(struct encoded *e, struct str bytes) { return decode_input(e->decode, bytes); }

void encoded_end(struct encoded *e) { decode_end(e->decode); }

uint64_t encoded_clear(const struct encoded *e) { return e->clear; }

void encoded_free(struct encoded *e)
{
	if (!e)
		return;
	decode_free(e->decode);
	free(e);
}
