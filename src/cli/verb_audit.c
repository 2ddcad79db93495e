/* verb_audit.c - paddock audit show|follow|verify|export
 *
 * Reads the trails below $XDG_STATE_HOME/paddock/trails and nothing else; writes only what
 * --output names. A trail may have been changed by whoever can write there: show, follow and
 * export hand on what stands in it (show and follow escaped, for a terminal), verify judges it.
 */
#include "cli/cli.h"

#include "audit/audit.h"
#include "audit/json.h"
#include "audit/note.h"
#include "audit/trail.h"
#include "base/auto.h"
#include "cli/audit_find.h"
#include "cli/audit_table.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define EXIT_VERIFIED 0
#define EXIT_BROKEN 1
#define FOLLOW_LOOK_MS 500	/* at least that often: inotify is a hint */
#define KEY_FILE_MAX ((size_t)4096)

static const char help[] =
	"usage: paddock audit show   [--json] [--all] [--name NAME | ID]\n"
	"       paddock audit follow [--json] [--all] [--name NAME | ID]\n"
	"       paddock audit verify [--json] [--strict] [--public-key FILE] [--name NAME | ID | --all]\n"
	"       paddock audit export [--output FILE] [--name NAME | ID]\n"
	"\n"
	"The trail of a sandbox: what it asked for, what was decided, what came of it. ID is a sandbox id\n"
	"or the beginning of one; without it the newest trail is meant.\n"
	"\n"
	"show     a table; --all adds names that were answered, connections, checkpoints;\n"
	"         --json the records as they are stored\n"
	"follow   as show, and goes on until the sandbox stops\n"
	"verify   is every record there, in order, unchanged and signed? Exit status: 0 yes (what is\n"
	"         missing because the sandbox was killed or still runs is named), 1 no, 125 could not tell.\n"
	"         --strict: 1 also if anything is missing; --all: every trail. The public key is\n"
	"         that of this installation, $XDG_STATE_HOME/paddock/checkpoint.pub, if no file is named.\n"
	"export   the records as JSON Lines, to standard output or to FILE\n"
	"\n"
	"examples:\n"
	"  paddock audit show\n"
	"  paddock audit follow --name refactoring\n"
	"  paddock audit verify --all\n"
	"  paddock audit verify --public-key checkpoint.pub 3f9a\n"
	"  paddock audit export 3f9a | jq 'select(.kind == \"denial\")'\n";

struct request {
	const char *verb, *id, *name, *public_key, *output;
	bool json, all, strict;
};

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *format, ...)
{
	va_list args;

	fputs("paddock audit: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return CLI_EXIT_OURS;
}

/* --- what was asked for --- */

static const struct option {
	const char *name, *verbs;	/* verbs: those that know it */
	size_t offset;
	bool takes_value;
} options[] = {
	{ "--json", "show follow verify", offsetof(struct request, json), false },
	{ "--all", "show follow verify", offsetof(struct request, all), false },
	{ "--strict", "verify", offsetof(struct request, strict), false },
	{ "--name", "show follow verify export", offsetof(struct request, name), true },
	{ "--public-key", "verify", offsetof(struct request, public_key), true },
	{ "--output", "export", offsetof(struct request, output), true },
};

/* One option at argv[*i]; its value may be behind '=' or the next argument. */
static int take_option(struct request *q, int argc, char **argv, int *i)
{
	struct str given = str_head(str_of(argv[*i]), str_find(str_of(argv[*i]), '='));
	bool attached = given.n < strlen(argv[*i]);

	for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
		const struct option *o = &options[k];
		const char *value;

		if (!str_eq(given, str_of(o->name)) || !strstr(o->verbs, q->verb))
			continue;
		if (!o->takes_value) {
			if (attached)
				return cli_usage("audit", "%s takes no value", o->name);
			*(bool *)((char *)q + o->offset) = true;
			return 0;
		}
		if (!attached && *i + 1 == argc)
			return cli_usage("audit", "%s needs a value", o->name);
		value = attached ? argv[*i] + given.n + 1 : argv[++*i];
		memcpy((char *)q + o->offset, &value, sizeof value);
		return 0;
	}
	return cli_usage("audit", "%s has no option \"%.64s\"", q->verb, argv[*i]);
}

static int take_arguments(struct request *q, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] == '-') {
			int e = take_option(q, argc, argv, &i);

			if (e)
				return e;
		} else if (q->id) {
			return cli_usage("audit", "more than one trail is named: \"%.64s\", \"%.64s\"", q->id,
					 argv[i]);
		} else {
			q->id = argv[i];
		}
	}
	if (q->id && q->name)
		return cli_usage("audit", "--name and an id exclude each other");
	if (q->all && strcmp(q->verb, "verify") == 0 && (q->id || q->name))
		return cli_usage("audit", "--all and a single trail exclude each other");
	return 0;
}

static int open_trails(struct buf *state, int *ret)
{
	int fd;

	buf_init(state, PATHS_MAX);
	if (paths_directory(PATHS_STATE, state))
		return complain("the state directory cannot be used: %.*s", STR_FMT(buf_str(state)));
	buf_put_z(state, "/trails");
	if (!buf_z(state))
		return complain("the state directory's path is too long");
	fd = open(buf_z(state), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return complain("there is no trail yet: `paddock run` writes the first");
	if (fd < 0)
		return complain("%s: %s", buf_z(state), strerror(errno));
	state->len -= strlen("/trails");
	*ret = fd;
	return 0;
}

static int find(int trails, const struct request *q, struct audit_found *ret)
{
	auto_buf why = BUF_EMPTY;

	buf_init(&why, 1024);
	if (audit_find(trails, q->id, q->name, ret, &why))
		return complain("%.*s", STR_FMT(buf_str(&why)));
	return 0;
}

/* --- show, follow, export --- */

static int flush(FILE *out)
{
	return fflush(out) || ferror(out) ? complain("writing failed: %s", strerror(errno)) : 0;
}

/* All lines that are there as of now. *@ret_stopped: one was a stop record. */
static int pass_on(struct trail *t, struct audit_table *table, FILE *out, bool *ret_stopped)
{
	const struct json_value *kind;
	struct json_object o;
	struct str line;
	enum err e;

	while (!(e = trail_next(t, &line))) {
		if (json_object_read(line, &o) == ERR_OK) {
			kind = json_member(&o, "kind", JSON_STRING);
			*ret_stopped |= kind && str_eq(kind->text, STR("\"stop\""));
		}
		if (table)
			audit_table_line(table, line);
		else if (fwrite(line.p, 1, line.n, out) != line.n || fputc('\n', out) == EOF)
			break;
	}
	if (flush(out))
		return CLI_EXIT_OURS;
	if (e == ERR_AUDIT_BROKEN)
		return complain("%s", trail_fault(t));
	return e == ERR_MORE || e == ERR_OK ? 0 : complain("the trail cannot be read: %s", strerror(errno));
}

/* Until the trail ends: its stop record came, or nobody writes it any more. */
static int keep_passing_on(const struct audit_found *found, struct trail *t, struct audit_table *table)
{
	auto_fd watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64], events[4096];
	bool stopped = false, last = false;
	int e;

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", found->directory);
	if (watch >= 0)
		(void)inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE | IN_CLOSE_WRITE);
	for (;;) {
		struct pollfd p = { .fd = watch, .events = POLLIN };

		e = pass_on(t, table, stdout, &stopped);
		if (e || last)
			break;
		last = !trail_is_being_written(t);	/* then one more look: for what came just before */
		if (last)
			continue;
		(void)poll(&p, 1, FOLLOW_LOOK_MS);
		while (watch >= 0 && read(watch, events, sizeof events) > 0)
			;
	}
	if (!e && !stopped)
		(void)complain("the trail ends without a stop record, and nobody writes it any more");
	return e;
}

static int show(int trails, const struct request *q, bool follow)
{
	struct audit_table *table = NULL;
	struct audit_found found;
	auto_trail t = NULL;
	bool stopped = false;
	int e = find(trails, q, &found);

	if (e)
		return e;
	if (trail_open(found.directory, &t) || (!q->json && !(table = audit_table_new(stdout, q->all))))
		e = complain("out of memory");
	else if (follow)
		e = keep_passing_on(&found, t, table);
	else
		e = pass_on(t, table, stdout, &stopped);
	if (table) {
		audit_table_end(table);
		audit_table_free(table);
	}
	close(found.directory);
	return e ? e : flush(stdout);
}

static int export(int trails, const struct request *q)
{
	struct audit_found found;
	auto_trail t = NULL;
	FILE *out = stdout;
	bool stopped = false;
	int fd, e = find(trails, q, &found);

	if (e)
		return e;
	if (q->output) {
		fd = open(q->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		out = fd < 0 ? NULL : fdopen(fd, "w");
	}
	if (!out)
		e = complain("%s: %s", q->output, strerror(errno));
	else if (trail_open(found.directory, &t))
		e = complain("out of memory");
	else
		e = pass_on(t, NULL, out, &stopped);
	if (out && out != stdout && fclose(out))
		e = complain("%s: %s", q->output, strerror(errno));
	close(found.directory);
	return e;
}

/* --- verify --- */

struct verification {
	const struct request *request;
	uint8_t key[NOTE_KEY_BYTES];
	unsigned trails;
	int worst;
};

static int read_key(const struct request *q, struct buf *state, uint8_t ret[NOTE_KEY_BYTES])
{
	const char *path = q->public_key;
	struct str name;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 3 * KEY_FILE_MAX);	/* paths_read() looks ahead by as much */
	if (!path) {
		buf_put_z(state, "/checkpoint.pub");
		path = buf_z(state);
	}
	if (!path)
		return complain("the state directory's path is too long");
	if (paths_read(path, KEY_FILE_MAX, &text))
		return complain("the public key %s cannot be read (%s): name that of the installation "
				"which wrote the trail with --public-key", path, strerror(errno));
	if (note_read_verifier(buf_str(&text), &name, ret))
		return complain("%s holds no verifier key: \"<name>+<8 hex digits>+<base64>\" is expected",
				path);
	return 0;
}

static void print_json(const char *id, bool holds, bool complete, const struct audit_report *r)
{
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 8192);
	buf_printf(&text,
		   "{\"bad_seq\":%llu,\"checkpoints\":%llu,\"complete\":%s,\"intents\":%llu,"
		   "\"open_intents\":%llu,\"outcomes\":%llu,\"records\":%llu,\"sandbox\":\"%s\","
		   "\"signed_seq\":%llu,\"stopped\":%s,\"text\":",
		   (unsigned long long)r->bad_seq, (unsigned long long)r->checkpoints,
		   complete ? "true" : "false",
		   (unsigned long long)r->intents, (unsigned long long)r->open_intents,
		   (unsigned long long)r->outcomes, (unsigned long long)r->records, id,
		   (unsigned long long)r->last_checkpoint_seq, r->stopped ? "true" : "false");
	json_put_string(&text, str_of(r->text));
	buf_printf(&text, ",\"torn_tail\":%s,\"verified\":%s}", r->torn_tail ? "true" : "false",
		   holds ? "true" : "false");
	printf("%.*s\n", STR_FMT(buf_str(&text)));
}

static int verify_one(const struct request *q, const struct audit_found *found, const uint8_t *key)
{
	struct audit_report r = { 0 };
	enum err e = audit_verify(found->directory, str_of(found->id), key, &r);
	bool holds = e == ERR_OK, complete = holds && !r.text[0];

	if (e && e != ERR_AUDIT_BROKEN)
		return complain("%s cannot be read: %s", found->id, strerror(errno));
	if (q->json)
		print_json(found->id, holds, complete, &r);
	else if (!holds)
		printf("%s: BROKEN: %s\n", found->id, r.text);
	else
		printf("%s: verified: %llu records, %llu requests, %llu checkpoints%s%s\n", found->id,
		       (unsigned long long)r.records, (unsigned long long)r.intents,
		       (unsigned long long)r.checkpoints, complete ? "" : "; missing: ", r.text);
	return holds && (complete || !q->strict) ? EXIT_VERIFIED : EXIT_BROKEN;
}

static bool verify_each(void *ctx, const struct audit_found *found)
{
	struct verification *v = ctx;
	int e = verify_one(v->request, found, v->key);

	v->trails++;
	if (e > v->worst)
		v->worst = e;
	return true;
}

static int verify(int trails, struct buf *state, const struct request *q)
{
	struct verification v = { .request = q };
	struct audit_found found;
	auto_buf why = BUF_EMPTY;
	int e;

	buf_init(&why, 1024);
	e = read_key(q, state, v.key);
	if (!e && !q->all)
		e = find(trails, q, &found);
	if (e)
		return e;
	if (q->all) {
		if (audit_find_each(trails, verify_each, &v, &why))
			return complain("%.*s", STR_FMT(buf_str(&why)));
		if (v.trails == 0)
			return complain("there is no trail yet: `paddock run` writes the first");
	} else {
		(void)verify_each(&v, &found);
		close(found.directory);
	}
	return flush(stdout) ? CLI_EXIT_OURS : v.worst;
}

static int answer(const struct request *q)
{
	auto_fd trails = -1;
	auto_buf state = BUF_EMPTY;
	int e = open_trails(&state, &trails);

	if (e)
		return e;
	if (strcmp(q->verb, "verify") == 0)
		return verify(trails, &state, q);
	if (strcmp(q->verb, "export") == 0)
		return export(trails, q);
	return show(trails, q, strcmp(q->verb, "follow") == 0);
}

int verb_audit(int argc, char **argv)
{
	static const char *const verbs[] = { "show", "follow", "verify", "export" };
	struct request q = { 0 };
	int e;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(help, stdout);
			return flush(stdout) ? CLI_EXIT_FAILURE : 0;
		}
	}
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(argv[1], verbs[i]) == 0)
			q.verb = verbs[i];
	if (!q.verb)
		return cli_usage("audit", "show, follow, verify or export is expected%s%.64s",
				 argc > 1 ? ", not " : "", argc > 1 ? argv[1] : "");
	e = take_arguments(&q, argc, argv);
	if (e)
		return e;
	e = answer(&q);
	/* Only verify answers a question, where "could not tell" is not "no". */
	return e == CLI_EXIT_OURS && strcmp(q.verb, "verify") != 0 ? CLI_EXIT_FAILURE : e;
}
