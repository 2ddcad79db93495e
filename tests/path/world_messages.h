/* world_messages.h - the messages of a WebSocket at the client's end of the courier's link */
#pragma once

#include "world_rig.h"
#include "world_websocket.h"

static struct rig rig;

static struct reply *answered(uint32_t s)
{
	struct reply *p = rig_reply(&rig, s);

	for (int i = 0; i < 200 && !p->has_head && !p->reset; i++)
		rig_turn(&rig, 20);
	return p;
}

static void say(uint32_t s, enum websocket_opcode opcode, struct str payload)
{
	auto_buf message = BUF_EMPTY;
	struct str rest;

	buf_init(&message, WEBSOCKET_MESSAGE_MAX + 64);
	assert_int_equal(websocket_put_message(&message, opcode, payload), ERR_OK);
	for (rest = buf_str(&message); rest.n && !rig.broken;) {
		struct str piece = str_head(rest, link_sendable(rig.link, s));

		if (piece.n)
			assert_int_equal(link_data(rig.link, s, 0, piece), ERR_OK);
		rest = str_from(rest, piece.n);
		rig_turn(&rig, 20);
	}
}

static void say_text(uint32_t s, const char *text) { say(s, WEBSOCKET_TEXT, str_of(text)); }

/* The next message that came back, in the link's form; its payload as text behind its opcode. */
static void heard(uint32_t s, size_t *at, enum websocket_opcode opcode, const char *text)
{
	struct reply *p = rig_reply(&rig, s);
	struct websocket_message m;

	for (int i = 0; i < 200; i++) {
		struct str input = str_from(buf_str(&p->body), *at);
		size_t before = input.n;
		enum err e = websocket_next_message(&input, WEBSOCKET_MESSAGE_MAX, &m);

		if (e == ERR_OK) {
			*at += before - input.n;
			assert_int_equal(m.opcode, opcode);
			assert_true(str_eq(m.payload, str_of(text)));
			return;
		}
		assert_int_equal(e, ERR_MORE);
		assert_false(p->reset);
		rig_turn(&rig, 20);
	}
	fail_msg("nothing came: %s", text);
}
