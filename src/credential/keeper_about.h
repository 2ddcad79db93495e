/* keeper_about.h - what is no secret of a credential's source, which the supervisor needs for the files that
 * it renders into the guest; part of the keeper's start message, so that the supervisor reads no secret for
 * it
 */
#pragma once

#include "credential/keeper_config.h"

#include <jansson.h>

/** keeper_about() - of what can be read at once (a command is not run): a list of
 *  {"credential": index, and by use
 *   claude: "scopes", "subscription"; codex: "account_id", "id_claims" (the ID token's payload, JSON);
 *   jwt: "client_email", "private_key_id", "token_uri", "project_id"}
 *  What cannot be read is left out. NULL without memory; else json_decref(). */
json_t *keeper_about(const struct keeper_config *c);
