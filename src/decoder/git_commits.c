/* git_commits.c - see git_commits.h
 *
 * Theory of operation: an array in the pack's order (found by offset through bisection) and a hash table over
 * the ids, which the pack's maker can make slow, within the decoder's CPU limit, and nothing else. Everything
 * is bounded: how many commits, how many bytes of content; beyond it commits are left out, so that histories
 * end in UNKNOWN.
 */
#include "decoder/git_commits.h"

/* OpenSSL has a type of the name of one of our errors, which nobody here needs */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/evp.h>
#undef ERR_STATE
#include <stdio.h>
#include <stdlib.h>

#define SLOTS_FIRST 256u		/* doubled while more than half of them are taken */
#define PARENTS_MAX 64

static EVP_MD *digests[2];		/* SHA-1, SHA-256: of the process, made before confinement */

struct git_commits {
	unsigned id_bytes;
	uint32_t count, room, mark;
	size_t kept;			/* bytes of content */
	struct git_commit *items;
	uint32_t *slots, slot_count;	/* index + 1; a power of two of them */
	EVP_MD_CTX *digest;
};

enum err git_prepare(void)
{
	if (!digests[0])
		digests[0] = EVP_MD_fetch(NULL, "SHA1", NULL);
	if (!digests[1])
		digests[1] = EVP_MD_fetch(NULL, "SHA256", NULL);
	return digests[0] && digests[1] ? ERR_OK : ERR_LOCAL;
}

struct git_commits *git_commits_new(unsigned id_bytes)
{
	struct git_commits *s = git_prepare() == ERR_OK ? calloc(1, sizeof *s) : NULL;

	if (!s)
		return NULL;
	s->id_bytes = id_bytes;
	s->slot_count = SLOTS_FIRST;
	s->slots = calloc(s->slot_count, sizeof *s->slots);
	s->digest = EVP_MD_CTX_new();
	if (s->slots && s->digest)
		return s;
	git_commits_free(s);
	return NULL;
}

void git_commits_free(struct git_commits *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++) {
		free(s->items[i].parent);
		free(s->items[i].content);
	}
	EVP_MD_CTX_free(s->digest);
	free(s->items);
	free(s->slots);
	free(s);
}

/* ---- ids ---- */

static bool make_id(struct git_commits *s, struct str content, uint8_t ret[GIT_ID_MAX])
{
	char header[32];
	int n = snprintf(header, sizeof header, "commit %zu", content.n);

	memset(ret, 0, GIT_ID_MAX);
	return EVP_DigestInit_ex2(s->digest, digests[s->id_bytes == 32], NULL) == 1 &&
	       EVP_DigestUpdate(s->digest, header, (size_t)n + 1) == 1 &&
	       EVP_DigestUpdate(s->digest, content.p, content.n) == 1 &&
	       EVP_DigestFinal_ex(s->digest, ret, NULL) == 1;
}

/* The slot of @id: where it is, or where it would be. */
static uint32_t *slot_of(const struct git_commits *s, const uint8_t *id)
{
	uint32_t i = ((uint32_t)id[0] << 16 | (uint32_t)id[1] << 8 | id[2]) & (s->slot_count - 1);

	while (s->slots[i] && memcmp(s->items[s->slots[i] - 1].id, id, s->id_bytes) != 0)
		i = (i + 1) & (s->slot_count - 1);
	return &s->slots[i];
}

static struct git_commit *known(const struct git_commits *s, const uint8_t *id)
{
	uint32_t i = *slot_of(s, id);

	return i ? &s->items[i - 1] : NULL;
}

const struct git_commit *git_commits_find(const struct git_commits *s, const uint8_t *id)
{
	const struct git_commit *c = known(s, id);

	return c && c->content ? c : NULL;
}

const struct git_commit *git_commits_at(const struct git_commits *s, uint64_t at)
{
	uint32_t low = 0, high = s->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (s->items[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->count && s->items[low].at == at && s->items[low].content ? &s->items[low] : NULL;
}

/* ---- adding ---- */

static bool hex_id(struct str hex, unsigned bytes, uint8_t *ret)
{
	for (size_t i = 0; i < bytes && 2 * i + 1 < hex.n; i++) {
		int high = ascii_hex(hex.p[2 * i]), low = ascii_hex(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high * 16 + low);
	}
	return hex.n == 2 * (size_t)bytes;
}

static struct str take_line(struct str *rest)
{
	struct str line = str_head(*rest, str_find(*rest, '\n'));

	*rest = str_from(*rest, line.n + 1);
	return line;
}

/* "tree <id>", then "parent <id>" lines; false: not a commit as git writes it */
static bool parse(const struct git_commits *s, struct str content, struct git_commit *c)
{
	struct str rest = content, line = take_line(&rest);
	uint8_t ids[PARENTS_MAX * GIT_ID_MAX];

	if (!str_starts(line, STR("tree ")) || !hex_id(str_from(line, 5), s->id_bytes, ids))
		return false;
	for (line = take_line(&rest); str_starts(line, STR("parent ")); line = take_line(&rest)) {
		if (c->parents == PARENTS_MAX ||
		    !hex_id(str_from(line, 7), s->id_bytes, ids + (size_t)c->parents * s->id_bytes))
			return false;
		c->parents++;
	}
	c->parent = malloc((size_t)c->parents * s->id_bytes + 1);
	if (c->parent)
		memcpy(c->parent, ids, (size_t)c->parents * s->id_bytes);
	return c->parent;
}

static enum err more_slots(struct git_commits *s)
{
	uint32_t *slots = calloc((size_t)s->slot_count * 2, sizeof *slots);

	if (!slots)
		return ERR_MEMORY;
	free(s->slots);
	s->slots = slots;
	s->slot_count *= 2;
	for (uint32_t i = 0; i < s->count; i++)
		*slot_of(s, s->items[i].id) = i + 1;
	return ERR_OK;
}

static enum err room(struct git_commits *s)
{
	uint32_t more = s->room ? s->room * 2 : 256;
	struct git_commit *items;

	if (s->count >= s->slot_count / 2 && more_slots(s) != ERR_OK)
		return ERR_MEMORY;
	if (s->items && s->count < s->room)
		return ERR_OK;
	items = reallocarray(s->items, more, sizeof *items);
	if (!items)
		return ERR_MEMORY;
	s->items = items;
	s->room = more;
	return ERR_OK;
}

enum err git_commits_add(struct git_commits *s, uint64_t at, struct str content)
{
	struct git_commit c = { .at = at, .size = content.n };

	if (s->count == GIT_COMMITS_MAX)
		return ERR_OK;
	if (room(s) != ERR_OK || !make_id(s, content, c.id))
		return ERR_MEMORY;
	if (known(s, c.id) || !parse(s, content, &c))
		return ERR_OK;
	if (content.n <= GIT_COMMIT_BYTES_MAX - s->kept) {
		c.content = malloc(content.n);
		s->kept += c.content ? content.n : 0;
		if (c.content)
			memcpy(c.content, content.p, content.n);
	}
	s->items[s->count++] = c;
	*slot_of(s, c.id) = s->count;
	return ERR_OK;
}

/* ---- deltas ---- */

static bool delta_size(struct str *delta, size_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 35; shift += 7) {
		uint8_t c;

		if (delta->n == 0)
			return false;
		c = (uint8_t)delta->p[0];
		*delta = str_from(*delta, 1);
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = (size_t)v;
			return true;
		}
	}
	return false;
}

/* A copy instruction's offset and size: bytes that are there as the bits of @op say. */
static bool copy_of(struct str *delta, uint8_t op, struct str base, struct str *ret)
{
	size_t from = 0, n = 0;

	for (unsigned i = 0; i < 7; i++) {
		if (!(op & 1u << i))
			continue;
		if (delta->n == 0)
			return false;
		*(i < 4 ? &from : &n) |= (size_t)(uint8_t)delta->p[0] << 8 * (i & 3);
		*delta = str_from(*delta, 1);
	}
	if (n == 0)
		n = 65536;
	if (from > base.n || n > base.n - from)
		return false;
	*ret = str_make(base.p + from, n);
	return true;
}

static bool apply(struct str base, struct str delta, struct buf *out)
{
	size_t from, to;

	if (!delta_size(&delta, &from) || !delta_size(&delta, &to) || from != base.n || to > out->max)
		return false;
	while (delta.n) {
		uint8_t op = (uint8_t)delta.p[0];
		struct str piece;

		delta = str_from(delta, 1);
		if (op & 0x80) {
			if (!copy_of(&delta, op, base, &piece))
				return false;
		} else {
			piece = str_head(delta, op);
			if (op == 0 || piece.n != op)
				return false;
			delta = str_from(delta, op);
		}
		buf_put(out, piece);
	}
	return out->len == to && buf_err(out) == ERR_OK;
}

enum err git_commits_add_delta(struct git_commits *s, uint64_t at, const struct git_commit *base,
			       struct str delta)
{
	auto_buf content = BUF_EMPTY;

	buf_init(&content, 1024 * 1024);
	if (!apply(str_make(base->content, base->size), delta, &content))
		return buf_err(&content) == ERR_MEMORY ? ERR_MEMORY : ERR_DECODER;
	return git_commits_add(s, at, buf_str(&content));
}

/* ---- history ---- */

enum git_forced git_commits_forced(struct git_commits *s, const uint8_t *old, const uint8_t *new)
{
	struct git_commit *c = known(s, new);
	bool whole = true;
	uint32_t *stack, depth = 0;
	enum git_forced result = GIT_FORCED_YES;

	if (memcmp(old, new, s->id_bytes) == 0)
		return GIT_FORCED_NO;
	stack = c ? reallocarray(NULL, s->count, sizeof *stack) : NULL;
	if (!stack)
		return GIT_FORCED_UNKNOWN;
	s->mark++;
	c->mark = s->mark;
	stack[depth++] = (uint32_t)(c - s->items);
	while (depth && result == GIT_FORCED_YES) {
		c = &s->items[stack[--depth]];
		for (uint32_t i = 0; i < c->parents; i++) {
			const uint8_t *id = c->parent + (size_t)i * s->id_bytes;
			struct git_commit *parent = known(s, id);

			if (memcmp(id, old, s->id_bytes) == 0)
				result = GIT_FORCED_NO;
			whole = whole && parent;
			if (!parent || parent->mark == s->mark)
				continue;
			parent->mark = s->mark;
			stack[depth++] = (uint32_t)(parent - s->items);
		}
	}
	free(stack);
	return result == GIT_FORCED_YES && !whole ? GIT_FORCED_UNKNOWN : result;
}
