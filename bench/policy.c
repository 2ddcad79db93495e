/* policy.c - how long one decision takes, at 10, 1,000 and 100,000 rules
 *
 * A policy of N rules: five rules for each host (a denied path, reading and writing of some paths, a
 * condition on the query, a wildcard for the rest), a rule for each zone of hosts, and one that observes
 * everything of a last zone. What is asked: hosts taken at random, so that with many rules the processor's
 * caches do not hold them; of eight questions five are allowed by a rule, one is denied by one, one by
 * default, one is for a host that no rule names. The time is CPU time of this thread, so that others on the
 * machine matter little; each number is the median over rounds in which the sizes take turns. A head that is
 * asked about has just been read from the link, so all of them are asked by way of one, and their bytes lie
 * in the order in which they are asked. "git" is the same with a protocol's rule last in each host's list.
 * "load" is what a reload costs the courier.
 *
 *   policy_bench [--quick] [--json]
 */
#include "policy/policy.h"

#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SIZES	      3
#define ROUNDS_MAX    31
#define QUESTIONS     65536
#define RULES_OF_HOST 5
#define HOSTS_OF_ZONE 20

static const uint32_t sizes[SIZES] = { 10, 1000, 100000 };

struct question {
	struct str method, host, path, query;
};

struct subject {
	uint32_t rules, hosts;
	struct policy *policy;
	double load_ms, bytes;
	struct question *questions;
	char *text;		  /* of the questions */
	double ns[2][ROUNDS_MAX]; /* hosts at random; one host alone */
};

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint32_t pick(uint32_t below)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % below;
}

static void put_host(struct buf *b, uint32_t h, bool git)
{
	char host[64];

	snprintf(host, sizeof host, "api%u.z%u.dev", h, h / HOSTS_OF_ZONE);
	/* short, for 100,000 of them have to fit into POLICY_BYTES_MAX */
	buf_printf(b, "- {hosts: [%s], methods: [\"*\"], paths: [/admin/**], verdict: deny}\n", host);
	buf_printf(b, "- {hosts: [%s], methods: [GET, HEAD], paths: [/v1/items/**, /v1/status]}\n", host);
	buf_printf(b, "- {hosts: [%s], methods: [POST, PUT], paths: [/v1/items/*]}\n", host);
	buf_printf(b, "- {hosts: [%s], methods: [GET], paths: [/v1/search], query: {q: \"?*\"}}\n", host);
	if (git)
		buf_printf(b, "- {hosts: [%s], git: {repositories: [team%u/*], access: fetch}}\n", host, h);
	else
		buf_printf(b, "- {hosts: [%s, s%u.com], methods: [GET], paths: [/assets/**/*.png]}\n", host,
			   h);
	if (h % HOSTS_OF_ZONE == HOSTS_OF_ZONE - 1)
		buf_printf(b, "- {hosts: [\"*.z%u.dev\"], methods: [GET], paths: [/health]}\n",
			   h / HOSTS_OF_ZONE);
}

static void make_policy(struct subject *s, bool git)
{
	struct policy_error e;
	struct mallinfo2 before;
	auto_buf text = BUF_EMPTY;
	double began;

	buf_init(&text, 64u << 20);
	buf_put_z(&text, "version: 1\nnetwork:\n");
	s->hosts = s->rules / RULES_OF_HOST;
	s->hosts -= s->hosts / HOSTS_OF_ZONE / RULES_OF_HOST;
	for (uint32_t h = 0; h < s->hosts; h++)
		put_host(&text, h, git);
	if (buf_err(&text) != ERR_OK || text.len > POLICY_BYTES_MAX)
		errx(1, "no memory");
	before = mallinfo2();
	began = cpu_ns();
	if (policy_load(buf_str(&text), "bench.yaml", "/", &s->policy, &e) != ERR_OK)
		errx(1, "%u:%u: %s", e.line, e.column, e.text);
	s->load_ms = (cpu_ns() - began) / 1e6;
	s->bytes = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before.uordblks - before.hblkhd);
	s->rules = policy_rule_count(s->policy);
}

static void make_questions(struct subject *s, bool git)
{
	enum { SPACE = 80 };
	static const struct {
		const char *method, *path, *query;
	} kinds[] = {
		{ "GET", "/v1/items/12345/parts/7", "" },    { "GET", "/v1/status", "" },
		{ "POST", "/v1/items/12345", "" },	     { "GET", "/v1/search", "lang=en&q=needle" },
		{ "GET", "/assets/img/icons/logo.png", "" }, { "DELETE", "/admin/users/5", "" },
		{ "DELETE", "/v1/items/12345", "" },	     { "GET", "/", "" },
	};

	s->questions = calloc(QUESTIONS, sizeof *s->questions);
	s->text = calloc(QUESTIONS, SPACE);
	if (!s->questions || !s->text)
		errx(1, "no memory");
	for (uint32_t i = 0; i < QUESTIONS; i++) {
		uint32_t kind = pick(8), h = pick(s->hosts);
		struct question *q = &s->questions[i];
		char *p = s->text + (size_t)i * SPACE;
		bool fetch = git && kind == 4;
		int host = snprintf(p, SPACE / 2, kind == 7 ? "api%u.z%u.org" : "api%u.z%u.dev", h,
				    h / HOSTS_OF_ZONE);
		int path = fetch ? snprintf(p + host, SPACE / 2, "/team%u/site.git/info/refs", h)
				 : snprintf(p + host, SPACE / 2, "%s", kinds[kind].path);

		*q = (struct question) { .method = str_of(kinds[kind].method),
					 .host = str_make(p, (size_t)host),
					 .path = str_make(p + host, (size_t)path),
					 .query = fetch ? STR("service=git-upload-pack")
							: str_of(kinds[kind].query) };
	}
}

static enum err ask(const struct subject *s, uint32_t i, const struct policy_rule **ret)
{
	static struct head head = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443 };
	const struct question *q = &s->questions[i];

	head.method = q->method;
	head.host = q->host;
	head.path = q->path;
	head.query = q->query;
	head.has_query = q->query.n > 0;
	return policy_match(s->policy, &head, ret);
}

/* Every kind of question is answered as its kind is, or the numbers would be of something else. */
static void check_answers(const struct subject *s)
{
	uint32_t allowed = 0, denied = 0, none = 0;

	for (uint32_t i = 0; i < QUESTIONS; i++) {
		const struct policy_rule *r = NULL;
		enum err e = ask(s, i, &r);

		allowed += e == ERR_OK && r->verdict == POLICY_ALLOW;
		denied += e == ERR_OK && r->verdict == POLICY_DENY;
		none += e != ERR_OK;
	}
	if (allowed < QUESTIONS / 2 || denied < QUESTIONS / 12 || none < QUESTIONS / 6)
		errx(1, "allowed %u, denied %u, by default %u: not what was meant", allowed, denied, none);
}

/* @spread: each question in turn, else eight of them again and again. */
static double measure(const struct subject *s, bool spread, uint32_t passes)
{
	const struct policy_rule *r;
	uint32_t good = 0;
	double began = cpu_ns(), spent;

	for (uint32_t pass = 0; pass < passes; pass++)
		for (uint32_t i = 0; i < QUESTIONS; i++)
			good += ask(s, spread ? i : i % 8, &r) == ERR_OK;
	spent = cpu_ns() - began;
	if (good == 0)
		errx(1, "nothing was allowed");
	return spent / ((double)passes * QUESTIONS);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof *v, ascending);
	return v[n / 2];
}

static void run(struct subject *all, bool git, uint32_t rounds)
{
	for (uint32_t i = 0; i < SIZES; i++) {
		all[i] = (struct subject) { .rules = sizes[i] };
		make_policy(&all[i], git);
		make_questions(&all[i], git);
		check_answers(&all[i]);
	}
	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < SIZES; i++) {
			all[i].ns[0][round] = measure(&all[i], true, 1);
			all[i].ns[1][round] = measure(&all[i], false, 1);
		}
}

static void print(struct subject *all, const char *name, uint32_t rounds, bool json, bool first)
{
	for (uint32_t i = 0; i < SIZES; i++) {
		double spread = median(all[i].ns[0], rounds), alone = median(all[i].ns[1], rounds);

		if (json)
			printf("%s\"decision_ns.%s.%u\": %.0f, \"decision_cached_ns.%s.%u\": %.0f, "
			       "\"load_ms.%s.%u\": %.1f, \"policy_mib.%s.%u\": %.2f",
			       first && i == 0 ? "{" : ",\n ", name, sizes[i], spread, name, sizes[i], alone,
			       name, sizes[i], all[i].load_ms, name, sizes[i], all[i].bytes / 1048576);
		else
			printf("%-6s %7u  %9.0f ns  %9.0f ns  %8.1f ms  %7.2f MiB\n", name, all[i].rules,
			       spread, alone, all[i].load_ms, all[i].bytes / 1048576);
		policy_free(all[i].policy);
		free(all[i].questions);
		free(all[i].text);
	}
}

int main(int argc, char **argv)
{
	static struct subject all[SIZES];
	uint32_t rounds = ROUNDS_MAX;
	bool json = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			rounds = 7;
		else if (strcmp(argv[i], "--json") == 0)
			json = true;
		else
			errx(2, "usage: policy_bench [--quick] [--json]");
	}
	if (!json)
		printf("rules         any host      few hosts        load      memory\n");
	for (int git = 0; git < 2; git++) {
		run(all, git, rounds);
		print(all, git ? "git" : "http", rounds, json, git == 0);
	}
	fputs(json ? "}\n" : "", stdout);
	return 0;
}
