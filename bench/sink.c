/* sink.c - an upstream of bench/gate over TLS: reads a
 * whole body before it answers; for a path that begins with
 * /events sends so many events, one every two milliseconds, each with the time at which it went
 *
 *   sink PORT CERTIFICATE        a thread a connection; PEM with certificate and key
 */
#include "decimal.h"
#include "event.h"

#include <arpa/inet.h>
#include <err.h>
#include <inttypes.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536

/* GET /events/N: EVENT_BYTES each, so that the length is known before */
static void send_events(SSL *s, uint64_t count)
{
	char text[256];
	int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
			 "content-length: %" PRIu64 "\r\nconnection: close\r\n\r\n", count * EVENT_BYTES);

	SSL_write(s, text, n);
	for (uint64_t i = 0; i < count; i++) {
		struct timespec t;

		usleep(2000);
		clock_gettime(CLOCK_MONOTONIC, &t);
		n = snprintf(text, sizeof text, EVENT_FORMAT,
			     (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
		if (SSL_write(s, text, n) != n)
			return;
	}
}

static void *sink_one(void *arg)
{
	SSL *s = arg;
	char head[8192];
	size_t n = 0;
	int got;
	char *end = NULL;

	while (SSL_accept(s) == 1) {
		while (!end && n < sizeof head - 1 &&
		       (got = SSL_read(s, head + n, (int)(sizeof head - 1 - n))) > 0) {
			n += (size_t)got;
			head[n] = '\0';
			end = strstr(head, "\r\n\r\n");
		}
		char *length = end ? strcasestr(head, "content-length:") : NULL;
		uint64_t left = length ? decimal(length + 15) : 0;
		static __thread char bytes[PIECE];

		if (!end)
			break;
		if (strncmp(head, "GET /events/", 12) == 0) {
			send_events(s, decimal(head + 12));
			break;
		}
		left -= n - (size_t)(end + 4 - head);
		while (left && (got = SSL_read(s, bytes, sizeof bytes)) > 0)
			left -= (size_t)got;
		if (left == 0)
			SSL_write(s, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
				  60);
		break;
	}
	SSL_shutdown(s);
	close(SSL_get_fd(s));
	SSL_free(s);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *certificate = argc == 3 ? argv[2] : NULL;
	uint64_t port = argc == 3 ? decimal(argv[1]) : 0;

	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons((uint16_t)port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!certificate)
		errx(2, "usage: sink PORT CERTIFICATE");
	signal(SIGPIPE, SIG_IGN);
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, certificate, SSL_FILETYPE_PEM) != 1)
		errx(1, "%s", certificate);
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set_num_tickets(ctx, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 128))
		err(1, "listen");
	for (;;) {
		pthread_t thread;
		SSL *s = SSL_new(ctx);

		SSL_set_fd(s, accept4(fd, NULL, NULL, SOCK_CLOEXEC));
		if (pthread_create(&thread, NULL, sink_one, s) == 0)
			pthread_detach(thread);
	}
}

