/* audit_test.c - canonical JSON, records, notes, and trails that somebody changed */
#include "audit_world.h"

#include "audit/json.h"
#include "audit/record.h"
#include "audit/trail.h"

#define LINES_MAX 64
#define PREV_OF_ALL "00000000000000000000000000000000000000000000000000000000000000ff"

/* --- JSON --- */

static void strings_are_escaped_as_the_rfc_says(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 200);
	json_put_string(&b, STR("\xe2\x82\xac$\x0f\nA'B\"\\\\\"/\x7f\x08\x09\x0c\x0d\x1b"));
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_string_equal(buf_z(&b),
			    "\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\x7f\\b\\t\\f\\r\\u001b\"");
}

static void plain_text_is_told_byte_by_byte(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < 19; at++) {
			char text[19];
			bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

			memset(text, at % 2 ? '\x7f' : ' ', sizeof text);
			text[at] = (char)c;
			assert_int_equal(json_is_plain(str_make(text, sizeof text)), plain);
		}
}

static void only_canonical_lines_are_read(void **state)
{
	(void)state;
	static const char *const good[] = {
		"{}", "{\"a\":1,\"ab\":\"x\",\"b\":[true,false,\"\\u0001\"],\"c\":{\"d\":0}}",
		"{\"a\":9007199254740992}", "{\"a\":[]}", "{\"a\":\"\xf0\x9f\x90\x8e\x7f\"}"
	};
	static const char *const bad[] = { "", "{", "{} ", " {}", "[]", "{\"a\": 1}", "{\"b\":1,\"a\":1}",
		"{\"a\":1,\"a\":1}", "{\"a\":01}", "{\"a\":-1}", "{\"a\":1.0}", "{\"a\":1e3}", "{\"a\":null}",
		"{\"a\":9007199254740993}", "{\"a\":\"\\u000a\"}", "{\"a\":\"\\u001B\"}", "{\"a\":\"\\/\"}",
		"{\"a\":\"\\u0041\"}", "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud83d\\udc0e\"}",
		"{\"a\":\"",
		"{\"a\":\"\\", "{\"a\":\"\\u00", "{\"A\":1}", "{\"\":1}", "{\"a\":1,}", "{\"a\":[1,]}",
		"{\"a\":[,]}",
		"{\"a\":1}{}", "{a:1}", "{\"a\":tru}", "{\"a\":[[[[[[[[[1]]]]]]]]]}" };
	struct json_object o;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_int_equal(json_object_read(str_of(good[i]), &o), ERR_OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (json_object_read(str_of(bad[i]), &o) != ERR_INPUT)
			fail_msg("was read: %s", bad[i]);
}

static void values_are_read_back(void **state)
{
	(void)state;
	struct str rest;
	struct json_object o;
	struct json_value v;
	uint64_t n = 0;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 100);
	assert_int_equal(json_object_read(STR("{\"list\":[1,\"two\"],\"n\":77,\"s\":\"a\\n\\u0001\"}"), &o),
			 ERR_OK);
	assert_int_equal(json_text(json_member(&o, "s", JSON_STRING)->text, &b), ERR_OK);
	assert_true(str_eq(buf_str(&b), STR("a\n\x01")));
	assert_true(json_integer_of(json_member(&o, "n", JSON_INTEGER)->text, &n));
	assert_int_equal(n, 77);
	assert_null(json_member(&o, "n", JSON_STRING));
	rest = json_member(&o, "list", JSON_LIST)->text;
	assert_true(json_list_next(&rest, &v) && v.type == JSON_INTEGER);
	assert_true(json_list_next(&rest, &v) && str_eq(v.text, STR("\"two\"")));
	assert_false(json_list_next(&rest, &v));
}

/* --- records --- */

static void line_of(struct record *r, struct buf *b)
{
	buf_init(b, AUDIT_RECORD_MAX);
	assert_int_equal(record_line(r, 1, STR(PREV_OF_ALL), 0, b), ERR_OK);
	buf_put_byte(b, 0);
	assert_int_equal(buf_err(b), ERR_OK);
	b->len--;
}

#define CHAIN_MEMBERS "\"prev\":\"" PREV_OF_ALL "\",\"process\":\"courier\","
#define TIME_MEMBER "\"time\":\"1970-01-01T00:00:00.000000Z\""

static void members_are_sorted_and_the_record_can_be_tried_again(void **state)
{
	(void)state;
	static const struct str list[] = { STR_INIT("b"), STR_INIT("a\n") };
	auto_record r = record_new(STR("intent"), STR("courier"));
	auto_buf b = BUF_EMPTY, again = BUF_EMPTY;

	record_integer(r, "status", UINT64_C(1) << 53);
	record_integer(r, "big", UINT64_MAX);
	record_bool(r, "yes", true);
	record_list(r, "argv", list, 2);
	line_of(r, &b);
	assert_string_equal(b.p, "{\"argv\":[\"b\",\"a\\n\"],\"big\":\"18446744073709551615\",\"kind\":"
				 "\"intent\"," CHAIN_MEMBERS
				 "\"seq\":1,\"status\":9007199254740992," TIME_MEMBER ",\"yes\":true}");
	line_of(r, &again);
	assert_string_equal(b.p, again.p);
}

static void what_is_not_utf8_is_base64(void **state)
{
	(void)state;
	auto_record r = record_new(STR("x"), STR("courier"));
	auto_buf b = BUF_EMPTY;

	record_text(r, "path", STR("/tmp/\xff"), 100);
	record_text(r, "cut", STR("ab\xe2\x82\xac"), 4);	/* the bound splits a character */
	line_of(r, &b);
	assert_string_equal(b.p, "{\"cut\":\"ab\",\"cut_cut\":5,\"kind\":\"x\",\"path\":{\"base64\":\"L3RtcC/"
				 "/\"}," CHAIN_MEMBERS "\"seq\":1," TIME_MEMBER "}");
}

static void a_record_never_outgrows_its_line(void **state)
{
	(void)state;
	static char big[20000];
	static const struct str many[] = { { big, 3000 }, { big, 3000 }, { big, 20000 }, { big, 9 } };
	auto_record r = record_new(STR("intent"), STR("courier"));
	struct json_object o;
	uint64_t cut;
	auto_buf b = BUF_EMPTY;

	memset(big, 1, sizeof big);		/* six bytes each when escaped */
	record_text(r, "url", str_make(big, sizeof big), 4096);
	record_list(r, "argv", many, 4);
	memset(big, 0xff, sizeof big);
	record_text(r, "raw", str_make(big, sizeof big), 20000);
	record_text(r, "rule", STR("still here"), 100);
	record_integer(r, "status", 200);
	line_of(r, &b);
	assert_true(b.len < AUDIT_RECORD_MAX);
	assert_int_equal(json_object_read(buf_str(&b), &o), ERR_OK);
	assert_true(json_integer_of(json_member(&o, "url_cut", JSON_INTEGER)->text, &cut));
	assert_int_equal(cut, sizeof big);
	assert_non_null(json_member(&o, "argv_cut", JSON_INTEGER));
	assert_non_null(json_member(&o, "raw_cut", JSON_INTEGER));
	assert_true(str_eq(json_member(&o, "rule", JSON_STRING)->text, STR("\"still here\"")));
}

static void mistakes_in_a_record_are_reported(void **state)
{
	(void)state;
	auto_record twice = record_new(STR("x"), STR("courier"));
	auto_record name = record_new(STR("x"), STR("courier"));
	auto_record many = record_new(STR("x"), STR("courier"));
	char member[16];
	auto_buf b = BUF_EMPTY;

	buf_init(&b, AUDIT_RECORD_MAX);
	record_bool(twice, "kind", true);
	assert_int_equal(record_line(twice, 1, STR(PREV_OF_ALL), 0, &b), ERR_INPUT);
	record_bool(name, "Not-Ours", true);
	assert_int_equal(record_line(name, 1, STR(PREV_OF_ALL), 0, &b), ERR_INPUT);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(member, sizeof member, "m%d", i);
		record_bool(many, member, true);
	}
	assert_int_equal(record_line(many, 1, STR(PREV_OF_ALL), 0, &b), ERR_LIMIT);
}

static void claims_carry_what_is_set(void **state)
{
	(void)state;
	struct msg_claim c = { .kind = CLAIM_DNS, .host = STR_INIT("a.example"), .query_type = 28,
			       .has_verdict = true,
		.address = STR_INIT("\x7f\x00\x00\x01"),
		.process = { .pid = 12, .uid = 1000, .exe = STR_INIT("/usr/bin/curl"),
		.ancestor_count = 1, .ancestors = { STR_INIT("/bin/sh") } } };
	auto_record r = record_new(record_claim_kind(c.kind), STR("inspector"));
	auto_buf b = BUF_EMPTY;

	record_claim(r, &c);
	line_of(r, &b);
	assert_string_equal(b.p, "{\"address\":\"127.0.0.1\",\"asked_by\":{\"ancestors\":[\"/bin/sh\"],"
		"\"exe\":\"/usr/bin/curl\",\"pid\":12,\"uid\":1000},\"claim\":\"dns\",\"host\":\"a.example\",\"kind\":\"dns\","
		"\"prev\":\"" PREV_OF_ALL "\",\"process\":\"inspector\",\"query_type\":28,\"seq\":1," TIME_MEMBER
		",\"verdict\":\"no\"}");
}

/* --- notes --- */

/* The example of the Go implementation's documentation (golang.org/x/mod/sumdb/note). */
static void a_note_of_another_implementation_verifies(void **state)
{
	(void)state;
	static const char verifier[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n";
	static const char note[] = "If you think cryptography is the answer to your problem,\n"
		"then you don't know what your problem is.\n\n"
		"\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
	struct str name, body, signatures;
	uint8_t key[32];
	auto_buf again = BUF_EMPTY;

	buf_init(&again, 200);
	assert_int_equal(note_read_verifier(str_of(verifier), &name, key), ERR_OK);
	assert_true(str_eq(name, STR("PeterNeumann")));
	assert_true(note_split(str_of(note), &body, &signatures));
	assert_int_equal(note_verify(body, signatures, key), ERR_OK);
	key[0] ^= 1;
	assert_int_equal(note_verify(body, signatures, key), ERR_AUDIT_BROKEN);
	key[0] ^= 1;
	assert_int_equal(note_verify(str_from(body, 1), signatures, key), ERR_AUDIT_BROKEN);
	assert_int_equal(note_put_verifier(&again, name, key), ERR_OK);
	buf_put_byte(&again, '\n');
	assert_string_equal(buf_z(&again), verifier);
}

static void malformed_notes_and_keys_are_refused(void **state)
{
	(void)state;
	static const char *const keys[] = { "", "name", "a+b",
					    "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"a+00000000+ARpc2Q==" };
	static const char *const notes[] = { "", "\n", "\n\n", "body\n", "body\n\n" };
	static const char *const signatures[] = { "x\n", "\xe2\x80\x94 name\n", "\xe2\x80\x94 name !!!\n",
		"\xe2\x80\x94 name AAAAAAA=" };
	struct str name, body, rest;
	uint8_t key[32] = { 0 };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		assert_int_equal(note_read_verifier(str_of(keys[i]), &name, key), ERR_INPUT);
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
		assert_false(note_split(str_of(notes[i]), &body, &rest));
	for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
		assert_int_equal(note_verify(STR("body\n"), str_of(signatures[i]), key), ERR_AUDIT_BROKEN);
}

/* --- trails --- */

struct lines {
	size_t count;
	char text[LINES_MAX][AUDIT_RECORD_MAX];
};

static bool collect(void *ctx, struct str line)
{
	struct lines *l = ctx;

	assert_true(l->count < LINES_MAX && line.n < AUDIT_RECORD_MAX);
	memcpy(l->text[l->count], line.p, line.n);
	l->text[l->count++][line.n] = 0;
	return true;
}

/* start, checkpoint, 4 requests of two records, with a checkpoint every 4, stop, checkpoint */
static void write_trail(struct world *w)
{
	static const char *const ids[] = { "r1", "r2", "r3", "r4" };
	struct spool *s;

	w->options.checkpoint_every = 4;
	assert_int_equal(spool_open(&w->options, &s), ERR_OK);
	assert_int_equal(world_put(s, "start", NULL), ERR_OK);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(world_put(s, "intent", ids[i]), ERR_OK);
		assert_int_equal(world_put(s, "outcome", ids[i]), ERR_OK);
	}
	assert_int_equal(world_stop(s), ERR_OK);
}

static void write_lines(struct world *w, const struct lines *l, const char *tail)
{
	int fd = openat(w->directory, "000001.jsonl", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fdopen(fd, "we");

	assert_non_null(f);
	for (size_t i = 0; i < l->count; i++)
		if (l->text[i][0])
			assert_true(fprintf(f, "%s\n", l->text[i]) > 0);
	assert_true(fputs(tail, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct lines original, changed;

static int setup_trail(void **state)
{
	static struct world w;

	world_make(&w, "/tmp");
	write_trail(&w);
	memset(&original, 0, sizeof original);
	assert_int_equal(audit_each(w.directory, collect, &original), ERR_OK);
	changed = original;
	*state = &w;
	return 0;
}

static int teardown_trail(void **state)
{
	world_unmake(*state);
	return 0;
}

static void expect_broken(struct world *w, uint64_t seq, const char *words)
{
	struct audit_report report;

	write_lines(w, &changed, "");
	assert_int_equal(world_verify(w, &report), ERR_AUDIT_BROKEN);
	if (report.bad_seq != seq || !strstr(report.text, words))
		fail_msg("expected record %d, \"%s\"; got \"%s\"", (int)seq, words, report.text);
}

static void a_whole_trail_verifies(void **state)
{
	struct world *w = *state;
	struct audit_report report;

	assert_int_equal(world_verify(w, &report), ERR_OK);
	assert_int_equal(report.records, original.count);
	assert_int_equal(report.records, 14);
	assert_int_equal(report.checkpoints, 4);
	assert_int_equal(report.intents, 4);
	assert_int_equal(report.outcomes, 4);
	assert_true(report.stopped);
	assert_int_equal(report.last_checkpoint_seq, 14);
	assert_string_equal(report.text, "");
	assert_int_equal(audit_verify(w->directory, STR("another"), NULL, &report), ERR_AUDIT_BROKEN);
	assert_non_null(strstr(report.text, "does not begin the chain"));
}

static void a_flipped_byte_is_found(void **state)
{
	struct audit_report report;

	/* Every line, every eighth byte. Nothing covers the time of the very last checkpoint; any other
	 * change breaks the chain, or (that record's kind) leaves its predecessors unsigned. */
	for (size_t i = 0; i < original.count; i++) {
		size_t n = strlen(original.text[i]);

		for (size_t j = i % 8; j < n; j += 8) {
			if (i + 1 == original.count && j >= n - 30)
				break;
			changed.text[i][j] ^= 1;
			write_lines(*state, &changed, "");
			if (world_verify(*state, &report) == ERR_OK && !report.text[0])
				fail_msg("line %d byte %d", (int)i, (int)j);
			changed.text[i][j] ^= 1;
		}
	}
	strstr(changed.text[4], "example")[0] = 'E';
	expect_broken(*state, 6, "does not follow record 5 (prev)");
}

static void a_dropped_line_is_found(void **state)
{
	changed.text[4][0] = 0;
	expect_broken(*state, 5, "is missing: 6 stands in its place");
}

static void reordered_and_repeated_lines_are_found(void **state)
{
	memcpy(changed.text[3], original.text[4], AUDIT_RECORD_MAX);
	memcpy(changed.text[4], original.text[3], AUDIT_RECORD_MAX);
	expect_broken(*state, 4, "is missing: 5");
	changed = original;
	memcpy(changed.text[4], original.text[3], AUDIT_RECORD_MAX);
	expect_broken(*state, 5, "an earlier one is there again or out of order: 4");
}

static void an_inserted_line_is_found(void **state)
{
	(void)snprintf(changed.text[4], AUDIT_RECORD_MAX, "{\"kind\":\"note\",\"prev\":\"%064d\",\"seq\":5}",
		       0);
	expect_broken(*state, 5, "does not follow record 4 (prev)");
	changed = original;
	(void)snprintf(changed.text[4], AUDIT_RECORD_MAX, "{\"kind\": \"note\"}");
	expect_broken(*state, 5, "is not a canonical record");
}

static void what_is_missing_is_named(void **state)
{
	struct world *w = *state;
	struct audit_report report;

	changed.count = 13;		/* without the last checkpoint */
	write_lines(w, &changed, "");
	assert_int_equal(world_verify(w, &report), ERR_OK);
	assert_true(report.stopped);
	assert_string_equal(report.text, "no checkpoint after record 12: the last 1 is not signed");

	changed.count = 8;		/* ends in an intent */
	write_lines(w, &changed, "{\"kind\":\"outc");
	assert_int_equal(world_verify(w, &report), ERR_OK);
	assert_true(report.torn_tail);
	assert_false(report.stopped);
	assert_int_equal(report.open_intents, 1);
	assert_string_equal(report.text,
			    "no stop record: the courier was killed; the last line is cut off: writing was "
		"interrupted after record 8; no checkpoint after record 7: the last 1 is not signed; "
		"1 request has no outcome: r3 (record 8)");

	changed.count = 0;
	write_lines(w, &changed, "");
	assert_int_equal(world_verify(w, &report), ERR_OK);
	assert_string_equal(report.text, "nothing is recorded");
}

/* An attacker without the key writes the whole chain anew, correctly, and signs it with his own. */
static void a_trail_signed_by_another_key_is_found(void **state)
{
	struct world *w = *state, other;
	struct audit_report report;
	uint8_t seed[32];
	size_t n = 32;

	world_make(&other, "/tmp");
	memset(seed, 8, sizeof seed);
	EVP_PKEY_free(other.key);
	other.key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
	assert_int_equal(EVP_PKEY_get_raw_public_key(other.key, other.options.public_key, &n), 1);
	write_trail(&other);
	assert_int_equal(world_verify(&other, &report), ERR_OK);
	assert_int_equal(audit_verify(other.directory, w->options.sandbox, w->options.public_key, &report),
			 ERR_AUDIT_BROKEN);
	assert_non_null(strstr(report.text, "record 2: the checkpoint is not signed by this key"));
	assert_int_equal(audit_verify(other.directory, w->options.sandbox, NULL, &report), ERR_OK);

	/* His key under our key's id does not help him. */
	memcpy(other.options.public_key, w->options.public_key, 32);
	world_unmake(&other);
}

static void a_checkpoint_for_another_chain_is_found(void **state)
{
	char *size = strstr(changed.text[6], "\\n6\\n");

	assert_non_null(size);
	size[2] = '7';
	expect_broken(*state, 7, "the checkpoint was made for another chain");
}

static void a_missing_segment_is_found(void **state)
{
	struct world *w = *state;
	struct audit_report report;

	assert_int_equal(renameat(w->directory, "000001.jsonl", w->directory, "000002.jsonl"), 0);
	assert_int_equal(world_verify(w, &report), ERR_AUDIT_BROKEN);
	assert_non_null(strstr(report.text, "segment 000001.jsonl is missing"));
	assert_int_equal(symlinkat("/dev/zero", w->directory, "000001.jsonl"), 0);
	assert_int_equal(world_verify(w, &report), ERR_LOCAL);
}

static void a_reader_follows_the_writer(void **state)
{
	(void)state;
	struct world w;
	struct spool *s;
	struct str line;

	world_make(&w, "/tmp");
	auto_trail t = NULL;
	assert_int_equal(trail_open(w.directory, &t), ERR_OK);
	assert_int_equal(trail_next(t, &line), ERR_MORE);
	assert_int_equal(spool_open(&w.options, &s), ERR_OK);
	assert_int_equal(world_put(s, "start", NULL), ERR_OK);
	assert_int_equal(trail_next(t, &line), ERR_OK);
	assert_int_equal(trail_next(t, &line), ERR_OK);	/* the first checkpoint */
	assert_int_equal(trail_next(t, &line), ERR_MORE);
	assert_true(trail_is_being_written(t));
	assert_int_equal(world_put(s, "limit", NULL), ERR_OK);
	assert_int_equal(trail_next(t, &line), ERR_OK);
	assert_true(str_starts(line, STR("{\"kind\":\"limit\"")));
	assert_int_equal(world_stop(s), ERR_OK);
	assert_int_equal(trail_next(t, &line), ERR_OK);
	assert_int_equal(trail_next(t, &line), ERR_OK);
	assert_int_equal(trail_next(t, &line), ERR_MORE);
	assert_false(trail_is_being_written(t));
	world_unmake(&w);
}

static void a_full_segment_is_left_for_the_next(void **state)
{
	(void)state;
	static char big[6000];
	struct audit_report report;
	struct world w;
	struct spool *s;
	uint64_t seq = 0;

	memset(big, 'x', sizeof big);
	world_make(&w, "/tmp");
	assert_int_equal(spool_open(&w.options, &s), ERR_OK);
	while (seq < AUDIT_SEGMENT_BYTES / 6000 + 100) {
		auto_record r = record_new(STR("claim"), STR("files"));

		record_text(r, "text", str_make(big, sizeof big), sizeof big);
		assert_int_equal(spool_append(s, r, &seq), ERR_OK);
	}
	assert_int_equal(faccessat(w.directory, "000002.jsonl", F_OK, 0), 0);
	assert_int_equal(world_stop(s), ERR_OK);
	assert_int_equal(world_verify(&w, &report), ERR_OK);
	assert_true(report.records > seq);
	assert_int_equal(unlinkat(w.directory, "000001.jsonl", 0), 0);
	assert_int_equal(world_verify(&w, &report), ERR_AUDIT_BROKEN);
	world_unmake(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped_as_the_rfc_says),
		cmocka_unit_test(plain_text_is_told_byte_by_byte),
		cmocka_unit_test(only_canonical_lines_are_read),
		cmocka_unit_test(values_are_read_back),
		cmocka_unit_test(members_are_sorted_and_the_record_can_be_tried_again),
		cmocka_unit_test(what_is_not_utf8_is_base64),
		cmocka_unit_test(a_record_never_outgrows_its_line),
		cmocka_unit_test(mistakes_in_a_record_are_reported),
		cmocka_unit_test(claims_carry_what_is_set),
		cmocka_unit_test(a_note_of_another_implementation_verifies),
		cmocka_unit_test(malformed_notes_and_keys_are_refused),
#define TRAIL_TEST(f) cmocka_unit_test_setup_teardown(f, setup_trail, teardown_trail)
		TRAIL_TEST(a_whole_trail_verifies), TRAIL_TEST(a_flipped_byte_is_found),
		TRAIL_TEST(a_dropped_line_is_found), TRAIL_TEST(reordered_and_repeated_lines_are_found),
		TRAIL_TEST(an_inserted_line_is_found), TRAIL_TEST(what_is_missing_is_named),
		TRAIL_TEST(a_trail_signed_by_another_key_is_found),
		TRAIL_TEST(a_checkpoint_for_another_chain_is_found),
		TRAIL_TEST(a_missing_segment_is_found),
		cmocka_unit_test(a_reader_follows_the_writer),
		cmocka_unit_test(a_full_segment_is_left_for_the_next),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
