/* registry.h - package metadata: filtered on its way to the guest, or read for what it says of each version
 *
 * A reader is fed a document and puts out what the filter leaves of it (output), and, where asked to,
 * what it says of each version or file (release). Parsers without I/O; job_registry.c makes jobs of them.
 */
#pragma once

#include "policy/registry_filter.h"

/** struct registry_release - one version (npm, crates) or file (pypi) as the metadata has it */
struct registry_release {
	struct str item;		/* without spaces */
	int64_t published;		/* seconds since 1970, or -1: not said */
	struct str algorithm, digest;	/* "sha512", "sha256", "sha1"; base64
					   or hex as written; empty: not said */
	bool yanked;
};
struct registry_reader_ops {
	/** NULL: nothing is put out */
	enum err (*output)(void *user, struct str bytes);
	/** NULL: not asked for */
	enum err (*release)(void *user, const struct registry_release *r);
};

enum registry_format { REGISTRY_FORMAT_NPM, REGISTRY_FORMAT_PYPI_JSON, REGISTRY_FORMAT_PYPI_HTML,
		       REGISTRY_FORMAT_CRATES };

struct registry_reader;
/** registry_reader_new() - @filter (borrowed) may be NULL: all passes */
struct registry_reader *registry_reader_new(enum registry_format format, const struct registry_filter *filter,
					    const struct registry_reader_ops *ops, void *user);
void registry_reader_free(struct registry_reader *r);
/** ERR_DECODER: not such a document; ERR_MEMORY; what an op returned */
must_use enum err registry_reader_feed(struct registry_reader *r, struct str bytes);
must_use enum err registry_reader_end(struct registry_reader *r);

/** registry_time() - RFC 3339 ("2024-01-31T12:00:00.123Z",
 * offsets too) to seconds since 1970; -1: malformed */
int64_t registry_time(struct str s);
