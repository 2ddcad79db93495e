/* grant_fuzz.c - any bytes as a token endpoint's answer: of
 * OAuth, of GitHub, and of a failure; and as what is asked of it
 *
 * Whatever stands in a client's id, a scope or a secret, a form has the parameters that are
 * meant, a field its one value, an assertion its two parts: nothing of them begins another.
 * * What is taken of it is what may go into a field of a request: tokens of visible ASCII within their
 * lengths, views that lie in the answer's own storage, a life that is bounded. What is shown of a failure is
 * a word or nothing.
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
	check(s.p >= a->storage.p && s.n <= a->storage.len &&
	      (size_t)(s.p - a->storage.p) <= a->storage.len - s.n);
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

/* The next of the input's fields, which NULs part. */
static struct str field(struct str *rest)
{
	struct str s = str_head(*rest, str_find(*rest, '\0'));

	*rest = str_from(*rest, s.n + 1);
	return s;
}

static size_t count(struct str s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

static void check_form(struct str s)
{
	check(s.n == 0 || count(s, '=') == count(s, '&') + 1);
	for (size_t i = 0; i < s.n; i++)
		check(ascii_alpha(s.p[i]) || ascii_digit(s.p[i]) || strchr("-._~*+%&=", s.p[i]));
}

static void ask(const struct policy_token *t, const struct grant_material *m)
{
	const struct grant_account account = { STR("ES256"), m->actor_token, m->source, STR("") };
	auto_buf out = BUF_EMPTY;

	buf_init_secret(&out, GRANT_BODY_MAX);
	if (grant_body(t, m, &out) == ERR_OK)
		check_form(buf_str(&out));
	buf_clear(&out);
	if (grant_authorization(t, m, &out) == ERR_OK && out.len && t->grant != POLICY_GRANT_GITHUB_APP)
		for (size_t i = 6; i < out.len; i++)
			check(ascii_alpha(out.p[i]) || ascii_digit(out.p[i]) || strchr("+/=", out.p[i]));
	buf_clear(&out);
	if (grant_claims(t, &account, STR("https://a.example/token"), NOW_S, &out) == ERR_OK) {
		check(count(buf_str(&out), '.') == 1);
		for (size_t i = 0; i < out.len; i++)
			check(ascii_alpha(out.p[i]) || ascii_digit(out.p[i]) || strchr("-_.", out.p[i]));
	}
	buf_clear(&out);
	for (unsigned login = POLICY_LOGIN_CLAUDE; login <= POLICY_LOGIN_CODEX; login++) {
		size_t hosts;

		check(grant_login_hosts((enum policy_login)login, &hosts) && hosts &&
		      grant_login_path((enum policy_login)login).n);
		if (grant_login_body((enum policy_login)login, m->source, &out) == ERR_OK)
			for (size_t i = 0; i < out.len; i++)
				check((uint8_t)out.p[i] >= ' ');
		buf_clear(&out);
	}
}

static void ask_all(struct str rest)
{
	struct policy_token t = { .grant = POLICY_GRANT_CLIENT_CREDENTIALS };
	struct grant_material m = { .source = field(&rest) };

	t.client_id = field(&rest);
	t.scope = field(&rest);
	t.audience = field(&rest);
	t.resource = field(&rest);
	t.subject_token_type = field(&rest);
	t.app_id = t.issuer = field(&rest);
	m.client_secret = field(&rest);
	m.actor_token = field(&rest);
	m.assertion = field(&rest);
	static const enum policy_grant grants[] = {
		POLICY_GRANT_CLIENT_CREDENTIALS, POLICY_GRANT_REFRESH_TOKEN, POLICY_GRANT_TOKEN_EXCHANGE,
		POLICY_GRANT_JWT_BEARER, POLICY_GRANT_GITHUB_APP,
	};

	for (size_t i = 0; i < 2 * sizeof grants / sizeof *grants; i++) {
		t.grant = grants[i / 2];
		t.client_basic = i % 2;
		ask(&t, &m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = str_make(data, size);
	char word[GRANT_ERROR_MAX + 1];

	parse(body, false);
	parse(body, true);
	ask_all(body);
	grant_error(body, word);
	check(strnlen(word, sizeof word) < sizeof word);
	for (size_t i = 0; word[i]; i++)
		check((word[i] >= 'a' && word[i] <= 'z') || word[i] == '_');
	return 0;
}
