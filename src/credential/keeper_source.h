/* keeper_source.h - where secrets come from, in the keeper
 *
 * environment: a value handed over at start. file: read each time, so that a refreshed
 * token is seen. command: run each time, without a shell.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"

#define KEEPER_SOURCES_MAX 256		/* POLICY_CREDENTIALS_MAX */
#define KEEPER_ARGUMENTS_MAX 64
#define KEEPER_COMMAND_TIMEOUT_MS 10000
#define KEEPER_COMMAND_TIMEOUT_MAX_MS 120000

enum keeper_source_kind { KEEPER_ENVIRONMENT, KEEPER_FILE, KEEPER_COMMAND };

struct keeper_source {
	enum keeper_source_kind kind;
	const char *name;		/* the credential's; for the log */
	struct secret *value;		/* environment: NULL if the variable was not set */
	const char *path;		/* file */
	char **argv;			/* command: NULL at its end */
	uint64_t timeout_ms;
};

/** keeper_source_read() - the secret as it is now; one newline at the end of a file or of a
 *  command's output is not part of it
 * @environment: of commands
 * @ret_reason:  for the log, static text; written only on failure
 * Return: ERR_OK and *ret_secret; ERR_CREDENTIAL; ERR_MEMORY */
must_use enum err keeper_source_read(const struct keeper_source *s, char *const *environment,
				     struct secret **ret_secret, const char **ret_reason);
