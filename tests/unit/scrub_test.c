/* scrub_test.c - no needle is missed in any form at any split; none is seen that is not there */
#include "credential/scrub.h"

#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % n;
}

static const struct str secret = STR_INIT("sk-Ab+/=9\"z\\Q~xY_07.w&q");

static struct scrub_set *set_of(struct str needle, uint32_t id)
{
	struct scrub_set *s = scrub_set_new();

	assert_non_null(s);
	assert_int_equal(scrub_set_add(s, needle, id), ERR_OK);
	assert_int_equal(scrub_set_build(s), ERR_OK);
	return s;
}

/* feeds in random pieces, letting bytes go as scrub_held() allows
 * Return: how many bytes had gone when the hit came, or SIZE_MAX without one */
static size_t gone_before_hit(const struct scrub_set *set, struct str text, uint32_t *ret_id)
{
	struct scrub *s = scrub_new(set);
	size_t at = 0, gone = 0;
	bool hit = false;

	assert_non_null(s);
	while (at < text.n && !hit) {
		size_t n = 1 + random_below(random_below(2) ? 3 : 40);

		if (n > text.n - at)
			n = text.n - at;
		hit = scrub_feed(s, str_make(text.p + at, n), ret_id);
		at += n;
		if (!hit) {
			assert_true(scrub_held(s) <= at - gone);
			gone = at - scrub_held(s);
		}
	}
	scrub_free(s);
	return hit ? gone : SIZE_MAX;
}

enum form { PLAIN, HEX, HEX_UPPER, BASE64, BASE64URL, PERCENT, JSON, BASE64_ESCAPED, FORM_COUNT };

static void put_percent(struct buf *b, char c)
{
	buf_printf(b, random_below(2) ? "%%%02x" : "%%%02X", (uint8_t)c);
}

static void put_json(struct buf *b, char c)
{
	if (c != '"' && c != '\\' && random_below(2))
		buf_put_byte(b, (uint8_t)c);
	else if ((c == '"' || c == '\\' || c == '/') && random_below(2))
		buf_printf(b, "\\%c", c);
	else
		buf_printf(b, random_below(2) ? "\\u%04x" : "\\u%04X", (uint8_t)c);
}

static void put_base64_form(struct buf *b, bool url, bool escaped)
{
	auto_buf whole = BUF_EMPTY, text = BUF_EMPTY;

	buf_init(&whole, 4096);
	buf_init(&text, 4096);
	for (uint32_t i = random_below(7); i > 0; i--)
		buf_put_byte(&whole, (uint8_t)random_below(256));
	buf_put(&whole, secret);
	for (uint32_t i = random_below(7); i > 0; i--)
		buf_put_byte(&whole, (uint8_t)random_below(256));
	if (url)
		buf_put_base64url(&text, buf_str(&whole));
	else
		buf_put_base64(&text, buf_str(&whole));
	for (size_t i = 0; i < text.len; i++)
		if (escaped && random_below(2))
			put_percent(b, text.p[i]);
		else
			buf_put_byte(b, (uint8_t)text.p[i]);
}

static void put_form(struct buf *b, enum form form)
{
	size_t before = b->len;

	switch (form) {
	case HEX:
	case HEX_UPPER:
		buf_put_hex(b, secret);
		for (size_t i = before; form == HEX_UPPER && i < b->len; i++)
			if (b->p[i] >= 'a')
				b->p[i] = (char)(b->p[i] - 32);
		break;
	case BASE64:
	case BASE64URL:
	case BASE64_ESCAPED:
		put_base64_form(b, form == BASE64URL, form == BASE64_ESCAPED);
		break;
	case PERCENT:
		for (size_t i = 0; i < secret.n; i++)
			if (random_below(2))
				put_percent(b, secret.p[i]);
			else
				buf_put_byte(b, (uint8_t)secret.p[i]);
		break;
	case JSON:
		for (size_t i = 0; i < secret.n; i++)
			put_json(b, secret.p[i]);
		break;
	case PLAIN:
	case FORM_COUNT:
		buf_put(b, secret);
		break;
	}
}

/* noise that likes the secret's own bytes and the beginnings of escapes */
static void put_noise(struct buf *b)
{
	static const char likely[] = "sk-Ab%%\\\\u004 \"";

	for (uint32_t i = random_below(60); i > 0; i--)
		buf_put_byte(b, random_below(3) ? (uint8_t)likely[random_below(sizeof likely - 1)]
						: (uint8_t)random_below(256));
}

static void every_form_is_found_at_every_split(void **state)
{
	(void)state;
	struct scrub_set *set = set_of(secret, 42);

	for (int round = 0; round < 20000; round++) {
		enum form form = (enum form)random_below(FORM_COUNT);
		auto_buf text = BUF_EMPTY;
		uint32_t id = 0;
		size_t start, gone;

		buf_init(&text, 65536);
		put_noise(&text);
		if (form != PLAIN)	/* an escape of the noise's must not reach into the needle */
			buf_put_z(&text, " ");
		start = text.len;
		put_form(&text, form);
		put_noise(&text);
		assert_int_equal(buf_err(&text), ERR_OK);
		gone = gone_before_hit(set, buf_str(&text), &id);
		if (gone == SIZE_MAX)
			fail_msg("round %d: form %d missed", round, (int)form);
		assert_int_equal(id, 42);
		/* base64 neighbours of the needle's first whole character may have gone: they hold 6 bytes */
		assert_true(gone <= start + (form >= BASE64 && form != PERCENT && form != JSON ? 36 : 0));
	}
	scrub_set_free(set);
}

static void nothing_is_found_that_is_not_there(void **state)
{
	(void)state;
	struct scrub_set *set = set_of(secret, 1);

	for (int round = 0; round < 5000; round++) {
		auto_buf text = BUF_EMPTY;
		uint32_t id;

		buf_init(&text, 65536);
		for (int i = 0; i < 20; i++) {
			put_noise(&text);
			buf_put(&text, str_head(secret, random_below((uint32_t)secret.n - 2)));
		}
		assert_int_equal(gone_before_hit(set, buf_str(&text), &id), SIZE_MAX);
	}
	scrub_set_free(set);
}

/* In long stretches of bytes, most of which begin nothing, or begin what does not go on; at every offset. */
/* The digits of an escape are not the beginning of what stands behind it. */
static void an_escape_begins_nothing_but_what_it_means(void **state)
{
	(void)state;
	static const struct { const char *secret, *text; bool found; } cases[] = {
		{ "AA-secret-0123456789", "%AA%2Dsecret-0123456789", false },
		{ "AA-secret-0123456789", "%41A%2Dsecret-0123456789", true },
		{ "A-secret-0123456789!", "%0A%2Dsecret-0123456789!", false },
		{ "n-secret-0123456789!", "\\n\\u002dsecret-0123456789!", false },
		{ "\n-secret-0123456789!", "\\n\\u002dsecret-0123456789!", true },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scrub_set *set = set_of(str_of(cases[i].secret), 42);
		uint32_t id = 0;

		if (scrub_search(set, str_of(cases[i].text), &id) != cases[i].found)
			fail_msg("%s in %s", cases[i].secret, cases[i].text);
		scrub_set_free(set);
	}
}

static void it_is_found_wherever_it_stands(void **state)
{
	static const char lures[] = "sk-7A\xff%\\\0c";
	struct scrub_set *set = set_of(secret, 3);
	char text[400];
	uint32_t id;

	(void)state;
	for (size_t at = 0; at + secret.n <= 300; at++)
		for (unsigned lured = 0; lured < 3; lured++) {
			for (size_t i = 0; i < sizeof text; i++)
				text[i] = lured == 0   ? (char)0
					  : lured == 1 ? (char)random_below(256)
						       : lures[random_below(sizeof lures)];
			assert_false(scrub_search(set, str_make(text, sizeof text), &id));
			memcpy(text + at, secret.p, secret.n);
			id = 0;
			assert_true(scrub_search(set, str_make(text, at + secret.n + random_below(100)),
						 &id));
			assert_int_equal(id, 3);
			for (size_t split = 0; split < 8; split++) {
				struct scrub *s = scrub_new(set);
				size_t first = random_below((uint32_t)(at + secret.n));

				assert_non_null(s);
				assert_false(scrub_feed(s, str_make(text, first), &id));
				assert_true(scrub_held(s) >= (first > at ? first - at : 0));
				assert_true(scrub_feed(s, str_make(text + first, sizeof text - first), &id));
				scrub_free(s);
			}
		}
	scrub_set_free(set);
}

static void held_is_the_beginning_of_a_needle(void **state)
{
	(void)state;
	static const struct { const char *text; size_t held; } cases[] = {
		{ "", 0 }, { "nothing", 0 }, { "x hunter2", 7 }, { "hunterhunt", 4 }, { "hunter!", 0 },
		{ "hun%74e", 7 }, { "hun%7", 5 }, { "x%", 1 }, { "x%4", 2 }, { "x%g", 0 },
		{ "hu\\u006e", 8 }, { "hu\\u006et\\u0065r2", 17 }, { "\\u006", 5 },
		{ "aHVudGVyMi1", 11 }, { "68756e7465", 10 }, { "%68%75%6e", 9 },
	};
	struct scrub_set *set = set_of(STR("hunter2-hunter2"), 1);
	uint32_t id;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scrub *s = scrub_new(set);

		for (const char *p = cases[i].text; *p; p++)
			assert_false(scrub_feed(s, str_make(p, 1), &id));
		if (scrub_held(s) != cases[i].held)
			fail_msg("\"%s\": held %zu", cases[i].text, scrub_held(s));
		scrub_reset(s);
		assert_int_equal(scrub_held(s), 0);
		assert_false(scrub_feed(s, STR("-hunter2"), &id));
		scrub_free(s);
	}
	scrub_set_free(set);
}

static void needles_are_told_apart(void **state)
{
	(void)state;
	static const char *const names[] = { "ghp_aaaaaaaa", "ghp_aaaabbbb", "p_aaaabbbbcc", "aaaaaaab" };
	struct scrub_set *set = scrub_set_new();
	uint32_t id = 99;

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(scrub_set_add(set, str_of(names[i]), i), ERR_OK);
	assert_int_equal(scrub_set_build(set), ERR_OK);
	assert_int_equal(scrub_set_build(set), ERR_STATE);
	assert_int_equal(scrub_set_add(set, str_of(names[0]), 9), ERR_STATE);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(scrub_search(set, str_of(names[i]), &id));
		assert_int_equal(id, i);
	}
	assert_true(scrub_search(set, STR("xghp_aaaaaaabx"), &id));
	assert_false(scrub_search(set, STR("ghp_aaaaaaa ghp_aaaabbb"), &id));
	/* one ends inside of another */
	assert_true(scrub_search(set, STR("ghp_aaaaaaab"), &id));
	assert_int_equal(id, 3);
	assert_true(scrub_search(set, STR("ghp_aaaaaaaab"), &id));
	assert_int_equal(id, 0);	/* the first that ends */
	scrub_set_free(set);
}

static void a_set_has_limits(void **state)
{
	(void)state;
	static char big[SECRET_MAX_BYTES];
	struct scrub_set *set = scrub_set_new();
	uint32_t id;

	assert_true(scrub_set_empty(set));
	assert_int_equal(scrub_set_add(set, STR("1234567"), 0), ERR_LIMIT);
	assert_false(scrub_search(set, STR("anything"), &id));
	for (uint32_t i = 0; i < SCRUB_NEEDLES_MAX; i++) {
		memset(big, 'a' + (int)(i % 26), sizeof big);
		assert_int_equal(scrub_set_add(set, str_make(big, sizeof big), i), ERR_OK);
	}
	assert_int_equal(scrub_set_add(set, STR("one too many"), 0), ERR_LIMIT);
	assert_int_equal(scrub_set_build(set), ERR_LIMIT);	/* too many nodes */
	scrub_set_free(set);
	scrub_set_free(NULL);
	scrub_free(NULL);
}

static void the_longest_needle_is_found(void **state)
{
	(void)state;
	static char big[SECRET_MAX_BYTES];
	auto_buf text = BUF_EMPTY;
	struct scrub_set *set;
	uint32_t id;

	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)random_below(256);
	set = set_of(str_make(big, sizeof big), UINT32_MAX);
	buf_init(&text, 1 << 20);
	buf_put_base64(&text, str_make(big, sizeof big));
	assert_true(scrub_search(set, buf_str(&text), &id));
	assert_int_equal(id, UINT32_MAX);
	buf_clear(&text);
	for (size_t i = 0; i < sizeof big; i++)
		put_percent(&text, big[i]);
	assert_int_equal(gone_before_hit(set, buf_str(&text), &id), 0);
	scrub_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_found_at_every_split),
		cmocka_unit_test(nothing_is_found_that_is_not_there),
		cmocka_unit_test(an_escape_begins_nothing_but_what_it_means),
		cmocka_unit_test(it_is_found_wherever_it_stands),
		cmocka_unit_test(held_is_the_beginning_of_a_needle),
		cmocka_unit_test(needles_are_told_apart),
		cmocka_unit_test(a_set_has_limits),
		cmocka_unit_test(the_longest_needle_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
