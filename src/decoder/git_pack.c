/* git_pack.c - the commits of a pack, as it streams by
 *
 * Theory of operation: every object is inflated, since only so is it known where the next one begins; of
 * commits (and deltas whose base is a commit of this pack) the content is kept until its parents and its id
 * are known. All else is thrown away as it comes out. So a pack of any size costs bounded memory. What is not
 * understood (a delta against what only the server has, a commit of absurd size, too many) is left out, and
 * whoever asks about a history that needs it is told UNKNOWN: nothing is guessed. Malformed is an error;
 * extra bytes after the checksum are too.
 * Source: gitformat-pack(5).
 */
#include "decoder/git.h"
#include "decoder/git_commits.h"

#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#define OBJECT_KEPT_MAX (1024u * 1024)		/* a commit, or a delta of one */

enum state { STATE_HEADER, STATE_OBJECT, STATE_SIZE, STATE_OFFSET, STATE_BASE, STATE_DATA, STATE_TRAILER,
	     STATE_OVER };
enum object { OBJECT_COMMIT = 1, OBJECT_TREE, OBJECT_BLOB, OBJECT_TAG, OBJECT_OFFSET_DELTA = 6,
	      OBJECT_ID_DELTA };

struct git_pack {
	struct git_sink *sink;
	unsigned id_bytes;
	enum state state;
	uint8_t small[GIT_ID_MAX];	/* header, base id, trailer: gathered */
	size_t have;
	uint64_t at;			/* bytes of the pack before the next one */
	uint32_t left;			/* objects still to come */
	uint64_t object_at, size, inflated, distance;
	unsigned shift;
	enum object type;
	const struct git_commit *base;	/* of a delta; NULL: not a commit that is here */
	bool keep;
	struct buf content;
	z_stream z;
	bool z_ready;
	struct git_commits *commits;
};

struct git_pack *git_pack_new(unsigned id_bytes, struct git_sink *sink)
{
	struct git_pack *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->sink = sink;
	p->id_bytes = id_bytes;
	buf_init(&p->content, OBJECT_KEPT_MAX);
	p->commits = git_commits_new(id_bytes);
	p->z_ready = inflateInit(&p->z) == Z_OK;
	if (p->commits && p->z_ready)
		return p;
	git_pack_free(p);
	return NULL;
}

void git_pack_free(struct git_pack *p)
{
	if (!p)
		return;
	if (p->z_ready)
		(void)inflateEnd(&p->z);
	git_commits_free(p->commits);
	buf_free(&p->content);
	free(p);
}

static enum err bad(struct git_pack *p, const char *reason)
{
	p->sink->reason = reason;
	return ERR_DECODER;
}

static bool gather(struct git_pack *p, struct str *input, size_t want)
{
	size_t n = want - p->have < input->n ? want - p->have : input->n;

	memcpy(p->small + p->have, input->p, n);
	p->have += n;
	p->at += n;
	*input = str_from(*input, n);
	if (p->have < want)
		return false;
	p->have = 0;
	return true;
}

static uint8_t byte(struct git_pack *p, struct str *input)
{
	uint8_t c = (uint8_t)input->p[0];

	*input = str_from(*input, 1);
	p->at++;
	return c;
}

static enum err header(struct git_pack *p, struct str *input)
{
	if (!gather(p, input, 12))
		return ERR_OK;
	if (memcmp(p->small, "PACK\0\0\0", 7) != 0 || (p->small[7] != 2 && p->small[7] != 3))
		return bad(p, "no pack");
	p->left = (uint32_t)p->small[8] << 24 | (uint32_t)p->small[9] << 16 | (uint32_t)p->small[10] << 8 |
		  p->small[11];
	p->state = p->left ? STATE_OBJECT : STATE_TRAILER;
	return ERR_OK;
}

/* The type and size are known: is its content wanted? */
static enum err begin_data(struct git_pack *p)
{
	p->keep = (p->type == OBJECT_COMMIT || p->base) && p->size <= OBJECT_KEPT_MAX;
	p->inflated = 0;
	buf_clear(&p->content);
	p->state = STATE_DATA;
	return inflateReset(&p->z) == Z_OK ? ERR_OK : ERR_MEMORY;
}

static enum err after_size(struct git_pack *p)
{
	p->base = NULL;
	p->distance = 0;
	switch (p->type) {
	case OBJECT_COMMIT:
	case OBJECT_TREE:
	case OBJECT_BLOB:
	case OBJECT_TAG:
		return begin_data(p);
	case OBJECT_OFFSET_DELTA:
		p->state = STATE_OFFSET;
		p->shift = 0;
		return ERR_OK;
	case OBJECT_ID_DELTA:
		p->state = STATE_BASE;
		return ERR_OK;
	}
	return bad(p, "an object of an unknown type");
}

static enum err object(struct git_pack *p, struct str *input)
{
	uint8_t c;

	p->object_at = p->at;
	c = byte(p, input);
	p->type = (enum object)(c >> 4 & 7);
	p->size = c & 15;
	p->shift = 4;
	p->state = STATE_SIZE;
	return c & 0x80 ? ERR_OK : after_size(p);
}

static enum err more_size(struct git_pack *p, struct str *input)
{
	uint8_t c = byte(p, input);

	if (p->shift > 57 || (p->shift == 53 + 4 && c > 0x7f))
		return bad(p, "an object of impossible size");
	p->size |= (uint64_t)(c & 0x7f) << p->shift;
	p->shift += 7;
	return c & 0x80 ? ERR_OK : after_size(p);
}

static enum err offset(struct git_pack *p, struct str *input)
{
	uint8_t c = byte(p, input);

	if (p->distance >> 56)
		return bad(p, "a delta of an impossible offset");
	p->distance = p->shift ? (p->distance + 1) << 7 | (c & 0x7f) : c & 0x7f;
	p->shift = 1;
	if (c & 0x80)
		return ERR_OK;
	if (p->distance == 0 || p->distance > p->object_at)
		return bad(p, "a delta of an impossible offset");
	p->base = git_commits_at(p->commits, p->object_at - p->distance);
	return begin_data(p);
}

static enum err base_id(struct git_pack *p, struct str *input)
{
	if (!gather(p, input, p->id_bytes))
		return ERR_OK;
	p->base = git_commits_find(p->commits, p->small);
	return begin_data(p);
}

static enum err object_over(struct git_pack *p)
{
	enum err e = ERR_OK;

	if (p->inflated != p->size)
		return bad(p, "an object that is not as long as it says");
	if (p->keep && p->type == OBJECT_COMMIT)
		e = git_commits_add(p->commits, p->object_at, buf_str(&p->content));
	else if (p->keep)
		e = git_commits_add_delta(p->commits, p->object_at, p->base, buf_str(&p->content));
	if (e == ERR_DECODER)
		return bad(p, "a malformed delta of a commit");
	p->state = --p->left ? STATE_OBJECT : STATE_TRAILER;
	return e;
}

static enum err data(struct git_pack *p, struct str *input)
{
	uint8_t out[32768];
	struct str piece = str_head(*input, 65536);
	int status;

	p->z.next_in = (const Bytef *)piece.p;
	p->z.avail_in = (uInt)piece.n;
	do {
		size_t n;

		p->z.next_out = out;
		p->z.avail_out = sizeof out;
		status = inflate(&p->z, Z_NO_FLUSH);
		if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
			return bad(p, "an object that does not inflate");
		n = sizeof out - p->z.avail_out;
		p->inflated += n;
		if (p->inflated > p->size)
			return bad(p, "an object longer than it says");
		if (p->keep)
			buf_put(&p->content, str_make(out, n));
	} while (status == Z_OK && (p->z.avail_in || p->z.avail_out == 0));
	p->at += piece.n - p->z.avail_in;
	*input = str_from(*input, piece.n - p->z.avail_in);
	if (buf_err(&p->content) != ERR_OK)
		return buf_err(&p->content);
	return status == Z_STREAM_END ? object_over(p) : ERR_OK;
}

static enum err trailer(struct git_pack *p, struct str *input)
{
	if (gather(p, input, p->id_bytes))
		p->state = STATE_OVER;
	return ERR_OK;
}

enum err git_pack_feed(struct git_pack *p, struct str input)
{
	static enum err (*const steps[])(struct git_pack *p, struct str *input) = {
		[STATE_HEADER] = header, [STATE_OBJECT] = object, [STATE_SIZE] = more_size,
		[STATE_OFFSET] = offset, [STATE_BASE] = base_id, [STATE_DATA] = data,
		[STATE_TRAILER] = trailer,
	};
	enum err e = ERR_OK;

	while (input.n && e == ERR_OK)
		e = p->state == STATE_OVER ? bad(p, "bytes after the pack") : steps[p->state](p, &input);
	return e;
}

enum err git_pack_end(struct git_pack *p)
{
	return p->state == STATE_OVER ? ERR_OK : bad(p, "a pack without its end");
}

uint64_t git_pack_passable(const struct git_pack *p)
{
	return p->state == STATE_TRAILER ? p->at - p->have : p->state == STATE_OVER ? p->at - p->id_bytes : p->at;
}

enum git_forced git_pack_forced(struct git_pack *p, const uint8_t *old, const uint8_t *new)
{
	return git_commits_forced(p->commits, old, new);
}
