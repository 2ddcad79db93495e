/* node.c - YAML events to a tree                                 (stage 1 of loading)
 *
 * Theory of operation: libyaml's event parser is pulled one event at a time, and a tree is
 * built by descending through it, at most NODE_DEPTH_MAX deep. What a policy has no use for
 * is refused at the event that brings it. The file is the user's own, or one that an agent
 * proposes in a workspace: `paddock policy check` reads both, so every byte is hostile.
 * Invariant: after ERR_OK every text is UTF-8 without a control character, and no mapping
 * has a key twice.
 * Source: YAML 1.1 as libyaml 0.2 reads it.
 */
#include "policy/node.h"

#include <stdio.h>
#include <yaml.h>

struct parse {
	yaml_parser_t yaml;
	struct arena *arena;
	struct policy_error *error;
};

enum err node_error(struct policy_error *ret_error, struct place at, const char *format, ...)
{
	va_list ap;

	ret_error->line = at.line;
	ret_error->column = at.column;
	va_start(ap, format);
	vsnprintf(ret_error->text, sizeof ret_error->text, format, ap);
	va_end(ap);
	return ERR_POLICY_SYNTAX;
}

struct str node_quote(struct str s)
{
	size_t n = s.n < 60 ? s.n : 60;

	while (n < s.n && n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80)
		n--;
	return (struct str) { s.p ? s.p : "", n };
}

const char *node_kind_name(const struct node *n)
{
	switch (n->kind) {
	case NODE_SEQUENCE:
		return "a list";
	case NODE_MAPPING:
		return "a mapping";
	case NODE_SCALAR:
		break;
	}
	return n->plain && (n->text.n == 0 || str_eq(n->text, STR("~")) || str_eq(n->text, STR("null")))
		       ? "nothing"
		       : "text";
}

static struct place place_of(yaml_mark_t m)
{
	return (struct place) { (uint32_t)m.line + 1, (uint32_t)m.column + 1 };
}

/* The next event; what cannot be an event of a policy is an error here. */
static enum err next(struct parse *p, yaml_event_t *ret)
{
	if (yaml_parser_parse(&p->yaml, ret))
		return ERR_OK;
	if (p->yaml.error == YAML_MEMORY_ERROR)
		return ERR_MEMORY;
	if (p->yaml.context && strstr(p->yaml.context, "alias"))
		return node_error(p->error, place_of(p->yaml.context_mark),
				  "put quotes around a text that begins with '*'");
	return node_error(p->error, place_of(p->yaml.problem_mark), "not YAML: %s%s%s",
			  p->yaml.context ? p->yaml.context : "", p->yaml.context ? ", " : "",
			  p->yaml.problem ? p->yaml.problem : "unreadable");
}

static enum err refuse_extras(struct parse *p, struct place at, const yaml_char_t *anchor,
			      const yaml_char_t *tag)
{
	if (anchor)
		return node_error(p->error, at,
				  "anchors (&name) are not part of a policy: write the value out");
	if (tag)
		return node_error(p->error, at, "tags (!name) are not part of a policy: leave it away");
	return ERR_OK;
}

/* C0, DEL, and C1 (c2 80..9f in UTF-8): policy texts end up in terminals and headers. */
static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < s.n && (uint8_t)s.p[i + 1] < 0xa0)
			return true;
	}
	return false;
}

static enum err scalar(struct parse *p, const yaml_event_t *e, struct node *ret)
{
	struct str text = str_make(e->data.scalar.value, e->data.scalar.length);
	enum err err = refuse_extras(p, ret->at, e->data.scalar.anchor, e->data.scalar.tag);

	if (err != ERR_OK)
		return err;
	if (has_control(text))
		return node_error(p->error, ret->at,
				  "a control character or a line break in a text: "
				  "expected one line of printable text");
	ret->kind = NODE_SCALAR;
	ret->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	ret->text = arena_copy(p->arena, text);
	return ret->text.p ? ERR_OK : ERR_MEMORY;
}

static enum err value(struct parse *p, const yaml_event_t *e, unsigned depth, struct node **ret);

static enum err sequence(struct parse *p, unsigned depth, struct node *list)
{
	struct node **tail = &list->first;

	for (;;) {
		yaml_event_t e;
		enum err err = next(p, &e);

		if (err != ERR_OK)
			return err;
		if (e.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&e);
			return ERR_OK;
		}
		err = value(p, &e, depth + 1, tail);
		yaml_event_delete(&e);
		if (err != ERR_OK)
			return err;
		tail = &(*tail)->next;
		list->count++;
	}
}

/* @e is the event where a key is due: a text that this mapping does not have yet. */
static enum err mapping_key(struct parse *p, const yaml_event_t *e, const struct node *map, struct node *ret)
{
	enum err err;

	*ret = (struct node) { .at = place_of(e->start_mark) };
	if (e->type != YAML_SCALAR_EVENT)
		return node_error(p->error, ret->at, "expected a key, which is plain text");
	err = scalar(p, e, ret);
	if (err != ERR_OK)
		return err;
	for (const struct node *n = map->first; n; n = n->next)
		if (str_eq(n->key, ret->text))
			return node_error(p->error, ret->at, "the key '%.*s' is here twice: line %u has it",
					  STR_FMT(node_quote(ret->text)), n->key_at.line);
	if (map->count == NODE_KEYS_MAX)
		return node_error(p->error, ret->at, "more than %d keys in one mapping", NODE_KEYS_MAX);
	return ERR_OK;
}

static enum err mapping(struct parse *p, unsigned depth, struct node *map)
{
	struct node **tail = &map->first, key;

	for (;;) {
		yaml_event_t e;
		enum err err = next(p, &e);

		if (err != ERR_OK)
			return err;
		if (e.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&e);
			return ERR_OK;
		}
		err = mapping_key(p, &e, map, &key);
		yaml_event_delete(&e);
		if (err == ERR_OK)
			err = next(p, &e);
		if (err != ERR_OK)
			return err;
		err = value(p, &e, depth + 1, tail);
		yaml_event_delete(&e);
		if (err != ERR_OK)
			return err;
		(*tail)->key = key.text;
		(*tail)->key_at = key.at;
		tail = &(*tail)->next;
		map->count++;
	}
}

static enum err value(struct parse *p, const yaml_event_t *e, unsigned depth, struct node **ret)
{
	struct node *n = arena_alloc(p->arena, sizeof *n);
	enum err err;

	if (!n)
		return ERR_MEMORY;
	n->at = place_of(e->start_mark);
	if (depth > NODE_DEPTH_MAX)
		return node_error(p->error, n->at, "nested more than %d deep", NODE_DEPTH_MAX);
	*ret = n;
	if (e->type == YAML_SCALAR_EVENT)
		return scalar(p, e, n);
	if (e->type == YAML_SEQUENCE_START_EVENT) {
		n->kind = NODE_SEQUENCE;
		err = refuse_extras(p, n->at, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		return err == ERR_OK ? sequence(p, depth, n) : err;
	}
	if (e->type == YAML_MAPPING_START_EVENT) {
		n->kind = NODE_MAPPING;
		err = refuse_extras(p, n->at, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		return err == ERR_OK ? mapping(p, depth, n) : err;
	}
	return node_error(p->error, n->at,
			  "aliases (*name) are not part of a policy: write the value out, "
			  "or put quotes around a text that begins with '*'");
}

static enum err expect(struct parse *p, yaml_event_type_t type, yaml_event_t *ret)
{
	enum err err = next(p, ret);

	if (err == ERR_OK && ret->type != type) {
		err = node_error(p->error, place_of(ret->start_mark),
				 type == YAML_STREAM_END_EVENT
					 ? "a second document: expected one policy in a file"
					 : "an empty file: a policy starts with 'version: 1'");
		yaml_event_delete(ret);
	}
	return err;
}

static enum err document(struct parse *p, struct node **ret)
{
	yaml_event_t e;
	enum err err = expect(p, YAML_STREAM_START_EVENT, &e);

	if (err != ERR_OK)
		return err;
	yaml_event_delete(&e);
	err = expect(p, YAML_DOCUMENT_START_EVENT, &e);
	if (err != ERR_OK)
		return err;
	if (e.data.document_start.version_directive ||
	    e.data.document_start.tag_directives.start != e.data.document_start.tag_directives.end)
		err = node_error(p->error, place_of(e.start_mark),
				 "directives (%%NAME) are not part of a policy");
	yaml_event_delete(&e);
	if (err == ERR_OK)
		err = next(p, &e);
	if (err != ERR_OK)
		return err;
	err = value(p, &e, 1, ret);
	yaml_event_delete(&e);
	if (err == ERR_OK)
		err = expect(p, YAML_DOCUMENT_END_EVENT, &e);
	if (err != ERR_OK)
		return err;
	yaml_event_delete(&e);
	err = expect(p, YAML_STREAM_END_EVENT, &e);
	if (err == ERR_OK)
		yaml_event_delete(&e);
	return err;
}

/* libyaml gives an offset and no line for bytes that it cannot read: looked for first. */
static enum err check_bytes(struct str text, struct policy_error *ret_error)
{
	struct place at = { 1, 1 };

	if (text.n > POLICY_BYTES_MAX)
		return node_error(ret_error, (struct place) { 0, 0 }, "the file has more than %d bytes",
				  POLICY_BYTES_MAX);
	for (struct str rest = text; rest.n; at.line++) {
		struct str line = str_head(rest, str_find(rest, '\n'));

		if (!str_is_utf8(line) || str_find(line, '\0') < line.n)
			return node_error(ret_error, at, "this line is not UTF-8 text");
		rest = str_from(rest, line.n + 1);
	}
	return ERR_OK;
}

enum err node_parse(struct arena *a, struct str text, struct node **ret, struct policy_error *ret_error)
{
	struct parse p = { .arena = a, .error = ret_error };
	enum err err = check_bytes(text, ret_error);
	struct node *root = NULL;

	if (err != ERR_OK)
		return err;
	if (!yaml_parser_initialize(&p.yaml))
		return ERR_MEMORY;
	yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)(text.p ? text.p : ""), text.n);
	err = document(&p, &root);
	yaml_parser_delete(&p.yaml);
	if (err == ERR_OK)
		*ret = root;
	return err;
}
