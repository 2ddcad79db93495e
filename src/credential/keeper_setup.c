/* keeper_setup.c - the supervisor's side of the keeper's start; see keeper_config.h
 *
 * The configuration is written by hand, not with jansson, since it carries secrets: there is
 * one buffer, which is wiped, and one memfd, which the keeper overwrites. Values of variables
 * are base64, for they may be any bytes.
 */
#include "base/auto.h"
#include "base/clock.h"
#include "credential/keeper_config.h"
#include "credential/seal_store.h"
#include "os/fd.h"

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

/* where values are */
struct variables {
	struct str (*get)(void *ctx, struct str name);
	void *ctx;
	int seals;
};

static void put_member(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, ",\"%s\":", name);
	put_string(b, value);
}

static void put_list(struct buf *b, const char *name, const struct str *list, uint32_t count)
{
	buf_printf(b, ",\"%s\":[", name);
	for (uint32_t i = 0; i < count; i++) {
		buf_put_z(b, i ? "," : "");
		put_string(b, list[i]);
	}
	buf_put_z(b, "]");
}

static void put_value(struct buf *b, const char *name, struct str variable, const struct variables *v)
{
	buf_printf(b, ",\"%s\":\"", name);
	buf_put_base64(b, v->get(v->ctx, variable));
	buf_put_z(b, "\"");
}

/* One that cannot be read is left out: the keeper says so when it is asked for. */
static void put_envelope(struct buf *b, struct str entry, int seals)
{
	auto_buf envelope = BUF_EMPTY;

	buf_init(&envelope, SEAL_ENVELOPE_MAX);
	if (seals >= 0 && seal_entry_read(seals, entry, &envelope) == ERR_OK)
		put_member(b, "envelope", buf_str(&envelope));
}

static enum keeper_use use_of(const struct policy_credential *c)
{
	switch (c->strategy) {
	case POLICY_STRATEGY_SIGV4:
		return KEEPER_USE_SIGV4;
	case POLICY_STRATEGY_CERTIFICATE:
		return KEEPER_USE_CERTIFICATE;
	case POLICY_STRATEGY_LOGIN:
		return c->login == POLICY_LOGIN_CODEX ? KEEPER_USE_CODEX : KEEPER_USE_CLAUDE;
	case POLICY_STRATEGY_TOKEN:
		if (c->token->grant == POLICY_GRANT_JWT_BEARER || c->token->grant == POLICY_GRANT_GITHUB_APP)
			return KEEPER_USE_JWT;
		return c->token->grant == POLICY_GRANT_REFRESH_TOKEN ? KEEPER_USE_REFRESH : KEEPER_USE_SECRET;
	case POLICY_STRATEGY_HEADER:
	case POLICY_STRATEGY_PLACEHOLDER:
		break;
	}
	return KEEPER_USE_SECRET;
}

static void put_source(struct buf *b, const struct policy_credential *c, const struct variables *v)
{
	switch (c->source) {
	case POLICY_SOURCE_ENVIRONMENT:
		put_member(b, "source", STR("environment"));
		put_value(b, "value", c->environment, v);
		break;
	case POLICY_SOURCE_FILE:
		put_member(b, "source", STR("file"));
		put_member(b, "path", c->file);
		break;
	case POLICY_SOURCE_SEALED:
		put_member(b, "source", STR("sealed"));
		put_member(b, "entry", c->sealed);
		put_envelope(b, c->sealed, v->seals);
		break;
	case POLICY_SOURCE_COMMAND:
		put_member(b, "source", STR("command"));
		put_list(b, "argv", c->command, c->command_count);
		buf_printf(b, ",\"timeout_ms\":%llu",
			   (unsigned long long)(c->command_timeout_ms ? c->command_timeout_ms
								      : KEEPER_COMMAND_TIMEOUT_MS));
		break;
	}
}

static void put_token(struct buf *b, const struct policy_token *t, const struct variables *v)
{
	if (t->client_secret_environment.n)
		put_value(b, "client_secret", t->client_secret_environment, v);
	if (t->actor_token_environment.n)
		put_value(b, "actor_token", t->actor_token_environment, v);
	if (t->grant == POLICY_GRANT_GITHUB_APP)
		put_member(b, "issuer", t->app_id);
	else if (t->grant == POLICY_GRANT_JWT_BEARER && t->issuer.n)
		put_member(b, "issuer", t->issuer);
}

static void put_credential(struct buf *b, const struct policy_credential *c, const struct variables *v)
{
	buf_put_z(b, "{\"name\":");
	put_string(b, c->name);
	put_member(b, "use", str_of(keeper_use_name(use_of(c))));
	put_source(b, c, v);
	if (c->token)
		put_token(b, c->token, v);
	if (c->aws_profile.n)
		put_member(b, "profile", c->aws_profile);
	if (c->aws_service_count)
		put_list(b, "services", c->aws_services, c->aws_service_count);
	if (c->aws_region_count)
		put_list(b, "regions", c->aws_regions, c->aws_region_count);
	buf_put_z(b, "}");
}

static enum err to_memfd(struct str text, int *ret_fd)
{
	auto_fd fd = memfd_create("paddock-keeper", MFD_CLOEXEC);

	if (fd < 0 || fd_write(fd, text) != ERR_OK || lseek(fd, 0, SEEK_SET))
		return ERR_LOCAL;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

enum err keeper_config_make(const struct policy *policy, struct str sandbox,
			    struct str (*getenv_secret)(void *ctx, struct str name), void *ctx,
			    char *const *environment, int seals, bool seal_key, int *ret_fd)
{
	const struct variables variables = { getenv_secret, ctx, seals };
	auto_buf b = BUF_EMPTY;

	buf_init_secret(&b, KEEPER_CONFIG_MAX);
	buf_put_z(&b, "{\"sandbox\":");
	put_string(&b, sandbox);
	buf_printf(&b, ",\"ca_days\":%d,\"checkpoint_key_fd\":%d", KEEPER_CA_DAYS, KEEPER_KEY_FD);
	if (seal_key)
		buf_printf(&b, ",\"seal_key_fd\":%d", KEEPER_SEAL_FD);
	buf_put_z(&b, ",\"environment\":[");
	for (size_t i = 0; environment[i]; i++) {
		buf_put_z(&b, i ? "," : "");
		put_string(&b, str_of(environment[i]));
	}
	buf_put_z(&b, "],\"credentials\":[");
	for (uint32_t i = 0; i < policy_credential_count(policy); i++) {
		buf_put_z(&b, i ? "," : "");
		put_credential(&b, policy_credential(policy, i), &variables);
	}
	buf_put_z(&b, "]}");
	return buf_err(&b) ? buf_err(&b) : to_memfd(buf_str(&b), ret_fd);
}

void keeper_start_free(struct keeper_start *s)
{
	buf_free(&s->ca_pem);
	arena_free(s->arena);
	s->arena = NULL;
}

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

static enum err parse_about(json_t *o, struct keeper_start *ret)
{
	struct keeper_public p = { .scopes = { NULL, 0 } };
	const struct { const char *name; struct str *to; } members[] = {
		{ "scopes", &p.scopes }, { "subscription", &p.subscription }, { "account_id", &p.account_id },
		{ "id_claims", &p.id_claims }, { "client_email", &p.client_email },
		{ "private_key_id", &p.private_key_id }, { "token_uri", &p.token_uri },
		{ "project_id", &p.project_id },
	};
	json_int_t i = json_integer_value(json_object_get(o, "credential"));

	if (i < 0 || i >= KEEPER_SOURCES_MAX)
		return ERR_INPUT;
	for (size_t k = 0; k < sizeof members / sizeof *members; k++) {
		json_t *v = json_object_get(o, members[k].name);

		if (!v)
			continue;
		*members[k].to =
			arena_copy(ret->arena, str_make(json_string_value(v), json_string_length(v)));
		if (!members[k].to->p)
			return ERR_MEMORY;
	}
	ret->about[i] = p;
	return ERR_OK;
}

static enum err parse_start(json_t *root, struct keeper_start *ret)
{
	const char *ca, *name, *public_key, *verifier;
	json_t *about;
	enum err e = ERR_OK;

	if (json_unpack_ex(root, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:s, s:o}", "ca", &ca, "key_name", &name,
			   "public_key", &public_key, "verifier_key", &verifier, "about", &about) ||
	    strlen(name) >= sizeof ret->key_name || strlen(verifier) >= sizeof ret->verifier_key ||
	    !unhex(str_of(public_key), ret->public_key, sizeof ret->public_key))
		return ERR_INPUT;
	memcpy(ret->key_name, name, strlen(name));
	memcpy(ret->verifier_key, verifier, strlen(verifier));
	buf_init(&ret->ca_pem, KEEPER_START_MAX);
	buf_put_z(&ret->ca_pem, ca);
	for (size_t i = 0; i < json_array_size(about) && !e; i++)
		e = parse_about(json_array_get(about, i), ret);
	return e ? e : buf_err(&ret->ca_pem);
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
	*ret = (struct keeper_start){ .arena = arena_new(KEEPER_START_MAX) };
	if (!ret->arena)
		return ERR_MEMORY;
	root = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
	e = root ? parse_start(root, ret) : ERR_INPUT;
	json_decref(root);
	if (e)
		keeper_start_free(ret);
	return e;
}
