/* document.h - the typed form of a policy file: every value of the right shape and with its
 * place, nothing judged yet
 *
 * What may stand where is in the tables of document.c, and in docs/policy.md for people.
 * A value that the file does not give has at.line == 0.
 */
#pragma once

#include "policy/node.h"

struct document_text {
	struct place at;
	struct str text;
};
struct document_texts {
	struct place at;
	uint32_t count;
	struct document_text *items;
};
struct document_pair {
	struct document_text name, value;
};
struct document_pairs {
	struct place at;
	uint32_t count;
	struct document_pair *items;
};
struct document_number {	/* a size in bytes, a duration in ms, a count, a flag */
	struct place at;
	uint64_t value;
};
struct document_objects {	/* a list, or a mapping from names; items of the type that its user knows */
	struct place at;
	uint32_t count;
	void *items;
};

struct document_rule {
	struct place at;
	struct document_text name, verdict, credential;
	struct document_texts hosts, methods, schemes, ports, paths, addresses;
	struct document_pairs query, headers;
	struct document_number request_body_max, response_body_max;
};
struct document_source {
	struct place at;
	struct document_text environment, file;
	struct document_texts command;
	struct document_number timeout;
};
struct document_header {
	struct place at;
	struct document_text name, format;
};
struct document_placeholder {
	struct place at;
	struct document_text environment, value, prefix;
	struct document_texts in;
};
struct document_credential {
	struct place at;
	struct document_text key;	/* the credential's name */
	struct document_source source;
	struct document_texts hosts;
	struct document_text strategy;
	struct document_header header;
	struct document_placeholder placeholder;
	struct document_number scrub;
};
struct document_visible {
	struct place at;
	struct document_text path, mode;
};
struct document_filesystem {
	struct place at;
	struct document_objects visible;	/* struct document_visible */
	struct document_texts hidden, read_only;
	struct document_number protect_git;
};
struct document_limits {
	struct place at;
	struct document_number memory, cpus, processes, wall_time, requests, bytes;
};
struct document {
	struct place at;
	struct document_number version;
	struct document_text name;
	struct document_objects network;	/* struct document_rule */
	struct document_objects credentials;	/* struct document_credential */
	struct document_filesystem filesystem;
	struct document_limits limits;
};

/** document_read() - @text to *ret, all of it in @a; ERR_POLICY_SYNTAX with *ret_error, ERR_MEMORY */
must_use enum err document_read(struct arena *a, struct str text, struct document *ret,
				struct policy_error *ret_error);
