/* registry_readers.h - what registry.c has of each format; for registry*.c only */
#pragma once

#include "decoder/registry.h"

struct registry_reader {
	enum registry_format format;
	const struct registry_filter *filter;
	const struct registry_reader_ops *ops;
	void *user;
	void *state;			/* the format's own */
};
struct registry_reader_kind {
	void *(*create)(struct registry_reader *r);	/* NULL without memory */
	void (*destroy)(void *state);
	enum err (*feed)(struct registry_reader *r, struct str bytes);
	enum err (*end)(struct registry_reader *r);
};
extern const struct registry_reader_kind registry_reader_npm, registry_reader_pypi_json,
	registry_reader_pypi_html, registry_reader_crates;

/** registry_output(), registry_release() - to the ops, if they are wanted */
must_use enum err registry_output(const struct registry_reader *r, struct str bytes);
must_use enum err registry_release(const struct registry_reader *r, const struct registry_release *release);
/** registry_passes() - by the filter; without one everything does */
bool registry_passes(const struct registry_reader *r, struct str item, struct str version);
/** registry_file_passes() - a file of pypi, by its name */
bool registry_file_passes(const struct registry_reader *r, struct str file);
