/* registry_npm.c - the paths of an npm registry
 *
 *   GET  <name>                           metadata; <name> is "left-pad", "@scope/name", "@scope%2fname"
 *   GET  <name>/<version>                 metadata of one version
 *   GET  <name>/-/[@scope/]<base>-<version>.tgz    the package
 *   PUT  <name>, <name>/-rev/.., DELETE .. publish, unpublish
 *   GET  -/ping, -/whoami, -/v1/search    about no package; -/package/<name>/dist-tags: its tags, PUT and DELETE publish
 * A login (-/user, -/v1/login) and an audit (which would send the list of what is installed) are not
 * recognised. Names are compared as they are: the few old ones with upper-case letters are packages of their
 * own.
 */
#include "policy/registry.h"

static bool name_byte(char c, bool glob)
{
	return ascii_alpha(c) || ascii_digit(c) || c == '-' || c == '_' || c == '.' || c == '~' ||
	       (glob && (c == '*' || c == '?'));
}

static bool part_valid(struct str s, bool glob)
{
	for (size_t i = 0; i < s.n; i++)
		if (!name_byte(s.p[i], glob))
			return false;
	return s.n > 0 && s.n <= 214 && s.p[0] != '.' && !(s.n == 1 && s.p[0] == '-');
}

static bool normalise(struct str raw, bool glob, char *out, size_t *ret_bytes)
{
	size_t slash = str_find(raw, '/');
	bool scoped = raw.n && raw.p[0] == '@';

	if (glob && (str_eq(raw, STR("*")) || str_eq(raw, STR("**"))))
		return registry_set(STR("**"), out, REGISTRY_NAME_MAX, ret_bytes);
	if (scoped ? slash == raw.n || !part_valid(str_make(raw.p + 1, slash - 1), glob) ||
			     !part_valid(str_from(raw, slash + 1), glob)
		   : !part_valid(raw, glob) || raw.p[0] == '_')	/* what CouchDB has of its own: _users, _config */
		return false;
	return registry_set(raw, out, REGISTRY_NAME_MAX, ret_bytes);
}

/* The name at the front of a path: one segment, or two of a scope's. */
static bool take_name(struct str *rest, struct registry_request *r)
{
	char bytes[REGISTRY_NAME_MAX];
	struct str first, second;

	if (!registry_segment(rest, bytes, sizeof bytes, &first))
		return false;
	if (first.p[0] == '@' && str_find(first, '/') == first.n) {
		if (first.n + 1 >= sizeof bytes)
			return false;
		bytes[first.n] = '/';
		if (!registry_segment(rest, bytes + first.n + 1, sizeof bytes - first.n - 1, &second) ||
		    str_find(second, '/') < second.n)
			return false;
		first.n += 1 + second.n;
	}
	return normalise(first, false, r->package, &r->package_bytes);
}

/* "[@scope/]base-1.2.3.tgz" of the package that is known */
static bool take_file(struct str rest, struct registry_request *r)
{
	struct str package = registry_package(r), base = package, version;
	char bytes[REGISTRY_FILE_MAX];
	size_t n, slash = str_find(package, '/');

	if (!registry_decode(rest, true, bytes, sizeof bytes, &n))
		return false;
	rest = str_make(bytes, n);
	if (slash < package.n) {
		base = str_from(package, slash + 1);
		if (str_starts(rest, str_head(package, slash + 1)))
			rest = str_from(rest, slash + 1);
	}
	version = str_from(rest, base.n + 1);
	if (!str_starts(rest, base) || rest.n <= base.n + 5 || rest.p[base.n] != '-' ||
	    !str_ends(version, STR(".tgz")))
		return false;
	version.n -= 4;
	return version_valid(VERSION_NPM, version) &&
	       registry_set(version, r->version, sizeof r->version, &r->version_bytes) &&
	       registry_set(rest, r->file, sizeof r->file, &r->file_bytes);
}

static bool writes(const struct head *head)
{
	return str_eq(head->method, STR("PUT")) || str_eq(head->method, STR("DELETE")) ||
	       str_eq(head->method, STR("POST"));
}

static bool special(struct str rest, const struct head *head, struct registry_request *r)
{
	if (str_eq(rest, STR("v1/search")))
		return registry_reads(head);
	if (head->has_query)
		return false;
	if (str_eq(rest, STR("ping")) || str_eq(rest, STR("whoami")))
		return registry_reads(head);
	if (!str_starts(rest, STR("package/")))
		return false;
	rest = str_from(rest, 8);
	if (!take_name(&rest, r) || !str_starts(rest, STR("dist-tags")) || (rest.n > 9 && rest.p[9] != '/'))
		return false;
	r->action = writes(head) ? REGISTRY_PUBLISH : REGISTRY_INDEX;
	return writes(head) || (registry_reads(head) && rest.n <= 10);
}

static bool request(struct str path, const struct head *head, struct registry_request *r)
{
	struct str rest = path;

	if (str_starts(path, STR("-/")))
		return special(str_from(path, 2), head, r);
	if (path.n == 0)
		return registry_reads(head) && !head->has_query;
	if (!take_name(&rest, r) || (head->has_query && !str_eq(head->query, STR("write=true"))))
		return false;
	if (writes(head)) {
		r->action = REGISTRY_PUBLISH;
		return rest.n == 0 || str_starts(rest, STR("-rev/")) || str_starts(rest, STR("-/"));
	}
	if (!registry_reads(head))
		return false;
	r->action = REGISTRY_METADATA;
	if (rest.n == 0)
		return true;
	if (str_starts(rest, STR("-/"))) {
		r->action = REGISTRY_FILE;
		return !head->has_query && take_file(str_from(rest, 2), r);
	}
	r->single = true;
	return version_valid(VERSION_NPM, rest) &&
	       registry_set(rest, r->version, sizeof r->version, &r->version_bytes);
}

const struct registry_ecosystem registry_npm = {
	.name = "npm", .osv = "npm", .scheme = VERSION_NPM, .ages = true, .request = request,
	.normalise = normalise,
};
