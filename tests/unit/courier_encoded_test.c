/* courier_encoded_test.c - bodies in a content coding, both ways, through the real courier and the real decoder:
 * no part of a secret passes, what is clean passes as it came, events pass one by one; a decoder that lies or dies */
#include "../path/courier_world.h"

#include "../path/encode.h"
#include "decoder/job.h"

#include <semaphore.h>

/* ---- what the upstream answers ---- */

static struct {
	struct str body;
	const char *coding;		/* NULL: no such field */
	const char *field;		/* another field line, or NULL */
	size_t cut;			/* two chunks, and a pause between them; also by the path: /offer/<cut> */
	size_t ends[8], end_count;	/* chunks that wait for `next` each */
	bool length;			/* content-length, not chunks */
} offer;
static sem_t next;

static void say_chunk(SSL *s, struct str piece)
{
	char line[32];

	if (!piece.n)
		return;
	snprintf(line, sizeof line, "%zx\r\n", piece.n);
	world_say(s, line);
	world_send(s, piece.p, piece.n);
	world_say(s, "\r\n");
}

static void say_body(SSL *s, size_t cut)
{
	size_t at = 0;

	for (size_t i = 0; i < offer.end_count; i++) {
		say_chunk(s, str_head(str_from(offer.body, at), offer.ends[i] - at));
		at = offer.ends[i];
		sem_wait(&next);
	}
	if (cut > at) {
		say_chunk(s, str_head(str_from(offer.body, at), cut - at));
		at = cut;
		usleep(2000);
	}
	say_chunk(s, str_from(offer.body, at));
	world_say(s, "0\r\n\r\n");
}

static bool answer(SSL *s, const char *path)
{
	char head[400];
	size_t cut = offer.cut;

	if (strncmp(path, "/offer", 6) != 0)
		return false;
	if (path[6] == '/')
		cut = 0;
	for (const char *digit = path + 6; *digit; digit++)
		if (*digit != '/')
			cut = cut * 10 + (size_t)(*digit - '0');
	int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%s%s%s%s%s",
			 offer.coding ? "content-encoding: " : "", offer.coding ? offer.coding : "",
			 offer.coding ? "\r\n" : "", offer.field ? offer.field : "", offer.field ? "\r\n" : "");

	if (offer.length)
		snprintf(head + n, sizeof head - (size_t)n, "content-length: %zu\r\n\r\n", offer.body.n);
	else
		snprintf(head + n, sizeof head - (size_t)n, "transfer-encoding: chunked\r\n\r\n");
	world_say(s, head);
	if (offer.length)
		world_send(s, offer.body.p, offer.body.n);
	else
		say_body(s, cut);
	return true;
}

static const char policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {environment: API_KEY}\n"
	"    hosts: [api.test]\n"
	"    strategy: placeholder\n"
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n"
	"network:\n"
	"  - {name: loose, hosts: [api.test], methods: [POST], paths: [/offer], credential: api, unscrubbed: pass}\n"
	"  - {name: api, hosts: [api.test], methods: [GET, POST], credential: api}\n"
	"  - {name: other, hosts: [other.test], methods: [GET, POST]}\n";

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	world.requests = 0;
	world.log_bytes = 0;
	offer = (typeof(offer)){ .coding = NULL };
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static struct reply *get(const char *host)
{
	return ask_wait(&rig, &(struct ask){ .host = host, .path = "/offer" });
}

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

/* ---- what passed, decoded as far as it goes ---- */

static bool collect(void *user, struct str messages)
{
	enum decoder_type type;
	struct str payload;

	while (decoder_next(&messages, &type, &payload) == ERR_OK)
		if (type == DECODER_DATA)
			buf_put(user, payload);
	return true;
}

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

#define BEFORE "event: message\ndata: {\"text\":\"here it is, "
#define AFTER " and more\"}\n\n"

static const struct str clean = STR_INIT(BEFORE "nothing at all" AFTER), dirty = STR_INIT(BEFORE SECRET AFTER);

/* ---- answers ---- */

static void what_is_clean_passes_as_it_came(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 8192);
		encode(&body, &encodings[i], &clean, 1);
		for (size_t cut = 0; cut <= body.len; cut += AT_ONCE) {
			struct reply *replies[AT_ONCE];

			offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding, .length = cut == 0 };
			get_cuts(cut / AT_ONCE % 2 ? "api.test" : "other.test", cut, replies);
			for (size_t k = 0; k < AT_ONCE; k++) {
				struct reply *p = replies[k];

				assert_true(p->has_head && p->ended && !p->reset);
				assert_int_equal(p->head.status, 200);
				assert_true(str_eq(field(p, "content-encoding"), str_of(encodings[i].coding)));
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
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding, .length = true };
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
	const struct str parts[] = { STR("data: an event\n\n"), STR("data: sk-test-01234567"), STR("89abcdefSECRET\n\n") };

	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY, plain = BUF_EMPTY;

		buf_init(&body, 1 << 16);
		encode(&body, &encodings[i], parts, 3);
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding, .cut = body.len - 30 };
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
	const struct str events[] = { STR("data: one\n\n"), STR("data: two\n\n"), STR("data: three\n\n"), STR("") };

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
				/* where a flush ends: what k + 2 parts have in common with k + 1, then an empty end */
				encode(&part, &encodings[i], events, 4);
				offer.coding = encodings[i].coding;
			}
			buf_clear(&body);
			buf_put(&body, buf_str(&part));
		}
		if (i == ENCODINGS)
			for (size_t k = 0; k < 3; k++)
				buf_put(&body, events[k]);
		for (size_t k = 0; k < 3; k++) {	/* the shortest prefix that gives k + 1 events, and its flush */
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
		uint32_t stream = ask(&rig, &(struct ask){ .host = i % 2 ? "api.test" : "other.test", .path = "/offer" });
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
				fail_msg("%s: event %zu is held", i < ENCODINGS ? encodings[i].name : "plain", k);
			sem_post(&next);
		}
		rig_wait(&rig, stream);
		assert_true(p->ended && str_eq(buf_str(&p->body), buf_str(&body)));
	}
	rig_stop(&rig);
}

/* ---- what cannot be searched ---- */

static void unknown_codings_are_refused(void **state)
{
	(void)state;
	static const struct { const char *coding, *field; bool passes; } codings[] = {
		{ "compress", NULL, false }, { "gzip, br", NULL, false }, { "dcz", NULL, false }, { "x", NULL, false },
		{ "gzip", "content-encoding: br", false }, { "identity, compress", NULL, false },
		{ "gzip;q=1", NULL, false }, { "identity", NULL, true }, { "", NULL, true }, { "Identity, ", NULL, true },
	};

	for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
		offer = (typeof(offer)){ .body = STR("text"), .coding = codings[i].coding, .field = codings[i].field };
		struct reply *p = get(i % 2 ? "api.test" : "other.test");

		assert_int_equal(p->head.status, codings[i].passes ? 200 : 502);
		/* unless the rule says so */
		p = ask_wait(&rig, &(struct ask){ .method = "POST", .path = "/offer" });
		assert_int_equal(p->head.status, 200);
		assert_true(p->ended && str_eq(buf_str(&p->body), STR("text")));
	}
	rig_until(&rig, "\"kind\":\"outcome\"", "CANNOT_SCRUB", NULL);
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

static void what_does_not_decode(void **state)
{
	(void)state;
	static char zeros[4 << 20];
	const struct str many = { zeros, sizeof zeros };

	for (size_t i = 0; i < ENCODINGS; i++)
		for (int how = 0; how < 4; how++) {
			auto_buf body = BUF_EMPTY;

			buf_init(&body, 8 << 20);
			if (how == 3 && str_eq(str_of(encodings[i].name), STR("gzip-stored")))
				continue;
			encode(&body, &encodings[i], how == 3 ? &many : &clean, 1);
			if (how == 0)
				body.len -= 1;			/* cut off */
			else if (how == 1)
				buf_put(&body, STR("garbage"));	/* something after it */
			else if (how == 2)
				body.len = 0, buf_put(&body, STR("this is not that coding, is it?"));
			for (int length = 0; length < 2; length++) {
				offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding, .length = length };
				struct reply *p = get(how % 2 ? "api.test" : "other.test");

				assert_false(p->ended && p->head.status == 200);
				if (p->reset)
					assert_int_equal(p->reason, ERR_CANNOT_SCRUB);
				else
					assert_int_equal(p->head.status, 502);
				p = ask_wait(&rig, &(struct ask){ .method = "POST", .path = "/offer" });
				assert_true(p->ended && p->head.status == 200);
				assert_true(str_eq(buf_str(&p->body), buf_str(&body)));
			}
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
		offer = (typeof(offer)){ .body = buf_str(&body), .coding = encodings[i].coding, .length = i % 2 };
		rig.slow = true;
		uint32_t stream = ask(&rig, &(struct ask){ .path = "/offer" });
		struct reply *p = rig_reply(&rig, stream);

		for (uint64_t until = clock_ms() + 8000; p->body_bytes <= LINK_WINDOW_BYTES / 2 && clock_ms() < until;)
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
			.length = body.len, .name = "content-encoding", .value = encodings[i].coding, .unfinished = true });
		uint64_t until = clock_ms() + 8000;

		while (sent < body.len && clock_ms() < until) {
			size_t n = link_sendable(rig.link, stream);

			n = n < 16384 ? n : 16384;
			n = n < body.len - sent ? n : body.len - sent;
			if (n)
				assert_int_equal(link_data(rig.link, stream, 0, str_make(body.p + sent, n)), ERR_OK);
			sent += n;
			rig_turn(&rig, n ? 0 : 5);
		}
		assert_int_equal(sent, body.len);
		link_end(rig.link, stream);
		assert_int_equal(rig_wait(&rig, stream)->head.status, 200);
	}
	rig_stop(&rig);
}

/* ---- a decoder that lies, or is gone ---- */

static struct {
	int fd;
	const char *mode;
} lies;

static void *liar(void *arg)
{
	const int fd = lies.fd;
	const char *mode = lies.mode;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte, in[65536];
	struct iovec iov = { &byte, 1 };

	(void)arg;
	for (;;) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
				    .msg_controllen = sizeof control.bytes };
		uint64_t total = 0;
		int job;
		ssize_t n;

		if (recvmsg(fd, &m, MSG_CMSG_CLOEXEC) <= 0)
			break;
		memcpy(&job, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof job);
		if (!strcmp(mode, "hangs up")) {
			close(job);
			continue;
		}
		bool ended = false;

		while (!ended && (n = recv(job, in, sizeof in, 0)) > 0) {
			total += (uint64_t)n;
			ended = n >= 8 && in[n - 8] == DECODER_END;
		}
		char mark[16] = { DECODER_MARK, 0, 0, 0, 8 };
		uint64_t bytes = total - 8 - 1 - 8 - 8;		/* without a job, a header of data, the end */

		if (!strcmp(mode, "too much"))
			bytes += 1000;
		memcpy(mark + 8, &bytes, 8);
		send(job, mark, sizeof mark, MSG_NOSIGNAL);
		send(job, "\3\0\0\0\0\0\0\0", 8, MSG_NOSIGNAL);
		close(job);
	}
	close(fd);
	return NULL;
}

static void with_liar(const char *mode, struct str body, const char *coding, struct reply **ret)
{
	int pair[2];
	pthread_t thread;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lies = (typeof(lies)){ pair[0], mode };
	pthread_create(&thread, NULL, liar, NULL);
	rig_free(&rig);
	rig_decoder.given = true;
	rig_decoder.fd = pair[1];
	setup(NULL);
	rig_decoder.given = false;
	close(pair[1]);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	offer = (typeof(offer)){ .body = body, .coding = coding };
	*ret = get("api.test");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/still" })->head.status, 200);
	pthread_detach(thread);
}

static void a_captured_decoder(void **state)
{
	(void)state;
	auto_buf body = BUF_EMPTY;
	struct reply *p;

	/* it lets everything pass: what stands there openly is found all the same */
	buf_init(&body, 8192);
	encode_zlib(&body, 31, 0, &dirty, 1);
	with_liar("says nothing", buf_str(&body), "gzip", &p);
	assert_true(p->reset && p->reason == ERR_SECRET_REFLECTED);
	/* marks for what was never sent */
	buf_clear(&body);
	encode_zlib(&body, 31, 6, &clean, 1);
	with_liar("too much", buf_str(&body), "gzip", &p);
	assert_true(p->reset && p->reason == ERR_CANNOT_SCRUB);
	with_liar("hangs up", buf_str(&body), "gzip", &p);
	assert_true(p->reset && p->reason == ERR_CANNOT_SCRUB);
	with_liar("says nothing", buf_str(&body), "gzip", &p);
	assert_true(p->ended);	/* its own exchange it can misjudge */
	rig_stop(&rig);
}

static void without_a_decoder(void **state)
{
	(void)state;
	auto_buf body = BUF_EMPTY;
	struct reply *p;

	buf_init(&body, 8192);
	encode_zlib(&body, 31, 6, &clean, 1);
	offer = (typeof(offer)){ .body = buf_str(&body), .coding = "gzip" };
	assert_int_equal(get("api.test")->head.status, 200);
	kill(rig.decoder, SIGKILL);
	usleep(100000);
	p = get("api.test");
	assert_int_equal(p->head.status, 502);
	rig_until(&rig, "\"kind\":\"outcome\"", "\"DECODER\"", NULL);
	offer.coding = NULL;	/* what needs none goes on */
	assert_int_equal(get("api.test")->head.status, 200);
	rig_arrived(&rig, 3);
	rig_stop(&rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_clean_passes_as_it_came), T(no_part_of_a_secret_passes), T(a_secret_across_flushes),
		T(a_secret_beside_the_plain_form), T(events_one_by_one), T(unknown_codings_are_refused),
		T(names_of_codings), T(what_does_not_decode), T(several_members), T(a_large_one_slowly),
		T(a_placeholder_in_an_encoded_request), T(a_large_encoded_request), T(a_captured_decoder),
		T(without_a_decoder),
	};

	sem_init(&next, 0, 0);
	world_start();
	world.answer = answer;
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
