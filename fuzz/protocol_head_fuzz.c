/* protocol_head_fuzz.c - any path and query as a request to a git server ('0') or a
 * registry ('1' npm, '2' PyPI, '3' crates.io, '4' apt); a letter for the method first
 *
 * Only heads that the wire's check takes come so far. What the protocol does not recognise, no rule of it
 * matches; what an allowing rule takes for a repository or package, a denying rule of the same names takes
 * for it too; names are in the one spelling that rules are compared with; and a file or metadata in an
 * escaped spelling is of the same package, or not recognised (I5).
 */
#include "policy/protocol_git.h"
#include "policy/registry_filter.h"

#include <stdlib.h>

#define KINDS 5
#define PATH_BYTES_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* of each kind one that allows and one that denies the same, or more */
#define GIT "git: {repositories: [\"acme/*\"], access: [fetch, push], refs: [\"agent/*\"], lfs: true, pack_max: 1MiB}"
#define REGISTRY(type, names, access) "registry: {type: " type ", packages: [hay, " names "], access: " access "}"
#define NARROW(type, names, more) "registry: {type: " type ", packages: [hay, " names "], access: [install, publish], " more "}"
#define PAIR(allow, deny) "  - {hosts: [a.example], " allow "}\n  - {hosts: [d.example], verdict: deny, " deny "}\n"
#define BOTH "[install, publish]"

static const char text[] = "version: 1\nnetwork:\n"
	"  - {hosts: [a.example], " GIT "}\n"
	"  - {hosts: [d.example], verdict: deny, git: {repositories: [\"acme/*\"], access: [fetch, push]}}\n"
	PAIR(NARROW("npm", "\"@acme/*\"", "min_age: 7d, deny: [\"@acme/evil*\"], versions: {hay: \"^1\"}"),
	     REGISTRY("npm", "\"@acme/*\"", BOTH))
	PAIR(NARROW("pypi", "\"lib*\"", "min_age: 1d"), REGISTRY("pypi", "\"lib*\"", BOTH))
	PAIR(NARROW("crates", "\"lib*\"", "versions: {\"*\": \">=1\"}"), REGISTRY("crates", "\"lib*\"", BOTH))
	PAIR(REGISTRY("apt", "\"lib*\"", "install"), REGISTRY("apt", "\"lib*\"", "install"));

static const struct policy *policy(void)
{
	static struct policy *p;
	struct policy_error e;

	if (!p && policy_load(str_of(text), "paddock.yaml", NULL, &p, &e) != ERR_OK)
		abort();
	return p;
}

static void check(bool good)
{
	if (!good)
		abort();
}

/* The same with its byte at @at percent-encoded; false: it is none that could be written so. */
static bool escape(struct str path, size_t at, char out[PATH_BYTES_MAX], struct str *ret)
{
	static const char digits[] = "0123456789ABCDEF";

	if (at >= path.n || path.n + 2 > PATH_BYTES_MAX ||
	    !(ascii_alpha(path.p[at]) || ascii_digit(path.p[at])))
		return false;
	if ((at >= 1 && path.p[at - 1] == '%') || (at >= 2 && path.p[at - 2] == '%'))
		return false;
	memcpy(out, path.p, at);
	out[at] = '%';
	out[at + 1] = digits[(uint8_t)path.p[at] >> 4];
	out[at + 2] = digits[path.p[at] & 15];
	memcpy(out + at + 3, path.p + at + 1, path.n - at - 1);
	*ret = str_make(out, path.n + 2);
	return true;
}

/* The rule's question to paddock-decoder can be read. */
static void check_filter(const struct registry_rule *r, struct str package)
{
	struct arena *a = arena_new(1u << 20);
	struct registry_filter *f;
	auto_buf asked = BUF_EMPTY;

	buf_init(&asked, 65536);
	registry_filter_put(r, package, &asked);
	check(a && registry_filter_read(a, buf_str(&asked), &f) == ERR_OK &&
	      registry_filter_ecosystem(f) == r->ecosystem);
	arena_free(a);
}

static void check_registry(const struct registry_rule *r, const struct head *h, size_t at)
{
	struct registry_request q, same;
	char out[PATH_BYTES_MAX], name[REGISTRY_NAME_MAX];
	struct head escaped;
	size_t n;

	if (!registry_request(r, h, &q))
		return;
	if (q.package_bytes)
		check(r->ecosystem->normalise(registry_package(&q), false, name, &n) &&
		      str_eq(str_make(name, n), registry_package(&q)));
	check_filter(r, registry_package(&q));
	check(q.action != REGISTRY_FILE || (q.package_bytes && q.version_bytes));
	head_copy(&escaped, h);
	if (q.action == REGISTRY_INDEX || !escape(h->path, at, out, &escaped.path) ||
	    !registry_request(r, &escaped, &same))
		return;
	check(same.action == q.action && str_eq(registry_package(&same), registry_package(&q)) &&
	      str_eq(registry_version(&same), registry_version(&q)));
}

/* What a body or the metadata adds can refuse, with words, and nothing else (I2). */
static void check_told(const struct protocol *protocol, const void *rule, const struct head *h,
		       struct protocol_facts *facts)
{
	static const char *const told[][2] = {
		{ "git.ref", "refs/heads/agent/x" }, { "git.change", "update" }, { "git.forced", "unknown" },
		{ "git.pack_bytes", "2000000" },     { "git.operation", "upload" },
		{ "registry.version", "1.0.0" },     { "registry.age", "86400" },
		{ "registry.digest", "sha512-x" },
	};
	auto_buf words = BUF_EMPTY;
	struct protocol_facts alone;

	buf_init(&words, 65536);
	for (size_t from = 0; from < sizeof told / sizeof *told; from += 3) {
		protocol_facts_init(&alone);
		for (size_t i = from; i < sizeof told / sizeof *told && i < from + 3; i++) {
			check(protocol_facts_add(facts, str_of(told[i][0]), str_of(told[i][1])) == ERR_OK);
			check(protocol_facts_add(&alone, str_of(told[i][0]), str_of(told[i][1])) == ERR_OK);
		}
		buf_clear(&words);
		check(protocol->judge(rule, facts, &words) == ERR_OK || words.len);
		if (protocol->match(rule, h) == PROTOCOL_YES) {
			buf_clear(&words);
			check(protocol->ask(rule, h, &alone, &words) == PROTOCOL_PASSES || words.len);
		}
		protocol_facts_free(&alone);
	}
	buf_clear(&words);
	protocol->describe(rule, &words);
	check(words.len && buf_err(&words) == ERR_OK);
}

static void check_rules(const struct policy_rule *allows, const struct policy_rule *denies,
			const struct head *h)
{
	const struct protocol *protocol = protocol_of(allows);
	struct protocol_facts facts;
	auto_buf words = BUF_EMPTY;

	protocol_facts_init(&facts);
	buf_init(&words, 65536);
	bool known = protocol->facts(allows->data, h, &facts) == PROTOCOL_YES;
	enum protocol_match allowed = protocol->match(allows->data, h),
			    denied = protocol->match(denies->data, h);

	check(known == (allowed != PROTOCOL_UNRECOGNISED) && known == (denied != PROTOCOL_UNRECOGNISED));
	check(allowed != PROTOCOL_YES || denied == PROTOCOL_YES ||
	      (protocol != &protocol_git &&
	       str_eq(protocol_fact_find(&facts, STR("registry.action")), STR("index"))));
	if (protocol->why && protocol->why(allows->data, h, &words))
		check(words.len && allowed != PROTOCOL_YES);
	if (known)
		check_told(protocol, allows->data, h, &facts);
	protocol_facts_free(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct str methods[] = {
		STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("POST"), STR_INIT("PUT"), STR_INIT("DELETE"),
		STR_INIT("PATCH"),
	};
	struct head h = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443, .host = STR("a.example") };
	struct str rest;

	if (size < 3 || data[0] < '0' || data[0] >= '0' + KINDS)
		return 0;
	h.method = methods[data[1] % (sizeof methods / sizeof *methods)];
	rest = str_make(data + 3, size - 3);
	h.path = str_head(rest, str_find(rest, '?'));
	h.has_query = h.path.n < rest.n;
	h.query = str_from(rest, h.path.n + h.has_query);
	if (head_add(&h, STR("host"), h.host) != ERR_OK || head_check(&h) != ERR_OK)
		return 0;
	const uint32_t kind = data[0] - '0';
	const struct policy_rule *allows = policy_rule(policy(), 2 * kind),
				 *denies = policy_rule(policy(), 2 * kind + 1);

	check_rules(allows, denies, &h);
	if (kind)
		check_registry(allows->data, &h, data[2]);
	return 0;
}
