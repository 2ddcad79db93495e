/* document.c - the shapes of a policy file                        (stage 2 of loading)
 *
 * Theory of operation: one table per mapping says which keys it may have, the shape of each
 * value, and where in which struct it goes; one function walks node and table together. So a
 * key exists in the language when it stands in a table, and each mistake of shape has one
 * wording. What values mean is for compile.c.
 */
#include "policy/document.h"

#include "base/nearest.h"
#include "policy/value.h"

enum shape {
	SHAPE_TEXT,
	SHAPE_TEXTS,
	SHAPE_WORDS, /* a list of texts, or one text alone */
	SHAPE_PAIRS,
	SHAPE_FLAG,
	SHAPE_COUNT,
	SHAPE_SIZE,
	SHAPE_DURATION,
	SHAPE_OBJECT,  /* a mapping with its own table, in place */
	SHAPE_PART,    /* such a mapping, by a pointer: few of many have it */
	SHAPE_SWITCH,  /* SHAPE_PART, or "true" for one without keys */
	SHAPE_OBJECTS, /* a list of mappings */
	SHAPE_NAMED,   /* a mapping from names to mappings */
};

#define KEYS_MAX 24
#define NO_NAME	 SIZE_MAX

struct schema;
struct key {
	const char *name;
	enum shape shape;
	size_t offset; /* of the value in the struct of its mapping */
	const struct schema *schema;
};
struct schema {
	const char *what; /* "a network rule" */
	size_t size;	  /* of its struct */
	size_t at;	  /* offset of its place */
	size_t name;	  /* offset of its name if it is in a SHAPE_NAMED, else NO_NAME */
	struct key keys[KEYS_MAX];
};

/* clang-format off: tables */
#define KEY(type, name, shape, member) { name, shape, offsetof(struct type, member), NULL }
#define SUB(type, name, shape, member, schema) { name, shape, offsetof(struct type, member), schema }
#define SCHEMA(type, what, name) what, sizeof(struct type), offsetof(struct type, at), name

static const struct schema websocket_schema = { SCHEMA(document_websocket, "'websocket'", NO_NAME), {
	KEY(document_websocket, "allow", SHAPE_TEXTS, allow),
	KEY(document_websocket, "deny", SHAPE_TEXTS, deny),
	KEY(document_websocket, "binary", SHAPE_FLAG, binary),
	KEY(document_websocket, "message_max", SHAPE_SIZE, message_max),
} };

static const struct schema git_schema = { SCHEMA(document_git, "'git'", NO_NAME), {
	KEY(document_git, "repositories", SHAPE_TEXTS, repositories),
	KEY(document_git, "access", SHAPE_WORDS, access),
	KEY(document_git, "push", SHAPE_TEXTS, push),
	KEY(document_git, "refs", SHAPE_TEXTS, refs),
	KEY(document_git, "force", SHAPE_FLAG, force),
	KEY(document_git, "delete", SHAPE_FLAG, delete),
	KEY(document_git, "create", SHAPE_FLAG, create),
	KEY(document_git, "lfs", SHAPE_FLAG, lfs),
	KEY(document_git, "pack_max", SHAPE_SIZE, pack_max),
} };

static const struct schema registry_schema = { SCHEMA(document_registry, "'registry'", NO_NAME), {
	KEY(document_registry, "type", SHAPE_TEXT, type),
	KEY(document_registry, "access", SHAPE_WORDS, access),
	KEY(document_registry, "packages", SHAPE_TEXTS, packages),
	KEY(document_registry, "deny", SHAPE_TEXTS, deny),
	KEY(document_registry, "versions", SHAPE_PAIRS, versions),
	KEY(document_registry, "min_age", SHAPE_DURATION, min_age),
	KEY(document_registry, "advisories", SHAPE_TEXT, advisories),
	KEY(document_registry, "index", SHAPE_TEXT, index),
} };

static const struct schema rule_schema = { SCHEMA(document_rule, "a network rule", NO_NAME), {
	KEY(document_rule, "name", SHAPE_TEXT, name),
	KEY(document_rule, "hosts", SHAPE_TEXTS, hosts),
	KEY(document_rule, "methods", SHAPE_TEXTS, methods),
	KEY(document_rule, "schemes", SHAPE_TEXTS, schemes),
	KEY(document_rule, "ports", SHAPE_TEXTS, ports),
	KEY(document_rule, "paths", SHAPE_TEXTS, paths),
	KEY(document_rule, "query", SHAPE_PAIRS, query),
	KEY(document_rule, "headers", SHAPE_PAIRS, headers),
	KEY(document_rule, "verdict", SHAPE_TEXT, verdict),
	KEY(document_rule, "credential", SHAPE_TEXT, credential),
	KEY(document_rule, "addresses", SHAPE_TEXTS, addresses),
	KEY(document_rule, "request_body_max", SHAPE_SIZE, request_body_max),
	KEY(document_rule, "response_body_max", SHAPE_SIZE, response_body_max),
	KEY(document_rule, "unscrubbed", SHAPE_TEXT, unscrubbed),
	KEY(document_rule, "passthrough", SHAPE_FLAG, passthrough),
	KEY(document_rule, "tcp", SHAPE_FLAG, tcp),
	SUB(document_rule, "websocket", SHAPE_SWITCH, websocket, &websocket_schema),
	SUB(document_rule, "git", SHAPE_PART, git, &git_schema),
	SUB(document_rule, "registry", SHAPE_PART, registry, &registry_schema),
} };

static const struct schema source_schema = { SCHEMA(document_source, "a credential's source", NO_NAME), {
	KEY(document_source, "environment", SHAPE_TEXT, environment),
	KEY(document_source, "file", SHAPE_TEXT, file),
	KEY(document_source, "command", SHAPE_TEXTS, command),
	KEY(document_source, "timeout", SHAPE_DURATION, timeout),
	KEY(document_source, "sealed", SHAPE_TEXT, sealed),
} };

static const struct schema variable_schema = { SCHEMA(document_variable, "the source of a token's part",
						      NO_NAME), {
	KEY(document_variable, "environment", SHAPE_TEXT, environment),
} };

static const struct schema sigv4_schema = { SCHEMA(document_sigv4, "'sigv4'", NO_NAME), {
	KEY(document_sigv4, "profile", SHAPE_TEXT, profile),
	KEY(document_sigv4, "services", SHAPE_TEXTS, services),
	KEY(document_sigv4, "regions", SHAPE_TEXTS, regions),
} };

static const struct schema token_schema = { SCHEMA(document_token, "'token'", NO_NAME), {
	KEY(document_token, "grant", SHAPE_TEXT, grant),
	KEY(document_token, "endpoint", SHAPE_TEXT, endpoint),
	KEY(document_token, "client_id", SHAPE_TEXT, client_id),
	KEY(document_token, "client_auth", SHAPE_TEXT, client_auth),
	SUB(document_token, "client_secret", SHAPE_OBJECT, client_secret, &variable_schema),
	KEY(document_token, "scope", SHAPE_TEXT, scope),
	KEY(document_token, "audience", SHAPE_TEXT, audience),
	KEY(document_token, "resource", SHAPE_TEXT, resource),
	KEY(document_token, "subject", SHAPE_TEXT, subject),
	KEY(document_token, "subject_token_type", SHAPE_TEXT, subject_token_type),
	SUB(document_token, "actor_token", SHAPE_OBJECT, actor_token, &variable_schema),
	KEY(document_token, "issuer", SHAPE_TEXT, issuer),
	KEY(document_token, "key_id", SHAPE_TEXT, key_id),
	KEY(document_token, "app_id", SHAPE_TEXT, app_id),
	KEY(document_token, "installation_id", SHAPE_TEXT, installation_id),
	KEY(document_token, "addresses", SHAPE_TEXTS, addresses),
} };

static const struct schema file_schema = { SCHEMA(document_file, "a credential file", NO_NAME), {
	KEY(document_file, "kind", SHAPE_TEXT, kind),
	KEY(document_file, "path", SHAPE_TEXT, path),
	KEY(document_file, "user", SHAPE_TEXT, user),
} };

static const struct schema header_schema = { SCHEMA(document_header, "a credential's header", NO_NAME), {
	KEY(document_header, "name", SHAPE_TEXT, name),
	KEY(document_header, "format", SHAPE_TEXT, format),
	KEY(document_header, "user", SHAPE_TEXT, user),
} };

static const struct schema placeholder_schema = { SCHEMA(document_placeholder, "a placeholder", NO_NAME), {
	KEY(document_placeholder, "environment", SHAPE_TEXT, environment),
	KEY(document_placeholder, "value", SHAPE_TEXT, value),
	KEY(document_placeholder, "prefix", SHAPE_TEXT, prefix),
	KEY(document_placeholder, "in", SHAPE_TEXTS, in),
	KEY(document_placeholder, "fields", SHAPE_TEXTS, fields),
	KEY(document_placeholder, "hosts", SHAPE_TEXTS, hosts),
	SUB(document_placeholder, "files", SHAPE_OBJECTS, files, &file_schema),
} };

static const struct schema credential_schema = {
	SCHEMA(document_credential, "a credential", offsetof(struct document_credential, key)), {
	SUB(document_credential, "source", SHAPE_OBJECT, source, &source_schema),
	KEY(document_credential, "hosts", SHAPE_TEXTS, hosts),
	KEY(document_credential, "strategy", SHAPE_TEXT, strategy),
	SUB(document_credential, "header", SHAPE_OBJECT, header, &header_schema),
	SUB(document_credential, "sigv4", SHAPE_OBJECT, sigv4, &sigv4_schema),
	SUB(document_credential, "token", SHAPE_OBJECT, token, &token_schema),
	KEY(document_credential, "login", SHAPE_TEXT, login),
	SUB(document_credential, "placeholder", SHAPE_OBJECT, placeholder, &placeholder_schema),
	KEY(document_credential, "own", SHAPE_TEXT, own),
	KEY(document_credential, "scrub", SHAPE_FLAG, scrub),
	KEY(document_credential, "detach_after", SHAPE_COUNT, detach_after),
} };

static const struct schema visible_schema = { SCHEMA(document_visible, "a visible path", NO_NAME), {
	KEY(document_visible, "path", SHAPE_TEXT, path),
	KEY(document_visible, "mode", SHAPE_TEXT, mode),
} };

static const struct schema filesystem_schema = { SCHEMA(document_filesystem, "'filesystem'", NO_NAME), {
	SUB(document_filesystem, "visible", SHAPE_OBJECTS, visible, &visible_schema),
	KEY(document_filesystem, "hidden", SHAPE_TEXTS, hidden),
	KEY(document_filesystem, "read_only", SHAPE_TEXTS, read_only),
	KEY(document_filesystem, "protect_git", SHAPE_FLAG, protect_git),
} };

static const struct schema limits_schema = { SCHEMA(document_limits, "'limits'", NO_NAME), {
	KEY(document_limits, "memory", SHAPE_SIZE, memory),
	KEY(document_limits, "cpus", SHAPE_COUNT, cpus),
	KEY(document_limits, "processes", SHAPE_COUNT, processes),
	KEY(document_limits, "wall_time", SHAPE_DURATION, wall_time),
	KEY(document_limits, "requests", SHAPE_COUNT, requests),
	KEY(document_limits, "bytes", SHAPE_SIZE, bytes),
} };

static const struct schema audit_schema = { SCHEMA(document_audit, "'audit'", NO_NAME), {
	KEY(document_audit, "durable", SHAPE_FLAG, durable),
} };

static const struct schema policy_schema = { SCHEMA(document, "a policy", NO_NAME), {
	KEY(document, "version", SHAPE_COUNT, version),
	KEY(document, "name", SHAPE_TEXT, name),
	SUB(document, "network", SHAPE_OBJECTS, network, &rule_schema),
	SUB(document, "credentials", SHAPE_NAMED, credentials, &credential_schema),
	SUB(document, "filesystem", SHAPE_OBJECT, filesystem, &filesystem_schema),
	SUB(document, "limits", SHAPE_OBJECT, limits, &limits_schema),
	SUB(document, "audit", SHAPE_OBJECT, audit, &audit_schema),
} };
/* clang-format on */

struct read {
	struct arena *arena;
	struct policy_error *error;
};

static enum err read_object(struct read *r, const struct node *n, const struct schema *schema, char *out);

/* "'hosts'", or "an entry of the list" for what has no key. */
static enum err wrong_kind(struct read *r, const struct node *n, const char *expected)
{
	if (n->key.n)
		return node_error(r->error, n->at, "'%.*s' is %s: expected %s", STR_FMT(node_quote(n->key)),
				  node_kind_name(n), expected);
	return node_error(r->error, n->at, "found %s: expected %s", node_kind_name(n), expected);
}

/* A plain null is not a text: "name:" with nothing after it is a slip of the pen. */
static bool is_text(const struct node *n)
{
	return n->kind == NODE_SCALAR && strcmp(node_kind_name(n), "text") == 0;
}

static enum err read_text(struct read *r, const struct node *n, struct document_text *out)
{
	if (!is_text(n))
		return wrong_kind(r, n, "text");
	*out = (struct document_text) { n->at, n->text };
	return ERR_OK;
}

static enum err read_texts(struct read *r, const struct node *n, struct document_texts *out)
{
	if (n->kind != NODE_SEQUENCE)
		return wrong_kind(r, n, "a list, such as [one, two]");
	out->at = n->at;
	out->items = arena_array(r->arena, n->count, sizeof *out->items);
	if (!out->items)
		return ERR_MEMORY;
	for (const struct node *c = n->first; c; c = c->next) {
		enum err err = read_text(r, c, &out->items[out->count]);

		if (err != ERR_OK)
			return err;
		out->count++;
	}
	return ERR_OK;
}

static enum err read_words(struct read *r, const struct node *n, struct document_texts *out)
{
	if (n->kind == NODE_SEQUENCE)
		return read_texts(r, n, out);
	if (!is_text(n))
		return wrong_kind(r, n, "text, or a list such as [one, two]");
	out->items = arena_array(r->arena, 1, sizeof *out->items);
	if (!out->items)
		return ERR_MEMORY;
	out->at = n->at;
	out->items[out->count++] = (struct document_text) { n->at, n->text };
	return ERR_OK;
}

static enum err read_pairs(struct read *r, const struct node *n, struct document_pairs *out)
{
	if (n->kind != NODE_MAPPING)
		return wrong_kind(r, n, "a mapping, such as {name: pattern}");
	out->at = n->at;
	out->items = arena_array(r->arena, n->count, sizeof *out->items);
	if (!out->items)
		return ERR_MEMORY;
	for (const struct node *c = n->first; c; c = c->next) {
		struct document_pair *pair = &out->items[out->count];
		enum err err = read_text(r, c, &pair->value);

		if (err != ERR_OK)
			return err;
		pair->name = (struct document_text) { c->key_at, c->key };
		out->count++;
	}
	return ERR_OK;
}

static enum err read_number(struct read *r, const struct node *n, enum shape shape,
			    struct document_number *out)
{
	static const char *const expected[] = {
		[SHAPE_FLAG] = "true or false",
		[SHAPE_COUNT] = "a whole number",
		[SHAPE_SIZE] = "a size such as 10MiB (B, KiB, MiB, GiB, TiB)",
		[SHAPE_DURATION] = "a duration such as 30s (ms, s, m, h, d)",
	};
	uint64_t v = 0;
	bool good = false;

	if (!is_text(n))
		return wrong_kind(r, n, expected[shape]);
	if (shape == SHAPE_FLAG) {
		v = str_eq(n->text, STR("true"));
		good = n->plain && (v || str_eq(n->text, STR("false")));
	} else if (shape == SHAPE_COUNT) {
		good = n->plain && str_decimal(n->text, INT64_MAX, &v);
	} else {
		good = shape == SHAPE_SIZE ? value_size(n->text, &v) : value_duration(n->text, &v);
	}
	if (!good)
		return node_error(r->error, n->at, "'%.*s' is '%.*s': expected %s",
				  STR_FMT(node_quote(n->key)), STR_FMT(node_quote(n->text)), expected[shape]);
	*out = (struct document_number) { n->at, v };
	return ERR_OK;
}

static enum err read_objects(struct read *r, const struct node *n, const struct key *key,
			     struct document_objects *out)
{
	const struct schema *schema = key->schema;
	bool named = key->shape == SHAPE_NAMED;
	char *item;

	if (n->kind != (named ? NODE_MAPPING : NODE_SEQUENCE))
		return wrong_kind(r, n, named ? "a mapping from names" : "a list, each entry after '- '");
	out->at = n->at;
	out->items = item = arena_array(r->arena, n->count, schema->size);
	if (!item)
		return ERR_MEMORY;
	for (const struct node *c = n->first; c; c = c->next, item += schema->size) {
		enum err err = read_object(r, c, schema, item);

		if (err != ERR_OK)
			return err;
		if (named) {
			struct document_text name = { c->key_at, c->key };

			memcpy(item + schema->name, &name, sizeof name);
		}
		out->count++;
	}
	return ERR_OK;
}

/* The pointer stays NULL for "false". */
static enum err read_part(struct read *r, const struct node *n, const struct key *key, void *member)
{
	bool on = n->kind == NODE_SCALAR && n->plain && str_eq(n->text, STR("true"));
	bool off = n->kind == NODE_SCALAR && n->plain && str_eq(n->text, STR("false"));
	char *part;
	enum err err = ERR_OK;

	if (key->shape == SHAPE_SWITCH && off)
		return ERR_OK;
	if (key->shape == SHAPE_SWITCH && !on && n->kind != NODE_MAPPING)
		return wrong_kind(r, n, "true, false, or a mapping of keys to values");
	part = arena_alloc(r->arena, key->schema->size);
	if (!part)
		return ERR_MEMORY;
	if (key->shape == SHAPE_SWITCH && on)
		memcpy(part + key->schema->at, &n->key_at, sizeof n->key_at);
	else
		err = read_object(r, n, key->schema, part);
	if (err == ERR_OK)
		memcpy(member, &part, sizeof part);
	return err;
}

static enum err read_value(struct read *r, const struct node *n, const struct key *key, char *out)
{
	void *member = out + key->offset;

	switch (key->shape) {
	case SHAPE_TEXT:
		return read_text(r, n, member);
	case SHAPE_TEXTS:
		return read_texts(r, n, member);
	case SHAPE_WORDS:
		return read_words(r, n, member);
	case SHAPE_PAIRS:
		return read_pairs(r, n, member);
	case SHAPE_FLAG:
	case SHAPE_COUNT:
	case SHAPE_SIZE:
	case SHAPE_DURATION:
		return read_number(r, n, key->shape, member);
	case SHAPE_OBJECT:
		return read_object(r, n, key->schema, member);
	case SHAPE_PART:
	case SHAPE_SWITCH:
		return read_part(r, n, key, member);
	case SHAPE_OBJECTS:
	case SHAPE_NAMED:
		return read_objects(r, n, key, member);
	}
	return ERR_STATE;
}

static enum err unknown_key(struct read *r, const struct node *n, const struct schema *schema)
{
	const char *words[KEYS_MAX];
	const char *near;
	char list[256];
	size_t count = 0, used = 0;

	for (; count < KEYS_MAX && schema->keys[count].name; count++) {
		struct str name = str_of(schema->keys[count].name);

		words[count] = schema->keys[count].name;
		if (name.n + 3 > sizeof list - used)
			continue;
		if (used) {
			memcpy(list + used, ", ", 2);
			used += 2;
		}
		memcpy(list + used, name.p, name.n);
		used += name.n;
	}
	near = nearest(n->key, words, count);
	if (near)
		return node_error(r->error, n->key_at, "unknown key '%.*s' in %s: did you mean '%s'?",
				  STR_FMT(node_quote(n->key)), schema->what, near);
	return node_error(r->error, n->key_at, "unknown key '%.*s' in %s: expected one of %.*s",
			  STR_FMT(node_quote(n->key)), schema->what, (int)used, list);
}

static const struct key *find_key(const struct schema *schema, struct str name)
{
	for (size_t i = 0; i < KEYS_MAX && schema->keys[i].name; i++)
		if (str_eq(name, str_of(schema->keys[i].name)))
			return &schema->keys[i];
	return NULL;
}

static enum err read_object(struct read *r, const struct node *n, const struct schema *schema, char *out)
{
	struct place at = n->key.n ? n->key_at : n->at;

	if (n->kind != NODE_MAPPING)
		return wrong_kind(r, n, "a mapping of keys to values");
	memcpy(out + schema->at, &at, sizeof at);
	for (const struct node *c = n->first; c; c = c->next) {
		const struct key *key = find_key(schema, c->key);
		enum err err = key ? read_value(r, c, key, out) : unknown_key(r, c, schema);

		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

/* First of all, so that a file of another version is not judged by the keys of this one. */
static enum err check_version(struct read *r, const struct node *root)
{
	const struct node *v = root->kind == NODE_MAPPING ? root->first : NULL;

	if (!v || !str_eq(v->key, STR("version")))
		return node_error(r->error, v ? v->key_at : root->at,
				  "expected 'version: 1' as the first key");
	if (v->kind != NODE_SCALAR || !v->plain || !str_eq(v->text, STR("1")))
		return node_error(r->error, v->at,
				  "this version of the policy language is not known here: "
				  "expected 1");
	return ERR_OK;
}

enum err document_read(struct arena *a, struct str text, struct document *ret, struct policy_error *ret_error)
{
	struct read r = { a, ret_error };
	struct document d = { .version = { .value = 1 } };
	struct node *root;
	enum err err = node_parse(a, text, &root, ret_error);

	if (err == ERR_OK)
		err = check_version(&r, root);
	if (err == ERR_OK)
		err = read_object(&r, root, &policy_schema, (char *)&d);
	if (err == ERR_OK)
		*ret = d;
	return err;
}
