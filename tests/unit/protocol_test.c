/* protocol_test.c - rules that speak git and registries: which
 * requests they take, what a body may add, what they say */
#include "policy/protocol.h"

#include "policy/protocol_git.h"
#include "policy/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct policy *load(const char *text)
{
	struct policy_error e;
	struct policy *p;

	if (policy_load(str_of(text), "paddock.yaml", "/home/ann", &p, &e) != ERR_OK)
		fail_msg("%u:%u: %s\n%s", e.line, e.column, e.text, text);
	return p;
}

static void check_error(const char *text, const char *words)
{
	struct policy_error e = { .text = "" };
	struct policy *p;

	if (policy_load(str_of(text), "paddock.yaml", "/home/ann", &p, &e) != ERR_POLICY_SYNTAX ||
	    !strstr(e.text, words))
		fail_msg("'%s', not '%s', of\n%s", e.text, words, text);
}

/* "GET /path[?query]" of one host */
static struct head head_of(const char *request)
{
	struct head h = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443, .host = STR("h.example") };
	struct str s = str_of(request);

	h.method = str_head(s, str_find(s, ' '));
	s = str_from(s, h.method.n + 1);
	h.path = str_head(s, str_find(s, '?'));
	h.has_query = h.path.n < s.n;
	h.query = str_from(s, h.path.n + 1);
	return h;
}

/* Each line: '+' allowed, 'o' observed, '-' not matched or denied, '!' not recognised; then the request. */
static void check_requests(const char *policy, const char *const *lines)
{
	struct policy *p = load(policy);

	for (; *lines; lines++) {
		struct head h = head_of(*lines + 2);
		const struct policy_rule *rule = NULL;
		enum err e = policy_match(p, &h, &rule);
		char got = '-';

		if (e == ERR_PROTOCOL_UNRECOGNISED)
			got = '!';
		else if (e == ERR_OK && rule->verdict == POLICY_ALLOW)
			got = '+';
		else if (e == ERR_OK && rule->verdict == POLICY_OBSERVE)
			got = 'o';
		if (got != **lines)
			fail_msg("%s: %c", *lines, got);
	}
	policy_free(p);
}

#define HOST "version: 1\nnetwork:\n- hosts: [h.example]\n"

static void git_heads(void **state)
{
	static const char one_rule[] =
		HOST "  git: {repositories: [\"acme/*\"], access: [fetch, push], push: [acme/site], "
		     "refs: [\"agent/*\"]}\n";
	static const char fetch_only[] =
		HOST "  git: {repositories: [acme/site], access: fetch, lfs: false}\n";
	static const char deny[] =
		HOST "  verdict: deny\n  git: {repositories: [acme/secret], access: [fetch, push]}\n"
		     "- hosts: [h.example]\n  git: {repositories: [\"**\"], access: [fetch]}\n";
	static const char *const one_rule_lines[] = {
		"+ GET /acme/site.git/info/refs?service=git-upload-pack",
		"+ GET /acme/site/info/refs?service=git-upload-pack",
		"+ POST /acme/other.git/git-upload-pack",
		"+ GET /acme/site.git/info/refs?service=git-receive-pack",
		"+ POST /acme/site.git/git-receive-pack", "- POST /acme/other.git/git-receive-pack",
		"- GET /acme/other.git/info/refs?service=git-receive-pack",
		"- POST /evil/site.git/git-upload-pack", "- POST /acme/site/sub.git/git-upload-pack",
		"! GET /acme/site.git/info/refs",
		"! GET /acme/site.git/info/refs?service=git-upload-pack&x",
		"! GET /acme/site.git/info/refs?x&service=git-upload-pack",
		"! GET /acme/site.git/HEAD", "! GET /acme/site.git/objects/info/packs", "! GET /acme/site",
		"! GET /", "! GET /acme/site.git/git-upload-pack", "! POST /acme/site.git/git-upload-pack?x",
		"! POST /acme%2Fsite.git/git-upload-pack", "! POST /acme//site.git/git-upload-pack",
		"! POST /acme/site;x/git-upload-pack", "! POST /git-upload-pack", "! POST //git-upload-pack",
		"! PUT /acme/site.git/git-receive-pack", "! POST /acme/site.git/xgit-upload-pack",
		"! POST /acme/site.git.git/git-upload-pack", "! POST /acme/site.GIT/git-upload-pack",
		"+ POST /acme/site.git/info/lfs/objects/batch",
		"+ POST /acme/other.git/info/lfs/objects/batch",
		"+ GET /acme/site.git/info/lfs/objects/0123456789012345678901234567890123456789012345678901234567890123",
		"+ PUT /acme/site.git/info/lfs/objects/0123456789012345678901234567890123456789012345678901234567890123/77",
		"- PUT /acme/other.git/info/lfs/objects/0123456789012345678901234567890123456789012345678901234567890123",
		"! GET /acme/site.git/info/lfs/objects/01234", "! GET /acme/site.git/info/lfs/objects/batch",
		"+ POST /acme/site.git/info/lfs/locks/verify", "- POST /acme/other.git/info/lfs/verify",
		"+ GET /acme/other.git/info/lfs/locks", "+ GET /acme/other.git/info/lfs/locks?limit=1",
		"! POST /acme/other.git/info/lfs/objects/batch?x", "! POST /acme/site.git/info/lfs/locks?x",
		"! PUT /acme/site.git/info/lfs/objects/0123456789012345678901234567890123456789012345678901234567890123?x", "! DELETE /acme/site.git/info/lfs/locks", NULL,
	};
	static const char *const fetch_lines[] = {
		"+ POST /acme/site.git/git-upload-pack", "- POST /acme/site.git/git-receive-pack",
		"- POST /Acme/site.git/git-upload-pack", "- POST /acme/site.git/info/lfs/objects/batch",
		"- GET /acme/site.git/info/lfs/objects/0123456789012345678901234567890123456789012345678901234567890123",
		"- GET /acme/site.git/info/lfs/locks", NULL,
	};
	static const char *const deny_lines[] = {
		"- POST /acme/secret.git/git-upload-pack", "- POST /Acme/SECRET.git/git-upload-pack",
		"- POST /acme/Secret/git-upload-pack", "! POST /acme/secret.GIT/git-upload-pack",
		"! POST /acme/secret.git.git/git-upload-pack", "+ POST /acme/secrets.git/git-upload-pack",
		"+ POST /a/b/c.git/git-upload-pack", NULL,
	};

	(void)state;
	check_requests(one_rule, one_rule_lines);
	check_requests(fetch_only, fetch_lines);
	check_requests(deny, deny_lines);
}

/* facts: "name=value;..." */
static bool judged(const struct policy *p, const char *text)
{
	const struct policy_rule *rule = policy_rule(p, 0);
	struct protocol_facts f;
	auto_buf reason = BUF_EMPTY;
	struct str rest = str_of(text);
	enum err e;

	buf_init(&reason, 4096);
	protocol_facts_init(&f);
	while (rest.n) {
		struct str item = str_head(rest, str_find(rest, ';')),
			   name = str_head(item, str_find(item, '='));

		assert_int_equal(protocol_facts_add(&f, name, str_from(item, name.n + 1)), ERR_OK);
		rest = str_from(rest, item.n + 1);
	}
	e = protocol_of(rule)->judge(rule->data, &f, &reason);
	assert_int_equal(e == ERR_OK, reason.len == 0);
	protocol_facts_free(&f);
	return e == ERR_OK;
}

static void git_bodies(void **state)
{
	struct policy *p =
		load(HOST "  git: {repositories: [acme/site], access: [fetch, push], refs: [\"agent/*\", "
			  "refs/tags/v1], pack_max: 1KiB}\n");
	struct policy *open =
		load(HOST "  git: {repositories: [acme/site], access: push, refs: [\"**\"], force: true, "
			  "delete: true, create: false}\n");

	(void)state;
	assert_true(judged(p, "git.ref=refs/heads/agent/x;git.change=update"));
	assert_true(judged(p, "git.ref=refs/heads/agent/x;git.change=update;git.forced=no"));
	assert_true(judged(p, "git.ref=refs/heads/agent/x;git.change=create"));
	assert_true(judged(p, "git.ref=refs/tags/v1;git.change=create"));
	assert_false(judged(p, "git.ref=refs/heads/agent/x;git.change=update;git.forced=yes"));
	assert_false(judged(p, "git.ref=refs/heads/agent/x;git.change=update;git.forced=unknown"));
	assert_false(judged(p, "git.ref=refs/heads/agent/x;git.change=delete"));
	assert_false(judged(p, "git.ref=refs/heads/agent/x;git.change=other"));
	assert_false(judged(p, "git.ref=refs/heads/agent/x/y;git.change=update"));
	assert_false(judged(p, "git.ref=refs/heads/main;git.change=update"));
	assert_false(judged(p, "git.ref=refs/tags/v2;git.change=create"));
	assert_true(judged(p, "git.pack_bytes=1024"));
	assert_false(judged(p, "git.pack_bytes=1025"));
	assert_true(judged(p, "git.repository=acme/site;git.operation=upload"));
	assert_true(judged(p, "git.repository=acme/site;git.operation=download"));
	assert_false(judged(p, "git.repository=acme/site;git.operation=other"));
	assert_true(judged(open, "git.ref=refs/heads/main;git.change=update;git.forced=yes"));
	assert_true(judged(open, "git.ref=refs/heads/main;git.change=delete"));
	assert_false(judged(open, "git.ref=refs/heads/main;git.change=create"));
	assert_false(judged(open, "git.repository=acme/site;git.operation=download"));
	policy_free(p);
	policy_free(open);
}

static void git_errors(void **state)
{
	(void)state;
	check_error(HOST "  git: {access: fetch}\n", "needs 'repositories'");
	check_error(HOST "  git: {repositories: [a/b]}\n", "needs 'access'");
	check_error(HOST "  git: {repositories: [a/b], access: push}\n", "needs 'refs'");
	check_error(HOST "  git: {repositories: [a/b], access: fetch, refs: [x]}\n", "is about pushes");
	check_error(HOST "  git: {repositories: [/a/b], access: fetch}\n", "is no repository");
	check_error(HOST "  git: {repositories: [a/b.git], access: fetch}\n", "is no repository");
	check_error(HOST "  git: {repositories: [a/b], access: push, refs: [\"a b\"]}\n", "is no ref");
	check_error(HOST "  verdict: deny\n  git: {repositories: [a/b], access: push, refs: [main]}\n",
		    "narrows");
}

/* Around the length that there is room for: no byte is written beyond it. */
static void npm_scopes_that_are_too_long(void **state)
{
	static const char policy[] = HOST "  registry: {type: npm}\n";
	static const struct {
		const char *before, *after;
	} forms[] = { { "@", "" }, { "@", "/x" }, { "@", "%2Fx" }, { "-/package/@", "/x/dist-tags" } };

	(void)state;
	for (size_t n = REGISTRY_NAME_MAX - 8; n < REGISTRY_NAME_MAX + 8; n++)
		for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
			char scope[REGISTRY_NAME_MAX + 8] = "", line[REGISTRY_NAME_MAX + 64];
			const char *const lines[] = { line, NULL };

			memset(scope, 'a', n);
			snprintf(line, sizeof line, "! GET /%s%s%s", forms[i].before, scope, forms[i].after);
			check_requests(policy, lines);
		}
}

static void npm_heads(void **state)
{
	static const char policy[] =
		HOST "  registry: {type: npm, packages: [lodash, \"@acme/*\", \"left-*\"], deny: [left-pad], "
		     "versions: {lodash: \"^4.17.0\"}}\n";
	static const char publish[] =
		HOST "  registry: {type: npm, packages: [\"@acme/*\"], access: [publish]}\n";
	static const char *const lines[] = {
		"+ GET /lodash", "+ HEAD /lodash", "+ GET /lodash/4.17.21", "- GET /lodash/3.0.0",
		"! GET /lodash/latest",
		"+ GET /lodash/-/lodash-4.17.21.tgz", "- GET /lodash/-/lodash-5.0.0.tgz",
		"! GET /lodash/-/other-4.17.21.tgz",
		"! GET /lodash/-/lodash-4.17.21.zip", "! GET /lodash/-/lodash-4.17.tgz", "- GET /express",
		"- GET /express/-/express-1.0.0.tgz", "+ GET /@acme/tool", "+ GET /@acme%2Ftool",
		"+ GET /%40acme%2Ftool", "+ GET /@acme/tool/-/tool-1.0.0.tgz",
		"+ GET /@acme%2Ftool/-/tool-1.0.0.tgz",
		"+ GET /@acme/tool/-/@acme/tool-1.0.0.tgz", "- GET /@evil/tool", "! GET /@acme",
		"! GET /@acme%2Fa%2Fb",
		"! GET /@acme%2F..%2Fb", "+ GET /left-right", "- GET /left-pad",
		"- GET /left-pad/-/left-pad-1.0.0.tgz",
		"+ GET /-/ping", "+ GET /-/v1/search?text=x", "! POST /-/npm/v1/security/advisories/bulk",
		"! PUT /-/user/org.couchdb.user:ann", "! POST /-/v1/login", "- PUT /@acme%2Ftool", "! POST /",
		"! GET /lodash?x=1",
		"! GET /lodash%00", "! GET /lod%2Fash%2Fx", "+ GET /-/package/lodash/dist-tags",
		"- GET /-/package/express/dist-tags",
		"- PUT /-/package/lodash/dist-tags/latest", "! GET /_all_docs", "! PUT /_users", NULL,
	};
	static const char folded[] =
		HOST "  registry: {type: npm, deny: [\"Left-*\", \"@Acme/*\"], versions: {React: \"^18\"}}\n";
	static const char listed[] = HOST "  registry: {type: npm, packages: [JSONStream]}\n";
	static const char denied[] = HOST "  verdict: deny\n  registry: {type: npm, packages: [JSONStream]}\n"
				      "- hosts: [h.example]\n  registry: {type: npm}\n";
	static const char *const folded_lines[] = {
		"- GET /left-pad", "- GET /LEFT-pad", "- GET /Left-Pad/-/Left-Pad-1.0.0.tgz",
		"- GET /@acme%2Fx", "- GET /@ACME%2Fx",
		"+ GET /right-pad", "- GET /react/-/react-17.0.0.tgz", "- GET /REACT/-/REACT-17.0.0.tgz",
		"+ GET /react/-/react-18.0.0.tgz", NULL,
	};
	static const char *const listed_lines[] = { "+ GET /JSONStream", "- GET /jsonstream", NULL };
	static const char *const denied_lines[] = { "- GET /JSONStream", "- GET /jsonstream",
						    "+ GET /jsonstreams", NULL };
	static const char *const publish_lines[] = {
		"+ PUT /@acme%2Ftool", "- GET /@acme%2Ftool", "- PUT /other",
		"+ DELETE /@acme%2Ftool/-/tool-1.0.0.tgz/-rev/1",
		"+ PUT /-/package/@acme%2Ftool/dist-tags/latest", NULL,
	};

	(void)state;
	check_requests(policy, lines);
	check_requests(publish, publish_lines);
	check_requests(folded, folded_lines);
	check_requests(listed, listed_lines);
	check_requests(denied, denied_lines);
}

static void pypi_heads(void **state)
{
	static const char policy[] =
		HOST "  registry: {type: pypi, packages: [requests, Flask.Login, \"acme_*\"], "
		     "deny: [acme-bad], versions: {requests: \">=2.30,!=2.31.0\"}}\n";
	static const char *const lines[] = {
		"+ GET /simple/", "+ GET /simple/requests/", "+ GET /simple/requests",
		"+ GET /simple/Requests/",
		"+ GET /simple/flask_login/", "+ GET /simple/flask-login/", "- GET /simple/flask/",
		"+ GET /simple/acme.tool/",
		"- GET /simple/acme-bad/", "- GET /simple/acme_bad/", "+ GET /pypi/requests/json",
		"+ GET /pypi/requests/2.32.0/json",
		"- GET /pypi/requests/2.31.0/json", "! GET /pypi/requests/", "+ GET /mirror/simple/requests/",
		"+ GET /packages/aa/bb/cc/requests-2.32.0-py3-none-any.whl",
		"- GET /packages/requests-2.31.0-py3-none-any.whl",
		"- GET /packages/requests-2.29.0.tar.gz", "+ GET /packages/requests-2.30.tar.gz",
		"+ GET /packages/requests-2.30.0-py3-none-any.whl.metadata",
		"- GET /packages/flask-2.0.tar.gz",
		"+ GET /x/Flask_Login-0.6.3-py3-none-any.whl", "- GET /x/acme.bad-1.0.tar.gz",
		"- GET /x/acme_bad-1.0-1-py3-none-any.whl",
		"! GET /x/acme-bad-1.0-1.tar.gz", "! GET /x/unknown.exe", "! GET /",
		"! GET /simple/requests/?x=1", "! GET /simple/a%2Fb/", "- POST /legacy/", "! POST /simple/",
		/* some servers serve the first file, whatever follows */
		"! GET /x/flask-2.0.tar.gz/requests-2.32.0.tar.gz", "! GET /simple/flask-2.0.tar.gz/",
		"! GET /x/flask-2.0.zip%2Frequests-2.30.zip",
		"! GET /x/flask-2.0.zip%2Fx/requests-2.30.zip",
		"! GET /x/flask-2.0-py3-none-any.whl/simple/requests/", NULL,
	};
	static const char simple[] =
		HOST "  registry: {type: pypi, index: \"https://h.example/main/simple/\"}\n";
	static const char *const simple_lines[] = {
		"+ GET /main/simple/", "+ GET /main/simple/requests/", "+ GET /main/requests-2.32.0.tar.gz",
		"! GET /main/requests/", NULL,
	};

	(void)state;
	check_requests(policy, lines);
	check_requests(simple, simple_lines);
}

static void crates_heads(void **state)
{
	static const char policy[] = HOST "  registry: {type: crates, packages: [serde, serde_json, a, abc], "
					  "versions: {serde: \"1\"}}\n";
	static const char *const lines[] = {
		"+ GET /config.json", "+ GET /index/config.json", "+ GET /se/rd/serde",
		"+ GET /index/se/rd/serde",
		"+ GET /se/rd/serde_json", "+ GET /se/rd/serde-json", "+ GET /1/a", "+ GET /3/a/abc",
		"- GET /3/x/xyz", "- GET /li/bc/libc",
		"! GET /xx/yy/serde", "! GET /serde", "+ GET /api/v1/crates/serde/1.0.200/download",
		"- GET /api/v1/crates/serde/2.0.0/download",
		"- GET /api/v1/crates/libc/0.2.0/download", "+ GET /crates/serde/serde-1.0.1.crate",
		"- GET /crates/serde/serde-0.9.0.crate",
		"+ GET /serde/1.0.0/download", "+ GET /api/v1/crates?q=x", "+ GET /api/v1/crates/serde",
		"- GET /api/v1/crates/libc",
		"- PUT /api/v1/crates/new", "- DELETE /api/v1/crates/serde/1.0.0/yank", "! POST /se/rd/serde",
		/* a download in a spelling that is not taken apart is not "something about a crate" */
		"! GET /api/v1/crates/serde/1.0.200/download/", "! GET /api/v1/crates/serde/2.0.0//download",
		"! GET /api/v1/crates/serde/v2.0.0/download", "! GET /api/v1/crates/serde/2.0.0/Download",
		"! GET /api/v1/crates/serde/2.0.0/download;x",
		"+ GET /api/v1/crates/serde/1.0.200/dependencies",
		"+ GET /api/v1/crates/serde/owners", "+ GET /api/v1/crates/serde/1.0.200",
		"! GET /crates/libc/libc-0.2.0.crate/config.json", "! GET /dl/libc-0.2.0.crate/se/rd/serde",
		"! GET /libc/0.2.0/download/serde/1.0.0/download", NULL,
	};

	(void)state;
	check_requests(policy, lines);
}

static void apt_heads(void **state)
{
	static const char policy[] =
		HOST "  registry: {type: apt, packages: [hello, \"lib*\"], deny: [libevil], "
		     "versions: {hello: \">= 2.10\"}}\n";
	static const char *const lines[] = {
		"+ GET /debian/dists/bookworm/InRelease",
		"+ GET /debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/abc",
		"+ GET /repo/Packages.gz", "+ GET /debian/pool/main/h/hello/hello_2.10-3_amd64.deb",
		"- GET /debian/pool/main/h/hello/hello_2.9-1_amd64.deb",
		"- GET /debian/pool/main/n/nano/nano_7.2-1_amd64.deb",
		"+ GET /debian/pool/main/libx/libx_1%3A1.0%2Bdfsg-1_amd64.deb",
		"- GET /pool/libevil_1.0_all.deb",
		"- GET /debian/dists/evil_1.0_all.deb", "+ GET /pool/hello_2.10.orig.tar.gz",
		"+ GET /pool/hello_2.10-3.dsc",
		"! GET /debian/pool/", "! GET /index.html", "! POST /debian/dists/x",
		"! GET /debian/dists/x?y", "! GET /debian/dists/x/main/source/foo-1.0.orig.tar.gz",
		"! GET /debian/dists/x/foo_1.0.DSC", "+ GET /debian/dists/x/main/installer-amd64/netboot.tar.gz",
		/* what is no package here could be one to the
		 * server: nothing of the kind passes as an index */
		"! GET /debian/dists/Evil_1.0_all.deb", "! GET /debian/dists/evil.deb",
		"! GET /repo/Packages_1.0_all.deb",
		"! GET /dists/libevil_1.0_all.deb/", "! GET /dists/libevil_1.0_all.deb;x",
		"! GET /dists/libevil_1.0_all.DEB",
		"! GET /dists/libevil_1.0_all%2Edeb//", "+ GET /ftp.debian.org/dists/bookworm/Release",
		"! GET /pool/libevil_1.0_all.deb/Release", "! GET /pool/Evil.DEB/dists/x",
		"! GET /pool/libevil_1.0_all.deb%2Fx/Release",
		"! GET /pool/libevil_1.0_all.deb/hello_2.10-3_all.deb",
		"! GET /pool/nano_7.2.orig.tar.gz/Release", "! GET /pool/libevil_1.0_all.deb;x/Release", NULL,
	};

	(void)state;
	check_requests(policy, lines);
}

static void registry_ages(void **state)
{
	struct policy *p = load(HOST "  registry: {type: npm, min_age: 7d}\n");

	(void)state;
	assert_true(judged(p, "registry.age=604800;registry.package=a;registry.version=1.0.0"));
	assert_false(judged(p, "registry.age=604799;registry.package=a;registry.version=1.0.0"));
	assert_false(judged(p, "registry.age=unknown;registry.package=a;registry.version=1.0.0"));
	assert_true(judged(p, "registry.package=a"));
	policy_free(p);
}

static void registry_errors(void **state)
{
	(void)state;
	check_error(HOST "  registry: {packages: [a]}\n", "needs 'type'");
	check_error(HOST "  registry: {type: cpan}\n", "npm");
	check_error(HOST "  registry: {type: npm, packages: [\"a b\"]}\n", "name of no package");
	check_error(HOST "  registry: {type: npm, versions: {a: \"latest\"}}\n", "is no range");
	check_error(HOST "  registry: {type: apt, min_age: 7d}\n", "cannot be kept");
	check_error(HOST "  registry: {type: npm, access: publish, min_age: 7d}\n", "about installing");
	check_error(HOST "  verdict: deny\n  registry: {type: npm, versions: {a: \"1\"}}\n", "narrows");
	check_error(HOST "  registry: {type: npm, advisories: /nowhere/at/all}\n", "cannot be opened");
	check_error(HOST "  registry: {type: npm, index: h.example}\n", "no address of an index");
}

static void check_advisories(const char *type, const char *records, const char *const *lines)
{
	char path[] = "/tmp/advisories.XXXXXX", policy[512];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, records, strlen(records)), strlen(records));
	close(fd);
	snprintf(policy, sizeof policy, HOST "  registry: {type: %s, advisories: %s}\n", type, path);
	check_requests(policy, lines);
	unlink(path);
	check_requests(policy, lines);		/* what has been read stays */
}

static void advisories(void **state)
{
	static const char records[] =
		"{\"id\":\"GHSA-1\",\"affected\":[{\"package\":{\"ecosystem\":\"npm\",\"name\":\"lodash\"},\"ranges\":[{\"type\":\"SEMVER\","
		"\"events\":[{\"introduced\":\"0\"},{\"fixed\":\"4.17.20\"},{\"introduced\":\"5.0.0\"},{\"last_affected\":\"5.1.0\"}]}]}]}\n"
		"{\"id\":\"MAL-2\",\"affected\":[{\"package\":{\"ecosystem\":\"npm\",\"name\":\"evil\"}}]}\n"
		"{\"id\":\"X-3\",\"withdrawn\":\"2026-01-01T00:00:00Z\",\"affected\":[{\"package\":{\"ecosystem\":\"npm\",\"name\":\"fine\"}}]}\n"
		"{\"id\":\"X-4\",\"affected\":[{\"package\":{\"ecosystem\":\"PyPI\",\"name\":\"fine\"}},{\"package\":{\"ecosystem\":\"npm\","
		"\"name\":\"some\"},\"versions\":[\"1.0.0\",\"1.0.1\"]}]}\n";
	static const char *const lines[] = {
		"- GET /lodash/-/lodash-4.17.19.tgz", "+ GET /lodash/-/lodash-4.17.20.tgz",
		"- GET /lodash/-/lodash-5.0.0.tgz",
		"- GET /lodash/-/lodash-5.1.0.tgz", "+ GET /lodash/-/lodash-5.1.1.tgz",
		"- GET /evil/-/evil-9.0.0.tgz",
		"+ GET /fine/-/fine-1.0.0.tgz", "- GET /some/-/some-1.0.1.tgz",
		"+ GET /some/-/some-1.0.2.tgz", "+ GET /lodash", NULL,
	};
	(void)state;
	check_advisories("npm", records, lines);
}

#define AFFECTED(ecosystem, name, more) \
	"{\"id\":\"R-" name "\",\"affected\":[{\"package\":{\"ecosystem\":\"" ecosystem "\",\"name\":\"" name "\"}," more "}]}\n"
#define EVENTS(type, introduced, fixed) \
	"\"ranges\":[{\"type\":\"" type "\",\"events\":[{\"introduced\":\"" introduced "\"},{\"fixed\":\"" fixed "\"}]}]"

/* Each ecosystem's own names and its own order. */
static void advisories_elsewhere(void **state)
{
	static const char pypi[] = AFFECTED("PyPI", "Flask_Login", EVENTS("ECOSYSTEM", "0.5", "0.6.3"))
		AFFECTED("PyPI", "hay", "\"versions\":[\"1.0\",\"2.0rc1\"]");
	static const char *const pypi_lines[] = {
		"- GET /x/flask_login-0.6.2-py3-none-any.whl", "+ GET /x/Flask_Login-0.6.3-py3-none-any.whl",
		"+ GET /x/flask-login-0.4.tar.gz", "- GET /x/flask-login-0.6.3rc1.tar.gz",
		"- GET /x/hay-1.0.0.tar.gz",
		"- GET /x/hay-2.0.0rc1.tar.gz", "+ GET /x/hay-2.0.tar.gz", "+ GET /simple/hay/", NULL,
	};
	static const char crates[] = AFFECTED("crates.io", "Smol-Str", EVENTS("SEMVER", "0.0.0-0", "0.2.1"))
		AFFECTED("npm", "serde", "\"versions\":[]");
	static const char *const crates_lines[] = {
		"- GET /smol-str/0.2.0/download", "- GET /smol_str/0.2.1-rc.1/download",
		"+ GET /smol_str/0.2.1/download", "+ GET /serde/1.0.0/download", NULL,
	};

	(void)state;
	check_advisories("pypi", pypi, pypi_lines);
	check_advisories("crates", crates, crates_lines);
}

/* Records name the source and versions with an epoch; files the binary package, and no epoch. */
static void advisories_of_debian(void **state)
{
	static const char records[] = AFFECTED("Debian:12", "openssl",
					       EVENTS("ECOSYSTEM", "0", "3.0.11-1~deb12u2"))
		AFFECTED("Debian:12", "git", EVENTS("ECOSYSTEM", "1:2.30.0-1", "1:2.39.5-0+deb12u1"))
		AFFECTED("Debian", "libssh2", "\"versions\":[\"1.10.0-3\"]") AFFECTED("Debian", "libssl3",
										      "\"versions\":[]");
	static const char *const lines[] = {
		"- GET /debian/pool/main/o/openssl/libssl3_3.0.11-1~deb12u1_amd64.deb",
		"+ GET /debian/pool/main/o/openssl/libssl3_3.0.11-1~deb12u2_amd64.deb",
		"- GET /pool/main/o/openssl/openssl_3.0.9-1_amd64.deb",
		"- GET /pool/updates/main/o/openssl/openssl_3.0.9-1.dsc",
		"- GET /pool/main/g/git/git_2.39.2-1.1_amd64.deb",
		"- GET /pool/main/g/git/git_1%3a2.39.2-1.1_amd64.deb",
		"+ GET /pool/main/g/git/git-man_2.39.5-0+deb12u1_all.deb",
		"+ GET /pool/main/g/git/git_2.29.0-1_amd64.deb",
		"- GET /pool/main/libs/libssh2/libssh2-1_1.10.0-3+b1_amd64.deb",
		"+ GET /pool/main/libs/libssh2/libssh2-1_1.11.0-1_amd64.deb",
		"+ GET /pool/main/h/hello/hello_2.10-3_amd64.deb", "+ GET /debian/dists/bookworm/InRelease",
		/* a layout that does not say what the source is */
		"- GET /flat/hello_2.10-3_amd64.deb", "- GET /pool/main/o/hello/hello_2.10-3_amd64.deb",
		"- GET /dists/bookworm/pool/stable/amd64/hello_2.10-3_amd64.deb",
		"- GET /pool/main/h/hello//hello_2.10-3_amd64.deb",
		"- GET /h/hello/hello_2.10-3_amd64.deb", NULL,
	};

	(void)state;
	check_advisories("apt", records, lines);
}

static void words(void **state)
{
	struct policy *p =
		load(HOST "  registry: {type: npm, packages: [lodash], versions: {lodash: \"^4\"}}\n");
	struct head h = head_of("GET /lodash/-/lodash-5.0.0.tgz");
	const struct policy_rule *rule = policy_rule(p, 0);
	auto_buf out = BUF_EMPTY;

	(void)state;
	buf_init(&out, 4096);
	assert_true(protocol_of(rule)->why(rule->data, &h, &out));
	assert_string_equal(buf_z(&out), "5.0.0 is outside of the versions that may be used, ^4");
	buf_clear(&out);
	protocol_of(rule)->describe(rule->data, &out);
	assert_string_equal(buf_z(&out), "install, npm; packages lodash; lodash ^4");
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(git_heads), cmocka_unit_test(git_bodies), cmocka_unit_test(git_errors),
		cmocka_unit_test(npm_scopes_that_are_too_long),
		cmocka_unit_test(npm_heads), cmocka_unit_test(pypi_heads), cmocka_unit_test(crates_heads),
		cmocka_unit_test(apt_heads), cmocka_unit_test(registry_ages),
		cmocka_unit_test(registry_errors),
		cmocka_unit_test(advisories), cmocka_unit_test(advisories_elsewhere),
		cmocka_unit_test(advisories_of_debian), cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
