/* pktline.c - git's packet lines; see pktline.h. Hostile bytes: four hex digits, or an end. */
#include "decoder/pktline.h"

/* Moves bytes of @input until @want are here. */
static bool gather(struct pktline *p, struct str *input, size_t want)
{
	size_t n = want - p->have < input->n ? want - p->have : input->n;

	memcpy(p->bytes + p->have, input->p, n);
	p->have += n;
	*input = str_from(*input, n);
	return p->have == want;
}

static bool length(const char *digits, size_t *ret)
{
	size_t v = 0;

	for (int i = 0; i < 4; i++) {
		int digit = ascii_hex(digits[i]);

		if (digit < 0)
			return false;
		v = v * 16 + (size_t)digit;
	}
	*ret = v;
	return true;
}

enum err pktline_next(struct pktline *p, struct str *input, enum pktline_kind *ret_kind,
		      struct str *ret_payload)
{
	size_t n;

	if (p->have < 4 && (input->n == 0 || !gather(p, input, 4)))
		return ERR_MORE;
	if (!length(p->bytes, &n) || n == 3 || n > PKTLINE_MAX)
		return ERR_DECODER;
	if (n < 4) {
		*ret_kind = n == 0 ? PKTLINE_FLUSH : n == 1 ? PKTLINE_DELIMITER : PKTLINE_END;
		*ret_payload = (struct str){ p->bytes, 0 };
		p->have = 0;
		return ERR_OK;
	}
	if (p->have < n && (input->n == 0 || !gather(p, input, n)))
		return ERR_MORE;
	*ret_kind = PKTLINE_DATA;
	*ret_payload = str_make(p->bytes + 4, n - 4);
	p->have = 0;
	return ERR_OK;
}
