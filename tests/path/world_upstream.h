/* world_upstream.h - the upstream of courier_world.h: TLS, HTTP/1.1; HTTP/2 is in world_http2.h */
#pragma once

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
	bool (*answer)(SSL *s, const char *path);	/* set: asked first; true: that was the answer */
	void (*socket)(SSL *s, const char *head);	/* a WebSocket that a head asks for */
	void (*http2)(SSL *s);		/* set: h2 is chosen where it is offered, and spoken by this */
	bool http2_alone;		/* and where it is not offered, the handshake is refused */
};

static struct world world;

static EVP_PKEY *world_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	assert_non_null(key);
	return key;
}

static X509 *world_certificate(EVP_PKEY *key, const char *name, EVP_PKEY *signer, X509 *issuer,
			       const char *alt)
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
				"736b2d746573742d303132333435363738396162636465665345435245540a: x\r\n\r\n",
				NULL },
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

	if (world.answer && world.answer(s, path))
		return true;
	if (!strcmp(path, "/reflect-body")) {
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n");
		snprintf(text, sizeof text, "%-60s", "before " SECRET " after");
		world_say(s, text);
	} else if (!strcmp(path, "/reflect-split")) {
		world_say(s,
			  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11\r\nsafe sk-test-0123\r\n");
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
		world_say(s,
			  "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello");
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
	static const char end[] = "\r\n\r\n";	/* of the last chunk, or of trailers */
	char buffer[65536];
	uint64_t want = 0, total = have;
	size_t n = have;

	if (length)
		for (length += 16; *length >= '0' && *length <= '9'; length++)
			want = want * 10 + (uint64_t)(*length - '0');
	else if (!strstr(head, "transfer-encoding: chunked"))
		return 0;
	memcpy(buffer, p, n);
	while (want ? total < want : n < 4 || memcmp(buffer + n - 4, end, 4)) {
		if (!want && n > 4) {	/* keep what may be part of the end */
			memmove(buffer, buffer + n - 4, 4);
			n = 4;
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
	if (world.socket && strstr(copy, "upgrade: websocket") && strcmp(path, "/plain")) {
		world.socket(s, copy);
		return false;
	}
	uint64_t body = world_body(s, copy, end + 4, n - (size_t)(end + 4 - head));

	return world_answer(s, path, copy, body);
}

static int world_alpn(SSL *s, const unsigned char **ret, unsigned char *ret_n, const unsigned char *in,
		      unsigned n, void *user)
{
	(void)s, (void)user;
	const char *h2 = n >= 3 ? memmem(in, n, "\2h2", 3) : NULL;

	if (!world.http2 || !h2)
		return world.http2_alone ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
	*ret = (const unsigned char *)h2 + 1;
	*ret_n = 2;
	return SSL_TLSEXT_ERR_OK;
}

static void *world_connection(void *arg)
{
	SSL *s = SSL_new(world.tls);
	int on = 1;

	setsockopt((int)(intptr_t)arg, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	SSL_set_fd(s, (int)(intptr_t)arg);
	if (SSL_accept(s) == 1) {
		const unsigned char *name;
		unsigned n;

		SSL_get0_alpn_selected(s, &name, &n);
		if (n == 2 && world.http2)
			world.http2(s);
		else
			while (world_request(s))
				;
	}
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
	SSL_CTX_set_alpn_select_cb(world.tls, world_alpn, NULL);
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
