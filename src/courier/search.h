/* search.h - one stream, searched for every secret that
 * is known, those too that become known while it passes */
#pragma once

#include "courier/vault.h"

struct search {
	struct vault *vault;
	struct vault_set *set;		/* NULL: nothing is known */
	struct scrub *scrub;
	uint32_t hit;			/* whose it is that was found */
	struct buf tail;		/* the last bytes, that may be the beginning of a secret */
};

/** search_init() - @vault: borrowed */
void search_init(struct search *s, struct vault *vault);
void search_free(struct search *s);
/** search_feed() - the next bytes. ERR_SECRET_REFLECTED, ERR_MEMORY */
must_use enum err search_feed(struct search *s, struct str bytes);
/** search_held() - how many of the last bytes could still become a secret, and must not pass */
size_t search_held(const struct search *s);
