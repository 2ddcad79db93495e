/* render.h - credential files that tools insist on, with placeholders in them
 *
 * Pure but for randomness: called by the supervisor, which holds no secret. Each kind parses with its real
 * tool, and nothing in it opens anything: tokens are placeholders, an AWS secret key and a service account's
 * private key are made up (the courier and its keeper sign anew), a JWT's signature is no one's.
 */
#pragma once

#include "credential/keeper_config.h"

#define RENDER_FILE_MAX 32768
#define RENDER_PLACEHOLDER_MAX 8192	/* a JWT's */

/** struct render_item - one credential, as the guest knows it */
struct render_item {
	const struct policy_credential *credential;
	const struct policy_file *file;
	const struct keeper_public *about;
	struct str placeholder;		/* NAME in the courier's configuration: a login's access token, else the token,
					   the access key's id */
	struct str second;		/* a login's refresh token (NAME.refresh);
					   an AWS secret key (in no request) */
	struct str id;			/* Codex: its ID token (NAME.id) */
};

/** render_placeholders() - what stands for @c in the guest, of the shape of what it stands
 *  for: as the members of struct render_item; @second and @id stay empty where there is none
 * Return: ERR_OK; ERR_INPUT (the policy's own has a bad shape); ERR_LOCAL; ERR_MEMORY; buf_err() */
must_use enum err render_placeholders(const struct policy_credential *c, const struct keeper_public *about,
				      struct buf *placeholder, struct buf *second, struct buf *id);

/** render_file() - appends the text of one file; all @items are of one kind and path
 * @ret_problem: static words, on ERR_INPUT
 * Return: ERR_OK; ERR_INPUT (it cannot be written for these hosts); ERR_MEMORY; buf_err(@out) */
must_use enum err render_file(const struct render_item *items, uint32_t count, struct buf *out,
			      const char **ret_problem);

/** render_login(), render_account() - render_file() of claude, codex, and of service_account */
must_use enum err render_login(const struct render_item *item, struct buf *out);
must_use enum err render_account(const struct render_item *item, struct buf *out);
