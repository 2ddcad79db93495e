/* verb_ps.c - `paddock ps` and `paddock stop`: the live runs of this user */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/control.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_WAIT_MS 15000
#define STOP_STEP_MS 100

static const char *text_of(const json_t *o, const char *name)
{
	const char *z = json_string_value(json_object_get(o, name));

	return z ? z : "";
}

static void print_command(const json_t *command)
{
	size_t i;
	json_t *word;
	char clean[160];

	json_array_foreach(command, i, word) {
		const char *z = json_string_value(word);

		printf("%s%s", i ? " " : "", log_escape(str_of(z ? z : "?"), clean, sizeof clean));
	}
}

static bool print_row(void *ctx, const struct rundir_entry *e)
{
	unsigned *count = ctx;
	json_t *o = json_loadb(e->state.p, e->state.n, 0, NULL);

	if ((*count)++ == 0)
		printf("%-24s %-16s %-8s %-21s %s\n", "ID", "NAME", "PID", "STARTED", "COMMAND");
	printf("%-24s %-16s %-8lld %-21.19s ", e->id, o && *text_of(o, "name") ? text_of(o, "name") : "-",
	       o ? (long long)json_integer_value(json_object_get(o, "pid")) : 0,
	       o ? text_of(o, "started") : "starting");
	if (o)
		print_command(json_object_get(o, "command"));
	printf("\n");
	json_decref(o);
	return true;
}

static bool add_json(void *ctx, const struct rundir_entry *e)
{
	json_t *o = json_loadb(e->state.p, e->state.n, 0, NULL);

	if (!o)	/* it has not written its state yet */
		o = json_pack("{s:s}", "id", e->id);
	json_array_append_new(ctx, o);
	return true;
}

int verb_ps(int argc, char **argv)
{
	bool as_json = argc == 2 && !strcmp(argv[1], "--json");
	json_t *list = json_array();
	unsigned count = 0;
	auto_buf why = BUF_EMPTY;
	enum err e;

	buf_init(&why, PATHS_MAX);
	if (argc > 1 && !as_json) {
		log_error("ps: unknown argument %s; expected nothing, or --json", argv[1]);
		json_decref(list);
		return CLI_EXIT_USAGE;
	}
	(void)rundir_sweep();
	e = as_json ? rundir_each(add_json, list, &why) : rundir_each(print_row, &count, &why);
	if (e)
		log_error("ps: %s: %s", buf_z(&why), strerror(errno));
	else if (as_json)
		json_dumpf(list, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	else if (!count)
		printf("no sandbox is running\n");
	if (as_json && !e)
		printf("\n");
	json_decref(list);
	return e ? CLI_EXIT_FAILURE : 0;
}

/* --- stop --- */

struct search {
	const char *wanted;
	unsigned found;
	char path[PATHS_MAX], id[RUNDIR_ID_MAX];
};

static bool match(void *ctx, const struct rundir_entry *e)
{
	struct search *s = ctx;
	json_t *o = json_loadb(e->state.p, e->state.n, 0, NULL);
	bool hit = !strncmp(e->id, s->wanted, strlen(s->wanted)) ||
		   (o && !strcmp(text_of(o, "name"), s->wanted));

	json_decref(o);
	if (!hit)
		return true;
	s->found++;
	(void)snprintf(s->path, sizeof s->path, "%s", e->path);
	(void)snprintf(s->id, sizeof s->id, "%s", e->id);
	return true;
}

static bool still_there(void *ctx, const struct rundir_entry *e)
{
	struct search *s = ctx;

	if (!strcmp(e->id, s->id))
		s->found++;
	return true;
}

static int wait_for_end(struct search *s)
{
	auto_buf why = BUF_EMPTY;

	buf_init(&why, PATHS_MAX);
	for (unsigned waited = 0; waited < STOP_WAIT_MS; waited += STOP_STEP_MS) {
		s->found = 0;
		if (rundir_each(still_there, s, &why))
			return CLI_EXIT_FAILURE;
		if (!s->found)
			return 0;
		poll(NULL, 0, STOP_STEP_MS);
	}
	log_error("stop: %s was asked to stop and has not ended within %u s: kill its pid (see `paddock ps`)",
		  s->id, STOP_WAIT_MS / 1000);
	return CLI_EXIT_FAILURE;
}

int verb_stop(int argc, char **argv)
{
	struct search s = { .wanted = argc == 2 ? argv[1] : "" };
	auto_buf why = BUF_EMPTY, answer = BUF_EMPTY;

	buf_init(&why, PATHS_MAX);
	buf_init(&answer, 512);
	if (argc != 2 || !*s.wanted || s.wanted[0] == '-') {
		log_error("stop: expected one ID (or the beginning of one) or NAME; `paddock ps` lists them");
		return CLI_EXIT_USAGE;
	}
	if (rundir_each(match, &s, &why)) {
		log_error("stop: %s: %s", buf_z(&why), strerror(errno));
		return CLI_EXIT_FAILURE;
	}
	if (s.found != 1) {
		log_error(s.found ? "stop: %s names %u sandboxes: give more of the ID"
				  : "stop: no running sandbox is called %s (%u found): see `paddock ps`",
			  s.wanted, s.found);
		return CLI_EXIT_FAILURE;
	}
	if (control_request(s.path, STR("stop"), &answer)) {
		log_error("stop: %s does not answer: %s", s.id,
			  answer.len ? buf_z(&answer) : strerror(errno));
		return CLI_EXIT_FAILURE;
	}
	return wait_for_end(&s);
}
