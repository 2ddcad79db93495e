/* git_lfs.c - the body of a Git LFS batch request
 *
 * Theory of operation: one JSON object, whole and small. Servers differ in how they read a name twice, or one
 * in other letters ("Operation"): both are refused, so that what is judged here is what any of them does.
 * Source: git-lfs docs/api/batch.md.
 */
#include "decoder/git.h"

#include <jansson.h>
#include <stdio.h>

static enum err bad(struct git_sink *sink, const char *reason)
{
	sink->reason = reason;
	return ERR_DECODER;
}

static bool one_spelling(json_t *root)
{
	const char *key;
	json_t *value;

	json_object_foreach(root, key, value)
		if (str_eq_nocase(str_of(key), STR("operation")) && !str_eq(str_of(key), STR("operation")))
			return false;
	return true;
}

enum err git_lfs_batch(struct str text, struct git_sink *sink)
{
	json_t *root = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *operation = json_object_get(root, "operation"), *objects = json_object_get(root, "objects");
	struct str word = str_of(json_string_value(operation));
	char count[24];
	int n = snprintf(count, sizeof count, "%zu", json_array_size(objects));
	enum err e = ERR_OK;

	if (!json_is_object(root) || !one_spelling(root) || !json_is_array(objects))
		e = bad(sink, "no LFS batch request");
	else if (!str_eq(word, STR("upload")) && !str_eq(word, STR("download")))
		e = bad(sink, "an LFS operation that is not known");
	if (e == ERR_OK) {
		sink->fact(sink->user, STR("git.operation"), word);
		sink->fact(sink->user, STR("git.objects"), str_make(count, (size_t)n));
	}
	json_decref(root);
	return e;
}
