/* keeper_source.h - where secrets come from, in the keeper
 *
 * environment: a value handed over at start; so is a sealed one, unsealed then. file: read each
 * time, so that a refreshed token is seen. command: run without a shell (keeper_run.h).
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"

#define KEEPER_SOURCES_MAX 256		/* POLICY_CREDENTIALS_MAX */
#define KEEPER_ARGUMENTS_MAX 64
#define KEEPER_COMMAND_TIMEOUT_MS 10000
#define KEEPER_COMMAND_TIMEOUT_MAX_MS 300000	/* as the policy language has it */
#define KEEPER_SOURCE_MAX 32768		/* bytes of a file, or of a command's output */

enum keeper_source_kind { KEEPER_VALUE, KEEPER_FILE, KEEPER_COMMAND };

struct keeper_source {
	enum keeper_source_kind kind;
	struct secret *value;		/* value: NULL if there is none; then: */
	const char *missing;		/* why; static text */
	const char *path, *real;	/* file; real: without symbolic links, as they were at the start */
	char **argv;			/* command: NULL at its end */
	uint64_t timeout_ms;
};

/** keeper_source_read() - what a value or a file holds now
 * @text:       made by buf_init_secret(KEEPER_SOURCE_MAX), empty
 * @ret_stamp:  differs whenever the text may; 0 for a value
 * @ret_reason: for the log, static text; written only on failure
 * Return: ERR_OK; ERR_CREDENTIAL; ERR_MEMORY */
must_use enum err keeper_source_read(const struct keeper_source *s, struct buf *text, uint64_t *ret_stamp,
				     const char **ret_reason);

/** keeper_source_line() - @text as a secret of one line: one newline at its end is not part of it
 * Return: ERR_OK; ERR_CREDENTIAL (empty, or over SECRET_MAX_BYTES) with *ret_reason */
must_use enum err keeper_source_line(struct str text, struct str *ret_secret, const char **ret_reason);
