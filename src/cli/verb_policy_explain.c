/* verb_policy_explain.c - `paddock policy explain`: what would be decided of a request, and why
 *
 * The request is made of words as a person writes them (request.c), what its body or a registry's metadata
 * would tell is said by options: they become the facts that paddock-decoder and the metadata give in an
 * exchange (policy/protocol.h).
 */
#include "cli/cli.h"
#include "cli/policy_file.h"
#include "cli/request.h"
#include "policy/protocol.h"

#include <stdio.h>

#define DAYS_MAX 100000
#define DAY_S 86400

struct question {
	const char *word[3]; /* file, method, URL */
	unsigned words;
	bool json, tunnel; /* tunnel: CONNECT HOST:PORT */
	struct protocol_facts told;
};

static int too_much(enum err e) { return e == ERR_OK ? 0 : cli_usage("policy", "explain: %s", err_text(e)); }

/* NAME[:create|update|delete|force]; a name without "refs/" is a branch's. */
static int take_ref(struct question *q, const char *text)
{
	static const struct { struct str word, change, forced; } changes[] = {
		{ STR_INIT("create"), STR_INIT("create"), STR_INIT("") },
		{ STR_INIT("update"), STR_INIT("update"), STR_INIT("no") },
		{ STR_INIT("delete"), STR_INIT("delete"), STR_INIT("") },
		{ STR_INIT("force"), STR_INIT("update"), STR_INIT("yes") },
	};
	struct str whole = str_of(text), name = str_head(whole, str_find(whole, ':')),
		   how = str_from(whole, name.n + 1);
	auto_buf ref = BUF_EMPTY;
	size_t i = 0;
	enum err e;

	buf_init(&ref, 1024);
	buf_put_z(&ref, str_starts(name, STR("refs/")) ? "" : "refs/heads/");
	buf_put(&ref, name);
	while (i < sizeof changes / sizeof *changes && !str_eq(how, changes[i].word))
		i++;
	if (name.n == 0 || buf_err(&ref) != ERR_OK ||
	    (name.n < whole.n && i == sizeof changes / sizeof *changes))
		return cli_usage("policy",
				 "explain: expected --ref NAME, or NAME:create, :update, :delete, :force");
	e = protocol_facts_add(&q->told, STR("git.ref"), buf_str(&ref));
	if (e == ERR_OK && name.n < whole.n)
		e = protocol_facts_add(&q->told, STR("git.change"), changes[i].change);
	if (e == ERR_OK && name.n < whole.n && changes[i].forced.n)
		e = protocol_facts_add(&q->told, STR("git.forced"), changes[i].forced);
	return too_much(e);
}

static int take_age(struct question *q, const char *text)
{
	char seconds[24];
	uint64_t days;

	if (!str_decimal(str_of(text), DAYS_MAX, &days))
		return cli_usage("policy", "explain: expected --age DAYS, at most %d", DAYS_MAX);
	snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)days * DAY_S);
	return too_much(protocol_facts_add(&q->told, STR("registry.age"), str_of(seconds)));
}

static int take_version(struct question *q, const char *text)
{
	if (!text[0])
		return cli_usage("policy", "explain: expected --package-version VERSION");
	return too_much(protocol_facts_add(&q->told, STR("registry.version"), str_of(text)));
}

/* Headers are added when the request stands. */
static int take_header(struct question *q, const char *text)
{
	(void)q;
	(void)text;
	return 0;
}

static int take_option(struct question *q, const char *name, const char *value)
{
	static const struct {
		const char *name, *fact, *wants;
		int (*take)(struct question *q, const char *text);
	} options[] = {
		{ "--header", NULL, "NAME:VALUE", take_header },
		{ "--ref", "git.ref", "NAME[:create|update|delete|force]", take_ref },
		{ "--age", "registry.age", "DAYS", take_age },
		{ "--package-version", "registry.version", "VERSION", take_version },
	};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		if (strcmp(name, options[i].name) != 0)
			continue;
		if (!value)
			return cli_usage("policy", "explain: %s needs %s", name, options[i].wants);
		if (options[i].fact && protocol_fact_find(&q->told, str_of(options[i].fact)).n)
			return cli_usage("policy", "explain: %s is given twice", name);
		return options[i].take(q, value);
	}
	return cli_usage("policy", "explain: unknown option %.80s", name);
}

static int take_question(struct question *q, int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i < argc && !status; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			q->json = true;
		} else if (argv[i][0] == '-') {
			status = take_option(q, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
			i++;
		} else if (q->words == 3) {
			return cli_usage("policy", "explain: expected FILE METHOD URL, and there is more");
		} else {
			q->word[q->words++] = argv[i];
		}
	}
	if (status)
		return status;
	if (q->words != 3)
		return cli_usage("policy", "explain: expected FILE METHOD URL, or FILE CONNECT HOST:PORT");
	q->tunnel = strcmp(q->word[1], "CONNECT") == 0;
	if (q->tunnel && q->told.count)
		return cli_usage("policy", "explain: nothing is told of what a connection carries");
	return 0;
}

static enum err add_headers(struct request *r, int argc, char **argv, struct buf *why)
{
	enum err e = ERR_OK;

	for (int i = 1; i < argc && e == ERR_OK; i++) {
		if (strcmp(argv[i], "--header") == 0)
			e = request_header(r, argv[i + 1], why);
		i += argv[i][0] == '-' && strcmp(argv[i], "--json") != 0;
	}
	return e;
}

static int cannot_explain(const char *reason, int status)
{
	fprintf(stderr, "paddock policy explain: %s\n", reason);
	return status;
}

static int answer_request(const struct policy *p, const struct head *head, const struct question *q)
{
	static const int statuses[] = {
		[POLICY_ANSWER_PASSES] = 0,
		[POLICY_ANSWER_DENIED] = CLI_EXIT_FAILURE,
		[POLICY_ANSWER_UNDECIDED] = CLI_EXIT_UNDECIDED,
	};
	enum policy_answer answer;
	auto_buf out = BUF_EMPTY;
	enum err e;

	buf_init(&out, 65536);
	e = policy_explain_told(p, head, &q->told, q->json, &out, &answer);
	if (e != ERR_OK)
		return cannot_explain(err_text(e), CLI_EXIT_OURS);
	if (answer == POLICY_ANSWER_FOREIGN)
		return cannot_explain(buf_z(&out), CLI_EXIT_USAGE);
	fwrite(out.p, 1, out.len, stdout);
	return statuses[answer];
}

static bool tunnel_allowed(const struct policy *p, struct str host, uint16_t port)
{
	const struct policy_rule *rule;

	return (policy_match_tunnel(p, POLICY_KIND_TCP, host, port, &rule) == ERR_OK ||
		policy_match_tunnel(p, POLICY_KIND_PASSTHROUGH, host, port, &rule) == ERR_OK) &&
	       rule->verdict != POLICY_DENY;
}

static int answer_tunnel(const struct policy *p, const struct head *target, bool json)
{
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 65536);
	if (policy_explain_tunnel(p, target->host, target->port, json, &out) != ERR_OK)
		return cannot_explain(err_text(buf_err(&out)), CLI_EXIT_OURS);
	fwrite(out.p, 1, out.len, stdout);
	return tunnel_allowed(p, target->host, target->port) ? 0 : CLI_EXIT_FAILURE;
}

/* The request of the question, or with CONNECT its target alone. */
static enum err make_request(struct request *r, const struct question *q, int argc, char **argv,
			     struct buf *why)
{
	enum err e;

	if (q->tunnel)
		return request_target(r, q->word[2], why);
	e = request_make(r, q->word[1], q->word[2], why);
	return e == ERR_OK ? add_headers(r, argc, argv, why) : e;
}

static int answer(const struct question *q, int argc, char **argv)
{
	struct request r = { 0 };
	struct policy *p = NULL;
	auto_buf text = BUF_EMPTY, why = BUF_EMPTY;
	int status;

	buf_init(&text, 0);
	buf_init(&why, 1024);
	if (make_request(&r, q, argc, argv, &why) != ERR_OK) {
		status = cannot_explain(buf_z(&why), CLI_EXIT_USAGE);
	} else {
		p = policy_file_load(q->word[0], &text);
		if (!p)
			status = CLI_EXIT_OURS;
		else
			status = q->tunnel ? answer_tunnel(p, &r.head, q->json)
					   : answer_request(p, &r.head, q);
	}
	policy_free(p);
	request_free(&r);
	return status;
}

int verb_policy_explain(int argc, char **argv)
{
	struct question q = { .words = 0 };
	int status;

	protocol_facts_init(&q.told);
	status = take_question(&q, argc, argv);
	if (!status)
		status = answer(&q, argc, argv);
	protocol_facts_free(&q.told);
	return status;
}
