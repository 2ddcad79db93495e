/* options.h - the options of `paddock run` into a struct spec */
#pragma once

#include "supervisor/spec.h"

/** options_parse() - reads `paddock run`'s arguments (argv[0] is the verb), the policy and the
 *  files that they name, and checks them against each other
 * Return: ERR_OK (options_free() in any case); ERR_INPUT with one line in @why that names the
 * option, what was given and what was expected; ERR_STATE: help was asked for and nothing else */
must_use enum err options_parse(int argc, char **argv, struct spec *ret, struct buf *why);
/** options_parse_gate() - the same for `paddock gate`; options_client_name() - may a client be called so? */
must_use enum err options_parse_gate(int argc, char **argv, struct spec *ret, struct buf *why);
bool options_client_name(const char *name);
void options_free(struct spec *s);

/** size_parse() - "512MiB", "2GiB", "64KiB", "1048576"; duration_parse() - "90s", "10m", "2h",
 *  "500ms", plain digits are seconds. The whole text, at most the maximum. */
bool size_parse(struct str text, uint64_t max, uint64_t *ret_bytes);
bool duration_parse(struct str text, uint64_t max_ms, uint64_t *ret_ms);
