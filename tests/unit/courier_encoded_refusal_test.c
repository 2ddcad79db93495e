/* courier_encoded_refusal_test.c - bodies in a content coding that cannot be searched, through the
 * real courier: codings that are not known, data that does not decode, a decoder that lies or is gone */
#include "courier_encoded_world.h"

#include "os/fd.h"

static void unknown_codings_are_refused(void **state)
{
	(void)state;
	static const struct { const char *coding, *field; bool passes; } codings[] = {
		{ "compress", NULL, false }, { "gzip, br", NULL, false }, { "dcz", NULL, false },
		{ "x", NULL, false }, { "gzip", "content-encoding: br", false },
		{ "identity, compress", NULL, false },
		{ "gzip;q=1", NULL, false }, { "identity", NULL, true }, { "", NULL, true },
		{ "Identity, ", NULL, true },
	};

	for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
		offer = (typeof(offer)){ .body = STR("text"), .coding = codings[i].coding,
					 .field = codings[i].field };
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
				offer = (typeof(offer)){ .body = buf_str(&body),
							 .coding = encodings[i].coding, .length = length };
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

/* Until @bytes of the answer are here, and a moment longer: no more of it may come. */
static struct reply *with_bytes(uint32_t s, size_t bytes)
{
	struct reply *p = rig_reply(&rig, s);

	for (int i = 0; i < 100 && p->body.len < bytes && !p->reset; i++)
		rig_turn(&rig, 20);
	for (int i = 0; i < 5; i++)
		rig_turn(&rig, 20);
	return p;
}

/* What passes without being decoded is searched as it is: not even a part of a secret passes. */
static void what_passes_undecoded_is_held_back_all_the_same(void **state)
{
	(void)state;
	static const char body[] =
		"this is not gzip, is it? and then sk-test-0123456789abcdefSECRET, it said";
	const size_t begin = 34;	/* of the secret */

	offer = (typeof(offer)){ .body = str_of(body), .coding = "gzip", .ends = { 25, 60 }, .end_count = 2 };
	uint32_t s = ask(&rig, &(struct ask){ .method = "POST", .path = "/offer" });

	assert_int_equal(with_bytes(s, 25)->body.len, 25);
	sem_post(&next);
	assert_int_equal(with_bytes(s, begin)->body.len, begin);
	sem_post(&next);
	struct reply *p = rig_wait(&rig, s);

	assert_true(p->reset && p->reason == ERR_SECRET_REFLECTED);
	assert_int_equal(p->body.len, begin);
	/* the beginning of none is let go at the end */
	offer = (typeof(offer)){ .body = STR_INIT("this is not gzip, is it? sk-test-"), .coding = "gzip",
				 .ends = { 25 }, .end_count = 1 };
	s = ask(&rig, &(struct ask){ .method = "POST", .path = "/offer" });
	assert_int_equal(with_bytes(s, 25)->body.len, 25);
	sem_post(&next);
	p = rig_wait(&rig, s);
	assert_true(p->ended && str_eq(buf_str(&p->body), offer.body));
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
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char byte, in[65536];

	(void)arg;
	for (;;) {
		uint64_t total = 0;
		size_t bytes_of_it;
		int job;
		ssize_t n;

		if (poll(&wait, 1, -1) < 0 || fd_receive(fd, &byte, 1, &bytes_of_it, &job))
			break;
		if (!strcmp(mode, "hangs up")) {
			close(job);
			continue;
		}
		if (!strcmp(mode, "tells")) {
			static const char words[] = "\6\0\0\0\x37\0\0\0\xff\xff"
						    "what it saw elsewhere: " SECRET;

			send(job, words, sizeof words - 1, MSG_NOSIGNAL);
			close(job);
			continue;
		}
		bool ended = false;

		while (!ended && (n = recv(job, in, sizeof in, 0)) > 0) {
			total += (uint64_t)n;
			ended = n >= 8 && in[n - 8] == DECODER_END;
		}
		if (!strcmp(mode, "late")) {
			sem_wait(&next);
			send(job, "\2\0\0\0\5\0\0\0plain", 13, MSG_NOSIGNAL);
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

static void start_with_liar(const char *mode)
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
	pthread_detach(thread);
}

static void with_liar(const char *mode, struct str body, const char *coding, struct reply **ret)
{
	start_with_liar(mode);
	offer = (typeof(offer)){ .body = body, .coding = coding };
	*ret = get("api.test");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/still" })->head.status, 200);
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

/* It counts like any other, and is on record by its name. */
static void what_is_found_undecoded_detaches_its_credential(void **state)
{
	(void)state;
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 8192);
	encode_zlib(&body, 31, 0, &dirty, 1);	/* stored: it can be read without decoding */
	offer = (typeof(offer)){ .body = buf_str(&body), .coding = "gzip" };
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_wait(&rig, ask(&rig, &(struct ask){ .path = "/offer" }))->reason,
				 ERR_SECRET_REFLECTED);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", "\"secret_of\":\"api\""), 3);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "credential api is detached", NULL), 1);
	rig_stop(&rig);
}

/* Its words are shown to the agent, and are on record. */
static void a_captured_decoder_tells_no_secret(void **state)
{
	(void)state;
	start_with_liar("tells");
	struct reply *p = ask_wait(&rig, &(struct ask){ .method = "POST", .host = "a.wild.test",
		.path = "/a/b.git/git-receive-pack", .framing = HEAD_BODY_STREAMED, .body = "0000",
		.name = "content-type", .value = "application/x-git-receive-pack-request" });

	assert_true(p->ended && p->head.status != 200);
	assert_non_null(memmem(p->body.p, p->body.len, "Paddock: ", 9));
	assert_null(memmem(p->body.p, p->body.len, "sk-test", 7));
	rig_until(&rig, "\"kind\":\"outcome\"", "\"DECODER\"", NULL);
	assert_int_equal(trail(&rig, SECRET, NULL, NULL), 0);
	rig_stop(&rig);
}

/* Says what waits, and reads nothing. */
static void tell(void)
{
	struct str out;

	while ((out = link_output(rig.link)).n) {
		ssize_t n = send(rig.link_fd, out.p, out.n, MSG_NOSIGNAL);

		assert_true(n > 0);
		link_sent(rig.link, (size_t)n);
	}
	usleep(300000);
}

/* An exchange that has failed takes nothing from its decoder
 * any more, also while its refusal waits for the link. */
static void a_refusal_that_waits_stays_what_it_is(void **state)
{
	(void)state;
	const struct head trailers = { .kind = HEAD_TRAILERS };
	auto_buf body = BUF_EMPTY, extra = BUF_EMPTY;
	uint32_t large[6], s;

	buf_init(&body, 8192);
	encode_zlib(&body, 31, 6, &clean, 1);
	start_with_liar("late");
	offer = (typeof(offer)){ .body = buf_str(&body), .coding = "gzip", .length = true };
	s = ask(&rig, &(struct ask){ .path = "/offer", .unfinished = true });
	tell();
	for (size_t i = 0; i < 6; i++)
		large[i] = ask(&rig, &(struct ask){ .host = "other.test", .path = "/big" });
	tell();
	buf_init(&extra, 64);
	assert_int_equal(head_encode(&trailers, &extra), ERR_OK);
	assert_int_equal(link_head(rig.link, s, buf_str(&extra)), ERR_OK); /* which it did not announce */
	tell();
	sem_post(&next);
	usleep(300000);
	struct reply *p = rig_wait(&rig, s);

	assert_true(p->ended);
	assert_int_equal(p->head.status, 400);
	assert_int_equal(p->body_bytes, p->head.length);
	for (size_t i = 0; i < 6; i++)
		link_reset(rig.link, large[i], ERR_CANCELLED);
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
		T(unknown_codings_are_refused), T(what_does_not_decode),
		T(what_passes_undecoded_is_held_back_all_the_same),
		T(a_captured_decoder), T(what_is_found_undecoded_detaches_its_credential),
		T(a_captured_decoder_tells_no_secret),
		T(a_refusal_that_waits_stays_what_it_is), T(without_a_decoder),
	};

	return encoded_world(tests, sizeof tests / sizeof *tests);
}
