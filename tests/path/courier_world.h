/* courier_world.h - what the tests of paddock-courier run it in
 *
 * The courier is the real program, confined, on the descriptors that a supervisor would give it.
 * Around it: an upstream (TLS, in this process' threads, with a CA of its own), a keeper that
 * speaks keeper.h, and a client at the other end of the inspector's link, honest or not.
 * Included by the one file of each test.
 */
#pragma once

#include "audit/audit.h"
#include "base/clock.h"
#include "credential/keeper.h"
#include "wire/link.h"
#include "wire/head.h"
#include "wire/msg.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#include <cmocka.h>

#define SECRET "sk-test-0123456789abcdefSECRET"
#define PLACEHOLDER "pk-placeholder-AAAAAAAAAAAAAAAA"
#define BIG_BYTES (10u * 1024 * 1024)

/* ---- the upstream ---- */

struct world {
	int listener;
	uint16_t port;
	SSL_CTX *tls;
	char *ca_pem;
	size_t ca_pem_bytes;
	pthread_mutex_t lock;
	char log[1 << 18];		/* every request head, as it came */
	size_t log_bytes;
	unsigned requests, connections, unrecorded;
	unsigned living;		/* connections whose thread is at work */
	uint64_t body_bytes;		/* received, all requests */
	int trail;			/* where an intent must be before its request arrives */
};

static struct world world;

static EVP_PKEY *world_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	assert_non_null(key);
	return key;
}

static X509 *world_certificate(EVP_PKEY *key, const char *name, EVP_PKEY *signer, X509 *issuer, const char *alt)
{
	X509 *x = X509_new();
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
	X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, issuer ? NID_subject_alt_name : NID_basic_constraints,
				issuer ? alt : "critical,CA:TRUE");
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	assert_true(X509_sign(x, signer, EVP_sha256()) > 0);
	return x;
}

static void world_send(SSL *s, const char *p, size_t n)
{
	while (n) {
		int sent = SSL_write(s, p, n > 16384 ? 16384 : (int)n);

		if (sent <= 0)
			return;
		p += sent;
		n -= (size_t)sent;
	}
}

static void world_say(SSL *s, const char *text) { world_send(s, text, strlen(text)); }

static bool world_intent_of(void *found, struct str line)
{
	char z[AUDIT_RECORD_MAX + 1];
	const char *path = *(const char **)found;

	snprintf(z, sizeof z, "%.*s", (int)line.n, line.p);
	if (strstr(z, "\"kind\":\"intent\"") && strstr(z, path))
		*(const char **)found = NULL;
	return *(const char **)found != NULL;
}

static void world_note(const char *head, const char *path)
{
	const char *found = path;

	pthread_mutex_lock(&world.lock);
	world.requests++;
	world.log_bytes += (size_t)snprintf(world.log + world.log_bytes, sizeof world.log - world.log_bytes,
					    "%s", head);
	assert_true(world.log_bytes < sizeof world.log);
	if (audit_each(world.trail, world_intent_of, &found) != ERR_OK || found)
		world.unrecorded++;
	pthread_mutex_unlock(&world.lock);
}

static void world_big(SSL *s)
{
	static char block[65536];

	world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n");
	for (unsigned i = 0; i < BIG_BYTES / sizeof block; i++)
		world_send(s, block, sizeof block);
}

/* Two answers in one segment, the second to a question that nobody has put. */
static void world_double(SSL *s)
{
	int on = 1, off = 0;

	setsockopt(SSL_get_fd(s), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
	world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst");
	world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
	setsockopt(SSL_get_fd(s), IPPROTO_TCP, TCP_CORK, &off, sizeof off);
}

/* Ways in which a secret could come back. */
static const struct {
	const char *path, *answer, *later;	/* later: after a pause */
} world_echoes[] = {
	{ "/echo/trailer", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
			   "x-echo: " SECRET "\r\n\r\n", NULL },
	{ "/echo/trailer-name", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
				"736b2d746573742d303132333435363738396162636465665345435245540a: x\r\n\r\n", NULL },
	{ "/echo/redirect", "HTTP/1.1 302 Found\r\nlocation: https://evil.test/?k=" SECRET
			    "\r\ncontent-length: 0\r\n\r\n", NULL },
	{ "/echo/cookie", "HTTP/1.1 204 No Content\r\nset-cookie: k=sk%2Dtest%2d0123456789abcdefSECRET\r\n\r\n",
	  NULL },
	{ "/echo/not-modified", "HTTP/1.1 304 Not Modified\r\netag: \"" SECRET "\"\r\n\r\n", NULL },
	{ "/echo/unicode", "HTTP/1.1 200 OK\r\ncontent-length: 42\r\n\r\n"
			   "\"\\u0073k-test-0123456789\\u0061bcdefSECRET\"", NULL },
	{ "/echo/chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=b\r\ns\r\n1\r\nk\r\n"
			  "1\r\n-\r\n14\r\ntest-0123456789abcde\r\n", "7\r\nfSECRET\r\n0\r\n\r\n" },
	{ "/echo/event", "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
			 "19\r\ndata: sk-test-0123456789a\r\n", "10\r\nbcdefSECRET\n\n...\r\n0\r\n\r\n" },
	{ "/echo/close", "HTTP/1.0 200 OK\r\n\r\n" SECRET, NULL },
	{ "/echo/error", "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"" SECRET "\"\r\n"
			 "content-length: 0\r\n\r\n", NULL },
	{ "/echo/informational", "HTTP/1.1 103 Early Hints\r\nlink: <" SECRET ">\r\n\r\n"
				 "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", NULL },
	/* these have a place that is not passed on */
	{ "/quiet/reason", "HTTP/1.1 200 " SECRET "\r\ncontent-length: 2\r\n\r\nok", NULL },
	{ "/quiet/extension", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;k=\"" SECRET "\"\r\nok\r\n"
			      "0\r\n\r\n", NULL },
	{ "/quiet/hop", "HTTP/1.1 200 OK\r\nconnection: x-k\r\nx-k: " SECRET "\r\ncontent-length: 2\r\n\r\nok",
	  NULL },
};

static bool world_echo(SSL *s, const char *path)
{
	for (size_t i = 0; i < sizeof world_echoes / sizeof *world_echoes; i++) {
		if (strcmp(path, world_echoes[i].path))
			continue;
		world_say(s, world_echoes[i].answer);
		if (world_echoes[i].later) {
			usleep(100000);
			world_say(s, world_echoes[i].later);
		}
		return true;
	}
	return false;
}

/* What each path of the world does. Returns false when the connection is to be closed. */
static bool world_answer(SSL *s, const char *path, const char *head, uint64_t body)
{
	char text[1024];

	if (!strcmp(path, "/reflect-body")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n");
		snprintf(text, sizeof text, "%-60s", "before " SECRET " after");
		world_say(s, text);
	} else if (!strcmp(path, "/reflect-split")) {
		world_say(s, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11\r\nsafe sk-test-0123\r\n");
		usleep(50000);
		world_say(s, "15\r\n456789abcdefSECRET...\r\n0\r\n\r\n");
	} else if (!strcmp(path, "/reflect-base64")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 49\r\n\r\n"
			     "token=c2stdGVzdC0wMTIzNDU2Nzg5YWJjZGVmU0VDUkVU...");
	} else if (!strcmp(path, "/reflect-header")) {
		world_say(s, "HTTP/1.1 200 OK\r\nx-echo: key=" SECRET "\r\ncontent-length: 0\r\n\r\n");
	} else if (!strcmp(path, "/gzip")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd");
	} else if (world_echo(s, path)) {
		return strcmp(path, "/echo/close") != 0;
	} else if (!strcmp(path, "/double")) {
		world_double(s);
	} else if (!strcmp(path, "/big")) {
		world_big(s);
	} else if (!strcmp(path, "/events")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
			     "alt-svc: h3=\":443\"\r\ntransfer-encoding: chunked\r\n\r\n");
		for (int i = 0; i < 3; i++) {
			world_say(s, "10\r\ndata: event ..\n\n\r\n");
			usleep(150000);
		}
		world_say(s, "0\r\n\r\n");
	} else if (!strcmp(path, "/cut")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this");
		return false;
	} else if (!strcmp(path, "/bad")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello");
		return false;
	} else if (!strcmp(path, "/hang")) {
		sleep(5);
		return false;
	} else if (!strcmp(path, "/last")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast");
		return false;	/* closes without having said so */
	} else {
		int n = snprintf(text, sizeof text, "hello %llu %s", (unsigned long long)body,
				 strstr(head, "accept-encoding: identity") ? "identity" : "-");
		char answer[2048];

		snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", n, text);
		world_say(s, answer);
	}
	return true;
}

/* Reads a body of either framing; content is only counted. @have: bytes that came with the head. */
static uint64_t world_body(SSL *s, const char *head, char *p, size_t have)
{
	const char *length = strstr(head, "content-length: ");
	static const char end[] = "0\r\n\r\n";
	char buffer[65536];
	uint64_t want = 0, total = have;
	size_t n = have;

	if (length)
		for (length += 16; *length >= '0' && *length <= '9'; length++)
			want = want * 10 + (uint64_t)(*length - '0');
	else if (!strstr(head, "transfer-encoding: chunked"))
		return 0;
	memcpy(buffer, p, n);
	while (want ? total < want : n < 5 || memcmp(buffer + n - 5, end, 5)) {
		if (!want && n > 5) {	/* keep what may be part of the end */
			memmove(buffer, buffer + n - 5, 5);
			n = 5;
		}
		int got = SSL_read(s, want ? buffer : buffer + n, (int)(sizeof buffer - (want ? 0 : n)));

		if (got <= 0)
			break;
		n = want ? 0 : n + (size_t)got;
		total += (uint64_t)got;
		pthread_mutex_lock(&world.lock);
		world.body_bytes += (uint64_t)got;
		pthread_mutex_unlock(&world.lock);
	}
	return total;
}

static bool world_request(SSL *s)
{
	char head[32768], path[256];
	size_t n = 0;
	char *end = NULL;

	while (!end) {
		int got = n < sizeof head - 1 ? SSL_read(s, head + n, (int)(sizeof head - 1 - n)) : 0;

		if (got <= 0)
			return false;
		n += (size_t)got;
		head[n] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	char keep = end[4];

	end[4] = '\0';
	const char *from = strchr(head, ' ') + 1;

	snprintf(path, sizeof path, "%.*s", (int)strcspn(from, " ?"), from);
	world_note(head, path);
	char copy[32768];

	snprintf(copy, sizeof copy, "%s", head);
	end[4] = keep;
	uint64_t body = world_body(s, copy, end + 4, n - (size_t)(end + 4 - head));

	return world_answer(s, path, copy, body);
}

static void *world_connection(void *arg)
{
	SSL *s = SSL_new(world.tls);

	SSL_set_fd(s, (int)(intptr_t)arg);
	if (SSL_accept(s) == 1)
		while (world_request(s))
			;
	SSL_shutdown(s);
	SSL_free(s);
	close((int)(intptr_t)arg);
	__atomic_fetch_sub(&world.living, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *world_accept(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept4(world.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_t thread;

		world.connections++;
		__atomic_fetch_add(&world.living, 1, __ATOMIC_SEQ_CST);
		pthread_create(&thread, NULL, world_connection, (void *)(intptr_t)fd);
		pthread_detach(thread);
	}
	return NULL;
}

static void world_start(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof at;
	EVP_PKEY *ca_key = world_key(), *key = world_key();
	X509 *ca = world_certificate(ca_key, "test CA", ca_key, NULL, NULL);
	X509 *leaf = world_certificate(key, "world", ca_key, ca,
				       "DNS:api.test,DNS:other.test,DNS:*.wild.test,DNS:late.test");
	BIO *bio = BIO_new(BIO_s_mem());
	pthread_t thread;

	signal(SIGPIPE, SIG_IGN);
	pthread_mutex_init(&world.lock, NULL);
	PEM_write_bio_X509(bio, ca);
	world.ca_pem = malloc(8192);
	int n = BIO_read(bio, world.ca_pem, 8191);

	world.ca_pem_bytes = (size_t)n;
	world.tls = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(world.tls, leaf), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(world.tls, key), 1);
	world.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(world.listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(world.listener, 64), 0);
	assert_int_equal(getsockname(world.listener, (struct sockaddr *)&at, &size), 0);
	world.port = ntohs(at.sin_port);
	pthread_create(&thread, NULL, world_accept, NULL);
	pthread_detach(thread);
	BIO_free(bio);
	X509_free(ca);
	X509_free(leaf);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
}

/* The upstream's threads let go of what they hold: a leak that is found after this is one. */
static int world_end(int failed)
{
	for (int i = 0; i < 500 && __atomic_load_n(&world.living, __ATOMIC_SEQ_CST); i++)
		usleep(10000);
	return failed;
}

/* ---- the keeper ---- */

struct keeper_world {
	EVP_PKEY *key;
	uint8_t public_key[32];
	unsigned secrets, leaves;
	bool fails;
	enum { LIE_NONE, LIE_EMPTY, LIE_SHORTER, LIE_FAILED, LIE_RESULT, LIE_CUT, LIE_STALE, LIE_GONE } lie;
};

static struct keeper_world keeper;

/* Makes of an answer one that is none; returns how much of it is sent. */
static size_t keeper_lies(int fd, struct keeper_reply *r, size_t n)
{
	switch (keeper.lie) {
	case LIE_EMPTY: return KEEPER_REPLY_HEAD;
	case LIE_SHORTER: return KEEPER_REPLY_HEAD + KEEPER_STAMP_BYTES - 1;
	case LIE_FAILED: r->result = ERR_CREDENTIAL; break;	/* and data all the same */
	case LIE_RESULT: r->result = UINT32_MAX; break;
	case LIE_CUT: return KEEPER_REPLY_HEAD - 1;
	case LIE_STALE:	/* a stale answer before the one that belongs to the question */
		r->sequence--;
		send(fd, r, n, MSG_NOSIGNAL);
		r->sequence++;
		return KEEPER_REPLY_HEAD;
	case LIE_NONE: case LIE_GONE: break;
	}
	return n;
}

static void *keeper_serve(void *arg)
{
	struct keeper_reply reply;
	struct keeper_request q;
	int fd = (int)(intptr_t)arg;	/* its own: the last test's may still be ending */
	ssize_t asked;

	while ((asked = recv(fd, &q, sizeof q, 0)) >= (ssize_t)KEEPER_REQUEST_HEAD) {
		size_t text_bytes = (size_t)asked - KEEPER_REQUEST_HEAD, n = 64;

		reply.result = ERR_OK;
		if (q.op == KEEPER_SIGN) {
			EVP_MD_CTX *ctx = EVP_MD_CTX_new();

			EVP_DigestSignInit(ctx, NULL, NULL, NULL, keeper.key);
			EVP_DigestSign(ctx, reply.data, &n, (const unsigned char *)q.text, text_bytes);
			EVP_MD_CTX_free(ctx);
		} else if (q.op == KEEPER_SECRET) {
			keeper.secrets++;
			n = KEEPER_STAMP_BYTES + strlen(SECRET);
			memset(reply.data, 0, KEEPER_STAMP_BYTES);
			memcpy(reply.data + KEEPER_STAMP_BYTES, SECRET, strlen(SECRET));
		} else {
			keeper.leaves++;
			n = (size_t)snprintf((char *)reply.data, 600, "leaf of %.*s",
					     (int)(text_bytes - KEEPER_POINT_BYTES), q.text + KEEPER_POINT_BYTES);
		}
		if (keeper.fails)
			reply.result = ERR_CREDENTIAL, n = 0;
		reply.sequence = q.sequence;
		n += KEEPER_REPLY_HEAD;
		if (keeper.lie == LIE_GONE)
			break;
		if (keeper.lie && q.op == KEEPER_SECRET)
			n = keeper_lies(fd, &reply, n);
		send(fd, &reply, n, MSG_NOSIGNAL);
	}
	close(fd);
	return NULL;
}

/* ---- the courier and its client ---- */

struct reply {
	bool has_head, ended, reset;
	enum err reason;
	struct buf head_bytes, body;
	struct head head;
	unsigned data_frames;
	uint64_t body_bytes;
};

#define STREAM_MAX 4096

struct rig {
	pid_t courier;
	int link_fd, claims_fd, control, trail;
	char trail_path[64];
	struct link *link;
	bool slow;			/* gives no credit back */
	bool broken;			/* the courier closed the link */
	struct reply *replies[STREAM_MAX];
};

static const char usual_policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {environment: API_KEY}\n"
	"    hosts: [api.test]\n"
	"    strategy: placeholder\n"
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n"
	"network:\n"
	"  - {name: no-admin, hosts: [api.test], methods: [\"*\"], paths: [/admin/**], verdict: deny}\n"
	"  - {name: small, hosts: [api.test], methods: [POST], paths: [/small], credential: api,"
	" request_body_max: 1KiB}\n"
	"  - {name: api, hosts: [api.test], methods: [GET, POST, HEAD, PUT], credential: api}\n"
	"  - {name: other, hosts: [other.test, \"*.wild.test\", wrong.test, localhost, 127.0.0.1], "
	"methods: [GET, POST], ports: [\"*\"]}\n";

static void rig_json_text(struct buf *b, const char *name, const char *p, size_t n)
{
	buf_printf(b, ",\"%s\":\"", name);
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\n')
			buf_put(b, STR("\\n"));
		else if (p[i] == '"' || p[i] == '\\')
			buf_printf(b, "\\%c", p[i]);
		else
			buf_put_byte(b, (uint8_t)p[i]);
	buf_put(b, STR("\""));
}

static int rig_config(const char *policy)
{
	static const char *const overridden[] = { "api.test", "other.test", "a.wild.test", "wrong.test" };
	int fd = memfd_create("config", MFD_CLOEXEC);
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1 << 20);
	buf_put(&b, STR("{\"version\":1,\"sandbox\":\"test-sandbox\",\"policy_file\":\"/w/paddock.yaml\","
			"\"person\":\"ann\",\"home\":\"/home/ann\",\"command\":[\"true\"],"
			"\"key_name\":\"paddock/test\",\"placeholders\":{\"api\":\"" PLACEHOLDER "\"}"));
	rig_json_text(&b, "policy", policy, strlen(policy));
	rig_json_text(&b, "upstream_ca", world.ca_pem, world.ca_pem_bytes);
	buf_put(&b, STR(",\"public_key\":\""));
	buf_put_hex(&b, str_make(keeper.public_key, 32));
	buf_put(&b, STR("\",\"resolve\":["));
	for (size_t i = 0; i < sizeof overridden / sizeof *overridden; i++)
		buf_printf(&b, "%s{\"host\":\"%s\",\"port\":443,\"address\":\"127.0.0.1\",\"to_port\":%u}",
			   i ? "," : "", overridden[i], world.port);
	buf_put(&b, STR("]}"));
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_int_equal(write(fd, b.p, b.len), (ssize_t)b.len);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static const char *rig_program(void)
{
	static char path[4200];
	ssize_t n = readlink("/proc/self/exe", path, 4096);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	assert_non_null(slash);
	snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "paddock-courier");
	return path;
}

/* Runs in the child: descriptors from 3 up, nothing else. */
static void rig_exec(const int *fds, int count, uint64_t file_bytes_max)
{
	struct rlimit limit = { file_bytes_max, file_bytes_max };
	char *const argv[] = { (char[]){ "paddock-courier" }, NULL };
	char *const env[] = { getenv("COURIER_LOG") ? (char[]){ "PADDOCK_LOG=debug" }
						    : (char[]){ "PADDOCK_LOG=error" },
			      /* a sanitizer's search for leaks at exit needs what confinement forbids */
			      (char[]){ "ASAN_OPTIONS=detect_leaks=0:abort_on_error=1" }, NULL };

	for (int i = 0; i < count; i++)
		if (fds[i] >= 0)
			dup2(fds[i], 100 + i);
	for (int i = 0; i < count; i++)
		if (fds[i] >= 0)
			dup2(100 + i, 3 + i);
		else
			close(3 + i);
	close_range(3 + (unsigned)count, ~0u, 0);
	if (file_bytes_max)
		setrlimit(RLIMIT_FSIZE, &limit);
	execve(rig_program(), argv, env);
	_exit(127);
}

static void rig_keeper(int fd)
{
	pthread_t thread;
	size_t n = 32;

	keeper = (struct keeper_world){ .key = keeper.key };
	if (!keeper.key)
		keeper.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_int_equal(EVP_PKEY_get_raw_public_key(keeper.key, keeper.public_key, &n), 1);
	pthread_create(&thread, NULL, keeper_serve, (void *)(intptr_t)fd);
	pthread_detach(thread);
}

static void rig_start(struct rig *r, const char *policy, uint64_t file_bytes_max)
{
	int net[2], keep[2], claims[2], control[2];
	struct link_limits limits = LINK_LIMITS_DEFAULT;
	char ready[64] = "";

	*r = (struct rig){ .trail_path = "/tmp/courier-test-XXXXXX" };
	assert_non_null(mkdtemp(r->trail_path));
	r->trail = open(r->trail_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	world.trail = r->trail;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, net), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keep), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, claims), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	rig_keeper(keep[0]);
	const int config = rig_config(policy);
	const int fds[] = { net[1], keep[1], claims[1], -1, -1, r->trail, config, control[1] };

	r->courier = fork();
	if (r->courier == 0)
		rig_exec(fds, 8, file_bytes_max);
	close(net[1]);
	close(keep[1]);
	close(claims[1]);
	close(control[1]);
	close(config);
	r->link_fd = net[0];
	r->claims_fd = claims[0];
	r->control = control[0];
	r->link = link_new(LINK_LOWER, &limits);
	assert_true(recv(r->control, ready, sizeof ready - 1, 0) > 0);
	assert_string_equal(ready, "{\"op\":\"ready\"}");
}

static struct reply *rig_reply(struct rig *r, uint32_t stream)
{
	assert_true(stream < STREAM_MAX);
	if (!r->replies[stream]) {
		r->replies[stream] = calloc(1, sizeof(struct reply));
		buf_init(&r->replies[stream]->head_bytes, 2 * HEAD_MAX_BYTES);
		buf_init(&r->replies[stream]->body, 1 << 20);
	}
	return r->replies[stream];
}

static void rig_frame(struct rig *r, const struct link_frame *f)
{
	struct reply *p = f->stream ? rig_reply(r, f->stream) : NULL;

	if (f->type == LINK_HEAD && !p->has_head) {
		buf_put(&p->head_bytes, f->payload);
		p->has_head = true;
		(void)!head_decode(buf_str(&p->head_bytes), &p->head);
	} else if (f->type == LINK_DATA) {
		p->data_frames++;
		p->body_bytes += f->payload.n;
		if (p->body.len < 65536)
			buf_put(&p->body, str_head(f->payload, 65536));
	} else if (f->type == LINK_END) {
		p->ended = true;
	} else if (f->type == LINK_RESET) {
		p->reset = true;
		p->reason = f->reason;
	}
	if (!r->slow && (f->type == LINK_HEAD || f->type == LINK_DATA))
		link_consumed(r->link, f->stream, f->payload.n);
}

/* One turn of the client: writes what waits, reads what is there within @ms. */
static void rig_turn(struct rig *r, int ms)
{
	static char in[128 * 1024];
	struct str out = link_output(r->link);
	struct pollfd p = { r->link_fd, (short)(POLLIN | (out.n ? POLLOUT : 0)), 0 };

	if (r->broken || poll(&p, 1, ms) <= 0)
		return;
	if (p.revents & POLLOUT) {
		ssize_t n = send(r->link_fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			link_sent(r->link, (size_t)n);
	}
	if (!(p.revents & (POLLIN | POLLHUP | POLLERR)))
		return;
	ssize_t n = recv(r->link_fd, in, sizeof in, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		r->broken = true;
		return;
	}
	struct str input = { in, n > 0 ? (size_t)n : 0 };
	struct link_frame f;

	while (link_receive(r->link, &input, &f) == ERR_OK)
		rig_frame(r, &f);
}

static struct reply *rig_wait(struct rig *r, uint32_t stream)
{
	uint64_t until = clock_ms() + 8000;
	struct reply *p = rig_reply(r, stream);

	while (!p->ended && !p->reset && !r->broken && clock_ms() < until)
		rig_turn(r, 100);
	return p;
}

static void rig_hello(struct rig *r)
{
	for (int i = 0; i < 20 && !r->broken; i++)
		rig_turn(r, 10);
}

struct ask {
	const char *method, *host, *path;	/* NULL: GET, api.test, / */
	const char *open_host;			/* NULL: as host */
	uint16_t port;				/* 0: 443 */
	enum head_scheme scheme;		/* 0: https */
	enum head_framing framing;
	uint64_t length;
	const char *name, *value;		/* one more field */
	const char *body;
	bool unfinished;			/* no END */
};

static struct head ask_head(const struct ask *a)
{
	static char authority[HEAD_HOST_MAX + 8];
	struct head h = { .kind = HEAD_REQUEST, .scheme = a->scheme ? a->scheme : HEAD_HTTPS,
			  .port = a->port ? a->port : 443, .framing = a->framing, .length = a->length };

	h.method = str_of(a->method ? a->method : "GET");
	h.host = str_of(a->host ? a->host : "api.test");
	h.path = str_of(a->path ? a->path : "/");
	if (h.port == (h.scheme == HEAD_HTTPS ? 443 : 80))
		snprintf(authority, sizeof authority, "%.*s", STR_FMT(h.host));
	else
		snprintf(authority, sizeof authority, "%.*s:%u", STR_FMT(h.host), h.port);
	assert_int_equal(head_add(&h, STR("host"), str_of(authority)), ERR_OK);
	if (a->name)
		assert_int_equal(head_add(&h, str_of(a->name), str_of(a->value)), ERR_OK);
	return h;
}

static uint32_t ask_open(struct rig *r, enum link_kind kind, const struct msg_connect *m)
{
	uint32_t stream = 0;
	auto_buf open = BUF_EMPTY;

	buf_init(&open, LINK_OPEN_MAX);
	msg_put_connect(&open, m);
	assert_int_equal(link_open(r->link, kind, buf_str(&open), &stream), ERR_OK);
	return stream;
}

static uint32_t ask(struct rig *r, const struct ask *a)
{
	struct head h = ask_head(a);
	struct msg_connect m = { .host = a->open_host ? str_of(a->open_host) : h.host, .port = h.port,
				 .scheme = (uint8_t)h.scheme, .connection = 7,
				 .process = { .pid = 42, .uid = 0, .exe = STR_INIT("/usr/bin/agent") } };
	uint32_t stream = ask_open(r, LINK_KIND_EXCHANGE, &m);
	auto_buf head = BUF_EMPTY;

	buf_init(&head, HEAD_MAX_BYTES);
	assert_int_equal(head_encode(&h, &head), ERR_OK);
	assert_int_equal(link_head(r->link, stream, buf_str(&head)), ERR_OK);
	if (a->body)
		assert_int_equal(link_data(r->link, stream, 0, str_of(a->body)), ERR_OK);
	if (!a->unfinished)
		link_end(r->link, stream);
	return stream;
}

static struct reply *ask_wait(struct rig *r, const struct ask *a) { return rig_wait(r, ask(r, a)); }

/* ---- the trail ---- */

struct trail_search {
	const char *needles[4];
	unsigned count;
};

static bool trail_line(void *ctx, struct str line)
{
	struct trail_search *s = ctx;
	char z[AUDIT_RECORD_MAX + 1];

	snprintf(z, sizeof z, "%.*s", (int)line.n, line.p);
	for (int i = 0; i < 4 && s->needles[i]; i++)
		if (!strstr(z, s->needles[i]))
			return true;
	s->count++;
	return true;
}

/* How many records hold all of these texts. */
static unsigned trail(struct rig *r, const char *a, const char *b, const char *c)
{
	struct trail_search s = { { a, b, c, NULL }, 0 };

	assert_int_equal(audit_each(r->trail, trail_line, &s), ERR_OK);
	return s.count;
}

/* Turns until that many requests have arrived: none of them can then reach the next test. */
static void rig_arrived(struct rig *r, unsigned requests)
{
	uint64_t until = clock_ms() + 8000;

	while (__atomic_load_n(&world.requests, __ATOMIC_SEQ_CST) < requests && clock_ms() < until)
		rig_turn(r, 20);
	assert_int_equal(world.requests, requests);
}

/* Turns until a record holds all of these texts, for some seconds at most. */
static void rig_until(struct rig *r, const char *a, const char *b, const char *c)
{
	uint64_t until = clock_ms() + 8000;

	while (!trail(r, a, b, c) && clock_ms() < until) {
		rig_turn(r, 20);
		usleep(5000);
	}
	assert_true(trail(r, a, b, c) > 0);
}

static void rig_stop(struct rig *r)
{
	static const char stop[] = "{\"op\":\"stop\",\"result\":\"OK\",\"exit_code\":0}";
	struct audit_report report;
	int status = -1;

	assert_int_equal(send(r->control, stop, sizeof stop - 1, MSG_NOSIGNAL), (ssize_t)sizeof stop - 1);
	assert_int_equal(waitpid(r->courier, &status, 0), r->courier);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(audit_verify(r->trail, STR("test-sandbox"), keeper.public_key, &report), ERR_OK);
	assert_true(report.stopped);
	assert_int_equal(report.open_intents, 0);
	assert_int_equal(report.intents, report.outcomes);
}

static void rig_free(struct rig *r)
{
	DIR *d = fdopendir(dup(r->trail));
	struct dirent *e;

	kill(r->courier, SIGKILL);
	while (waitpid(r->courier, NULL, 0) > 0)
		;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(r->trail, e->d_name, 0);
	closedir(d);
	rmdir(r->trail_path);
	for (int i = 0; i < STREAM_MAX; i++)
		if (r->replies[i]) {
			buf_free(&r->replies[i]->head_bytes);
			buf_free(&r->replies[i]->body);
			free(r->replies[i]);
		}
	link_free(r->link);
	close(r->link_fd);
	close(r->claims_fd);
	close(r->control);
	close(r->trail);
}
