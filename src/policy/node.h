/* node.h - YAML text to a small tree, in which every node knows its place
 *
 * The tree is all of YAML that a policy may use: mappings, sequences, scalars. Anchors,
 * aliases, tags, directives, several documents, duplicate keys, control characters, deep
 * nesting are refused here, each with its place, so that nothing above needs to think of them.
 */
#pragma once

#include "base/arena.h"
#include "policy/policy.h"

#define NODE_DEPTH_MAX 8
#define NODE_KEYS_MAX 1024	/* of one mapping */

struct place {
	uint32_t line, column;	/* from 1; line 0: not in the file */
};

enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };

struct node {
	enum node_kind kind;
	bool plain;		/* scalar without quotes */
	struct place at;
	struct str text;	/* scalar */
	struct str key;		/* this node is the value of that key in its mapping */
	struct place key_at;
	uint32_t count;		/* children */
	struct node *first, *next;
};

/** node_parse() - @text (at most POLICY_BYTES_MAX) to a tree in @a
 * Return: ERR_OK; ERR_POLICY_SYNTAX with *ret_error filled; ERR_MEMORY */
must_use enum err node_parse(struct arena *a, struct str text, struct node **ret,
			     struct policy_error *ret_error);
/** node_error() - fills *@ret_error; returns ERR_POLICY_SYNTAX */
enum err node_error(struct policy_error *ret_error, struct place at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** node_quote() - @s cut for use with "%.*s" in an error: at most 60 bytes, whole characters */
struct str node_quote(struct str s);
/** node_kind_name() - "a list", "a mapping", "text", "nothing" */
const char *node_kind_name(const struct node *n);
