/* keeper_config.h - what the supervisor tells the keeper, and what the keeper tells it back
 *
 * Configuration, one JSON object in a memfd (descriptor 4 of the keeper), unknown members are errors:
 *   "sandbox"             id
 *   "ca_days"             1..30: how long the sandbox's CA is valid
 *   "checkpoint_key_fd"   number of the descriptor of the installation's key (KEEPER_KEY_FD)
 *   "seal_key_fd"         the same of the sealed store's key file (KEEPER_SEAL_FD); none: there is no such file
 *   "environment"         NAME=VALUE for credential commands: HOME, PATH, USER
 *   "credentials"         in the policy's order, each with "name", "use" (enum keeper_use, in lower case),
 *                         and by "source":
 *       "environment"       "value": base64; none: it was not set
 *       "file"              "path"
 *       "command"           "argv", "timeout_ms"
 *       "sealed"            "entry": its name, "envelope" (seal.h): opened here, with the file's key or the
 *                           kernel's keyring's
 *     and where the policy has them
 *       "client_secret", "actor_token"   base64: values of the token block's variables; "": not set
 *       "profile", "services", "regions" sigv4: of an INI file; the last two lists, none: any
 *       "issuer"                         jwt: what an assertion's "iss" must be; none: the service
 *                                        account's client_email
 * Start message, one JSON object on descriptor 5, then its end:
 *   "ca" PEM, "key_name" text, "public_key" 64 hex digits, "verifier_key" C2SP form, "about" (keeper_about.h)
 */
#pragma once

#include "base/buf.h"
#include "credential/keeper.h"
#include "credential/keeper_source.h"
#include "credential/seal.h"
#include "policy/policy.h"

#define KEEPER_LINK_FD 3
#define KEEPER_CONFIG_FD 4
#define KEEPER_START_FD 5
#define KEEPER_KEY_FD 6
#define KEEPER_SEAL_FD 7

#define KEEPER_CONFIG_MAX (8u * 1024 * 1024)
#define KEEPER_SANDBOX_MAX 128
#define KEEPER_CA_DAYS (POLICY_WALL_DAYS_MAX + 1)	/* no run outlives what its clients trust */
#define KEEPER_START_MAX (2u * 1024 * 1024)

/** ---- the supervisor's side ---- */

/** keeper_config_make() - a memfd with the configuration for @policy's credentials
 * @getenv_secret: value of a variable, or an empty view if it is not set; the supervisor has
 *                 taken these out of its own environment already
 * @environment:   NULL-terminated, for commands
 * @seals:         seal_store_open()'s directory; -1 if no credential is sealed
 * @seal_key:      the keeper gets a KEEPER_SEAL_FD
 * Return: ERR_OK and *ret_fd (close-on-exec, at offset 0); ERR_LIMIT, ERR_MEMORY, ERR_LOCAL */
must_use enum err keeper_config_make(const struct policy *policy, struct str sandbox,
				     struct str (*getenv_secret)(void *ctx, struct str name), void *ctx,
				     char *const *environment, int seals, bool seal_key, int *ret_fd);

/** struct keeper_public - what is no secret of one credential's source; empty: not known */
struct keeper_public {
	struct str scopes, subscription;			/* claude */
	struct str account_id, id_claims;			/* codex; claims: JSON */
	struct str client_email, private_key_id, token_uri, project_id;	/* jwt */
};

struct keeper_start {
	struct buf ca_pem;		/* freed by keeper_start_free() */
	struct keeper_public about[KEEPER_SOURCES_MAX];	/* by credential, in the policy's order */
	struct arena *arena;		/* of about */
	char key_name[256], verifier_key[512];	/* NUL-terminated */
	uint8_t public_key[32];
};
/** keeper_start_read() - waits for the whole of the keeper's start message on @fd
 * Return: ERR_OK; ERR_TIMEOUT; ERR_CLOSED (it ended before); ERR_INPUT; ERR_MEMORY */
must_use enum err keeper_start_read(int fd, uint64_t timeout_ms, struct keeper_start *ret);
void keeper_start_free(struct keeper_start *s);

/** ---- the keeper's side ---- */

struct keeper_credential {
	const char *name;
	enum keeper_use use;
	struct keeper_source source;
	struct keeper_source parts[KEEPER_PARTS];	/* [KEEPER_PART_SOURCE] is not used */
	const char *profile, *issuer;			/* NULL: none */
	char **services, **regions;			/* NULL-terminated; NULL: any */
};

struct keeper_config {
	char sandbox[KEEPER_SANDBOX_MAX + 1];
	unsigned ca_days;
	int key_fd;
	char **environment;		/* NULL-terminated */
	struct seal_keys seals;		/* while it is read; then wiped */
	size_t credential_count;
	struct keeper_credential credentials[KEEPER_SOURCES_MAX];
	struct arena *arena;		/* all strings */
};
/** keeper_config_read() - reads @fd from its start, then overwrites and empties it. Sets
 *  jansson's allocator to one that wipes what it frees: call it once, early.
 * @ret_why: text for the log, at least 256 bytes; written on failure
 * Return: ERR_OK and *ret (keeper_config_free()); ERR_INPUT; ERR_LOCAL; ERR_MEMORY */
must_use enum err keeper_config_read(int fd, struct keeper_config **ret, char ret_why[256]);
void keeper_config_free(struct keeper_config *c);
