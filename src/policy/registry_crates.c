/* registry_crates.c - the paths of a Cargo registry: sparse index, downloads, API
 *
 *   GET  [..]/config.json                          where downloads and the API are
 *   GET  [..]/1/a, 2/ab, 3/a/abc, ab/cd/abcdef     metadata: the index's file of a crate
 *   GET  [..]/<name>/<version>/download, [..]/<name>/<name>-<version>.crate    the crate
 *   GET  [..]/api/v1/crates?..                     search; api/v1/crates/<name>[/..]: about a crate
 *   PUT  [..]/api/v1/crates/new                    publish (which crate is in the body); DELETE <name>/<version>/yank, ..
 * Names: lower case, '_' is '-': crates.io takes no two that differ in nothing else.
 */
#include "policy/registry.h"

static bool normalise(struct str raw, bool glob, char *out, size_t *ret_bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if ((!ascii_alpha(c) && !ascii_digit(c) && c != '-' && c != '_' &&
		     !(glob && (c == '*' || c == '?'))) ||
		    n == REGISTRY_NAME_MAX)
			return false;
		out[n++] = (char)(c == '_' ? '-' : ascii_lower(c));
	}
	*ret_bytes = n;
	return n > 0 && n <= 64;
}

/* The last @max segments of a path, last first. */
static unsigned last_segments(struct str path, struct str *out, unsigned max)
{
	unsigned count = 0;

	while (count < max && path.n) {
		size_t at = path.n;

		while (at && path.p[at - 1] != '/')
			at--;
		out[count++] = str_from(path, at);
		path.n = at ? at - 1 : 0;
	}
	return count;
}

/* Is it the index's file of a crate: does what stands before follow from its name? */
static bool index_file(const struct str *s, unsigned count)
{
	struct str name = s[0];

	if (name.n < 3)
		return count > 1 && str_eq(s[1], name.n == 1 ? STR("1") : STR("2"));
	if (name.n == 3)
		return count > 2 && str_eq(s[2], STR("3")) && str_eq(s[1], str_head(name, 1));
	return count > 2 && str_eq(s[2], str_head(name, 2)) && str_eq(s[1], str_head(str_from(name, 2), 2));
}

static bool set(struct str name, struct str version, struct registry_request *r)
{
	return normalise(name, false, r->package, &r->package_bytes) &&
	       version_valid(VERSION_CARGO, version) &&
	       registry_set(version, r->version, sizeof r->version, &r->version_bytes);
}

static bool download(const struct str *s, unsigned count, struct registry_request *r)
{
	struct str version;

	r->action = REGISTRY_FILE;
	if (count > 2 && str_eq(s[0], STR("download")))
		return set(s[2], s[1], r) && registry_set(s[1], r->file, sizeof r->file, &r->file_bytes);
	if (count < 2 || !str_ends(s[0], STR(".crate")) || !str_starts(s[0], s[1]) || s[0].n < s[1].n + 8 ||
	    s[0].p[s[1].n] != '-')
		return false;
	version = str_from(s[0], s[1].n + 1);
	version.n -= 6;
	return set(s[1], version, r) && registry_set(s[0], r->file, sizeof r->file, &r->file_bytes);
}

static bool is_one_of(struct str s, const struct str *words, size_t count)
{
	size_t i = 0;

	while (i < count && !str_eq(s, words[i]))
		i++;
	return i < count;
}

/* What is said about a crate or a version of it; a download
 * in a spelling that download() does not know is neither. */
static bool about(struct str rest)
{
	static const struct str of_crate[] = {
		STR_INIT("versions"), STR_INIT("owners"), STR_INIT("owner_user"), STR_INIT("owner_team"),
		STR_INIT("reverse_dependencies"), STR_INIT("downloads"),
	};
	static const struct str of_version[] = {
		STR_INIT("dependencies"), STR_INIT("downloads"), STR_INIT("authors"), STR_INIT("readme"),
	};
	struct str first = str_head(rest, str_find(rest, '/')), second = str_from(rest, first.n + 1);

	if (first.n == rest.n)
		return rest.n == 0 || version_valid(VERSION_CARGO, first) ||
		       is_one_of(first, of_crate, sizeof of_crate / sizeof *of_crate);
	return version_valid(VERSION_CARGO, first) &&
	       is_one_of(second, of_version, sizeof of_version / sizeof *of_version);
}

/* Beneath api/v1/crates */
static bool api(struct str rest, const struct head *head, struct registry_request *r)
{
	struct str name = str_head(rest, str_find(rest, '/'));
	bool put = str_eq(head->method, STR("PUT")), writes = put || str_eq(head->method, STR("DELETE"));

	if (rest.n == 0)
		return registry_reads(head);
	if (head->has_query)
		return false;
	r->action = writes ? REGISTRY_PUBLISH : REGISTRY_INDEX;
	if (put && str_eq(rest, STR("new")))
		return true;
	return (writes || (registry_reads(head) && about(str_from(rest, name.n + 1)))) &&
	       normalise(name, false, r->package, &r->package_bytes);
}

static bool is_file(struct str path)
{
	struct registry_request r;
	struct str s[3];

	return str_ends(path, STR(".crate")) || download(s, last_segments(path, s, 3), &r);
}

static bool request(struct str path, const struct head *head, struct registry_request *r)
{
	char bytes[HEAD_PATH_MAX];
	struct str s[3], word = STR("api/v1/crates");
	const char *at;
	unsigned count;
	size_t n;

	if (!registry_decode(path, true, bytes, sizeof bytes, &n))
		return false;
	path = str_make(bytes, n);
	count = last_segments(path, s, 3);
	if (count == 0 || registry_within_file(path, is_file))
		return false;
	if (registry_reads(head) && !head->has_query) {
		if (str_eq(s[0], STR("config.json")))
			return true;
		if (download(s, count, r))
			return true;
		if (index_file(s, count)) {
			r->action = REGISTRY_METADATA;
			return normalise(s[0], false, r->package, &r->package_bytes);
		}
	}
	r->action = REGISTRY_INDEX;	/* what download() found was half of one */
	r->package_bytes = r->version_bytes = r->file_bytes = 0;
	at = memmem(path.p, path.n, word.p, word.n);
	if (!at || (at > path.p && at[-1] != '/'))
		return false;
	path = str_from(path, (size_t)(at - path.p) + word.n);
	return (path.n == 0 || path.p[0] == '/') && api(str_from(path, 1), head, r);
}

const struct registry_ecosystem registry_crates = {
	.name = "crates", .osv = "crates.io", .scheme = VERSION_CARGO, .ages = true, .request = request,
	.normalise = normalise,
};
