/* grant_fuzz.c - any bytes as a token endpoint's answer: of OAuth, of GitHub, and of a failure
 *
 * What is taken of it is what may go into a field of a request: tokens of visible ASCII within their lengths, views that
 * lie in the answer's own storage, a life that is bounded. What is shown of a failure is a word or nothing.
 */
#include "credential/grant.h"

#include <stdlib.h>

#define NOW_S 1790000000u
#define DAY_S 86400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_token(const struct grant_answer *a, struct str s, bool needed)
{
	check(s.n || !needed);
	if (!s.n)
		return;
	check(s.n >= GRANT_TOKEN_MIN && s.n <= GRANT_TOKEN_MAX);
	check(s.p >= a->storage.p && s.n <= a->storage.len && (size_t)(s.p - a->storage.p) <= a->storage.len - s.n);
	for (size_t i = 0; i < s.n; i++)
		check(s.p[i] > ' ' && s.p[i] <= '~');
}

static void parse(struct str body, bool github)
{
	struct grant_answer a;

	if (grant_parse(body, github, NOW_S, &a) != ERR_OK)
		return;
	check_token(&a, a.access, true);
	check_token(&a, a.refresh, false);
	check_token(&a, a.id_token, false);
	check(a.expires_s <= 366 * DAY_S);
	grant_answer_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = str_make(data, size);
	char word[GRANT_ERROR_MAX + 1];

	parse(body, false);
	parse(body, true);
	grant_error(body, word);
	check(strnlen(word, sizeof word) < sizeof word);
	for (size_t i = 0; word[i]; i++)
		check((word[i] >= 'a' && word[i] <= 'z') || word[i] == '_');
	return 0;
}
