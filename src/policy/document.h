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

struct document_websocket {
	struct place at;
	struct document_texts allow, deny;
	struct document_number binary, message_max;
};
struct document_git {
	struct place at;
	struct document_texts repositories, access, push, refs;
	struct document_number force, delete, create, lfs, pack_max;
};
struct document_registry {
	struct place at;
	struct document_text type, advisories, index;
	struct document_texts packages, deny, access;
	struct document_pairs versions;
	struct document_number min_age;
};
struct document_rule {
	struct place at;
	struct document_text name, verdict, credential, unscrubbed;
	struct document_texts hosts, methods, schemes, ports, paths, addresses;
	struct document_pairs query, headers;
	struct document_number request_body_max, response_body_max, passthrough, tcp;
	const struct document_websocket *websocket;	/* NULL: not in the file, as with the next two */
	const struct document_git *git;
	const struct document_registry *registry;
};
struct document_source {
	struct place at;
	struct document_text environment, file, sealed;
	struct document_texts command;
	struct document_number timeout;
};
struct document_variable {
	struct place at;
	struct document_text environment;
};
struct document_sigv4 {
	struct place at;
	struct document_text profile;
	struct document_texts services, regions;
};
struct document_token {
	struct place at;
	struct document_text grant, endpoint, client_id, client_auth, scope, audience, resource, subject,
		subject_token_type, issuer, key_id, app_id, installation_id;
	struct document_variable client_secret, actor_token;
	struct document_texts addresses;
};
struct document_file {
	struct place at;
	struct document_text kind, path, user;
};
struct document_header {
	struct place at;
	struct document_text name, format, user;
};
struct document_placeholder {
	struct place at;
	struct document_text environment, value, prefix;
	struct document_texts in, fields, hosts;
	struct document_objects files;	/* struct document_file */
};
struct document_credential {
	struct place at;
	struct document_text key;	/* the credential's name */
	struct document_source source;
	struct document_texts hosts;
	struct document_text strategy, login, own;
	struct document_header header;
	struct document_sigv4 sigv4;
	struct document_token token;
	struct document_placeholder placeholder;
	struct document_number scrub, detach_after;
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
struct document_audit {
	struct place at;
	struct document_number durable;
};
struct document {
	struct place at;
	struct document_number version;
	struct document_text name;
	struct document_objects network;	/* struct document_rule */
	struct document_objects credentials;	/* struct document_credential */
	struct document_filesystem filesystem;
	struct document_limits limits;
	struct document_audit audit;
};

/** document_read() - @text to *ret, all of it in @a; ERR_POLICY_SYNTAX with *ret_error, ERR_MEMORY */
must_use enum err document_read(struct arena *a, struct str text, struct document *ret,
				struct policy_error *ret_error);
