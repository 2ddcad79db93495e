/* load.c - the load generator of bench/gate: TLS 1.3 clients, HTTP/1.1 or HTTP/2, straight or through CONNECT
 *
 *   load MODE [name=value]...      one line of JSON on standard output
 *
 *   keep  connections= ms= [streams=]  closed loop: each connection (or stream) asks again at its answer
 *   pace  rate= ms=                    open loop: so many requests a second, on any number of connections
 *   open  connections= ms= [requests=] a new connection for each request; until so many are answered
 *   down  bytes=   up bytes=           one stream of so many bytes
 *   events                             one stream of the sink's events: how old each is when it comes
 *   idle  connections=                 one request each, then {"ready"}; held until its input ends
 *
 *   host= (SNI, Host)  port= (to connect to)  to= (the origin's port)  ca=  [proxy=1]: CONNECT first  [h2=1]
 *   [path=]  [hosts=N]: aNNN.<host>
 *
 * One thread, level-triggered epoll, AES-128-GCM, one certificate check as any client makes it.
 */
#include "decimal.h"
#include "event.h"
#include "load.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 8192
#define SAMPLES_MAX 4000000

struct options options = { .path = "/1k", .connections = 1, .streams = 1, .ms = 1000 };

static struct client clients[CONNECTIONS_MAX];
static SSL_CTX *tls;
static int ep;
static uint32_t *samples;
static size_t sample_count;
uint64_t bytes_down, errors, end_ns;
static uint64_t requests, bytes_up, started_ns;
char piece[PIECE];

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool is(const char *mode) { return strcmp(options.mode, mode) == 0; }

void sample(uint64_t since)
{
	requests++;
	if (sample_count < SAMPLES_MAX)
		samples[sample_count++] = (uint32_t)((now_ns() - since) / 1000);
}

/* ---- connections ---- */

static void watch(struct client *c, uint32_t events, int op)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(ep, op, c->fd, &e))
		err(1, "epoll");
}

static void client_open(struct client *c)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons((uint16_t)options.port) };
	static unsigned counter;
	int one = 1;

	*c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
			       .began = now_ns() };
	if (options.hosts)
		snprintf(c->name, sizeof c->name, "a%u.%s", counter++ % (unsigned)options.hosts,
			 options.host);
	else
		snprintf(c->name, sizeof c->name, "%s", options.host);
	snprintf(c->authority, sizeof c->authority, "%s:%ld", c->name, options.to);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&at, sizeof at) && errno != EINPROGRESS))
		err(1, "connect");
	watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void client_close(struct client *c)
{
	const struct linger at_once = { .l_onoff = 1 };

	nghttp2_session_del(c->session);
	SSL_free(c->ssl);
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);	/* or ports run out */
	close(c->fd);
	c->session = NULL;
	c->ssl = NULL;
	c->state = CLOSED;
}

void client_failed(struct client *c, const char *why)
{
	if (errors++ < 3)
		fprintf(stderr, "load: %s %s\n", why, c->head_bytes ? c->head : "");
	client_close(c);
	if (errors > 100)
		errx(1, "too many errors");
	if (now_ns() < end_ns)
		client_open(c);
}

static void write_all(struct client *c, const char *p, size_t n)
{
	while (n) {
		int w = SSL_write(c->ssl, p, n > PIECE ? PIECE : (int)n);

		if (w <= 0) {
			usleep(100);	/* requests are small: this hardly happens */
			continue;
		}
		p += w;
		n -= (size_t)w;
	}
}

static void request_h1(struct client *c)
{
	char text[1024];
	int n;

	c->busy = true;
	c->head_bytes = 0;
	c->in_body = false;
	c->since[0] = now_ns();
	n = is("up") ? snprintf(text, sizeof text,
				"POST %s HTTP/1.1\r\nhost: %s\r\ncontent-length: %ld\r\n\r\n", options.path,
				c->authority, options.bytes)
		     : snprintf(text, sizeof text,
				"GET %s HTTP/1.1\r\nhost: %s\r\nuser-agent: load\r\naccept: */*\r\n\r\n",
				options.path, c->authority);
	if (is("up"))
		c->up_left = (uint64_t)options.bytes;
	write_all(c, text, (size_t)n);
	if (c->up_left)
		watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
}

static void answered(struct client *c, uint64_t since)
{
	if (is("open")) {
		sample(c->began);
		client_close(c);
		if (options.requests && requests >= (uint64_t)options.requests)
			end_ns = 0;
		if (now_ns() < end_ns)
			client_open(c);
		return;
	}
	if (!is("events"))
		sample(since);
	c->busy = false;
	if (is("keep") && now_ns() < end_ns)
		request_h1(c);
	if (is("up") || is("down") || is("events"))
		end_ns = 0;
}

/* Whole events of the body; the rest of one waits in head. */
static void take_events(struct client *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		c->head[c->head_bytes++] = p[i];
		if (c->head_bytes < EVENT_BYTES)
			continue;
		sample(decimal(c->head + 6));
		c->head_bytes = 0;
	}
}

/* The answer's head, once whole: its length. */
static bool take_head(struct client *c)
{
	char *end, *length;

	c->head[c->head_bytes] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return false;
	length = strcasestr(c->head, "content-length:");
	if (strncmp(c->head, "HTTP/1.1 200", 12) || !length || length > end) {
		client_failed(c, "answer:");
		return false;
	}
	c->in_body = true;
	c->body_left = decimal(length + 15);
	size_t extra = c->head_bytes - (size_t)(end + 4 - c->head);

	bytes_down += extra;
	c->body_left -= extra;
	if (is("events")) {
		char first[sizeof c->head];

		memcpy(first, end + 4, extra);
		c->head_bytes = 0;
		take_events(c, first, extra);
	}
	return true;
}

static void read_h1(struct client *c)
{
	int n;

	while (c->state == READY) {
		if (!c->in_body) {
			n = SSL_read(c->ssl, c->head + c->head_bytes,
				     (int)(sizeof c->head - 1 - c->head_bytes));
			if (n > 0)
				c->head_bytes += (size_t)n;
			if (n > 0 && !take_head(c))
				continue;
		} else {
			n = SSL_read(c->ssl, piece, sizeof piece);
			if (n > 0) {
				bytes_down += (size_t)n;
				c->body_left -= (size_t)n;
				if (is("events"))
					take_events(c, piece, (size_t)n);
			}
		}
		if (n <= 0) {
			int e = SSL_get_error(c->ssl, n);

			if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
				client_failed(c, "closed");
			return;
		}
		if (c->state == READY && c->in_body && c->body_left == 0) {
			answered(c, c->since[0]);
			if (end_ns == 0)
				return;
		}
	}
}

static void write_up(struct client *c)
{
	while (c->up_left) {
		int n = SSL_write(c->ssl, piece,
				  c->up_left < sizeof piece ? (int)c->up_left : (int)sizeof piece);

		if (n <= 0)
			return;
		c->up_left -= (size_t)n;
		bytes_up += (size_t)n;
	}
	watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

/* ---- the way to READY ---- */

static void ready(struct client *c)
{
	c->state = READY;
	if (options.h2)
		http2_begin(c);
	else if (!is("pace"))
		request_h1(c);
}

static void shake(struct client *c)
{
	int n = SSL_do_handshake(c->ssl);

	if (n == 1) {
		ready(c);
		return;
	}
	if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ &&
	    SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_WRITE) {
		ERR_print_errors_fp(stderr);
		client_failed(c, "handshake");
	}
}

static void begin_tls(struct client *c)
{
	static const unsigned char h2[] = "\2h2";

	c->ssl = SSL_new(tls);
	SSL_set_fd(c->ssl, c->fd);
	SSL_set_tlsext_host_name(c->ssl, c->name);
	SSL_set1_host(c->ssl, c->name);
	if (options.h2)
		SSL_set_alpn_protos(c->ssl, h2, 3);
	SSL_set_connect_state(c->ssl);
	c->state = HANDSHAKE;
	c->head_bytes = 0;
	shake(c);
}

static void connected(struct client *c)
{
	char text[1024];
	int n, e = 0;
	socklen_t size = sizeof e;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &size);
	if (e) {
		errno = e;
		err(1, "connect");
	}
	watch(c, EPOLLIN, EPOLL_CTL_MOD);
	if (!options.proxy) {
		begin_tls(c);
		return;
	}
	n = snprintf(text, sizeof text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", c->authority,
		     c->authority);
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		err(1, "send");
	c->state = TUNNEL;
}

static void tunnelled(struct client *c)
{
	ssize_t n = recv(c->fd, c->head + c->head_bytes, sizeof c->head - 1 - c->head_bytes, 0);

	if (n <= 0) {
		client_failed(c, "the proxy closed");
		return;
	}
	c->head_bytes += (size_t)n;
	c->head[c->head_bytes] = '\0';
	if (!strstr(c->head, "\r\n\r\n"))
		return;
	if (strncmp(c->head, "HTTP/1.1 200", 12) && strncmp(c->head, "HTTP/1.0 200", 12))
		client_failed(c, "CONNECT:");
	else
		begin_tls(c);
}

static void happened(struct client *c, uint32_t events)
{
	switch (c->state) {
	case CONNECT:
		connected(c);
		break;
	case TUNNEL:
		tunnelled(c);
		break;
	case HANDSHAKE:
		shake(c);
		break;
	case READY:
		if (events & EPOLLOUT && c->up_left)
			write_up(c);
		if (options.h2)
			http2_read(c);
		else
			read_h1(c);
		break;
	case CLOSED:
		break;
	}
}

static void turn(int wait_ms)
{
	struct epoll_event e[256];
	int n = epoll_wait(ep, e, 256, wait_ms);

	for (int i = 0; i < n; i++)
		happened(e[i].data.ptr, e[i].events);
}

/* ---- modes ---- */

static unsigned count_state(enum state s)
{
	unsigned n = 0;

	for (long i = 0; i < options.connections; i++)
		n += clients[i].state == s;
	return n;
}

static void measure(void)
{
	sample_count = requests = bytes_down = bytes_up = 0;
	started_ns = now_ns();
	end_ns = started_ns + (uint64_t)options.ms * 1000000;
}

static void run_loop(void)
{
	end_ns = UINT64_MAX;
	for (long i = 0; i < options.connections; i++)
		client_open(&clients[i]);
	if (is("keep"))		/* handshakes are not measured */
		for (uint64_t until = now_ns() + 20000000000u;
		     requests < (uint64_t)options.connections && now_ns() < until;)
			turn(100);
	measure();
	if (is("up") || is("down") || is("events") || options.requests)
		end_ns = UINT64_MAX;
	while (now_ns() < end_ns)
		turn(100);
}

/* A request is sent when it is due, on a connection that is free; if none is, it waits, and that counts. */
static void run_pace(void)
{
	uint64_t due, period = 1000000000u / (uint64_t)options.rate;
	long next = 0;

	end_ns = UINT64_MAX;
	for (long i = 0; i < options.connections; i++)
		client_open(&clients[i]);
	while (count_state(READY) < (unsigned)options.connections)
		turn(100);
	measure();
	due = started_ns;
	while (now_ns() < end_ns) {
		uint64_t now = now_ns();

		if (now >= due) {
			struct client *c = &clients[next++ % options.connections];

			if (!c->busy) {
				request_h1(c);
				c->since[0] = due;
				due += period;
			}
			continue;
		}
		turn(due - now > 1500000 ? (int)((due - now) / 1000000) - 1 : 0);
	}
}

static void run_idle(void)
{
	char byte;

	end_ns = UINT64_MAX;
	for (long i = 0; i < options.connections; i++) {
		client_open(&clients[i]);
		if (i % 16 == 15)
			for (uint64_t want = (uint64_t)i - 8; requests < want;)
				turn(100);
	}
	while (requests < (uint64_t)options.connections)
		turn(100);
	printf("{\"ready\":%ld}\n", options.connections);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	exit(0);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void set_option(char *word)
{
	static const struct { const char *name; long *number; const char **text; } table[] = {
		{ "host", NULL, &options.host }, { "ca", NULL, &options.ca }, { "path", NULL, &options.path },
		{ "port", &options.port, NULL },
		{ "to", &options.to, NULL },
		{ "connections", &options.connections, NULL }, { "streams", &options.streams, NULL },
		{ "ms", &options.ms, NULL }, { "rate", &options.rate, NULL },
		{ "bytes", &options.bytes, NULL }, { "proxy", &options.proxy, NULL },
		{ "h2", &options.h2, NULL }, { "hosts", &options.hosts, NULL },
		{ "requests", &options.requests, NULL },
	};
	char *value = strchr(word, '=');

	for (size_t i = 0; value && i < sizeof table / sizeof *table; i++)
		if (strncmp(word, table[i].name, (size_t)(value - word)) == 0 &&
		    !table[i].name[value - word]) {
			if (table[i].number)
				*table[i].number = (long)decimal(value + 1);
			else
				*table[i].text = value + 1;
			return;
		}
	errx(2, "%s: no such option", word);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		errx(2, "usage: load MODE [name=value]...");
	options.mode = argv[1];
	for (int i = 2; i < argc; i++)
		set_option(argv[i]);
	signal(SIGPIPE, SIG_IGN);
	if (options.connections < 1 || options.connections > CONNECTIONS_MAX || options.streams < 1 ||
	    options.streams > STREAMS_MAX)
		errx(2, "connections or streams are out of range");
	tls = SSL_CTX_new(TLS_client_method());
	samples = calloc(SAMPLES_MAX, sizeof *samples);
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (!tls || !samples || ep < 0 || SSL_CTX_load_verify_locations(tls, options.ca, NULL) != 1)
		errx(1, "cannot start (ca=%s)", options.ca);
	SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (is("idle"))
		run_idle();
	else if (is("pace"))
		run_pace();
	else
		run_loop();
	double seconds = (double)(now_ns() - started_ns) / 1e9;

	qsort(samples, sample_count, sizeof *samples, compare);
	printf("{\"seconds\":%.4f,\"requests\":%llu,\"bytes_down\":%llu,\"bytes_up\":%llu,\"errors\":%llu,"
	       "\"p50_us\":%u,\"p99_us\":%u}\n",
	       seconds, (unsigned long long)requests, (unsigned long long)bytes_down,
	       (unsigned long long)bytes_up, (unsigned long long)errors,
	       sample_count ? samples[sample_count / 2] : 0,
	       sample_count ? samples[sample_count * 99 / 100] : 0);
	return errors ? 1 : 0;
}
