/* registry_apt.c - the paths of a Debian archive
 *
 *   GET  [..]/dists/.., and Release, Packages and their like anywhere    the signed index: passed as it is
 *   GET  [..]/<name>_<version>_<arch>.deb                                the package (also .udeb, .ddeb)
 *   GET  [..]/<name>_<version>.dsc, .debian.tar.*, .orig.tar.*, .tar.*   sources
 * The index is signed as a whole and cannot be filtered, and says nothing of ages: what is refused
 * is refused at the file. An epoch is not part of a file's name: versions are compared without one.
 * Which source package a file is of, the pool says: pool/<component>/<o or libo>/<source>/<file>.
 * What could be a package to a server, binary or source, in whatever spelling, is not recognised
 * unless it can be judged: an index it is not, wherever it lies. (A ".tar.*" alone is no sign of one:
 * the installer's images lie among the indexes.)
 */
#include "policy/registry.h"

static bool normalise(struct str raw, bool glob, char *out, size_t *ret_bytes)
{
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if ((c < 'a' || c > 'z') && !ascii_digit(c) && c != '+' && c != '-' && c != '.' &&
		    !(glob && (c == '*' || c == '?')))
			return false;
	}
	return registry_set(raw, out, REGISTRY_NAME_MAX, ret_bytes);
}

static bool index_name(struct str s)
{
	static const struct str names[] = {
		STR_INIT("Release"), STR_INIT("InRelease"), STR_INIT("Packages"), STR_INIT("Sources"),
		STR_INIT("Contents-"), STR_INIT("Translation-"), STR_INIT("Index"), STR_INIT("Components-"),
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_starts(s, names[i]))
			return true;
	return false;
}

static bool version(struct str s, struct registry_request *r)
{
	size_t colon = str_find(s, ':');

	if (colon < s.n)
		s = str_from(s, colon + 1);
	return version_valid(VERSION_DEBIAN, s) &&
	       registry_set(s, r->version, sizeof r->version, &r->version_bytes);
}

static const struct str binaries[] = { STR_INIT(".deb"), STR_INIT(".udeb"), STR_INIT(".ddeb") };

static bool package_file(struct str file, struct registry_request *r)
{
	static const struct str sources[] = { STR_INIT(".dsc"), STR_INIT(".debian.tar."),
					      STR_INIT(".orig.tar."),
					      STR_INIT(".orig-"), STR_INIT(".diff."), STR_INIT(".tar.") };
	struct str name = str_head(file, str_find(file, '_')), rest = str_from(file, name.n + 1);

	if (!normalise(name, false, r->package, &r->package_bytes) || name.n == file.n)
		return false;
	for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++) {
		struct str v = str_head(rest, str_find(rest, '_'));

		if (str_ends(rest, binaries[i]))
			return v.n < rest.n && version(v, r);
	}
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
		const char *at = memmem(rest.p, rest.n, sources[i].p, sources[i].n);

		if (at)
			return version(str_head(rest, (size_t)(at - rest.p)), r);
	}
	return false;
}

static bool is_file(struct str path)
{
	struct str s = registry_last(path);
	struct registry_request r;

	s = str_head(s, str_find(s, ';'));
	for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
		if (s.n > binaries[i].n && str_eq_nocase(str_from(s, s.n - binaries[i].n), binaries[i]))
			return true;
	return package_file(s, &r);
}

static bool begins_as_package_ends(struct str s)
{
	static const struct str sources[] = {
		STR_INIT(".dsc"), STR_INIT(".orig.tar"), STR_INIT(".orig-"), STR_INIT(".debian.tar"), STR_INIT(".diff.gz"),
	};

	for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
		if (str_eq_nocase(str_head(s, binaries[i].n), binaries[i]))
			return true;
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
		if (str_eq_nocase(str_head(s, sources[i].n), sources[i]))
			return true;
	return false;
}

/* Does the last segment that has a name hold what a package's name ends with? */
static bool could_be_package(struct str path)
{
	char bytes[HEAD_PATH_MAX];
	struct str s;
	size_t n;

	if (!registry_decode(path, true, bytes, sizeof bytes, &n))
		return true;
	while (n && bytes[n - 1] == '/')
		n--;
	s = str_make(bytes, n);
	while (str_find(s, '/') < s.n)
		s = str_from(s, str_find(s, '/') + 1);
	for (; s.n; s = str_from(s, 1))
		if (begins_as_package_ends(s))
			return true;
	return false;
}

/* The segment at the end of *@path, which is cut off with the '/' before it. */
static struct str cut_last(struct str *path)
{
	size_t n = path->n;
	struct str s;

	while (n && path->p[n - 1] != '/')
		n--;
	s = str_from(*path, n);
	*path = str_head(*path, n ? n - 1 : 0);
	return s;
}

/* "libs" is the shelf of "libssh2", "o" that of "openssl".
 * A pool that is laid out in another way says nothing. */
static bool take_source(struct str path, struct registry_request *r)
{
	struct str rest = path, source, shelf;
	char name[REGISTRY_NAME_MAX];
	size_t n;

	(void)cut_last(&rest);
	source = cut_last(&rest);
	shelf = cut_last(&rest);
	if (!registry_decode(source, false, name, sizeof name, &n))
		return false;
	source = str_make(name, n);
	if (!(str_starts(rest, STR("pool/")) || memmem(rest.p ? rest.p : "", rest.n, "/pool/", 6)) ||
	    source.n < 2 ||
	    !str_eq(shelf, str_head(source, str_starts(source, STR("lib")) && source.n > 3 ? 4 : 1)))
		return false;
	return normalise(source, false, r->source, &r->source_bytes);
}

static bool request(struct str path, const struct head *head, struct registry_request *r)
{
	char bytes[REGISTRY_FILE_MAX];
	size_t n;

	if (!registry_reads(head) || head->has_query || registry_within_file(path, is_file) ||
	    !registry_decode(registry_last(path), false, bytes, sizeof bytes, &n))
		return false;
	if (package_file(str_make(bytes, n), r)) {
		r->action = REGISTRY_FILE;
		(void)take_source(path, r);
		return registry_set(str_make(bytes, n), r->file, sizeof r->file, &r->file_bytes);
	}
	r->package_bytes = r->version_bytes = 0;
	if (could_be_package(path))
		return false;
	return str_starts(path, STR("dists/")) || memmem(path.p ? path.p : "", path.n, "/dists/", 7) ||
	       index_name(str_make(bytes, n));
}

const struct registry_ecosystem registry_apt = {
	.name = "apt", .osv = "Debian", .scheme = VERSION_DEBIAN, .ages = false, .sources = true,
	.request = request, .normalise = normalise,
};
