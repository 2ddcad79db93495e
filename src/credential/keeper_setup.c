/* keeper_setup.c - the supervisor's side of the keeper's start; see keeper_config.h
 *
 * The configuration is written by hand, not with jansson, since it carries secrets: there is
 * one buffer, which is wiped, and one memfd, which the keeper overwrites. Values of variables
 * are base64, for they may be any bytes.
 */
#include "base/auto.h"
#include "base/clock.h"
#include "credential/keeper_config.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void put_string(struct buf *b, struct str s)
{
	buf_put_z(b, "\"");
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c == '"' || c == '\\')
			buf_put_z(b, "\\");
		if (c < 0x20)
			buf_printf(b, "\\u%04x", c);
		else
			buf_put_byte(b, c);
	}
	buf_put_z(b, "\"");
}

static void put_source(struct buf *b, const struct policy_credential *c,
		       struct str (*getenv_secret)(void *ctx, struct str name), void *ctx)
{
	struct str value;

	buf_put_z(b, "{\"name\":");
	put_string(b, c->name);
	switch (c->source) {
	case POLICY_SOURCE_ENVIRONMENT:
		buf_put_z(b, ",\"source\":\"environment\"");
		value = getenv_secret(ctx, c->environment);
		if (value.n) {
			buf_put_z(b, ",\"value\":\"");
			buf_put_base64(b, value);
			buf_put_z(b, "\"");
		}
		break;
	case POLICY_SOURCE_FILE:
		buf_put_z(b, ",\"source\":\"file\",\"path\":");
		put_string(b, c->file);
		break;
	case POLICY_SOURCE_SEALED:
		buf_put_z(b, ",\"source\":\"sealed\",\"entry\":");
		put_string(b, c->sealed);
		break;
	case POLICY_SOURCE_COMMAND:
		buf_put_z(b, ",\"source\":\"command\",\"argv\":[");
		for (uint32_t i = 0; i < c->command_count; i++) {
			buf_put_z(b, i ? "," : "");
			put_string(b, c->command[i]);
		}
		buf_printf(b, "],\"timeout_ms\":%llu",
			   (unsigned long long)(c->command_timeout_ms ? c->command_timeout_ms
								      : KEEPER_COMMAND_TIMEOUT_MS));
		break;
	}
	buf_put_z(b, "}");
}

static enum err to_memfd(struct str text, int *ret_fd)
{
	auto_fd fd = memfd_create("paddock-keeper", MFD_CLOEXEC);

	if (fd < 0)
		return ERR_LOCAL;
	while (text.n) {
		ssize_t n = write(fd, text.p, text.n);

		if (n < 0 && errno != EINTR)
			return ERR_LOCAL;
		text = str_from(text, n > 0 ? (size_t)n : 0);
	}
	if (lseek(fd, 0, SEEK_SET))
		return ERR_LOCAL;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

enum err keeper_config_make(const struct policy *policy, struct str sandbox,
			    struct str (*getenv_secret)(void *ctx, struct str name), void *ctx,
			    char *const *environment, int *ret_fd)
{
	auto_buf b = BUF_EMPTY;

	buf_init_secret(&b, KEEPER_CONFIG_MAX);
	buf_put_z(&b, "{\"sandbox\":");
	put_string(&b, sandbox);
	buf_printf(&b, ",\"ca_days\":%d,\"checkpoint_key_fd\":%d,\"environment\":[", KEEPER_CA_DAYS,
		   KEEPER_KEY_FD);
	for (size_t i = 0; environment[i]; i++) {
		buf_put_z(&b, i ? "," : "");
		put_string(&b, str_of(environment[i]));
	}
	buf_put_z(&b, "],\"credentials\":[");
	for (uint32_t i = 0; i < policy_credential_count(policy); i++) {
		buf_put_z(&b, i ? "," : "");
		put_source(&b, policy_credential(policy, i), getenv_secret, ctx);
	}
	buf_put_z(&b, "]}");
	return buf_err(&b) ? buf_err(&b) : to_memfd(buf_str(&b), ret_fd);
}

void keeper_start_free(struct keeper_start *s) { buf_free(&s->ca_pem); }

static enum err read_to_end(int fd, uint64_t deadline_ms, struct buf *b)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_ms();
		ssize_t n;
		enum err e;

		if (now >= deadline_ms)
			return ERR_TIMEOUT;
		if (poll(&p, 1, deadline_ms - now > 60000 ? 60000 : (int)(deadline_ms - now)) <= 0)
			continue;
		e = buf_reserve(b, 1024);
		if (e)
			return e == ERR_LIMIT ? ERR_INPUT : e;
		n = read(fd, buf_tail(b), 1024);
		if (n == 0)
			return b->len ? ERR_OK : ERR_CLOSED;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return ERR_CLOSED;
		b->len += n > 0 ? (size_t)n : 0;
	}
}

static bool unhex(struct str text, uint8_t *out, size_t n)
{
	if (text.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = ascii_hex(text.p[2 * i]), low = ascii_hex(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static enum err parse_start(json_t *root, struct keeper_start *ret)
{
	const char *ca, *name, *public_key, *verifier;
	struct keeper_start s = { 0 };

	if (json_unpack_ex(root, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:s}", "ca", &ca, "key_name", &name,
			   "public_key", &public_key, "verifier_key", &verifier) ||
	    strlen(name) >= sizeof s.key_name || strlen(verifier) >= sizeof s.verifier_key ||
	    !unhex(str_of(public_key), s.public_key, sizeof s.public_key))
		return ERR_INPUT;
	memcpy(s.key_name, name, strlen(name));
	memcpy(s.verifier_key, verifier, strlen(verifier));
	buf_init(&s.ca_pem, KEEPER_START_MAX);
	buf_put_z(&s.ca_pem, ca);
	if (buf_err(&s.ca_pem)) {
		enum err e = buf_err(&s.ca_pem);

		buf_free(&s.ca_pem);
		return e;
	}
	*ret = s;
	return ERR_OK;
}

enum err keeper_start_read(int fd, uint64_t timeout_ms, struct keeper_start *ret)
{
	auto_buf b = BUF_EMPTY;
	json_t *root;
	enum err e;

	buf_init(&b, KEEPER_START_MAX);
	e = read_to_end(fd, clock_ms() + timeout_ms, &b);
	if (e)
		return e;
	root = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
	e = root ? parse_start(root, ret) : ERR_INPUT;
	json_decref(root);
	return e;
}
