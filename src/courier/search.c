/* search.c - one stream, searched for every secret that is known; see search.h
 *
 * Theory of operation: the vault's set of secrets changes while a stream passes (one is fetched, one
 * rotates). What is held back under the old set may be the beginning of a secret of the new one, so it is
 * kept and looked at again. The tail is never longer than the longest form of the longest secret, and is
 * wiped.
 * Failure: without memory nothing can be said of the bytes, and the caller refuses (I8).
 */
#include "courier/search.h"

#define TAIL_MAX ((size_t)8 * SECRET_MAX_BYTES)

void search_init(struct search *s, struct vault *vault)
{
	*s = (struct search){ .vault = vault };
	buf_init_secret(&s->tail, 2 * TAIL_MAX);
}

void search_free(struct search *s)
{
	vault_release(s->set);
	scrub_free(s->scrub);
	buf_free(&s->tail);
	s->set = NULL;
	s->scrub = NULL;
}

static enum err follow_vault(struct search *s)
{
	if (vault_current(s->vault) == s->set)
		return ERR_OK;
	vault_release(s->set);
	scrub_free(s->scrub);
	s->scrub = NULL;
	s->set = vault_acquire(s->vault);
	if (!s->set)
		return ERR_OK;
	s->scrub = scrub_new(s->set->set);
	if (!s->scrub)
		return ERR_MEMORY;
	return scrub_feed(s->scrub, buf_str(&s->tail), &s->hit) ? ERR_SECRET_REFLECTED : ERR_OK;
}

/* The last search_held() bytes of the tail and @bytes together. */
static enum err keep_tail(struct search *s, struct str bytes)
{
	size_t held = search_held(s);

	if (held <= bytes.n) {
		buf_clear(&s->tail);
		buf_put(&s->tail, str_from(bytes, bytes.n - held));
	} else {
		buf_put(&s->tail, bytes);
		if (s->tail.len > held)
			buf_drop(&s->tail, s->tail.len - held);
	}
	return buf_err(&s->tail);
}

enum err search_feed(struct search *s, struct str bytes)
{
	enum err e = follow_vault(s);

	if (e != ERR_OK || !s->scrub)
		return e;
	if (scrub_feed(s->scrub, bytes, &s->hit))
		return ERR_SECRET_REFLECTED;
	return keep_tail(s, bytes);
}

size_t search_held(const struct search *s) { return s->scrub ? scrub_held(s->scrub) : 0; }
