/* registry_pypi.c - the paths of a Python package index
 *
 *   GET  [..]/simple/            every name; not filtered
 *   GET  [..]/simple/<name>/     metadata: HTML (PEP 503) or JSON (PEP 691), by what is asked for
 *   GET  [..]/pypi/<name>/json, [..]/pypi/<name>/<version>/json
 *   GET  [..]/<file>             wherever: a file says itself what it is: name-version-..whl, name-version.tar.gz (PEP 427,
 *                                PEP 625), and ".metadata" of one (PEP 658)
 *   POST [..]/legacy/            an upload; which package is in its body
 * A source archive whose name can be split at two dashes is not recognised: it could be of two packages.
 * Names: lower case, runs of '-', '_' and '.' are one '-' (PEP 503).
 */
#include "policy/registry.h"

static bool normalise(struct str raw, bool glob, char *out, size_t *ret_bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];
		bool mark = c == '-' || c == '_' || c == '.';

		if (!mark && !ascii_alpha(c) && !ascii_digit(c) && !(glob && (c == '*' || c == '?')))
			return false;
		if (mark && n && out[n - 1] == '-')
			continue;
		if (n == REGISTRY_NAME_MAX)
			return false;
		out[n++] = (char)(mark ? '-' : ascii_lower(c));
	}
	*ret_bytes = n;
	return n > 0 && (glob || (out[0] != '-' && out[n - 1] != '-'));
}

static bool set_version(struct str v, struct registry_request *r)
{
	return version_valid(VERSION_PYPI, v) &&
	       registry_set(v, r->version, sizeof r->version, &r->version_bytes);
}

/* name-version(-build)?-python-abi-platform */
static bool wheel(struct str s, struct registry_request *r)
{
	struct str package = str_head(s, str_find(s, '-')), rest = str_from(s, package.n + 1);
	struct str version = str_head(rest, str_find(rest, '-'));
	unsigned dashes = 0;

	for (size_t i = 0; i < s.n; i++)
		dashes += s.p[i] == '-';
	return (dashes == 4 || dashes == 5) && normalise(package, false, r->package, &r->package_bytes) &&
	       set_version(version, r);
}

/* name-version, at the one dash after which there is a version */
static bool archive(struct str s, struct registry_request *r)
{
	size_t at = 0;

	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.p[i] != '-' || !version_valid(VERSION_PYPI, str_from(s, i + 1)))
			continue;
		if (at)
			return false;
		at = i;
	}
	return at && normalise(str_head(s, at), false, r->package, &r->package_bytes) &&
	       set_version(str_from(s, at + 1), r);
}

bool registry_pypi_file(struct str file, struct registry_request *r)
{
	static const struct str archives[] = {
		STR_INIT(".tar.gz"), STR_INIT(".zip"), STR_INIT(".tar.bz2"), STR_INIT(".tgz"),
		STR_INIT(".tar.xz"),
	};

	if (str_ends(file, STR(".metadata")))
		file.n -= 9;
	if (str_ends(file, STR(".whl")))
		return wheel(str_head(file, file.n - 4), r);
	for (size_t i = 0; i < sizeof archives / sizeof *archives; i++)
		if (str_ends(file, archives[i]))
			return archive(str_head(file, file.n - archives[i].n), r);
	return false;
}

/* What follows the last "/@word/" (the path may begin with it), or false. */
static bool beneath(struct str path, struct str word, struct str *ret)
{
	for (size_t i = path.n; i-- > 0;) {
		struct str at = str_from(path, i);

		if ((i == 0 || path.p[i - 1] == '/') && str_starts(at, word) && at.n > word.n &&
		    at.p[word.n] == '/') {
			*ret = str_from(at, word.n + 1);
			return true;
		}
	}
	return false;
}

static bool metadata(struct str rest, struct registry_request *r)
{
	char bytes[REGISTRY_NAME_MAX];
	struct str package;

	r->action = REGISTRY_METADATA;
	return registry_segment(&rest, bytes, sizeof bytes, &package) && rest.n == 0 &&
	       normalise(package, false, r->package, &r->package_bytes);
}

static bool json(struct str rest, struct registry_request *r)
{
	char name[REGISTRY_NAME_MAX], second[VERSION_MAX];
	struct str package, part;

	r->action = REGISTRY_METADATA;
	if (!registry_segment(&rest, name, sizeof name, &package) ||
	    !registry_segment(&rest, second, sizeof second, &part) ||
	    !normalise(package, false, r->package, &r->package_bytes))
		return false;
	if (rest.n == 0)
		return str_eq(part, STR("json"));
	r->single = true;
	return str_eq(rest, STR("json")) && set_version(part, r);
}

static bool take_file(struct str path, struct registry_request *r)
{
	char bytes[REGISTRY_FILE_MAX];
	size_t n;

	return registry_decode(registry_last(path), false, bytes, sizeof bytes, &n) &&
	       registry_pypi_file(str_make(bytes, n), r) &&
	       registry_set(str_make(bytes, n), r->file, sizeof r->file, &r->file_bytes);
}

static bool is_file(struct str path)
{
	struct registry_request r;

	return registry_pypi_file(registry_last(path), &r);
}

static bool request(struct str path, const struct head *head, struct registry_request *r)
{
	struct str rest;

	if (head->has_query || registry_within_file(path, is_file))
		return false;
	if (str_eq(head->method, STR("POST"))) {
		r->action = REGISTRY_PUBLISH;
		return str_eq(path, STR("legacy/")) || str_ends(path, STR("/legacy/"));
	}
	if (!registry_reads(head))
		return false;
	if (take_file(path, r)) {
		r->action = REGISTRY_FILE;
		return true;
	}
	if (beneath(path, STR("simple"), &rest))
		return rest.n == 0 || metadata(rest, r);
	return beneath(path, STR("pypi"), &rest) && json(rest, r);
}

const struct registry_ecosystem registry_pypi = {
	.name = "pypi", .osv = "PyPI", .scheme = VERSION_PYPI, .ages = true, .request = request,
	.normalise = normalise,
};
