/* config.c - the courier's configuration
 *
 * Theory of operation: the supervisor is trusted with what it says and not with how: every
 * member is in one table with its type, so that a misspelt or missing one stops the start
 * instead of weakening it. Everything is copied into one arena; the JSON tree is freed.
 */
#include "courier/config.h"

#include "policy/digest.h"

#include <errno.h>
#include <jansson.h>
#include <unistd.h>

#define ARENA_BYTES (2 * CONFIG_BYTES_MAX)

typedef const char *(*reader_of_member)(struct config *c, json_t *v, void *to);

static const char out_of_memory[] = "out of memory";

static const char *read_text(struct config *c, json_t *v, void *to)
{
	struct str *s = to;

	if (!json_is_string(v))
		return "a member that must be text is not";
	*s = arena_copy(c->arena, str_make(json_string_value(v), json_string_length(v)));
	return s->p ? NULL : out_of_memory;
}

static const char *read_version(struct config *c, json_t *v, void *to)
{
	(void)c;
	(void)to;
	return json_is_integer(v) && json_integer_value(v) == 1 ? NULL : "version must be 1";
}

static const char *read_sandbox(struct config *c, json_t *v, void *to)
{
	const char *problem = read_text(c, v, to);

	if (problem)
		return problem;
	struct str s = c->sandbox;
	bool ok = s.n >= 1 && s.n <= 64;

	for (size_t i = 0; ok && i < s.n; i++)
		ok = ascii_alpha(s.p[i]) || ascii_digit(s.p[i]) || s.p[i] == '.' || s.p[i] == '_' ||
		     s.p[i] == '-';
	return ok ? NULL : "sandbox must be 1 to 64 of A-Z a-z 0-9 . _ -";
}

static const char *read_count(struct config *c, json_t *v, void *to)
{
	(void)c;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 1000000)
		return "a member that must be an integer of at most 1000000 is not";
	*(uint32_t *)to = (uint32_t)json_integer_value(v);
	return NULL;
}

static bool read_hex(json_t *v, uint8_t ret[32])
{
	const char *hex = json_string_value(v);

	if (!hex || json_string_length(v) != 64)
		return false;
	for (size_t i = 0; i < 32; i++) {
		int high = ascii_hex(hex[2 * i]), low = ascii_hex(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static const char *read_key(struct config *c, json_t *v, void *to)
{
	(void)to;
	return read_hex(v, c->public_key) ? NULL : "public_key must be 64 hex digits";
}

static const char *read_clients(struct config *c, json_t *v, void *to)
{
	const char *name;
	json_t *value;

	(void)to;
	if (!json_is_object(v) || json_object_size(v) == 0 || json_object_size(v) > CONFIG_CLIENTS_MAX)
		return "clients must be an object of 1 to 1024 members";
	json_object_foreach(v, name, value) {
		struct config_client *client = &c->clients[c->client_count++];

		client->name = arena_copy(c->arena, str_of(name));
		if (!client->name.p)
			return out_of_memory;
		if (!read_hex(value, client->digest))
			return "a client's digest must be 64 hex digits";
	}
	return NULL;
}

static const char *read_command(struct config *c, json_t *v, void *to)
{
	(void)to;
	if (!json_is_array(v))
		return "command must be a list";
	for (size_t i = 0; i < json_array_size(v) && c->command_count < CONFIG_COMMAND_MAX; i++) {
		const char *problem = read_text(c, json_array_get(v, i), &c->command[c->command_count++]);

		if (problem)
			return problem;
	}
	return NULL;
}

static const char *read_placeholders(struct config *c, json_t *v, void *to)
{
	const char *name;
	json_t *value;

	(void)to;
	if (!json_is_object(v))
		return "placeholders must be an object";
	json_object_foreach(v, name, value) {
		if (c->placeholder_count == CONFIG_PLACEHOLDERS_MAX)
			return "too many placeholders";
		struct config_placeholder *p = &c->placeholders[c->placeholder_count++];

		p->credential = arena_copy(c->arena, str_of(name));
		if (!p->credential.p)
			return out_of_memory;
		const char *problem = read_text(c, value, &p->placeholder);

		if (problem)
			return problem;
		if (p->placeholder.n == 0)
			c->placeholder_count--;		/* nothing stands for it in the guest */
	}
	return NULL;
}

static bool read_port(json_t *v, uint16_t *ret)
{
	if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 65535)
		return false;
	*ret = (uint16_t)json_integer_value(v);
	return true;
}

static const char *read_override(struct config *c, json_t *v, struct resolve_override *o)
{
	const char *host = json_string_value(json_object_get(v, "host"));
	const char *address = json_string_value(json_object_get(v, "address"));
	char canonical[HEAD_HOST_MAX + 1];

	if (!json_is_object(v) || json_object_size(v) != 4 || !host || !address ||
	    !read_port(json_object_get(v, "port"), &o->port) ||
	    !read_port(json_object_get(v, "to_port"), &o->to_port) ||
	    host_canonical(str_of(host), canonical) != ERR_OK ||
	    !address_parse(str_of(address), &o->address))
		return "an entry of resolve must have a host, a port, an address and a to_port";
	o->host = arena_copy(c->arena, str_of(canonical));
	return o->host.p ? NULL : out_of_memory;
}

static const char *read_resolve(struct config *c, json_t *v, void *to)
{
	(void)to;
	if (!json_is_array(v) || json_array_size(v) > RESOLVE_OVERRIDES_MAX)
		return "resolve must be a list of at most 64 entries";
	for (size_t i = 0; i < json_array_size(v); i++) {
		const char *problem = read_override(c, json_array_get(v, i), &c->resolve[c->resolve_count++]);

		if (problem)
			return problem;
	}
	return NULL;
}

/* All members: read each one that is there, refuse any other. */
static const char *read_object(struct config *c, json_t *root)
{
	const struct member {
		const char *name;
		reader_of_member read;
		void *to;
		bool required;
	} members[] = {
		{ "version", read_version, NULL, true },
		{ "sandbox", read_sandbox, &c->sandbox, true },
		{ "policy", read_text, &c->policy, true },
		{ "policy_file", read_text, &c->policy_file, true },
		{ "key_name", read_text, &c->key_name, true },
		{ "public_key", read_key, NULL, true },
		{ "name", read_text, &c->name, false },
		{ "person", read_text, &c->person, false },
		{ "command", read_command, NULL, false },
		{ "image", read_text, &c->image, false },
		{ "machine", read_text, &c->machine, false },
		{ "home", read_text, &c->home, false },
		{ "placeholders", read_placeholders, NULL, false },
		{ "resolve", read_resolve, NULL, false },
		{ "upstream_ca", read_text, &c->upstream_ca, false },
		{ "clients", read_clients, NULL, false },
		{ "checkpoint_every", read_count, &c->checkpoint_every, false },
	};
	size_t known = 0;

	if (!json_is_object(root))
		return "not a JSON object";
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		json_t *v = json_object_get(root, members[i].name);

		if (!v && members[i].required)
			return "a required member is missing";
		if (!v)
			continue;
		known++;
		const char *problem = members[i].read(c, v, members[i].to);

		if (problem)
			return problem;
	}
	return known == json_object_size(root) ? NULL : "an unknown member";
}

enum err config_parse(struct str json, struct config **ret, const char **ret_problem)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct config *c = arena ? arena_alloc(arena, sizeof *c) : NULL;

	*ret_problem = out_of_memory;
	if (!c) {
		arena_free(arena);
		return ERR_MEMORY;
	}
	c->arena = arena;
	json_t *root = json_loadb(json.p ? json.p : "", json.n, JSON_REJECT_DUPLICATES, NULL);
	const char *problem = root ? read_object(c, root) : "not valid JSON";

	json_decref(root);
	if (problem) {
		*ret_problem = problem;
		config_free(c);
		return problem == out_of_memory ? ERR_MEMORY : ERR_INPUT;
	}
	*ret = c;
	return ERR_OK;
}

enum err config_read(int fd, struct config **ret, const char **ret_problem)
{
	auto_buf text = BUF_EMPTY;
	ssize_t n;

	buf_init(&text, CONFIG_BYTES_MAX);
	*ret_problem = "it cannot be read, or is too large";
	do {
		enum err e = buf_reserve(&text, 65536);

		if (e != ERR_OK)
			return e == ERR_LIMIT ? ERR_INPUT : e;
		n = read(fd, buf_tail(&text), 65536);
		if (n > 0)
			text.len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return ERR_LOCAL;
	return config_parse(buf_str(&text), ret, ret_problem);
}

void config_free(struct config *c)
{
	if (c)
		arena_free(c->arena);	/* and @c, which is in it */
}

struct str config_placeholder(const struct config *c, struct str credential)
{
	for (uint32_t i = 0; i < c->placeholder_count; i++)
		if (str_eq(c->placeholders[i].credential, credential))
			return c->placeholders[i].placeholder;
	return (struct str){ NULL, 0 };
}

/* In a time that does not tell how much of a digest was right. */
static bool same_digest(const uint8_t a[32], const uint8_t b[32])
{
	unsigned differ = 0;

	for (int i = 0; i < 32; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

enum err config_client(const struct config *c, struct str token, const struct config_client **ret)
{
	const struct config_client *found = NULL;
	uint8_t digest[32];

	if (c->client_count == 0) {
		*ret = NULL;
		return ERR_OK;
	}
	if (token.n == 0)
		return ERR_UNAUTHORIZED;
	if (!digest_bytes(token.p, token.n, digest))
		return ERR_MEMORY;
	for (uint32_t i = 0; i < c->client_count; i++)
		if (same_digest(c->clients[i].digest, digest))
			found = &c->clients[i];
	if (!found)
		return ERR_UNAUTHORIZED;
	*ret = found;
	return ERR_OK;
}
