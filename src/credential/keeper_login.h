/* keeper_login.h - the login files of Claude Code and Codex, as JSON
 *
 *   Claude Code  ~/.claude/.credentials.json  {"claudeAiOauth": {"accessToken", "refreshToken", "expiresAt"
 *                (ms), "scopes": [], "subscriptionType", ...}, ...}
 *   Codex        ~/.codex/auth.json  {"tokens": {"id_token" (JWT), "access_token" (JWT), "refresh_token",
 *                "account_id"}, "last_refresh" (RFC 3339), ...}
 */
#pragma once

#include "credential/keeper.h"

#include <jansson.h>

/** struct keeper_login_file - one, read; its login's views are of it */
struct keeper_login_file {
	json_t *root;
	struct keeper_login login;
	struct buf made;		/* what is not in the file as it is in the login */
};

/** keeper_login_parse() - @use: CLAUDE or CODEX
 * Return: ERR_OK and *ret (keeper_login_close()); ERR_CREDENTIAL with *ret_reason, static text; ERR_MEMORY */
must_use enum err keeper_login_parse(enum keeper_use use, struct str text, struct keeper_login_file *ret,
				     const char **ret_reason);
void keeper_login_close(struct keeper_login_file *f);
/** keeper_login_change() - @f with @login's tokens and expiry where they are not
 *  empty, every other member as it was; the views of f->login are not valid after it
 * @text: the file's new text, appended
 * Return: ERR_OK; ERR_MEMORY; buf_err() */
must_use enum err keeper_login_change(enum keeper_use use, struct keeper_login_file *f,
				      const struct keeper_login *login, struct buf *text);
/** keeper_login_claims() - the payload of a JWT: JSON; ERR_INPUT if @jwt is none, buf_err(@out) */
must_use enum err keeper_login_claims(struct str jwt, struct buf *out);
