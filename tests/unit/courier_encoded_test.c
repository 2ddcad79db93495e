/* courier_encoded_test.c - bodies in a content coding, both ways, through the real courier and the
 * real decoder: no part of a secret passes, what is clean passes as it came, events pass one by one */
#include "courier_encoded_world.h"

/* ---- answers ---- */

#define AT_ONCE 16

/* The answers to /offer/<first>, /offer/<first + 1> ..., asked for at once. */
static void get_cuts(const char *host, size_t first, struct reply *ret[AT_ONCE])
{
	uint32_t streams[AT_ONCE];
	char path[40];

	for (size_t i = 0; i < AT_ONCE; i++) {
		snprintf(path, sizeof path, "/offer/%zu", first + i);
		streams[i] = ask(&rig, &(struct ask){ .host = host, .path = path });
	}
	for (size_t i = 0; i < AT_ONCE; i++)
		ret[i] = rig_wait(&rig, streams[i]);
}

static struct str field(const struct reply *p, const char *name)
{
	for (uint32_t i = 0; i < p->head.field_count; i++)
		if (str_eq(p->head.fields[i].name, str_of(name)))
			return p->head.fields[i].value;
	return STR("");
}

static bool collect(void *user, struct str messages)
{
	enum decoder_type type;
	struct str payload;

	while (decoder_next(&messages, &type, &payload) == ERR_OK)
		if (type == DECODER_DATA)
			buf_put(user, payload);
	return true;
}

/* What of @body's plain form is known before its end. */
static void decode_prefix(enum decoder_job kind, struct str body, struct buf *ret)
{
	const struct job_sink sink = { collect, ret };
	struct job *j = job_new(&sink);
	const char number = (char)kind;

	buf_init(ret, 4 << 20);
	assert_int_equal(job_message(j, DECODER_JOB, str_make(&number, 1)), ERR_OK);
	while (body.n && job_message(j, DECODER_DATA, str_head(body, 65536)) == ERR_OK)
		body = str_from(body, 65536);
	job_free(j);
}

static void what_is_clean_passes_as_it_came(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 8192);
		encode(&body, &encodings[i], &clean, 1);
		for (size_t cut = 0; cut <= body.len; cut += AT_ONCE) {
			struct reply *replies[AT_ONCE];

			offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding,
						 .length = cut == 0 };
			get_cuts(cut / AT_ONCE % 2 ? "api.test" : "other.test", cut, replies);
			for (size_t k = 0; k < AT_ONCE; k++) {
				struct reply *p = replies[k];

				assert_true(p->has_head && p->ended && !p->reset);
				assert_int_equal(p->head.status, 200);
				assert_true(str_eq(field(p, "content-encoding"),
						   str_of(encodings[i].coding)));
				assert_true(str_eq(buf_str(&p->body), buf_str(&body)));
			}
		}
	}
	rig_stop(&rig);
}

static void nothing_passed(size_t encoding, struct reply *p)
{
	auto_buf plain = BUF_EMPTY;

	assert_true(p->ended || p->reset);
	if (p->head.status != 200)	/* refused in words */
		return;
	assert_true(p->reset && p->reason == ERR_SECRET_REFLECTED);
	decode_prefix(encodings[encoding].job, buf_str(&p->body), &plain);
	assert_true(plain.len <= sizeof BEFORE - 1);
	/* nor where a block has literals that only its end lets a decoder put out */
	assert_null(p->body.len ? memmem(p->body.p, p->body.len, SECRET, 4) : NULL);
}

/* Whatever is split where: of the plain form nothing passes that is of the secret. */
static void no_part_of_a_secret_passes(void **state)
{
	(void)state;
	unsigned asked = 0;

	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 8192);
		encode(&body, &encodings[i], &dirty, 1);
		/* not where the credential goes: it is detached soon, but searched for as before */
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding };
		for (size_t cut = 0; cut < body.len; cut += AT_ONCE) {
			struct reply *replies[AT_ONCE];

			get_cuts("other.test", cut, replies);
			for (size_t k = 0; k < AT_ONCE; k++)
				nothing_passed(i, replies[k]);
			asked += AT_ONCE;
		}
		/* one with a length is refused in words */
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding,
					 .length = true };
		asked++;
		assert_int_equal(get("other.test")->head.status, 502);
	}
	rig_until(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", NULL);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", NULL), asked);
	rig_stop(&rig);
}

/* In flushed parts, the secret across them: the first part passes, and nothing of the second. */
static void a_secret_across_flushes(void **state)
{
	(void)state;
	const struct str parts[] = { STR("data: an event\n\n"), STR("data: sk-test-01234567"),
				     STR("89abcdefSECRET\n\n") };

	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY, plain = BUF_EMPTY;

		buf_init(&body, 1 << 16);
		encode(&body, &encodings[i], parts, 3);
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding,
					 .cut = body.len - 30 };
		struct reply *p = get("other.test");

		assert_true(p->reset);
		assert_int_equal(p->reason, ERR_SECRET_REFLECTED);
		decode_prefix(encodings[i].job, buf_str(&p->body), &plain);
		assert_true(plain.len <= parts[0].n + 6);
	}
	rig_stop(&rig);
}

/* In what the plain form does not show: a gzip header's name, a zstd frame that is skipped. */
static void a_secret_beside_the_plain_form(void **state)
{
	(void)state;
	static const struct str nothing = STR_INIT("nothing");
	auto_buf body = BUF_EMPTY, tail = BUF_EMPTY;

	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	buf_init(&body, 8192);
	buf_init(&tail, 8192);
	encode_zlib(&tail, 31, 6, &nothing, 1);
	buf_put(&body, STR("\x1f\x8b\x08\x08\0\0\0\0\0\x03" SECRET "\0"));
	buf_put(&body, str_from(buf_str(&tail), 10));
	offer = (typeof(offer)){ .body = buf_str(&body), .coding = "gzip", .cut = 30 };
	struct reply *p = get("other.test");

	assert_true(p->reset && p->reason == ERR_SECRET_REFLECTED && p->body.len <= 10);
	buf_clear(&body);
	buf_put(&body, STR("\x50\x2a\x4d\x18\x1e\0\0\0" SECRET));
	encode_zstd(&body, 1, &nothing, 1);
	offer = (typeof(offer)){ .body = buf_str(&body), .coding = "zstd", .cut = 30 };
	p = get("other.test");
	assert_true(p->reset && p->reason == ERR_SECRET_REFLECTED && p->body.len <= 8);
	rig_stop(&rig);
}

/* Each event is with the agent before the upstream says the next: nothing is held at an event's end. */
static void events_one_by_one(void **state)
{
	(void)state;
	const struct str events[] = { STR("data: one\n\n"), STR("data: two\n\n"), STR("data: three\n\n"),
				      STR("") };

	for (size_t i = 0; i <= ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY, seen = BUF_EMPTY;
		size_t expected = 0;
		uint64_t until;

		buf_init(&body, 1 << 16);
		offer = (typeof(offer)){ .end_count = 3 };
		for (size_t k = 0; k < 3; k++) {
			auto_buf part = BUF_EMPTY;

			buf_init(&part, 1 << 16);
			if (i < ENCODINGS) {
				/* where a flush ends: what k + 2 parts have in
				 * common with k + 1, then an empty end */
				encode(&part, &encodings[i], events, 4);
				offer.coding = encodings[i].coding;
			}
			buf_clear(&body);
			buf_put(&body, buf_str(&part));
		}
		if (i == ENCODINGS)
			for (size_t k = 0; k < 3; k++)
				buf_put(&body, events[k]);
		for (size_t k = 0; k < 3;
		     k++) { /* the shortest prefix that gives k + 1 events, and its flush */
			expected += events[k].n;
			size_t n = k ? offer.ends[k - 1] : 0;

			for (bool whole = false; !whole;) {
				auto_buf plain = BUF_EMPTY;

				n++;
				if (i == ENCODINGS)
					buf_init(&plain, 100);
				if (i == ENCODINGS)
					buf_put(&plain, str_head(buf_str(&body), n));
				else
					decode_prefix(encodings[i].job, str_head(buf_str(&body), n), &plain);
				whole = plain.len == expected;
			}
			offer.ends[k] = n;
		}
		offer.body = buf_str(&body);
		uint32_t stream = ask(&rig,
				      &(struct ask){ .host = i % 2 ? "api.test" : "other.test",
						     .path = "/offer" });
		struct reply *p = rig_reply(&rig, stream);

		expected = 0;
		for (size_t k = 0; k < 3; k++) {
			expected += events[k].n;
			until = clock_ms() + 5000;
			for (size_t plain_n = 0; plain_n < expected && clock_ms() < until;) {
				rig_turn(&rig, 5);
				if (i == ENCODINGS) {
					plain_n = p->body.len;
				} else {
					decode_prefix(encodings[i].job, buf_str(&p->body), &seen);
					plain_n = seen.len;
					buf_free(&seen);
				}
				if (plain_n >= expected)
					assert_int_equal(plain_n, expected);
			}
			if (clock_ms() >= until)
				fail_msg("%s: event %zu is held", i < ENCODINGS ? encodings[i].name : "plain",
					 k);
			sem_post(&next);
		}
		rig_wait(&rig, stream);
		assert_true(p->ended && str_eq(buf_str(&p->body), buf_str(&body)));
	}
	rig_stop(&rig);
}
static void names_of_codings(void **state)
{
	(void)state;
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 8192);
	encode_zlib(&body, 31, 6, &clean, 1);
	static const char *const names[] = { "GZip", "x-gzip", " gzip ,", "identity, gzip" };

	for (size_t i = 0; i < 4; i++) {
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = names[i] };
		struct reply *p = get("api.test");

		assert_true(p->head.status == 200 && p->ended && str_eq(buf_str(&p->body), buf_str(&body)));
	}
	rig_stop(&rig);
}

static void several_members(void **state)
{
	(void)state;
	auto_buf body = BUF_EMPTY;
	const struct str a = STR("one sk-test-012345"), b = STR("6789abcdefSECRET");

	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	buf_init(&body, 1 << 16);
	encode_zlib(&body, 31, 6, &a, 1);
	size_t first = body.len;

	encode_zlib(&body, 31, 0, &a, 1);
	offer = (typeof(offer)){ .body = buf_str(&body), .coding = "gzip" };
	struct reply *p = get("other.test");

	assert_true(p->ended && str_eq(buf_str(&p->body), buf_str(&body)));
	body.len = first;
	encode_zlib(&body, 31, 6, &b, 1);	/* half of it in each */
	offer = (typeof(offer)){ .body = buf_str(&body), .coding = "gzip", .cut = first };
	p = get("other.test");
	assert_true(p->reset && p->reason == ERR_SECRET_REFLECTED && p->body.len < first);
	rig_stop(&rig);
}

/* Megabytes to a slow agent: bounded, and whole in the end. */
static void a_large_one_slowly(void **state)
{
	(void)state;
	static char text[3 << 20];
	const struct str whole = { text, sizeof text };
	uint32_t v = 3;

	for (size_t i = 0; i < sizeof text; i++) {
		v = v * 1664525 + 1013904223;
		text[i] = (char)('a' + (v >> 24) % 26);
	}
	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 8 << 20);
		encode(&body, &encodings[i], &whole, 1);
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding,
					 .length = i % 2 };
		rig.slow = true;
		uint32_t stream = ask(&rig, &(struct ask){ .path = "/offer" });
		struct reply *p = rig_reply(&rig, stream);

		for (uint64_t until = clock_ms() + 8000;
		     p->body_bytes <= LINK_WINDOW_BYTES / 2 && clock_ms() < until;)
			rig_turn(&rig, 10);
		for (int k = 0; k < 20; k++)
			rig_turn(&rig, 10);
		assert_true(p->body_bytes <= LINK_WINDOW_BYTES && p->body_bytes > LINK_WINDOW_BYTES / 2);
		rig.slow = false;
		link_consumed(rig.link, stream, (size_t)p->body_bytes + p->head_bytes.len);
		rig_wait(&rig, stream);
		assert_true(p->ended && p->body_bytes == body.len);
	}
	rig_stop(&rig);
}

/* ---- requests ---- */

static struct reply *post(const char *coding, struct str body)
{
	struct ask a = { .method = "POST", .host = "other.test", .path = "/up", .framing = HEAD_BODY_LENGTH,
			 .length = body.n, .name = "content-encoding", .value = coding, .unfinished = true };
	uint32_t stream = ask(&rig, &a);

	for (size_t at = 0; at < body.n; at += 1000)
		assert_int_equal(link_data(rig.link, stream, 0, str_head(str_from(body, at), 1000)), ERR_OK);
	link_end(rig.link, stream);
	return rig_wait(&rig, stream);
}

static void a_placeholder_in_an_encoded_request(void **state)
{
	(void)state;
	const struct str hidden = STR("{\"key\": \"" PLACEHOLDER "\"}"), open = STR("{\"key\": \"none\"}");

	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;
		char expected[40];

		buf_init(&body, 8192);
		encode(&body, &encodings[i], &hidden, 1);
		assert_int_equal(post(encodings[i].coding, buf_str(&body))->head.status, 403);
		buf_clear(&body);
		encode(&body, &encodings[i], &open, 1);
		struct reply *p = post(encodings[i].coding, buf_str(&body));

		assert_int_equal(p->head.status, 200);
		snprintf(expected, sizeof expected, "hello %zu -", body.len);
		assert_true(str_eq(buf_str(&p->body), str_of(expected)));
	}
	rig_until(&rig, "PLACEHOLDER_BLOCKED", NULL, NULL);
	assert_int_equal(post("compress", STR("x"))->head.status, 502);
	assert_int_equal(post("gzip, gzip", STR("x"))->head.status, 502);
	assert_int_equal(post("gzip", STR("no gzip"))->head.status, 502);
	assert_int_equal(post("identity", STR("plain"))->head.status, 200);
	/* what is denied is denied, whatever its body is, and on record */
	struct reply *p = ask_wait(&rig, &(struct ask){ .method = "POST", .host = "denied.test", .path = "/up",
			.framing = HEAD_BODY_LENGTH, .length = 1, .name = "content-encoding", .value = "compress", .body = "x" });

	assert_int_equal(p->head.status, 403);
	rig_until(&rig, "\"kind\":\"denial\"", "denied.test", NULL);
	rig_until(&rig, "\"DECODER\"", NULL, NULL);
	rig_stop(&rig);
}

static void a_large_encoded_request(void **state)
{
	(void)state;
	static char text[1 << 20];
	const struct str whole = { text, sizeof text };
	uint32_t v = 5;

	for (size_t i = 0; i < sizeof text; i++) {
		v = v * 1664525 + 1013904223;
		text[i] = (char)('a' + (v >> 24) % 26);
	}
	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;
		size_t sent = 0;

		buf_init(&body, 8 << 20);
		encode(&body, &encodings[i], &whole, 1);
		uint32_t stream = ask(&rig, &(struct ask){
			.method = "POST", .host = "other.test", .path = "/up", .framing = HEAD_BODY_LENGTH,
			.length = body.len, .name = "content-encoding", .value = encodings[i].coding,
			.unfinished = true });
		uint64_t until = clock_ms() + 8000;

		while (sent < body.len && clock_ms() < until) {
			size_t n = link_sendable(rig.link, stream);

			n = n < 16384 ? n : 16384;
			n = n < body.len - sent ? n : body.len - sent;
			if (n)
				assert_int_equal(link_data(rig.link, stream, 0, str_make(body.p + sent, n)),
						 ERR_OK);
			sent += n;
			rig_turn(&rig, n ? 0 : 5);
		}
		assert_int_equal(sent, body.len);
		link_end(rig.link, stream);
		assert_int_equal(rig_wait(&rig, stream)->head.status, 200);
	}
	rig_stop(&rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_clean_passes_as_it_came), T(no_part_of_a_secret_passes), T(a_secret_across_flushes),
		T(a_secret_beside_the_plain_form), T(events_one_by_one), T(names_of_codings),
		T(several_members),
		T(a_large_one_slowly), T(a_placeholder_in_an_encoded_request), T(a_large_encoded_request),
	};

	return encoded_world(tests, sizeof tests / sizeof *tests);
}
