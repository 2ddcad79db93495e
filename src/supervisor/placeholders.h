/* placeholders.h - what the guest has in place of each credential: texts, and files of them
 *
 * Made for each run, after the keeper has said what is no secret of its sources. The courier knows a text
 * by the credential's name; a login has three: NAME (access token), NAME.refresh, and Codex's NAME.id.
 */
#pragma once

#include "credential/keeper_config.h"
#include "supervisor/configure.h"

struct placeholders {
	struct str value[POLICY_CREDENTIALS_MAX];	/* by credential, in the policy's order */
	struct str second[POLICY_CREDENTIALS_MAX];	/* refresh token of a login;
							   AWS secret key; or empty */
	struct str id[POLICY_CREDENTIALS_MAX];		/* ID token of a Codex login; or empty */
	uint32_t file_count;
	struct msg_file files[MSG_FILES_MAX];		/* placeholders_render() */
	struct arena *arena;
};

/** placeholders_make() - the texts. ERR_INPUT (the policy's own have a bad shape), ERR_LOCAL, ERR_MEMORY */
must_use enum err placeholders_make(const struct policy *p, const struct keeper_start *keeper,
				    struct placeholders *ret);
void placeholders_free(struct placeholders *p);

/** placeholders_render() - the files that the policy names, "~" expanded to the guest's home
 * Return: ERR_OK; ERR_INPUT with one line in @why (one would lie in @mounts, where
 * files are the user's own; too many or too long; no host to write); ERR_MEMORY */
must_use enum err placeholders_render(const struct spec *spec, const struct keeper_start *keeper,
				      const struct mounts *mounts, struct placeholders *p, struct buf *why);
/** placeholders_home() - the guest's home directory */
struct str placeholders_home(const struct spec *spec);
