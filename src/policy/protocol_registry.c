/* protocol_registry.c - rules about what may be installed from, or published to, a registry
 *
 * Theory of operation: the head says which package and version (registry_request()); names, versions and OSV
 * records are judged there and then. What only the registry's own metadata says (when a version was
 * published) the courier finds out, and judge() narrows by it: an age that is not known counts as too young.
 * The metadata on its way to the guest is filtered by the same questions (courier/registry.c), so that
 * package managers resolve to what may be installed; but that is convenience: what decides is the request for
 * the file.
 * A rule that denies has packages and access alone; what cannot be told apart it denies.
 * npm alone tells names apart by case, and not every registry that speaks like it does: what refuses a name
 * refuses it in any case, what allows one means the very name. An OSV record means the very name, too.
 */
#include "policy/registry.h"

#include "base/glob.h"

#define MS_PER_DAY 86400000ull

static bool any_glob(const struct str *globs, uint32_t count, struct str text)
{
	for (uint32_t i = 0; i < count; i++)
		if (glob_match(globs[i], text, GLOB_PATH))
			return true;
	return false;
}

/* @globs are in lower case */
static bool any_glob_nocase(const struct str *globs, uint32_t count, struct str name)
{
	char lower[REGISTRY_NAME_MAX];

	if (name.n > sizeof lower)
		return true;
	for (size_t i = 0; count && i < name.n; i++)
		lower[i] = ascii_lower(name.p[i]);
	return any_glob(globs, count, str_make(lower, name.n));
}

bool registry_range_concerns(const struct registry_range *range, struct str package)
{
	return any_glob_nocase(&range->packages, 1, package);
}

static void say(struct buf *out, struct str subject, const char *words)
{
	if (!out)
		return;
	buf_put(out, str_head(subject, 200));
	buf_put_z(out, words);
}

bool registry_refuses_package(const struct registry_rule *r, struct str package, struct buf *out)
{
	bool listed = r->denies ? any_glob_nocase(r->packages, r->package_count, package)
				: any_glob(r->packages, r->package_count, package);

	if (r->package_count && !listed) {
		say(out, package, " is not among the packages that may be used");
		return true;
	}
	if (!any_glob_nocase(r->deny, r->deny_count, package))
		return false;
	say(out, package, " is on the rule's deny list");
	return true;
}

static bool refuses_range(const struct registry_rule *r, struct str package, struct str version,
			  struct buf *out)
{
	for (uint32_t i = 0; i < r->range_count; i++) {
		const struct registry_range *range = &r->ranges[i];

		if (!registry_range_concerns(range, package) ||
		    version_in_range(r->ecosystem->scheme, range->range, version))
			continue;
		say(out, version, " is outside of the versions that may be used, ");
		say(out, range->range, "");
		return true;
	}
	return false;
}

static bool advised(const struct registry_rule *r, struct str name, struct str version, struct buf *out)
{
	struct str id = r->advisories ? registry_advisory(r->advisories, name, version) : STR("");

	if (id.n == 0)
		return false;
	say(out, version, " is named by ");
	say(out, id, "");
	return true;
}

bool registry_refuses_version(const struct registry_rule *r, struct str package, struct str version,
			      struct buf *out)
{
	return refuses_range(r, package, version, out) || advised(r, package, version, out);
}

/* Of a file whose source has to be known and is not, no record can be asked. */
static bool refuses_file(const struct registry_rule *r, const struct registry_request *q, struct buf *out)
{
	struct str version = registry_version(q);

	if (refuses_range(r, registry_package(q), version, out))
		return true;
	if (!r->advisories || q->source_bytes)
		return advised(r, registry_source(q), version, out);
	say(out, registry_file(q),
	    ": its path does not say of which source package it is, and advisories name those");
	return true;
}

/* ---- the head ---- */

static bool refused(const struct registry_rule *r, const struct registry_request *q, struct buf *out)
{
	struct str package = registry_package(q), version = registry_version(q);

	if (q->action == REGISTRY_PUBLISH ? !r->publish : !r->install) {
		say(out, package, q->action == REGISTRY_PUBLISH ? ": publishing is not allowed" :
								  ": installing is not allowed");
		return true;
	}
	if (package.n == 0) {
		if (q->action != REGISTRY_PUBLISH || (!r->package_count && !r->deny_count))
			return false;
		say(out, STR("which package is published"), " is not in the request's head");
		return true;
	}
	if (registry_refuses_package(r, package, out))
		return true;
	return version.n && (r->ecosystem->sources ? refuses_file(r, q, out)
						   : registry_refuses_version(r, package, version, out));
}

static enum protocol_match match(const void *data, const struct head *head)
{
	const struct registry_rule *r = data;
	struct registry_request q;

	if (!registry_request(r, head, &q))
		return PROTOCOL_UNRECOGNISED;
	if (!r->denies)
		return refused(r, &q, NULL) ? PROTOCOL_NO : PROTOCOL_YES;
	if (q.action == REGISTRY_PUBLISH ? !r->publish : !r->install)
		return PROTOCOL_NO;
	if (q.package_bytes)
		return registry_refuses_package(r, registry_package(&q), NULL) ? PROTOCOL_NO : PROTOCOL_YES;
	return q.action == REGISTRY_PUBLISH || !r->package_count ? PROTOCOL_YES : PROTOCOL_NO;
}

/* Of what match() sees; what narrows by names or versions is not compared, and never certain. */
static bool covers(const void *wide_data, const void *narrow_data)
{
	const struct registry_rule *wide = wide_data, *narrow = narrow_data;

	if (wide->type != narrow->type || wide->denies != narrow->denies ||
	    !str_eq(wide->base, narrow->base) || (narrow->install && !wide->install) ||
	    (narrow->publish && !wide->publish) || wide->deny_count || wide->range_count ||
	    wide->advisories || (wide->package_count && !narrow->package_count))
		return false;
	for (uint32_t i = 0; wide->package_count && i < narrow->package_count; i++) {
		uint32_t k = 0;

		while (k < wide->package_count &&
		       !glob_covers(wide->packages[k], narrow->packages[i], GLOB_PATH))
			k++;
		if (k == wide->package_count)
			return false;
	}
	return true;
}

static enum protocol_match facts(const void *data, const struct head *head, struct protocol_facts *ret)
{
	static const struct str actions[] = { STR_INIT("index"), STR_INIT("metadata"), STR_INIT("file"),
					      STR_INIT("publish") };
	const struct registry_rule *r = data;
	struct registry_request q;
	enum err e;

	if (!registry_request(r, head, &q))
		return PROTOCOL_UNRECOGNISED;
	e = protocol_facts_add(ret, STR("registry.type"), str_of(r->ecosystem->name));
	if (e == ERR_OK)
		e = protocol_facts_add(ret, STR("registry.action"), actions[q.action]);
	if (e == ERR_OK && q.package_bytes)
		e = protocol_facts_add(ret, STR("registry.package"), registry_package(&q));
	if (e == ERR_OK && q.version_bytes)
		e = protocol_facts_add(ret, STR("registry.version"), registry_version(&q));
	if (e == ERR_OK && q.file_bytes)
		e = protocol_facts_add(ret, STR("registry.file"), registry_file(&q));
	return e == ERR_OK ? PROTOCOL_YES : PROTOCOL_UNRECOGNISED;
}

static bool why(const void *data, const struct head *head, struct buf *out)
{
	const struct registry_rule *r = data;
	struct registry_request q;

	return !r->denies && registry_request(r, head, &q) && refused(r, &q, out);
}

/* ---- what the metadata says ---- */

static enum err judge(const void *data, const struct protocol_facts *f, struct buf *reason)
{
	const struct registry_rule *r = data;
	struct str age = protocol_fact_find(f, STR("registry.age")),
		   version = protocol_fact_find(f, STR("registry.version"));
	uint64_t seconds;

	if (r->min_age_ms == 0 || age.n == 0)
		return ERR_OK;
	buf_put(reason, str_head(protocol_fact_find(f, STR("registry.package")), 200));
	buf_put_z(reason, version.n ? " " : "");
	buf_put(reason, version);
	if (!str_decimal(age, INT64_MAX, &seconds)) {
		buf_put_z(reason, ": the registry does not say when it was published, and a minimum age is asked for");
		return ERR_POLICY_DENIED;
	}
	if (seconds >= r->min_age_ms / 1000) {
		buf_clear(reason);
		return ERR_OK;
	}
	buf_printf(reason, " was published %llu days ago; %llu are asked for",
		   (unsigned long long)(seconds / 86400), (unsigned long long)(r->min_age_ms / MS_PER_DAY));
	return ERR_POLICY_DENIED;
}

static enum protocol_answer foreign(struct buf *out, const char *words)
{
	buf_put_z(out, words);
	return PROTOCOL_FOREIGN;
}

/* The version that is told of a package's metadata. */
static enum protocol_answer ask_version(const struct registry_rule *r, const struct registry_request *q,
					struct str version, struct buf *out)
{
	if (q->action != REGISTRY_METADATA || q->version_bytes)
		return foreign(out,
			       "a version is told of a package's metadata: of a file the address says it");
	if (!version_valid(r->ecosystem->scheme, version)) {
		say(out, version, " is no version as this registry writes them");
		return PROTOCOL_FOREIGN;
	}
	return registry_refuses_version(r, registry_package(q), version, out) ? PROTOCOL_REFUSES
									      : PROTOCOL_PASSES;
}

static enum protocol_answer ask_age(const struct registry_rule *r, const struct registry_request *q,
				    const struct protocol_facts *told, struct str version, struct buf *out)
{
	struct protocol_facts f;
	enum err e;

	protocol_facts_init(&f);
	e = protocol_facts_add(&f, STR("registry.package"), registry_package(q));
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("registry.version"), version);
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("registry.age"),
				       protocol_fact_find(told, STR("registry.age")));
	if (e == ERR_OK)
		e = judge(r, &f, out);
	protocol_facts_free(&f);
	return e == ERR_OK ? PROTOCOL_PASSES : PROTOCOL_REFUSES;
}

static enum protocol_answer ask(const void *data, const struct head *head, const struct protocol_facts *told,
				struct buf *out)
{
	const struct registry_rule *r = data;
	struct str version = protocol_fact_find(told, STR("registry.version"));
	bool aged = protocol_fact_find(told, STR("registry.age")).n > 0, dated;
	enum protocol_answer answer = PROTOCOL_PASSES;
	struct registry_request q;

	if (!registry_request(r, head, &q))
		return PROTOCOL_PASSES;
	dated = r->ecosystem->ages && (q.action == REGISTRY_FILE || q.action == REGISTRY_METADATA);
	if (told->count != (version.n > 0) + (unsigned)aged || (aged && !dated))
		return foreign(out,
			       "age and version are told of an npm, PyPI or crates.io package, nothing else");
	if (version.n)
		answer = ask_version(r, &q, version, out);
	if (answer != PROTOCOL_PASSES || !dated || !r->min_age_ms)
		return answer;
	if (aged)
		return ask_age(r, &q, told, version.n ? version : registry_version(&q), out);
	buf_put_z(out, "'min_age': when it was published");
	return PROTOCOL_OPEN;
}

static void describe_list(struct buf *out, const char *words, const struct str *items, uint32_t count)
{
	for (uint32_t i = 0; i < count && i < 8; i++) {
		buf_put_z(out, i ? ", " : words);
		buf_put(out, str_head(items[i], 100));
	}
	if (count > 8)
		buf_put_z(out, ", ...");
}

static void describe(const void *data, struct buf *out)
{
	const struct registry_rule *r = data;

	buf_put_z(out, r->install ? r->publish ? "install and publish" : "install" : "publish");
	buf_printf(out, ", %s", r->ecosystem->name);
	describe_list(out, "; packages ", r->packages, r->package_count);
	describe_list(out, "; not ", r->deny, r->deny_count);
	for (uint32_t i = 0; i < r->range_count && i < 8; i++) {
		describe_list(out, "; ", &r->ranges[i].packages, 1);
		describe_list(out, " ", &r->ranges[i].range, 1);
	}
	if (r->min_age_ms)
		buf_printf(out, "; published %llu days ago or earlier",
			   (unsigned long long)(r->min_age_ms / MS_PER_DAY));
	if (r->advisories)
		buf_put_z(out, "; no version that an advisory names");
}

const struct protocol protocol_registry = {
	.name = "registry", .facts = facts, .match = match, .covers = covers, .judge = judge,
	.describe = describe, .ask = ask, .why = why,
};
