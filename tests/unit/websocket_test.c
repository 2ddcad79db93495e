/* websocket_test.c - frames: the RFC's examples, every
 * violation, every split; the link's form; the handshake's key */
#include "wire/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX ((size_t)70000)
#define SERVER false	/* who sends: a server masks nothing */
#define CLIENT true

/* Everything that a reader says of @bytes, handed over @step at a time, as a line: "1:Hello 9: close=1002" */
static const char *heard(bool client, struct str bytes, size_t step, size_t max)
{
	static char line[200000];
	struct websocket_reader r;
	struct websocket_message m;
	uint16_t close = 0;
	size_t n = 0;

	line[0] = 0;
	websocket_reader_init(&r, client, max);
	for (size_t at = 0; at < bytes.n && !close; at += step) {
		struct str piece = str_head(str_from(bytes, at), step);
		enum err e;

		while ((e = websocket_read(&r, &piece, &m, &close)) == ERR_OK)
			n += (size_t)snprintf(line + n, sizeof line - n, "%s%d:%.*s", n ? " " : "", m.opcode,
					      (int)m.payload.n, m.payload.p ? m.payload.p : "");
		if (e == ERR_MORE)
			assert_int_equal(piece.n, 0);
		else
			n += (size_t)snprintf(line + n, sizeof line - n, "%s%s %u", n ? " " : "", err_name(e),
					      close);
	}
	if (close) {	/* a failure stays */
		struct str more = STR("\x81\x00");

		assert_int_not_equal(websocket_read(&r, &more, &m, &close), ERR_OK);
	}
	websocket_reader_free(&r);
	return line;
}

static void hear(bool client, struct str bytes, const char *expected)
{
	assert_string_equal(heard(client, bytes, bytes.n, MAX), expected);
	assert_string_equal(heard(client, bytes, 1, MAX), expected);
	for (size_t step = 2; step < bytes.n && step < 40; step++)
		assert_string_equal(heard(client, bytes, step, MAX), expected);
}

static void examples_of_the_rfc(void **state)
{
	(void)state;
	hear(SERVER, STR("\x81\x05Hello"), "1:Hello");
	hear(CLIENT, STR("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "1:Hello");
	hear(SERVER, STR("\x01\x03Hel\x80\x02lo"), "1:Hello");
	hear(SERVER, STR("\x89\x05Hello"), "9:Hello");
	hear(CLIENT, STR("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "10:Hello");
}

static void fragments_and_controls(void **state)
{
	(void)state;
	hear(SERVER, STR("\x01\x03Hel\x89\x01p\x00\x00\x8a\x00\x80\x02lo\x82\x01x"), "9:p 10: 1:Hello 2:x");
	hear(SERVER, STR("\x81\x00\x82\x00"), "1: 2:");
	hear(SERVER, STR("\x01\x00\x80\x00"), "1:");
	/* a close between fragments, and nothing after it */
	hear(SERVER, STR("\x01\x03Hel\x88\x02\x03\xe8\x80\x02lo\xff\xff"), "8:\x03\xe8");
}

static void violations(void **state)
{
	(void)state;
	static const struct {
		struct str bytes;
		const char *expected;
		bool client;
	} bad[] = {
		{ STR_INIT("\xc1\x00"), "WEBSOCKET 1002",
		  SERVER },			/* a reserved bit: each of three */
		{ STR_INIT("\xa1\x00"), "WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x91\x00"), "WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x83\x00"), "WEBSOCKET 1002", SERVER },			/* reserved opcodes */
		{ STR_INIT("\x87\x00"), "WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x8b\x00"), "WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x8f\x00"), "WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x81\x80\x01\x02\x03\x04"), "WEBSOCKET 1002",
		  SERVER },	/* a server masks not */
		{ STR_INIT("\x81\x00"), "WEBSOCKET 1002", CLIENT },			/* a client must */
		{ STR_INIT("\x80\x00"), "WEBSOCKET 1002",
		  SERVER },			/* a continuation of nothing */
		{ STR_INIT("\x81\x00\x80\x00"), "1: WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x01\x00\x81\x00"), "WEBSOCKET 1002",
		  SERVER },		/* a message within another */
		{ STR_INIT("\x01\x00\x02\x00"), "WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x09\x00"), "WEBSOCKET 1002",
		  SERVER },			/* control frames are whole */
		{ STR_INIT("\x89\x7e\x00\x7e"), "WEBSOCKET 1002", SERVER },		/* and short */
		{ STR_INIT("\x81\x7e\x00\x7d"), "WEBSOCKET 1002",
		  SERVER },		/* lengths in their shortest form */
		{ STR_INIT("\x81\x7f\0\0\0\0\0\0\xff\xff"), "WEBSOCKET 1002", SERVER },
		{ STR_INIT("\x81\x7f\x80\0\0\0\0\1\0\0"), "WEBSOCKET 1002", SERVER },	/* the top bit */
		{ STR_INIT("\x81\x7f\x7f\0\0\0\0\1\0\0"), "BODY_TOO_LARGE 1009", SERVER },
		{ STR_INIT("\x82\x7f\0\0\0\0\0\1\x11\x71"), "BODY_TOO_LARGE 1009", SERVER },
		{ STR_INIT("\x88\x01\x03"), "WEBSOCKET 1002",
		  SERVER },			/* half a close code */
		{ STR_INIT("\x88\x03\x03\xe8\xff"), "WEBSOCKET 1007",
		  SERVER },		/* a reason is UTF-8 */
		{ STR_INIT("\x81\x01\xff"), "WEBSOCKET 1007", SERVER },
		{ STR_INIT("\x81\x02\xc0\x80"), "WEBSOCKET 1007", SERVER },		/* overlong */
		{ STR_INIT("\x81\x03\xe0\x9f\xbf"), "WEBSOCKET 1007", SERVER },
		{ STR_INIT("\x81\x03\xed\xa0\x80"), "WEBSOCKET 1007", SERVER },		/* a surrogate */
		{ STR_INIT("\x81\x04\xf0\x8f\xbf\xbf"), "WEBSOCKET 1007", SERVER },
		{ STR_INIT("\x81\x04\xf4\x90\x80\x80"), "WEBSOCKET 1007", SERVER },	/* above U+10FFFF */
		{ STR_INIT("\x81\x01\x80"), "WEBSOCKET 1007", SERVER },
		{ STR_INIT("\x81\x02\xe2\x82"), "WEBSOCKET 1007",
		  SERVER },		/* cut off at the message's end */
		{ STR_INIT("\x01\x01\xe2\x80\x01\x82"), "WEBSOCKET 1007", SERVER },
		{ STR_INIT("\x01\x01\xe2\x00\x01\x41"), "WEBSOCKET 1007",
		  SERVER },	/* broken in a later fragment */
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		hear(bad[i].client, bad[i].bytes, bad[i].expected);
}

static void text_across_fragments(void **state)
{
	(void)state;
	static const char text[] =
		"\xe2\x82\xac \xf0\x9f\x98\x80 \xc3\xa9 plain ascii \xf4\x8f\xbf\xbf\xed\x9f\xbf";

	for (size_t cut = 0; cut < sizeof text; cut++) {
		char bytes[100], expected[100];
		int n = snprintf(bytes, sizeof bytes, "%c%c%.*s", 1, (char)cut, (int)cut, text);

		bytes[n++] = (char)0x89;	/* a ping in the middle of a character */
		bytes[n++] = 0;
		bytes[n++] = (char)0x80;
		bytes[n++] = (char)(sizeof text - 1 - cut);
		memcpy(bytes + n, text + cut, sizeof text - 1 - cut);
		snprintf(expected, sizeof expected, "9: 1:%s", text);
		hear(SERVER, str_make(bytes, (size_t)n + sizeof text - 1 - cut), expected);
	}
	/* binary is not text */
	hear(SERVER, STR("\x82\x02\xff\xfe"), "2:\xff\xfe");
}

static void close_codes(void **state)
{
	(void)state;
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		bool sent = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
			    (code >= 3000 && code <= 4999);
		struct websocket_reader r;
		struct websocket_message m;
		uint16_t close = 0;
		auto_buf payload = BUF_EMPTY, frame = BUF_EMPTY;

		buf_init(&payload, 125);
		buf_init(&frame, 200);
		websocket_put_close(&payload, (uint16_t)code, STR("why"));
		if (code == 0)
			assert_int_equal(payload.len, 0);	/* none given: an empty close */
		assert_int_equal(websocket_put_frame(&frame, WEBSOCKET_CLOSE, NULL, buf_str(&payload)),
				 ERR_OK);
		struct str input = buf_str(&frame);

		websocket_reader_init(&r, SERVER, MAX);
		assert_int_equal(websocket_read(&r, &input, &m, &close),
				 sent || !code ? ERR_OK : ERR_WEBSOCKET);
		assert_int_equal(close, sent || !code ? 0 : 1002);
		websocket_reader_free(&r);
	}
}

static void lengths_and_masks(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 124, 125, 126, 127, 65535, 65536, 65537, 70000 };
	static const uint8_t mask[4] = { 0xde, 0xad, 0x00, 0x7f };
	static char text[70000];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + i % 26);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (int masked = 0; masked < 2; masked++) {
			char *expected = malloc(sizes[i] + 10);
			auto_buf frame = BUF_EMPTY;

			assert_non_null(expected);
			snprintf(expected, sizes[i] + 10, "1:%.*s", (int)sizes[i], text);
			buf_init(&frame, 80000);
			assert_int_equal(websocket_put_frame(&frame, WEBSOCKET_TEXT, masked ? mask : NULL,
							     str_make(text, sizes[i])), ERR_OK);
			assert_string_equal(heard(masked, buf_str(&frame), frame.len, MAX), expected);
			assert_string_equal(heard(masked, buf_str(&frame), 1, MAX), expected);
			assert_string_equal(heard(masked, buf_str(&frame), 13, MAX), expected);
			free(expected);
		}
}

static void caps(void **state)
{
	(void)state;
	auto_buf many = BUF_EMPTY;

	/* by the sum of fragments, at the header that goes over */
	assert_string_equal(heard(SERVER, STR("\x01\x05Hello\x80\x06"), 99, 10), "BODY_TOO_LARGE 1009");
	assert_string_equal(heard(SERVER, STR("\x01\x05Hello\x80\x05World"), 99, 10), "1:HelloWorld");
	/* a cap of one message is whole again for the next */
	assert_string_equal(heard(SERVER, STR("\x81\x05Hello\x81\x05World"), 99, 5), "1:Hello 1:World");
	/* empty fragments do not go on forever */
	buf_init(&many, 2 * WEBSOCKET_FRAMES_MAX + 10);
	buf_put(&many, STR("\x01\x00"));
	for (unsigned i = 1; i < WEBSOCKET_FRAMES_MAX; i++)
		buf_put(&many, STR("\x00\x00"));
	assert_string_equal(heard(SERVER, buf_str(&many), many.len, MAX), "");
	buf_put(&many, STR("\x80\x00"));
	assert_string_equal(heard(SERVER, buf_str(&many), many.len, MAX), "BODY_TOO_LARGE 1009");
}

static void form_of_the_link(void **state)
{
	(void)state;
	struct websocket_message m;
	struct str input, before;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1000);
	assert_int_equal(websocket_put_message(&b, WEBSOCKET_TEXT, STR("h\xc3\xa9")), ERR_OK);
	assert_int_equal(websocket_put_message(&b, WEBSOCKET_CLOSE, STR("\x03\xe8" "bye")), ERR_OK);
	assert_int_equal(websocket_put_message(&b, WEBSOCKET_PONG, STR("")), ERR_OK);
	assert_int_equal(b.len, 8 + 3 + 8 + 5 + 8);
	for (size_t n = 0; n < 11; n++) {
		before = input = str_head(buf_str(&b), n);
		assert_int_equal(websocket_next_message(&input, 100, &m), ERR_MORE);
		assert_int_equal(input.n, before.n);
	}
	input = buf_str(&b);
	assert_int_equal(websocket_next_message(&input, 100, &m), ERR_OK);
	assert_true(m.opcode == WEBSOCKET_TEXT && str_eq(m.payload, STR("h\xc3\xa9")));
	assert_int_equal(websocket_next_message(&input, 100, &m), ERR_OK);
	assert_true(m.opcode == WEBSOCKET_CLOSE && str_eq(m.payload, STR("\x03\xe8" "bye")));
	assert_int_equal(websocket_next_message(&input, 100, &m), ERR_OK);
	assert_true(m.opcode == WEBSOCKET_PONG && m.payload.n == 0 && input.n == 0);
	assert_int_equal(websocket_put_message(&b, WEBSOCKET_PING, str_make(b.p, 0)), ERR_OK);
	buf_clear(&b);
	buf_put(&b, STR("0123456789012345678901234567890123456789012345678901234567890123456789"
			"01234567890123456789012345678901234567890123456789012345"));
	assert_int_equal(websocket_put_message(&b, WEBSOCKET_PING, str_head(buf_str(&b), 126)),
			 ERR_BODY_TOO_LARGE);
}

static void form_of_the_link_is_strict(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT("\0\0\0\0\0\0\0\0"), STR_INIT("\3\0\0\0\0\0\0\0"), STR_INIT("\x0b\0\0\0\0\0\0\0"),
		STR_INIT("\1\1\0\0\0\0\0\0"), STR_INIT("\1\0\0\1\0\0\0\0"),
		STR_INIT("\1\0\0\0\x65\0\0\0"),			/* over the receiver's cap of 100 */
		STR_INIT("\x09\0\0\0\x7e\0\0\0"),		/* a long ping */
		STR_INIT("\1\0\0\0\1\0\0\0\xff"),		/* not UTF-8 */
		STR_INIT("\x08\0\0\0\1\0\0\0\3"),		/* half a code */
		STR_INIT("\x08\0\0\0\2\0\0\0\3\xed"),		/* 1005 */
		STR_INIT("\x08\0\0\0\3\0\0\0\3\xe8\xff"),
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct websocket_message m;
		struct str input = bad[i];

		assert_int_equal(websocket_next_message(&input, 100, &m), ERR_LINK_MALFORMED);
		assert_int_equal(input.n, bad[i].n);
	}
}

static void keys(void **state)
{
	(void)state;
	char accept[WEBSOCKET_ACCEPT_BYTES + 1];

	websocket_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	websocket_accept(STR("x3JJHMbDL1EzLkh9GBhXDw=="), accept);
	assert_string_equal(accept, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
	assert_true(websocket_key_check(STR("dGhlIHNhbXBsZSBub25jZQ==")));
	assert_false(websocket_key_check(STR("dGhlIHNhbXBsZSBub25jZQ=")));
	assert_false(websocket_key_check(STR("dGhlIHNhbXBsZSBub25jZR==")));
	assert_false(websocket_key_check(STR("dGhlIHNhbXBsZSBub25jZWE=")));
	assert_false(websocket_key_check(STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_of_the_rfc), cmocka_unit_test(fragments_and_controls),
		cmocka_unit_test(violations), cmocka_unit_test(text_across_fragments),
		cmocka_unit_test(close_codes),
		cmocka_unit_test(lengths_and_masks), cmocka_unit_test(caps),
		cmocka_unit_test(form_of_the_link), cmocka_unit_test(form_of_the_link_is_strict),
		cmocka_unit_test(keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
