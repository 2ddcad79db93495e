/* config.h - what the supervisor tells the courier, once, as one JSON object
 *
 *   member            type                required
 *   version           1                   yes
 *   sandbox           text, 1..64 of [A-Za-z0-9._-]   yes; the trail's name and first "prev"
 *   policy            text                yes; the policy itself
 *   policy_file       text                yes; its path, for denials and records only
 *   name              text                no
 *   person            text                no
 *   command           list of text        no; for the start record
 *   image, machine    text                no; for the start record
 *   home              text                no; expands "~" in the policy
 *   placeholders      object: credential's name -> placeholder   no; what the guest has in
 *                                          place of each credential; empty: nothing. A login has
 *                                          NAME (access token), NAME.refresh, and Codex's NAME.id
 *   resolve           list of {"host", "port", "address", "to_port"}   no; the user's --resolve
 *   upstream_ca       text: PEM           no; the user's --upstream-ca
 *   key_name          text                yes; of checkpoints
 *   public_key        text: 64 hex digits yes; Ed25519, of checkpoints
 *   clients           object: name -> SHA-256 of its token, 64 hex digits   no; of an explicit proxy. With
 *                                          any, who says no token that is in it gets nothing
 *   checkpoint_every  integer             no (0: 1000)
 *
 * An unknown, missing or wrongly typed member, or a duplicate, is an error.
 */
#pragma once

#include "courier/resolve.h"

#define CONFIG_BYTES_MAX (3 * (size_t)POLICY_BYTES_MAX)	/* a policy, JSON-escaped, and the rest */
#define CONFIG_PLACEHOLDERS_MAX POLICY_CREDENTIALS_MAX
#define CONFIG_CLIENTS_MAX 1024
#define CONFIG_COMMAND_MAX 64		/* arguments that the start record shows */

struct config_placeholder {
	struct str credential, placeholder;
};

struct config_client {
	struct str name;
	uint8_t digest[32];
};

/** struct config - every view lives as long as the config */
struct config {
	struct arena *arena;
	struct str sandbox, name, person, image, machine, policy, policy_file, home, upstream_ca, key_name;
	struct str command[CONFIG_COMMAND_MAX];
	uint32_t command_count;
	struct config_placeholder placeholders[CONFIG_PLACEHOLDERS_MAX];
	uint32_t placeholder_count;
	struct resolve_override resolve[RESOLVE_OVERRIDES_MAX];
	uint32_t resolve_count;
	struct config_client clients[CONFIG_CLIENTS_MAX];
	uint32_t client_count;
	uint8_t public_key[32];
	uint32_t checkpoint_every;
};

/** config_parse() - *ret_problem: static text for the operator, also on ERR_MEMORY
 * Return: ERR_OK and *ret (config_free()); ERR_INPUT; ERR_MEMORY */
must_use enum err config_parse(struct str json, struct config **ret, const char **ret_problem);
/** config_read() - all of @fd, then config_parse(). ERR_LOCAL, and as there */
must_use enum err config_read(int fd, struct config **ret, const char **ret_problem);
void config_free(struct config *c);
/** config_placeholder() - empty if there is none for that credential */
struct str config_placeholder(const struct config *c, struct str credential);
/** config_client() - who says @token
 * Return: ERR_OK and *ret, one of c->clients (NULL where there are none); ERR_UNAUTHORIZED; ERR_MEMORY */
must_use enum err config_client(const struct config *c, struct str token, const struct config_client **ret);
