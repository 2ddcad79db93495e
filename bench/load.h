/* load.h - what the parts of the load generator share */
#pragma once

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define STREAMS_MAX 128
#define PIECE 65536

struct options {
	const char *mode, *host, *ca, *path;
	long port, to, connections, streams, ms, rate, bytes, proxy, h2, hosts, requests;
};
extern struct options options;

enum state { CONNECT, TUNNEL, HANDSHAKE, READY, CLOSED };

struct client {
	int fd;
	enum state state;
	SSL *ssl;
	nghttp2_session *session;
	char name[300], authority[320];
	bool busy;			/* HTTP/1.1: a request is out */
	uint64_t since[STREAMS_MAX];	/* HTTP/2: by stream slot */
	int32_t stream[STREAMS_MAX];
	unsigned active;
	char head[8192];		/* of the answer, or of CONNECT's */
	size_t head_bytes;
	uint64_t body_left, began;
	bool in_body, writable_wanted, up_done;
	uint64_t up_left;
};

extern uint64_t bytes_down, errors, end_ns;
extern char piece[PIECE];

uint64_t now_ns(void);
/** is() - the mode's name */
bool is(const char *mode);
/** sample() - an answer is whole; its request went at @since */
void sample(uint64_t since);
void client_failed(struct client *c, const char *why);

/* load_http2.c */
void http2_begin(struct client *c);
void http2_read(struct client *c);
