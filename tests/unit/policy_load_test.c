/* policy_load_test.c - every mistake in a policy has its place and its words; what loads is
 * what was written, with the documented defaults */
#include "base/buf.h"
#include "policy/policy.h"
#include "policy/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static enum err load(const char *text, struct policy **ret, struct policy_error *error)
{
	return policy_load(str_of(text), "paddock.yaml", "/home/ann", ret, error);
}

struct mistake {
	const char *text;
	uint32_t line, column;
	const char *says; /* part of the error */
};

static void refused(const struct mistake *cases, size_t count)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct policy_error e = { 0 };
		struct policy *p = NULL;

		if (load(cases[i].text, &p, &e) != ERR_POLICY_SYNTAX)
			fail_msg("this loads: %s", cases[i].text);
		assert_null(p);
		if (e.line == cases[i].line && e.column == cases[i].column && strstr(e.text, cases[i].says))
			continue;
		wrong++;
		print_error("%s\nsays %u:%u: %s\nnot  %u:%u: %s\n", cases[i].text, e.line, e.column, e.text,
			    cases[i].line, cases[i].column, cases[i].says);
	}
	assert_int_equal(wrong, 0);
}

static void yaml_beyond_a_policy_is_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ "", 1, 1, "a policy starts with 'version: 1'" },
		{ "# nothing\n", 2, 1, "a policy starts with 'version: 1'" },
		{ "version: 1\n\xff: 2\n", 2, 1, "not UTF-8" },
		{ "version: 1\nname: [a\n", 3, 1, "not YAML" },
		{ "version: 1\n\tname: a\n", 2, 1, "not YAML" },
		{ "version: 1\nname: &x a\n", 2, 7, "anchors" },
		{ "version: 1\nname: *x\n", 2, 7, "aliases" },
		{ "version: 1\nname: *\n", 2, 7, "put quotes around a text that begins with '*'" },
		{ "version: 1\nname: !!str a\n", 2, 7, "tags" },
		{ "version: 1\nlimits: !x {}\n", 2, 9, "tags" },
		{ "version: 1\nnetwork: &n []\n", 2, 10, "anchors" },
		{ "%YAML 1.1\n---\nversion: 1\n", 1, 1, "directives" },
		{ "version: 1\n---\nversion: 1\n", 2, 1, "a second document" },
		{ "version: 1\nname: a\nname: b\n", 3, 1, "the key 'name' is here twice: line 2" },
		{ "version: 1\n? [a]\n: b\n", 2, 3, "expected a key" },
		{ "version: 1\nname: \"a\\x07\"\n", 2, 7, "control character" },
		{ "version: 1\nname: \"a\\u0085\"\n", 2, 7, "control character" },
		{ "version: 1\nname: |\n  a\n  b\n", 2, 7, "line break" },
		{ "version: 1\nname: [[[[[[[[[[a]]]]]]]]]]\n", 2, 14, "nested more than 8 deep" },
		{ "version: 1\n\xc3\xa9\xc3\xa9: {name: 1, name: 2}\n", 2, 15,
		  "the key 'name' is here twice" },
	};

	refused(cases, COUNT(cases));
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ "[version, 1]\n", 1, 1, "expected 'version: 1' as the first key" },
		{ "name: a\nversion: 1\n", 1, 1, "expected 'version: 1' as the first key" },
		{ "{}\n", 1, 1, "expected 'version: 1' as the first key" },
		{ "version: 2\nfoo: 1\n", 1, 10,
		  "version of the policy language is not known here: expected 1" },
		{ "version: \"1\"\n", 1, 10, "expected 1" },
		{ "version: 1\nnetwrok: []\n", 2, 1,
		  "unknown key 'netwrok' in a policy: did you mean 'network'?" },
		{ "version: 1\nzzzzzzzzz: []\n", 2, 1,
		  "expected one of version, name, network, credentials, filesystem, limits, audit" },
		{ "version: 1\naudit: {durable: yes}\n", 2, 18, "expected true or false" },
		{ "version: 1\naudit: true\n", 2, 8, "expected a mapping" },
		{ "version: 1\nnetwork: {hosts: [a.b]}\n", 2, 10, "'network' is a mapping: expected a list" },
		{ "version: 1\nnetwork: [a.b]\n", 2, 11, "found text: expected a mapping" },
		{ "version: 1\nnetwork:\n", 2, 9, "'network' is nothing: expected a list" },
		{ "version: 1\nnetwork:\n  - host: [a.b]\n", 3, 5,
		  "unknown key 'host' in a network rule: did you mean 'hosts'?" },
		{ "version: 1\nnetwork:\n  - hosts: a.b\n", 3, 12, "'hosts' is text: expected a list" },
		{ "version: 1\nnetwork:\n  - hosts: [[a]]\n", 3, 13, "found a list: expected text" },
		{ "version: 1\nnetwork:\n  - hosts: [~]\n", 3, 13, "found nothing: expected text" },
		{ "version: 1\nnetwork:\n  - query: [a]\n", 3, 12, "'query' is a list: expected a mapping" },
		{ "version: 1\nnetwork:\n  - query: {a: }\n", 3, 16, "'a' is nothing: expected text" },
		{ "version: 1\nnetwork:\n  - request_body_max: 10MB\n", 3, 23,
		  "expected a size such as 10MiB" },
		{ "version: 1\ncredentials: []\n", 2, 14,
		  "'credentials' is a list: expected a mapping from names" },
		{ "version: 1\ncredentials: {k: 1}\n", 2, 18, "'k' is text: expected a mapping" },
		{ "version: 1\ncredentials: {k: {scrub: yes}}\n", 2, 26,
		  "'scrub' is 'yes': expected true or false" },
		{ "version: 1\ncredentials: {k: {source: {environ: A}}}\n", 2, 28,
		  "expected one of environment, file" },
		{ "version: 1\nlimits: {cpus: two}\n", 2, 16, "'cpus' is 'two': expected a whole number" },
		{ "version: 1\nlimits: {cpus: -1}\n", 2, 16, "expected a whole number" },
		{ "version: 1\nlimits: {wall_time: 90}\n", 2, 21, "expected a duration such as 30s" },
		{ "version: 1\nlimits: {memory: 99999999TiB}\n", 2, 18, "expected a size" },
		{ "version: 1\nfilesystem: {visible: [/a]}\n", 2, 24, "found text: expected a mapping" },
	};

	refused(cases, COUNT(cases));
}

#define RULE(text) "version: 1\nnetwork:\n  - {hosts: [a.example], methods: [GET], " text "}\n"

static void rules_that_mean_nothing_are_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ "version: 1\nnetwork:\n  - methods: [GET]\n", 3, 5, "this rule needs 'hosts'" },
		{ "version: 1\nnetwork:\n  - hosts: [a.b]\n", 3, 5, "this rule needs 'methods'" },
		{ "version: 1\nnetwork:\n  - {hosts: [], methods: [GET]}\n", 3, 13,
		  "'hosts' is an empty list" },
		{ "version: 1\nnetwork:\n  - {hosts: [a.b], methods: []}\n", 3, 29,
		  "'methods' is an empty list" },
		{ "version: 1\nnetwork:\n  - {hosts: [a.b, a.b], methods: [GET]}\n", 3, 19,
		  "'a.b' is in 'hosts' twice" },
		{ "version: 1\nnetwork:\n  - {hosts: [A.b], methods: [GET]}\n", 3, 14, "write it as 'a.b'" },
		{ "version: 1\nnetwork:\n  - {hosts: [\"*.A.b\"], methods: [GET]}\n", 3, 14,
		  "write it as '*.a.b'" },
		{ "version: 1\nnetwork:\n  - {hosts: [\"a.*.b\"], methods: [GET]}\n", 3, 14,
		  "'*' may only stand alone" },
		{ "version: 1\nnetwork:\n  - {hosts: [\"*.1.2.3.4\"], methods: [GET]}\n", 3, 14,
		  "is not a host" },
		{ "version: 1\nnetwork:\n  - {hosts: [\"https://a.b\"], methods: [GET]}\n", 3, 14,
		  "without scheme or path" },
		{ "version: 1\nnetwork:\n  - {hosts: [\"a.b:443\"], methods: [GET]}\n", 3, 14,
		  "a port belongs in 'ports'" },
		{ "version: 1\nnetwork:\n  - {hosts: [0x7f.1], methods: [GET]}\n", 3, 14, "is not a host" },
		{ "version: 1\nnetwork:\n  - {hosts: [\"::0:1\"], methods: [GET]}\n", 3, 14,
		  "write it as '::1'" },
		{ "version: 1\nnetwork:\n  - {hosts: [b\xc3\xbc.de], methods: [GET]}\n", 3, 14, "xn--" },
		{ "version: 1\nnetwork:\n  - {hosts: [a.b], methods: [get]}\n", 3, 30,
		  "expected upper case, such as GET" },
		{ "version: 1\nnetwork:\n  - {hosts: [a.b], methods: [CONNECT]}\n", 3, 30,
		  "CONNECT never leaves" },
		{ "version: 1\nnetwork:\n  - {hosts: [a.b], methods: [GET, \"*\"]}\n", 3, 35,
		  "any method is said by [\"*\"] alone" },
		{ RULE("schemes: []"), 3, 51, "'schemes' is an empty list" },
		{ RULE("schemes: [ftp]"), 3, 52, "'schemes' is 'ftp': expected one of http, https" },
		{ RULE("schemes: [http, http]"), 3, 58, "'http' is in 'schemes' twice" },
		{ RULE("ports: []"), 3, 49, "'ports' is an empty list" },
		{ RULE("ports: [0]"), 3, 50, "'0' is not a port: expected 1 to 65535" },
		{ RULE("ports: [90-80]"), 3, 50, "is not a port" },
		{ RULE("ports: [65536]"), 3, 50, "is not a port" },
		{ RULE("paths: []"), 3, 49, "'paths' is an empty list" },
		{ RULE("paths: [v1]"), 3, 50, "a path begins with '/'" },
		{ RULE("paths: [\"/a?b=1\"]"), 3, 50, "a query is not part of a path" },
		{ RULE("paths: [/a/../b]"), 3, 50, "could match no path" },
		{ RULE("paths: [/a%2f]"), 3, 50, "upper-case %XX" },
		{ RULE("paths: [\"/{a,b}\"]"), 3, 50, "could match no path" },
		{ RULE("query: {}"), 3, 49, "'query' is empty" },
		{ RULE("query: {a=b: c}"), 3, 50, "'a=b' is not a parameter's name" },
		{ RULE("query: {a: b&c}"), 3, 53, "could match no value" },
		{ RULE("headers: {Accept: a}"), 3, 52, "expected it in lower case" },
		{ RULE("headers: {connection: close}"), 3, 52, "is never there to be compared" },
		{ RULE("headers: {content-length: 1}"), 3, 52, "is never there to be compared" },
		{ RULE("headers: {accept: \" a\"}"), 3, 60, "without a blank at either end" },
		{ RULE("verdict: ask"), 3, 51, "'ask': approvals do not exist in version 1" },
		{ RULE("verdict: alow"), 3, 51, "expected one of deny, allow, observe" },
		{ RULE("name: \"a b\""), 3, 48, "cannot be the name of a rule" },
		{ RULE("credential: k"), 3, 54, "no credential is called 'k'" },
		{ RULE("verdict: deny, credential: k"), 3, 69,
		  "a rule that denies has no use for 'credential'" },
		{ RULE("verdict: observe, credential: k"), 3, 72,
		  "a rule that observes may not have 'credential'" },
		{ RULE("verdict: observe, addresses: [10.0.0.0/8]"), 3, 71, "may not have 'addresses'" },
		{ RULE("verdict: deny, request_body_max: 1KiB"), 3, 75, "has no use for 'request_body_max'" },
		{ RULE("addresses: []"), 3, 53, "'addresses' is an empty list" },
		{ RULE("addresses: [localhost]"), 3, 54, "expected an address range" },
		{ RULE("addresses: [10.0.0.1/8]"), 3, 54, "bits set beyond the prefix" },
		{ RULE("addresses: [0.0.0.0/0]"), 3, 54, "too wide" },
		{ RULE("addresses: [\"::/7\"]"), 3, 54, "name IPv4 ranges as such" },
		{ RULE("addresses: [\"::ffff:0:0/95\"]"), 3, 54, "bits set beyond the prefix" },
		{ RULE("addresses: [\"::fffe:0:0/95\"]"), 3, 54, "name IPv4 ranges as such" },
		{ RULE("addresses: [\"::ffff:0:0/96\"]"), 3, 54, "name IPv4 ranges as such" },
		{ RULE("addresses: [\"::ffff:128.0.0.0/97\"]"), 3, 54, "name IPv4 ranges as such" },
		{ RULE("addresses: [\"::ffff:10.0.0.1\"]"), 3, 54, "name IPv4 ranges as such" },
		{ RULE("addresses: [\"::/8\"]"), 3, 54, "name IPv4 ranges as such" },
		{ RULE("name: x") "  - {name: x, hosts: [b.example], methods: [GET]}\n", 4, 12,
		  "the rule in line 3 is called 'x' already" },
	};

	refused(cases, COUNT(cases));
}

#define AFTER(first, second) "version: 1\nnetwork:\n  - {" first "}\n  - {" second "}\n"
#define DEAD		     4, 5, "this rule can never match: 'rule 1' in line 3"

static void dead_rules_are_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [GET]"), DEAD },
		{ AFTER("hosts: [\"*.b\"], methods: [GET, POST]", "hosts: [a.b], methods: [GET]"), DEAD },
		{ AFTER("hosts: [\"*\"], methods: [\"*\"]", "hosts: [\"*.b\", c.d], methods: [GET]"), DEAD },
		{ AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [GET], paths: [/x]"), DEAD },
		{ AFTER("hosts: [a.b], methods: [GET], paths: [/v1/**]",
			"hosts: [a.b], methods: [GET], paths: [/v1/x, /v1/y/**]"),
		  DEAD },
		{ AFTER("hosts: [a.b], methods: [GET], paths: [/v1/**]",
			"hosts: [a.b], methods: [GET], paths: [/v1/y/**], verdict: deny"),
		  4, 5, "this rule denies too late: 'rule 1' in line 3" },
		{ AFTER("hosts: [a.b], methods: [GET], query: {a: \"*\"}",
			"hosts: [a.b], methods: [GET], query: {a: x, b: y}"),
		  DEAD },
		{ AFTER("hosts: [a.b], methods: [GET], headers: {x: \"a*\"}",
			"hosts: [a.b], methods: [GET], headers: {x: \"ab*\"}"),
		  DEAD },
		{ AFTER("hosts: [a.b], methods: [GET], ports: [\"1-1000\"]", "hosts: [a.b], methods: [GET]"),
		  DEAD },
		{ AFTER("hosts: [a.b], methods: [\"*\"], verdict: deny",
			"hosts: [a.b], methods: [GET], schemes: [http], "
			"ports: [8080]"),
		  DEAD },
	};
	static const char *const alive[] = {
		AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [GET, POST]"),
		AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [\"*\"]"),
		AFTER("hosts: [a.b], methods: [GET]", "hosts: [\"*.b\"], methods: [GET]"),
		AFTER("hosts: [\"*.a.b\"], methods: [GET]", "hosts: [a.b], methods: [GET]"),
		AFTER("hosts: [\"*\"], methods: [GET]", "hosts: [127.0.0.1], methods: [GET]"),
		AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [GET], schemes: [http]"),
		AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [GET], ports: [8443]"),
		AFTER("hosts: [a.b], methods: [GET], paths: [/v1/*]",
		      "hosts: [a.b], methods: [GET], paths: [/v1/**]"),
		AFTER("hosts: [a.b], methods: [GET], query: {a: x}", "hosts: [a.b], methods: [GET]"),
		AFTER("hosts: [a.b], methods: [GET], headers: {x: a}",
		      "hosts: [a.b], methods: [GET], headers: {y: a}"),
		AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [\"*\"], verdict: deny"),
		AFTER("hosts: [a.b], methods: [GET]", "hosts: [a.b], methods: [GET], verdict: deny, "
						      "schemes: [http, https], ports: [\"*\"]"),
	};

	refused(cases, COUNT(cases));
	for (size_t i = 0; i < COUNT(alive); i++) {
		struct policy_error e;
		struct policy *p;

		if (load(alive[i], &p, &e) != ERR_OK)
			fail_msg("%s\n%u:%u: %s", alive[i], e.line, e.column, e.text);
		policy_free(p);
	}
}

#define USED		 "version: 1\nnetwork: [{hosts: [a.b], methods: [GET], credential: k}]\ncredentials:\n"
#define CREDENTIAL(text) USED "  k: {" text "}\n"
#define GOOD		 "source: {environment: K}, hosts: [a.b], header: {name: x-api-key}"

static void credentials_that_cannot_work_are_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ CREDENTIAL("hosts: [a.b]"), 4, 3, "this credential needs 'source'" },
		{ CREDENTIAL("source: {}"), 4, 7, "exactly one of environment, file, command" },
		{ CREDENTIAL("source: {environment: K, file: /k}"), 4, 7,
		  "exactly one of environment, file, command" },
		{ CREDENTIAL("source: {environment: 1K}"), 4, 29, "not a name for an environment variable" },
		{ CREDENTIAL("source: {environment: K, timeout: 1s}"), 4, 41,
		  "'timeout' is for a source that is a command" },
		{ CREDENTIAL("source: {file: k}"), 4, 22, "not a plain absolute path" },
		{ CREDENTIAL("source: {file: /a/../k}"), 4, 22, "not a plain absolute path" },
		{ CREDENTIAL("source: {command: []}"), 4, 25, "expected a program and its arguments" },
		{ CREDENTIAL("source: {command: [./x]}"), 4, 26, "by absolute path or by plain name" },
		{ CREDENTIAL("source: {command: [x], timeout: 6m}"), 4, 39, "expected 100ms to 5m" },
		{ CREDENTIAL("source: {environment: K}"), 4, 3, "this credential needs 'hosts'" },
		{ CREDENTIAL("source: {environment: K}, hosts: [\"*\"]"), 4, 41, "may not go to every host" },
		{ CREDENTIAL("source: {environment: K}, hosts: [a.b], strategy: oauth"), 4, 57,
		  "expected one of header, placeholder" },
		{ CREDENTIAL("source: {environment: K}, hosts: [a.b]"), 4, 3,
		  "strategy header needs 'header' with 'name'" },
		{ CREDENTIAL("source: {environment: K}, hosts: [a.b], header: {name: Host}"), 4, 62,
		  "not a header that a credential" },
		{ CREDENTIAL("source: {environment: K}, hosts: [a.b], header: {name: x, format: a}"), 4, 73,
		  "{secret} in it once" },
		{ CREDENTIAL("source: {environment: K}, hosts: [a.b], header: {name: x, format: "
			     "\"{secret}{secret}\"}"),
		  4, 73, "{secret} in it once" },
		{ CREDENTIAL("source: {environment: K}, hosts: [a.b], strategy: placeholder"), 4, 3,
		  "strategy placeholder needs 'placeholder'" },
		{ CREDENTIAL(
			  "source: {environment: K}, hosts: [a.b], strategy: placeholder, header: {name: x}"),
		  4, 70, "'header' is for strategies header and token" },
		{ CREDENTIAL(GOOD ", placeholder: {prefix: a}"), 4, 74,
		  "'placeholder' needs 'environment', 'files' or 'value'" },
		{ CREDENTIAL(GOOD ", placeholder: {environment: P, in: [header]}"), 4, 108,
		  "'in' is for strategy placeholder" },
		{ CREDENTIAL(GOOD ", placeholder: {value: short}"), 4, 95,
		  "expected 16 to 256 visible ASCII" },
		{ CREDENTIAL(GOOD ", placeholder: {value: 0123456789abcdef, prefix: s}"), 4, 121,
		  "'prefix' is for a placeholder that is made up" },
		{ CREDENTIAL("source: {environment: K}, hosts: [a.b], strategy: placeholder, placeholder: "
			     "{environment: P, in: [cookie]}"),
		  4, 105, "expected one of header, basic" },
		{ CREDENTIAL("source: {environment: K}, hosts: [c.d], header: {name: x}"), 2, 20,
		  "credential 'k' may not go to 'a.b'" },
		{ CREDENTIAL(GOOD) "  l: {" GOOD "}\n", 5, 3, "no rule uses the credential 'l'" },
		{ CREDENTIAL(GOOD ", placeholder: {environment: P}") "  l: {" GOOD
								     ", placeholder: {environment: P}}\n",
		  5, 101, "credential 'k' has this variable already" },
		{ "version: 1\nnetwork: [{hosts: [a.b], methods: [GET], credential: kay}]\ncredentials:\n  "
		  "key: {" GOOD "}\n",
		  2, 54, "no credential is called 'kay': did you mean 'key'?" },
		{ "version: 1\nnetwork: [{hosts: [\"*.b\"], methods: [GET], credential: k}]\ncredentials:\n  "
		  "k: {" GOOD "}\n",
		  2, 20, "credential 'k' may not go to '*.b'" },
		{ "version: 1\nnetwork: [{hosts: [a.b], methods: [GET], schemes: [http], credential: "
		  "k}]\ncredentials:\n  k: {" GOOD "}\n",
		  2, 71, "does not cross the public network in clear text" },
	};

	refused(cases, COUNT(cases));
}

static void files_and_limits_are_judged(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ "version: 1\nfilesystem: {visible: [{mode: read}]}\n", 2, 24,
		  "a visible path needs 'path'" },
		{ "version: 1\nfilesystem: {visible: [{path: a}]}\n", 2, 31, "not a plain absolute path" },
		{ "version: 1\nfilesystem: {visible: [{path: /}]}\n", 2, 31, "not a plain absolute path" },
		{ "version: 1\nfilesystem: {visible: [{path: ~/}]}\n", 2, 31, "not a plain absolute path" },
		{ "version: 1\nfilesystem: {visible: [{path: /a/}]}\n", 2, 31, "not a plain absolute path" },
		{ "version: 1\nfilesystem: {visible: [{path: /proc/1}]}\n", 2, 31, "is never made visible" },
		{ "version: 1\nfilesystem: {visible: [{path: ~/.config}]}\n", 2, 31,
		  "Paddock's own settings and keys" },
		{ "version: 1\nfilesystem: {visible: [{path: /home/ann}]}\n", 2, 31,
		  "Paddock's own settings" },
		{ "version: 1\nfilesystem: {visible: [{path: ~/.local/state/paddock/x}]}\n", 2, 31,
		  "Paddock's own settings" },
		{ "version: 1\nfilesystem: {visible: [{path: /a, mode: rw}]}\n", 2, 41,
		  "expected one of read, write" },
		{ "version: 1\nfilesystem: {visible: [{path: ~/a}, {path: /home/ann/a}]}\n", 2, 44,
		  "is visible already: line 2" },
		{ "version: 1\nfilesystem: {hidden: [/etc]}\n", 2, 23, "paths inside of the workspace" },
		{ "version: 1\nfilesystem: {hidden: [a/../b]}\n", 2, 23, "paths inside of the workspace" },
		{ "version: 1\nfilesystem: {read_only: [a, a]}\n", 2, 29, "'a' is in 'read_only' twice" },
		{ "version: 1\nlimits: {memory: 64MiB}\n", 2, 18, "expected 128MiB to 1TiB" },
		{ "version: 1\nlimits: {cpus: 0}\n", 2, 16, "expected 1 to 256" },
		{ "version: 1\nlimits: {processes: 1}\n", 2, 21, "expected 16 to 1000000" },
		{ "version: 1\nlimits: {wall_time: 1ms}\n", 2, 21, "expected 1s to 365d" },
		{ "version: 1\nlimits: {requests: 0}\n", 2, 20, "at least 1" },
		{ "version: 1\nname: a b\n", 2, 7, "cannot be the name of a policy" },
	};
	struct policy_error e;
	struct policy *p;

	refused(cases, COUNT(cases));
	assert_int_equal(
		policy_load(STR("version: 1\nfilesystem: {visible: [{path: ~/a}]}\n"), "f", NULL, &p, &e),
		ERR_POLICY_SYNTAX);
	assert_non_null(strstr(e.text, "there is no HOME"));
}

static void a_file_can_be_too_large(void **state)
{
	(void)state;
	struct policy_error e = { .line = 9 };
	char *text = malloc(POLICY_BYTES_MAX + 1);
	struct policy *p;

	assert_non_null(text);
	memset(text, '#', POLICY_BYTES_MAX + 1);
	assert_int_equal(policy_load(str_make(text, POLICY_BYTES_MAX + 1), "f", NULL, &p, &e),
			 ERR_POLICY_SYNTAX);
	assert_int_equal(e.line, 0);
	assert_non_null(strstr(e.text, "more than 8388608 bytes"));
	free(text);
}

static bool has(const struct str *list, uint32_t count, const char *what)
{
	for (uint32_t i = 0; i < count; i++)
		if (str_eq(list[i], str_of(what)))
			return true;
	return false;
}

static void an_empty_policy_has_safe_defaults(void **state)
{
	(void)state;
	const struct policy_filesystem *f;
	struct policy_error e;
	struct policy *p;

	assert_int_equal(load("version: 1\n", &p, &e), ERR_OK);
	f = policy_filesystem(p);
	assert_true(has(f->hidden, f->hidden_count, ".env*") && has(f->hidden, f->hidden_count, "**/.env"));
	assert_true(has(f->read_only, f->read_only_count, "**/paddock.yaml"));
	assert_true(f->protect_git);
	assert_int_equal(f->visible_count, 0);
	assert_int_equal(policy_limits(p)->memory_bytes, 0);
	assert_false(policy_durable(p));
	assert_int_equal(policy_rule_count(p), 0);
	assert_int_equal(policy_name(p).n, 0);
	assert_string_equal(policy_digest(p),
			    "09bfcc6a14b83e2192b8673677725c84883ee9cd0c70e45c9ec09daa8f2b2847");
	policy_free(p);

	assert_int_equal(
		load("version: 1\nfilesystem: {hidden: [], read_only: [gen], protect_git: false}\n", &p, &e),
		ERR_OK);
	f = policy_filesystem(p);
	assert_int_equal(f->hidden_count, 0);
	assert_int_equal(f->read_only_count, 3);
	assert_true(has(f->read_only, 3, "gen") && has(f->read_only, 3, "paddock.yaml"));
	assert_false(f->protect_git);
	policy_free(p);

	assert_int_equal(policy_deny_all(&p), ERR_OK);
	assert_string_equal(policy_file(p), "no policy");
	policy_free(p);
	policy_free(NULL);
}

static const char whole[] =
	"version: 1\nname: claude\nnetwork:\n"
	"  - name: anthropic\n    hosts: [api.anthropic.com, \"*.anthropic.com\"]\n    methods: [GET, POST]\n"
	"    schemes: [https]\n    ports: [443, 8000-8080]\n    paths: [\"/v1/**\"]\n    query: {beta: "
	"\"true\"}\n"
	"    headers: {anthropic-version: \"2023-*\"}\n    verdict: allow\n    credential: anthropic\n"
	"    addresses: [127.0.0.0/8, \"fd00::/8\"]\n    request_body_max: 10MiB\n    response_body_max: 1 "
	"GiB\n"
	"  - hosts: [git.example]\n    methods: [\"*\"]\n    credential: git\n"
	"credentials:\n  anthropic:\n    source: {environment: ANTHROPIC_API_KEY}\n    hosts: "
	"[api.anthropic.com, \"*.anthropic.com\"]\n"
	"    strategy: header\n    header: {name: X-Api-Key, format: \"Key {secret}\"}\n"
	"    placeholder: {environment: ANTHROPIC_API_KEY, prefix: sk-ant-}\n"
	"  git:\n    source: {command: [pass, show, show], timeout: 2s}\n    hosts: [git.example]\n    "
	"strategy: placeholder\n"
	"    placeholder: {value: ghp_0123456789abcdef, in: [basic]}\n    scrub: false\n"
	"filesystem:\n  visible: [{path: ~/.cargo/registry}, {path: /opt/x, mode: write}]\n"
	"limits: {memory: 2GiB, cpus: 2, processes: 512, wall_time: 1h, requests: 10000, bytes: 10GiB}\n"
	"audit: {durable: true}\n";

static void everything_arrives(void **state)
{
	(void)state;
	const struct policy_credential *k;
	const struct policy_rule *r;
	struct policy_error e;
	struct policy *p;

	if (load(whole, &p, &e) != ERR_OK)
		fail_msg("%u:%u: %s", e.line, e.column, e.text);
	assert_true(str_eq(policy_name(p), STR("claude")) && policy_durable(p));
	r = policy_rule(p, 0);
	assert_true(str_eq(r->name, STR("anthropic")) && r->line == 4 && r->verdict == POLICY_ALLOW);
	assert_int_equal(r->credential, 0);
	assert_int_equal(r->request_body_max, 10 << 20);
	assert_int_equal(r->response_body_max, 1 << 30);
	assert_int_equal(r->address_count, 2);
	assert_int_equal(r->addresses[0].prefix, 104);
	assert_memory_equal(r->addresses[0].address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\0", 16);
	assert_int_equal(r->addresses[1].prefix, 8);
	r = policy_rule(p, 1);
	assert_true(str_eq(r->name, STR("rule 2")) && r->line == 17 && r->request_body_max == UINT64_MAX);
	assert_null(policy_rule(p, 2));
	k = policy_credential(p, 0);
	assert_true(k->source == POLICY_SOURCE_ENVIRONMENT &&
		    str_eq(k->environment, STR("ANTHROPIC_API_KEY")));
	assert_true(str_eq(k->header_name, STR("x-api-key")) &&
		    str_eq(k->header_format, STR("Key {secret}")));
	assert_true(str_eq(k->placeholder_prefix, STR("sk-ant-")) && k->placeholder.n == 0 && k->scrub);
	assert_int_equal(k->parts, 0);
	k = policy_credential(p, 1);
	assert_true(k->source == POLICY_SOURCE_COMMAND && k->command_count == 3 &&
		    k->command_timeout_ms == 2000);
	assert_true(k->strategy == POLICY_STRATEGY_PLACEHOLDER && k->parts == POLICY_IN_BASIC && !k->scrub);
	assert_true(str_eq(k->placeholder, STR("ghp_0123456789abcdef")));
	assert_null(policy_credential(p, 2));
	assert_true(str_eq(policy_filesystem(p)->visible[0].path, STR("/home/ann/.cargo/registry")));
	assert_int_equal(policy_filesystem(p)->visible[1].mode, POLICY_MODE_WRITE);
	assert_int_equal(policy_limits(p)->memory_bytes, 2ull << 30);
	assert_int_equal(policy_limits(p)->wall_time_ms, 3600000);
	assert_int_equal(policy_limits(p)->bytes, 10ull << 30);
	policy_free(p);
}

static struct str read_file(const char *name)
{
	static char text[65536];
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", TEST_SOURCE_ROOT, name);
	assert_non_null(f = fopen(path, "re"));
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	return str_make(text, n);
}

static void must_load(struct str s, const char *name)
{
	struct policy_error e;
	struct policy *p;

	if (policy_load(s, name, "/home/ann", &p, &e) != ERR_OK)
		fail_msg("%s:%u:%u: %s\n%.*s", name, e.line, e.column, e.text, STR_FMT(s));
	policy_free(p);
}

static void what_is_documented_loads(void **state)
{
	(void)state;
	static const char *const names[] = { "examples/claude.yaml", "examples/codex.yaml",
					     "examples/generic.yaml", "examples/observe.yaml" };
	unsigned blocks = 0;

	for (size_t i = 0; i < COUNT(names); i++)
		must_load(read_file(names[i]), names[i]);
	for (const char *at = read_file("docs/policy.md").p; (at = strstr(at, "```yaml\n")); blocks++) {
		const char *end = strstr(at += 8, "```");

		must_load(str_make(at, (size_t)(end - at)), "docs/policy.md");
	}
	assert_true(blocks >= 6);
}

/* Whatever the cut, the answer is a policy or a place: never a crash, never silence. */
static void every_cut_is_answered(void **state)
{
	(void)state;

	for (size_t n = 0; n < sizeof whole - 1; n++) {
		struct policy_error e = { 0 };
		struct policy *p = NULL;
		enum err err = policy_load(str_make(whole, n), "f", "/h", &p, &e);

		assert_true(err == ERR_OK || (err == ERR_POLICY_SYNTAX && e.line && e.text[0]));
		policy_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_beyond_a_policy_is_refused),
		cmocka_unit_test(wrong_shapes_are_refused),
		cmocka_unit_test(rules_that_mean_nothing_are_refused),
		cmocka_unit_test(dead_rules_are_refused),
		cmocka_unit_test(credentials_that_cannot_work_are_refused),
		cmocka_unit_test(files_and_limits_are_judged),
		cmocka_unit_test(a_file_can_be_too_large),
		cmocka_unit_test(an_empty_policy_has_safe_defaults),
		cmocka_unit_test(everything_arrives),
		cmocka_unit_test(what_is_documented_loads),
		cmocka_unit_test(every_cut_is_answered),
	};

	return cmocka_run_group_tests_name("policy_load", tests, NULL, NULL);
}
