/* world_websocket.h - the upstream's end of a WebSocket, over HTTP/1.1 (here) and HTTP/2 (world_http2.h)
 *
 * What a text message makes it do is in socket_message(); everything else comes back as it went.
 */
#pragma once

#include "wire/websocket.h"

struct socket_peer {
	struct websocket_reader reader;
	struct buf out;			/* frames for the client */
	bool over;
};

static char socket_log[65536];		/* every message that came, a line each */

static void socket_note(const struct websocket_message *m)
{
	size_t n = strlen(socket_log);

	pthread_mutex_lock(&world.lock);
	snprintf(socket_log + n, sizeof socket_log - n, "%d:%.*s\n", (int)m->opcode,
		 (int)(m->payload.n < 2048 ? m->payload.n : 2048), m->payload.p);
	pthread_mutex_unlock(&world.lock);
}

static void socket_put(struct socket_peer *p, enum websocket_opcode opcode, struct str payload)
{
	assert_int_equal(websocket_put_frame(&p->out, opcode, NULL, payload), ERR_OK);
}

static void socket_message(struct socket_peer *p, const struct websocket_message *m)
{
	auto_buf close = BUF_EMPTY;

	socket_note(m);
	buf_init(&close, 125);
	if (str_eq(m->payload, STR("say secret"))) {
		socket_put(p, WEBSOCKET_TEXT, STR("before " SECRET " after"));
	} else if (str_eq(m->payload, STR("say secret in parts"))) {
		buf_put(&p->out, STR("\x01\x0f" "before sk-test-"));
		socket_put(p, WEBSOCKET_PING, STR("between"));
		buf_put(&p->out, STR("\x80\x17" "0123456789abcdefSECRET!"));
	} else if (str_eq(m->payload, STR("say it in parts"))) {
		buf_put(&p->out, STR("\x01\x05hello"));
		socket_put(p, WEBSOCKET_PING, STR("between"));
		buf_put(&p->out, STR("\x80\x06 again"));
	} else if (str_eq(m->payload, STR("be masked"))) {
		assert_int_equal(websocket_put_frame(&p->out, WEBSOCKET_TEXT, (const uint8_t *)"1234",
						     STR("no")), ERR_OK);
	} else if (str_eq(m->payload, STR("go away"))) {
		websocket_put_close(&close, 1001, STR("bye"));
		socket_put(p, WEBSOCKET_CLOSE, buf_str(&close));
	} else if (str_eq(m->payload, STR("vanish"))) {
		p->over = true;
	} else if (m->opcode == WEBSOCKET_PING) {
		socket_put(p, WEBSOCKET_PONG, m->payload);
	} else if (m->opcode != WEBSOCKET_PONG) {
		socket_put(p, m->opcode, m->payload);
		p->over = m->opcode == WEBSOCKET_CLOSE;
	}
}

static void socket_peer_init(struct socket_peer *p)
{
	*p = (struct socket_peer){ .over = false };
	websocket_reader_init(&p->reader, true, WEBSOCKET_MESSAGE_MAX);
	buf_init(&p->out, 64u * 1024 * 1024);
}

static void socket_peer_free(struct socket_peer *p)
{
	websocket_reader_free(&p->reader);
	buf_free(&p->out);
}

static void socket_peer_take(struct socket_peer *p, struct str bytes)
{
	struct websocket_message m;
	uint16_t close;

	while (websocket_read(&p->reader, &bytes, &m, &close) == ERR_OK)
		socket_message(p, &m);
}

/* Over HTTP/1.1, after the request's head. */
static void world_socket_begin(SSL *s, const char *head)
{
	const char *key = strstr(head, "sec-websocket-key: ");
	char accept[WEBSOCKET_ACCEPT_BYTES + 1] = "", text[512];

	if (key)
		websocket_accept(str_make(key + 19, WEBSOCKET_KEY_BYTES), accept);
	if (strstr(head, "/socket/wrong"))
		accept[0] ^= 1;
	snprintf(text, sizeof text,
		 "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
		 "sec-websocket-accept: %s\r\n%s\r\n", accept,
		 strstr(head, "/socket/chat") ? "sec-websocket-protocol: chat\r\n"
		 : strstr(head, "/socket/deflate") ? "sec-websocket-extensions: permessage-deflate\r\n" : "");
	world_say(s, text);
}

static void world_socket(SSL *s, const char *head)
{
	struct socket_peer p;
	char in[16384];
	int n;

	world_socket_begin(s, head);
	socket_peer_init(&p);
	while (!p.over && (n = SSL_read(s, in, sizeof in)) > 0) {
		socket_peer_take(&p, str_make(in, (size_t)n));
		world_send(s, p.out.p, p.out.len);
		buf_clear(&p.out);
	}
	socket_peer_free(&p);
}
