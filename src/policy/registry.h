/* registry.h - rules about software repositories: npm, PyPI, crates.io, Debian's apt
 *
 * What a request asks of a registry is in its method and path: registry_request(). An ecosystem is a file
 * (registry_<name>.c) and a row in registry_ecosystems[]: how its
 * paths read, how its names are spelt, how its versions are ordered.
 *
 * Facts of the head: registry.type, registry.action (index, metadata, file, publish), registry.package (as
 * its ecosystem normalises it), registry.version, registry.file. Of the registry's own metadata: registry.age
 * (seconds since publication, or "unknown"), registry.digest, registry.yanked.
 */
#pragma once

#include "policy/compile.h"
#include "policy/protocol.h"
#include "policy/version.h"

#define REGISTRY_NAME_MAX 256
#define REGISTRY_FILE_MAX 512

enum registry_type { REGISTRY_NPM, REGISTRY_PYPI, REGISTRY_CRATES, REGISTRY_APT, REGISTRY_TYPES };
enum registry_action {
	REGISTRY_INDEX,			/* about no version of a package that could be installed from it */
	REGISTRY_METADATA,		/* of a package: its answer is filtered */
	REGISTRY_FILE,			/* what is installed */
	REGISTRY_PUBLISH,
};
struct registry_request {
	enum registry_action action;
	size_t package_bytes, version_bytes, file_bytes, source_bytes;	/* 0: none */
	char package[REGISTRY_NAME_MAX], version[VERSION_MAX], file[REGISTRY_FILE_MAX];
	char source[REGISTRY_NAME_MAX];	/* apt: the source package that it was
					   built from, if its path says so */
	bool single;			/* metadata of that one version */
};
static inline struct str registry_package(const struct registry_request *r)
{
	return str_make(r->package, r->package_bytes);
}
static inline struct str registry_version(const struct registry_request *r)
{
	return str_make(r->version, r->version_bytes);
}
static inline struct str registry_file(const struct registry_request *r)
{
	return str_make(r->file, r->file_bytes);
}

static inline struct str registry_source(const struct registry_request *r)
{
	return str_make(r->source, r->source_bytes);
}

struct registry_ecosystem {
	const char *name;		/* in policies: "npm" */
	const char *osv;		/* in OSV records: "npm" */
	enum version_scheme scheme;
	bool ages;			/* its metadata says when something was published */
	bool sources;			/* OSV records name the source of a
					   package, and versions with an epoch */
	/** what @path (without the registry's base and the '/' after it) asks for; false: not recognised */
	bool (*request)(struct str path, const struct head *head, struct registry_request *ret);
	/** the one spelling of a name, to @out (REGISTRY_NAME_MAX);
	 * false: no name. @glob: '*' and '?' may stand in it */
	bool (*normalise)(struct str raw, bool glob, char *out, size_t *ret_bytes);
};
extern const struct registry_ecosystem registry_npm, registry_pypi, registry_crates, registry_apt;
const struct registry_ecosystem *registry_ecosystem(enum registry_type type);
/** registry_pypi_file() - package and version that a file's name says; false: none, or two ways to read it */
must_use bool registry_pypi_file(struct str file, struct registry_request *ret);

struct registry_range {
	struct str packages, range;	/* glob; of the ecosystem */
};
struct registry_advisories;

struct registry_rule {
	enum registry_type type;
	const struct registry_ecosystem *ecosystem;
	bool install, publish, denies;
	uint32_t package_count, deny_count, range_count;
	const struct str *packages, *deny;	/* globs over normalised names; packages: none is every. Where they
						   refuse (deny, ranges, packages of a rule that denies) in lower case */
	const struct registry_range *ranges;
	uint64_t min_age_ms;		/* 0: none */
	const struct registry_advisories *advisories;	/* NULL: none */
	struct str base;		/* of paths on the index's host, "/" at least; of `index` */
	struct str index_host;		/* empty: the host of the request */
	enum head_scheme index_scheme;
	uint16_t index_port;
};

/** registry_request() - what @head asks of @rule's registry; false: not recognised */
must_use bool registry_request(const struct registry_rule *rule, const struct head *head,
			       struct registry_request *ret);
/** registry_refuses_package(), registry_refuses_version() - may it not be installed? Then why,
 *  to @out (NULL: words are not needed). Names and versions as registry_request() gives them */
bool registry_refuses_package(const struct registry_rule *rule, struct str package, struct buf *out);
bool registry_refuses_version(const struct registry_rule *rule, struct str package, struct str version,
			      struct buf *out);

/** registry_range_concerns() - does @range speak of @package? */
bool registry_range_concerns(const struct registry_range *range, struct str package);

must_use enum err registry_compile(struct compile *c, const struct document_registry *in,
				   enum policy_verdict verdict, const void **ret);
extern const struct protocol protocol_registry;

/* ---- OSV records (registry_advisories.c) ---- */

#define ADVISORIES_BYTES_MAX (64u * 1024 * 1024)

/** registry_advisories_read() - the records in the file @path for @ecosystem, in @a: a JSON object, a list of
 *  them, or one a line. Once it has been read in this process, the same is used again (a confined process
 *  cannot read it).
 * Return: ERR_OK; ERR_INPUT with *ret_reason: words; ERR_MEMORY */
must_use enum err registry_advisories_read(struct arena *a, struct str path,
					   const struct registry_ecosystem *ecosystem,
					   const struct registry_advisories **ret, const char **ret_reason);
/** registry_advisories_parse(), registry_advisories_free() - the same of a text, and nothing of it is kept.
 *  *ret_reason is written with ERR_INPUT */
must_use enum err registry_advisories_parse(struct str text, const struct registry_ecosystem *ecosystem,
					    struct registry_advisories **ret, const char **ret_reason);
void registry_advisories_free(struct registry_advisories *s);
/** registry_advisory() - the id of a record that names this
 *  version, or an empty view. Of an ecosystem with `sources`:
 *  @package is the source, and no version's epoch counts */
struct str registry_advisory(const struct registry_advisories *s, struct str package, struct str version);

/* ---- for the ecosystems (registry.c) ---- */

/** registry_decode() - percent-decoded, to @out; false:
 * control bytes, '/' (unless @slash), too long, malformed */
bool registry_decode(struct str s, bool slash, char *out, size_t cap, size_t *ret_bytes);
/** registry_segment() - the next segment of *@rest, decoded,
 * its '/' dropped; false at the end or if malformed */
bool registry_segment(struct str *rest, char *out, size_t cap, struct str *ret);
/** registry_set() - copies into a field of a request; false if it does not fit or is empty */
bool registry_set(struct str s, char *out, size_t cap, size_t *ret_bytes);
/** registry_within_file() - does @path go on behind a part of it (decoded) that @is_file takes for a
 *  file's? Some servers serve the file then, whatever follows. What cannot be decoded counts as such */
bool registry_within_file(struct str path, bool (*is_file)(struct str path));
/** registry_last() - the last segment of a path */
struct str registry_last(struct str path);
/** registry_reads() - GET or HEAD */
static inline bool registry_reads(const struct head *h)
{
	return str_eq(h->method, STR("GET")) || str_eq(h->method, STR("HEAD"));
}
