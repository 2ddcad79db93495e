/* gate.c - requests per second and added latency of the gate, beside nginx as a reverse proxy
 *
 * One load generator, three ways to one upstream (nginx, TLS, a short answer):
 *   direct   TLS over a socket to the upstream
 *   nginx    TLS to nginx, which keeps TLS connections to the upstream and verifies it
 *   gate     the guest's link: TLS with inspector, policy, intent on record, TLS by the courier,
 *            outcome on record; both processes confined as in a sandbox
 * The same client code and the same TLS library drive all three; only the transport differs (a
 * socket, or a stream of the link). All of it shares this host's processors, the generator too.
 * Each way is measured with one connection (latency) and with sixteen (throughput), in turn, so
 * that a noisy neighbour meets all three.
 *
 *   gate_bench [--quick] [--json]
 */
#include "gate_world.h"

#include "base/clock.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/ssl.h>
#undef ERR_STATE

#define CONNECTIONS_MAX 16
#define SAMPLES_MAX 200000
#define HOST GATE_HOST

static char server_name[] = HOST;
static const char request[] = "GET /bench HTTP/1.1\r\nhost: " HOST "\r\nuser-agent: bench\r\n\r\n";

/* ---- the load generator ---- */

struct client {
	SSL *ssl;
	BIO *in, *out;
	int fd;			/* -1: a stream of the link */
	uint32_t stream;
	bool in_flight;
	uint64_t since_ns;
	char answer[4096];
	size_t answer_bytes;
};

struct load {
	SSL_CTX *tls;
	struct link *link;	/* the gate's, for all of its connections */
	int link_fd;
	struct str address;	/* of the upstream, as the gate's DNS gave it */
	struct client clients[CONNECTIONS_MAX];
	unsigned count;
	uint32_t *samples_us;
	size_t sample_count;
	char dns[512];
	size_t dns_bytes;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void client_send(struct load *l, struct client *c)
{
	char bytes[16384];
	int n;

	while ((n = BIO_read(c->out, bytes, sizeof bytes)) > 0) {
		if (c->fd < 0 && link_data(l->link, c->stream, 0, str_make(bytes, (size_t)n)) != ERR_OK)
			errx(1, "the link takes nothing");
		if (c->fd >= 0 && send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
			err(1, "send");
	}
}

static bool client_answered(struct client *c)
{
	c->answer[c->answer_bytes] = '\0';
	const char *end = strstr(c->answer, "\r\n\r\n");
	const char *length = end ? strcasestr(c->answer, "content-length: ") : NULL;
	uint64_t n = 0;

	if (!length)
		return false;
	length += 16;
	if (!str_decimal(str_make(length, strcspn(length, "\r")), sizeof c->answer, &n))
		errx(1, "no length: %s", c->answer);
	return (size_t)(end + 4 - c->answer) + n <= c->answer_bytes;
}

/* Everything that a client can do now: handshake, the answer to its request, the next request. */
static void client_step(struct load *l, struct client *c)
{
	int n;

	if (!SSL_is_init_finished(c->ssl) && SSL_do_handshake(c->ssl) != 1) {
		client_send(l, c);
		return;
	}
	while ((n = SSL_read(c->ssl, c->answer + c->answer_bytes, (int)(sizeof c->answer - 1 - c->answer_bytes))) > 0)
		c->answer_bytes += (size_t)n;
	if (c->in_flight && client_answered(c)) {
		if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0)
			errx(1, "%s", c->answer);
		if (l->sample_count < SAMPLES_MAX)
			l->samples_us[l->sample_count++] = (uint32_t)((now_ns() - c->since_ns) / 1000);
		c->in_flight = false;
		c->answer_bytes = 0;
	}
	if (!c->in_flight) {
		c->since_ns = now_ns();
		c->in_flight = SSL_write(c->ssl, request, sizeof request - 1) > 0;
	}
	client_send(l, c);
}

static void client_input(struct load *l, struct client *c, struct str bytes)
{
	BIO_write(c->in, bytes.p, (int)bytes.n);
	client_step(l, c);
}

static void link_turn(struct load *l, int wait_ms)
{
	static char in[128 * 1024];
	struct str out = link_output(l->link);
	struct pollfd p = { l->link_fd, (short)(POLLIN | (out.n ? POLLOUT : 0)), 0 };
	struct link_frame f;

	if (poll(&p, 1, wait_ms) <= 0)
		return;
	ssize_t n = p.revents & POLLOUT ? send(l->link_fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n > 0)
		link_sent(l->link, (size_t)n);
	n = p.revents & POLLIN ? recv(l->link_fd, in, sizeof in, MSG_DONTWAIT) : -1;
	if (n == 0)
		errx(1, "the gate has closed");
	struct str input = { in, n > 0 ? (size_t)n : 0 };

	while (link_receive(l->link, &input, &f) == ERR_OK) {
		struct client *c = f.stream ? link_user(l->link, f.stream) : NULL;

		if (f.type == LINK_RESET)
			errx(1, "the gate resets a stream: %s", err_text(f.reason));
		if (f.type != LINK_DATA)
			continue;
		if (c) {
			client_input(l, c, f.payload);
		} else if (f.payload.n <= sizeof l->dns - l->dns_bytes) {
			memcpy(l->dns + l->dns_bytes, f.payload.p, f.payload.n);
			l->dns_bytes += f.payload.n;
		}
		link_consumed(l->link, f.stream, f.payload.n);
	}
}

static void socket_turn(struct load *l, int wait_ms)
{
	struct pollfd p[CONNECTIONS_MAX];
	char in[16384];

	for (unsigned i = 0; i < l->count; i++)
		p[i] = (struct pollfd){ l->clients[i].fd, POLLIN, 0 };
	if (poll(p, l->count, wait_ms) <= 0)
		return;
	for (unsigned i = 0; i < l->count; i++) {
		if (!p[i].revents)
			continue;
		ssize_t n = recv(p[i].fd, in, sizeof in, 0);

		if (n <= 0)
			errx(1, "the server has closed");
		client_input(l, &l->clients[i], str_make(in, (size_t)n));
	}
}

static uint32_t open_stream(struct load *l, enum link_kind kind, const struct msg_connect *m)
{
	uint32_t stream;
	enum err e;
	auto_buf fields = BUF_EMPTY;

	buf_init(&fields, LINK_OPEN_MAX);
	msg_put_connect(&fields, m);
	for (int i = 0; (e = link_open(l->link, kind, buf_str(&fields), &stream)) == ERR_STATE && i < 100; i++)
		link_turn(l, 100);	/* the gate is still starting */
	if (e != ERR_OK)
		errx(1, "a stream cannot be opened: %s", err_text(e));
	return stream;
}

/* A query for HOST, type A; the answer's last four bytes are its address. */
static void look_up(struct load *l)
{
	static const char query[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\4gate\4test\0\0\1\0\1";
	uint32_t s = open_stream(l, LINK_KIND_DNS, &(struct msg_connect){ .port = 53,
				 .address = STR_INIT("\x7f\0\0\1") });

	if (link_data(l->link, s, 0, str_make(query, sizeof query - 1)) != ERR_OK)
		errx(1, "no room for a query");
	link_end(l->link, s);
	for (int i = 0; i < 100 && l->dns_bytes < sizeof query + 4; i++)
		link_turn(l, 100);
	if (l->dns_bytes < sizeof query + 4)
		errx(1, "no answer to a query");
	l->address = str_make(l->dns + l->dns_bytes - 4, 4);
}

static void client_open(struct load *l, struct client *c, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(port) };
	int one = 1;

	*c = (struct client){ .ssl = SSL_new(l->tls), .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem()),
			      .fd = -1 };
	SSL_set_bio(c->ssl, c->in, c->out);
	SSL_set_connect_state(c->ssl);
	SSL_set_tlsext_host_name(c->ssl, server_name);
	if (l->link) {
		c->stream = open_stream(l, LINK_KIND_TCP, &(struct msg_connect){ .address = l->address, .port = 443 });
		link_set_user(l->link, c->stream, c);
	} else {
		c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		for (int i = 0; connect(c->fd, (struct sockaddr *)&at, sizeof at); i++)
			if (i == 100 || usleep(50000))
				err(1, "connect");
	}
	client_step(l, c);
}

static void client_close(struct load *l, struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	else
		link_reset(l->link, c->stream, ERR_CANCELLED);
	SSL_free(c->ssl);
}

struct figure {
	double per_second;
	uint32_t p50_us, p99_us;
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static struct figure measure(struct load *l, uint16_t port, unsigned connections, uint64_t ms)
{
	struct figure f = { 0 };

	for (l->count = 0; l->count < connections; l->count++)
		client_open(l, &l->clients[l->count], port);
	l->sample_count = 0;
	for (uint64_t until = clock_ms() + 10000; l->sample_count < connections && clock_ms() < until;)
		l->link ? link_turn(l, 100) : socket_turn(l, 100);	/* handshakes are not measured */
	l->sample_count = 0;
	uint64_t began = now_ns();

	while (now_ns() - began < ms * 1000000)
		l->link ? link_turn(l, 100) : socket_turn(l, 100);
	f.per_second = (double)l->sample_count * 1e9 / (double)(now_ns() - began);
	qsort(l->samples_us, l->sample_count, sizeof *l->samples_us, compare);
	if (l->sample_count) {
		f.p50_us = l->samples_us[l->sample_count / 2];
		f.p99_us = l->samples_us[l->sample_count * 99 / 100];
	}
	for (unsigned i = 0; i < connections; i++)
		client_close(l, &l->clients[i]);
	return f;
}

/* ---- the whole ---- */

enum way { DIRECT, NGINX, GATE, WAYS };
static const char *const way_name[WAYS] = { "direct", "nginx", "gate" };

static void print(const struct figure one[WAYS], const struct figure many[WAYS], bool json)
{
	double added = (double)one[GATE].p50_us - one[DIRECT].p50_us;
	double added_nginx = (double)one[NGINX].p50_us - one[DIRECT].p50_us;
	double speed = many[NGINX].per_second > 0 ? many[GATE].per_second / many[NGINX].per_second : 0;
	double latency = added_nginx > 0 ? added / added_nginx : 0;

	for (int w = 0; !json && w < WAYS; w++)
		printf("%-7s one connection: p50 %5u us, p99 %5u us   %d connections: %7.0f requests/s, p50 %5u us\n",
		       way_name[w], one[w].p50_us, one[w].p99_us, CONNECTIONS_MAX, many[w].per_second, many[w].p50_us);
	if (!json) {
		printf("gate to nginx: %.2f of its requests/s; %.0f us added against %.0f us (%.1f times)\n", speed,
		       added, added_nginx, latency);
		return;
	}
	printf("{");
	for (int w = 0; w < WAYS; w++)
		printf("\"%s\":{\"p50_us\":%u,\"p99_us\":%u,\"requests_per_second\":%.0f},", way_name[w],
		       one[w].p50_us, one[w].p99_us, many[w].per_second);
	printf("\"connections\":%d,\"gate_to_nginx_requests\":%.3f,\"gate_added_us\":%.0f,\"nginx_added_us\":%.0f}\n",
	       CONNECTIONS_MAX, speed, added, added_nginx);
}

int main(int argc, char **argv)
{
	struct load loads[WAYS] = { 0 };
	struct figure one[WAYS] = { 0 }, many[WAYS] = { 0 };
	struct link_limits limits = LINK_LIMITS_DEFAULT;
	uint16_t upstream, proxy;
	bool quick = false, json = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			quick = true;
		else if (strcmp(argv[i], "--json") == 0)
			json = true;
		else
			errx(2, "usage: gate_bench [--quick] [--json]");
	}
	gate_world_start(&upstream, &proxy);
	for (int w = 0; w < WAYS; w++) {
		loads[w].tls = SSL_CTX_new(TLS_client_method());
		loads[w].samples_us = calloc(SAMPLES_MAX, sizeof(uint32_t));
		if (!loads[w].tls || !loads[w].samples_us)
			errx(1, "out of memory");
	}
	loads[GATE].link_fd = gate_start(upstream);
	loads[GATE].link = link_new(LINK_LOWER, &limits);
	if (!loads[GATE].link)
		errx(1, "out of memory");
	look_up(&loads[GATE]);
	for (int w = 0; w < WAYS; w++) {
		uint16_t port = w == NGINX ? proxy : upstream;

		one[w] = measure(&loads[w], port, 1, quick ? 1000 : 5000);
		many[w] = measure(&loads[w], port, CONNECTIONS_MAX, quick ? 1000 : 5000);
	}
	print(one, many, json);
	return many[GATE].per_second > 0 ? 0 : 1;
}
