/* verb_policy.c - `paddock policy check|trust|untrust|trusted`; explain is in verb_policy_explain.c */
#include "base/log.h"
#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/policy_file.h"
#include "cli/trust.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN 512

static void put_clean(struct str s)
{
	char clean[SHOWN];

	fputs(log_escape(s, clean, sizeof clean), stdout);
}

/* --- check --- */

static bool check_one(const char *path)
{
	auto_buf text = BUF_EMPTY;
	struct policy *p = policy_file_load(path, &text);

	if (!p)
		return false;
	printf("%s: valid: rules: %u, credentials: %u, trusted: %s\n", path, policy_rule_count(p),
	       policy_credential_count(p), trust_is_trusted(buf_str(&text)) ? "yes" : "no");
	policy_free(p);
	return true;
}

static int check(int argc, char **argv)
{
	bool good = true;

	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-')
			return cli_usage("policy", "check: unknown option %.80s", argv[i]);
	if (argc == 1)
		return check_one(POLICY_FILE_DEFAULT) ? 0 : CLI_EXIT_FAILURE;
	for (int i = 1; i < argc; i++)
		good = check_one(argv[i]) && good;
	return good ? 0 : CLI_EXIT_FAILURE;
}

/* --- trust --- */

static void print_list(const char *before, const struct str *list, uint32_t count)
{
	fputs(before, stdout);
	for (uint32_t i = 0; i < count; i++) {
		fputs(i ? " " : "", stdout);
		put_clean(list[i]);
	}
}

/* A token's parts have sources of their own, and its endpoint receives the secret. */
static void print_token(const struct policy_token *t)
{
	if (t && t->client_secret_environment.n)
		print_list(", with the variable ", &t->client_secret_environment, 1);
	if (t && t->actor_token_environment.n)
		print_list(", with the variable ", &t->actor_token_environment, 1);
	if (t && t->host.n)
		print_list(", tokens from ", &t->host, 1);
}

/* What is being trusted beyond the network: where secrets come from, what runs on the host. */
static void print_reach(const struct policy *p)
{
	const struct policy_filesystem *f = policy_filesystem(p);

	for (uint32_t i = 0; i < policy_credential_count(p); i++) {
		const struct policy_credential *k = policy_credential(p, i);

		fputs("  credential ", stdout);
		put_clean(k->name);
		if (k->source == POLICY_SOURCE_ENVIRONMENT)
			print_list(", from the variable ", &k->environment, 1);
		else if (k->source == POLICY_SOURCE_FILE)
			print_list(", from the file ", &k->file, 1);
		else if (k->source == POLICY_SOURCE_SEALED)
			print_list(", from the sealed store: ", &k->sealed, 1);
		else
			print_list(", from the command: ", k->command, k->command_count);
		print_token(k->token);
		print_list(", for ", k->hosts, k->host_count);
		fputs("\n", stdout);
	}
	for (uint32_t i = 0; i < f->visible_count; i++) {
		fputs(f->visible[i].mode == POLICY_MODE_WRITE ? "  can write " : "  can see ", stdout);
		put_clean(f->visible[i].path);
		fputs("\n", stdout);
	}
}

static int trust(int argc, char **argv)
{
	const char *file = argc > 1 ? argv[1] : POLICY_FILE_DEFAULT;
	struct policy *p;
	auto_buf text = BUF_EMPTY, why = BUF_EMPTY;
	char *path;
	enum err e;

	buf_init(&text, 0);
	buf_init(&why, PATHS_MAX + 256);
	if (argc > 2 || file[0] == '-')
		return cli_usage("policy", "trust: expected at most one FILE");
	p = policy_file_load(file, &text);
	if (!p)
		return CLI_EXIT_FAILURE;
	path = realpath(file, NULL);
	e = trust_add(policy_digest(p), path ? path : file, &why);
	free(path);
	if (e == ERR_OK) {
		printf("trusted: %s as it is now (rules: %u); after a change it needs to be trusted again\n",
		       file, policy_rule_count(p));
		print_reach(p);
	} else {
		fprintf(stderr, "paddock policy trust: %.*s\n", STR_FMT(buf_str(&why)));
	}
	policy_free(p);
	return e == ERR_OK ? 0 : CLI_EXIT_FAILURE;
}

/* A file's digest; a file need not be a valid policy to lose its trust. */
static bool digest_of(const char *word, char ret[DIGEST_HEX_BYTES])
{
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 0);
	if (trust_is_digest(str_of(word))) {
		memcpy(ret, word, DIGEST_HEX_BYTES);
		return true;
	}
	return policy_file_read(word, &text) && digest_hex(text.p, text.len, ret);
}

static int untrust(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : POLICY_FILE_DEFAULT;
	char digest[DIGEST_HEX_BYTES];
	bool removed;
	auto_buf why = BUF_EMPTY;

	buf_init(&why, PATHS_MAX + 256);
	if (argc > 2 || word[0] == '-')
		return cli_usage("policy", "untrust: expected at most one FILE or DIGEST");
	if (!digest_of(word, digest))
		return CLI_EXIT_FAILURE;
	if (trust_remove(digest, &removed, &why) != ERR_OK) {
		fprintf(stderr, "paddock policy untrust: %.*s\n", STR_FMT(buf_str(&why)));
		return CLI_EXIT_FAILURE;
	}
	if (!removed) {
		fprintf(stderr, "paddock policy untrust: %s was not trusted\n", word);
		return CLI_EXIT_FAILURE;
	}
	printf("no longer trusted: %s\n", word);
	return 0;
}

struct listing {
	bool json, any;
};

static void list_one(void *ctx, struct str digest, struct str path)
{
	struct listing *l = ctx;

	if (!l->json)
		printf("%.*s  ", STR_FMT(digest));
	else
		printf("%s\n  {\"digest\": \"%.*s\", \"path\": \"", l->any ? "," : "", STR_FMT(digest));
	for (size_t i = 0; i < path.n; i++) {
		uint8_t c = (uint8_t)path.p[i];

		if (l->json && (c == '"' || c == '\\'))
			printf("\\%c", c);
		else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !str_is_utf8(path)))
			fputs("?", stdout);
		else
			fputc(c, stdout);
	}
	fputs(l->json ? "\"}" : "\n", stdout);
	l->any = true;
}

static int trusted(int argc, char **argv)
{
	struct listing l = { .json = argc == 2 && strcmp(argv[1], "--json") == 0 };
	auto_buf why = BUF_EMPTY;

	buf_init(&why, PATHS_MAX + 256);
	if (argc > 1 && !l.json)
		return cli_usage("policy", "trusted: expected nothing, or --json");
	fputs(l.json ? "[" : "", stdout);
	if (trust_each(list_one, &l, &why) != ERR_OK) {
		fprintf(stderr, "paddock policy trusted: %.*s\n", STR_FMT(buf_str(&why)));
		return CLI_EXIT_FAILURE;
	}
	fputs(l.json ? (l.any ? "\n]\n" : "]\n") : (l.any ? "" : "no policy is trusted\n"), stdout);
	return 0;
}

int verb_policy(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int, char **);
	} verbs[] = {
		{ "check", check },	{ "explain", verb_policy_explain }, { "trust", trust },
		{ "untrust", untrust }, { "trusted", trusted },
	};
	const char *words[sizeof verbs / sizeof *verbs], *near;
	char shown[80];

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		words[i] = verbs[i].name;
		if (argc < 2 || strcmp(argv[1], verbs[i].name) != 0)
			continue;
		if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))
			return cli_help("policy");
		return verbs[i].run(argc - 1, argv + 1);
	}
	if (argc < 2)
		return cli_usage("policy", "expected check, explain, trust, untrust or trusted");
	near = nearest(str_of(argv[1]), words, sizeof words / sizeof *words);
	return cli_usage("policy",
			 near ? "there is no '%s': did you mean '%s'?"
			      : "there is no '%s': expected check, explain, trust, untrust or trusted%s",
			 log_escape(str_of(argv[1]), shown, sizeof shown), near ? near : "");
}
