/* audit_table.c - a trail as a table for people: a row a request, a denial, an event
 *
 * Theory of operation: an intent waits here until its outcome comes, then both are one row. What
 * waits is bounded: if too many do, the oldest is shown as it is. Every value has been in the
 * hands of the agent or of an upstream, so that each byte outside of printable ASCII is escaped
 * before it reaches the terminal. A line that is not ours is shown as such, and stops nothing:
 * to judge is the task of `paddock audit verify`.
 */
#include "cli/audit_table.h"

#include "audit/audit.h"
#include "audit/json.h"
#include "base/log.h"

#include <stdlib.h>

#define WAITING_MAX 1024
#define CELL_MAX 256
#define URL_CELL_MAX 8192

struct waiting {
	char request[65];
	char *line;		/* its own copy */
	size_t line_bytes;
};

struct audit_table {
	FILE *out;
	bool everything, headed;
	size_t waiting_count;
	struct waiting waiting[WAITING_MAX];
};

struct row {
	char time[16], process[24], verdict[24], method[24], status[32], bytes[24], rule[64];
	char what[URL_CELL_MAX];
};

struct audit_table *audit_table_new(FILE *out, bool everything)
{
	struct audit_table *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->out = out;
	t->everything = everything;
	return t;
}

void audit_table_free(struct audit_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->waiting_count; i++)
		free(t->waiting[i].line);
	free(t);
}

/* --- cells --- */

/* Member @name as text, escaped, into @cell; what is no text stands as it is. False: not there. */
static bool cell(const struct json_object *o, const char *name, char *out, size_t cap)
{
	const struct json_value *v = NULL;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, AUDIT_RECORD_MAX);
	for (size_t i = 0; i < o->count && !v; i++)
		if (str_eq(o->members[i].name, str_of(name)))
			v = &o->members[i].value;
	if (!v)
		return false;
	if (v->type == JSON_STRING && json_text(v->text, &text) == ERR_OK)
		(void)log_escape(buf_str(&text), out, cap);
	else
		(void)log_escape(v->text, out, cap);
	return true;
}

static bool has_kind(const struct json_object *o, const char *kind)
{
	const struct json_value *v = json_member(o, "kind", JSON_STRING);

	return v && v->text.n == strlen(kind) + 2 && memcmp(v->text.p + 1, kind, v->text.n - 2) == 0;
}

static void copy(char *out, size_t cap, const char *from) { (void)snprintf(out, cap, "%s", from); }

/* What does not fit is cut. */
static void append(char *out, size_t cap, const char *more)
{
	size_t used = strlen(out), n = strlen(more);

	if (n > cap - used - 1)
		n = cap - used - 1;
	memcpy(out + used, more, n);
	out[used + n] = 0;
}

/* Who asked: the executable's last part and its pid; else the process whose word it is. */
static void process_cell(const struct json_object *o, struct row *r)
{
	const struct json_value *asked = json_member(o, "asked_by", JSON_OBJECT);
	char exe[CELL_MAX] = "", pid[24] = "";
	struct json_object who;
	const char *slash;

	if (!asked || json_object_read(asked->text, &who) || !cell(&who, "exe", exe, sizeof exe)) {
		(void)cell(o, "process", r->process, sizeof r->process);
		return;
	}
	(void)cell(&who, "pid", pid, sizeof pid);
	slash = strrchr(exe, '/');
	(void)snprintf(r->process, sizeof r->process, "%.13s[%.7s]", slash ? slash + 1 : exe, pid);
}

static void time_cell(const struct json_object *o, struct row *r)
{
	char time[40] = "";

	/* "2026-11-22T01:02:03.004005Z": the time of day to the millisecond */
	if (cell(o, "time", time, sizeof time) && strlen(time) == 27)
		(void)snprintf(r->time, sizeof r->time, "%.12s", time + 11);
}

static void common_cells(const struct json_object *o, struct row *r)
{
	time_cell(o, r);
	process_cell(o, r);
	(void)cell(o, "method", r->method, sizeof r->method);
	(void)cell(o, "rule", r->rule, sizeof r->rule);
	if (!cell(o, "url", r->what, sizeof r->what))
		(void)cell(o, "host", r->what, sizeof r->what);
}

/* --- rows --- */

static void print_row(struct audit_table *t, const struct row *r)
{
	if (!t->headed) {
		t->headed = true;
		print_row(t, &(struct row){ .time = "TIME (UTC)", .process = "PROCESS", .verdict = "VERDICT",
					    .method = "METHOD", .status = "STATUS", .bytes = "BYTES",
					    .rule = "RULE", .what = "URL" });
	}
	fprintf(t->out, "%-12s  %-22s  %-9s  %-7s  %-8s  %9s  %-16s  %s\n", r->time, r->process, r->verdict,
		r->method, r->status, r->bytes, r->rule, r->what);
}

static void request_row(struct audit_table *t, const struct json_object *intent,
			const struct json_object *outcome)
{
	struct row r = { .status = "no end" };
	char result[CELL_MAX] = "";

	common_cells(intent, &r);
	(void)cell(intent, "verdict", r.verdict, sizeof r.verdict);
	if (outcome) {
		copy(r.status, sizeof r.status, "-");
		(void)cell(outcome, "status", r.status, sizeof r.status);
		(void)cell(outcome, "bytes_in", r.bytes, sizeof r.bytes);
		if (cell(outcome, "result", result, sizeof result) && strcmp(result, "OK") != 0) {
			append(r.what, sizeof r.what, "  ");
			append(r.what, sizeof r.what, result);
		}
	}
	print_row(t, &r);
}

static void denial_row(struct audit_table *t, const struct json_object *o)
{
	struct row r = { .verdict = "deny" };

	common_cells(o, &r);
	(void)cell(o, "result", r.status, sizeof r.status);
	if (strcmp(r.status, "POLICY_DENIED") == 0)
		copy(r.status, sizeof r.status, "403");
	if (!r.what[0])
		(void)cell(o, "text", r.what, sizeof r.what);
	print_row(t, &r);
}

/* dns, connection: asked and answered, or refused */
static void name_row(struct audit_table *t, const struct json_object *o, const char *kind)
{
	char verdict[24] = "";
	struct row r = { .verdict = "" };
	bool refused;

	(void)cell(o, "verdict", verdict, sizeof verdict);
	refused = strcmp(verdict, "no") == 0 || cell(o, "result", r.status, sizeof r.status);
	if (!refused && !t->everything)
		return;
	common_cells(o, &r);
	copy(r.verdict, sizeof r.verdict, strcmp(verdict, "no") == 0 ? "deny" : kind);
	copy(r.method, sizeof r.method, strcmp(kind, "dns") == 0 ? "(name)" : "(conn)");
	if (!r.what[0])
		(void)cell(o, "address", r.what, sizeof r.what);
	print_row(t, &r);
}

/* What else happens: the kind, and the members that say most. */
static void event_row(struct audit_table *t, const struct json_object *o)
{
	static const char *const said[] = { "claim", "sandbox", "name", "policy", "path", "text", "result",
					    "exit_code", "exit_signal" };
	char value[URL_CELL_MAX];
	struct row r = { 0 };

	if (has_kind(o, "checkpoint") && !t->everything)
		return;
	time_cell(o, &r);
	process_cell(o, &r);
	(void)cell(o, "kind", r.verdict, sizeof r.verdict);
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		if (!cell(o, said[i], value, sizeof value))
			continue;
		append(r.what, sizeof r.what, r.what[0] ? ", " : "");
		append(r.what, sizeof r.what, said[i]);
		append(r.what, sizeof r.what, " ");
		append(r.what, sizeof r.what, value);
	}
	print_row(t, &r);
}

/* --- intents that wait --- */

static void show_waiting(struct audit_table *t, size_t i, const struct json_object *outcome)
{
	struct json_object intent;

	if (json_object_read(str_make(t->waiting[i].line, t->waiting[i].line_bytes), &intent) == ERR_OK)
		request_row(t, &intent, outcome);
	free(t->waiting[i].line);
	t->waiting_count--;
	memmove(&t->waiting[i], &t->waiting[i + 1], (t->waiting_count - i) * sizeof *t->waiting);
}

static void wait_for_outcome(struct audit_table *t, const struct json_object *o, struct str line)
{
	struct waiting *w;
	char *copied = malloc(line.n);

	if (!copied) {
		request_row(t, o, NULL);
		return;
	}
	if (t->waiting_count == WAITING_MAX)
		show_waiting(t, 0, NULL);
	memcpy(copied, line.p, line.n);
	w = &t->waiting[t->waiting_count++];
	w->line = copied;
	w->line_bytes = line.n;
	w->request[0] = 0;
	(void)cell(o, "request", w->request, sizeof w->request);
}

static void outcome_comes(struct audit_table *t, const struct json_object *o)
{
	char request[65] = "";

	(void)cell(o, "request", request, sizeof request);
	for (size_t i = t->waiting_count; i > 0; i--) {
		if (strcmp(t->waiting[i - 1].request, request) == 0) {
			show_waiting(t, i - 1, o);
			return;
		}
	}
	event_row(t, o);
}

void audit_table_line(struct audit_table *t, struct str line)
{
	struct json_object o;

	if (json_object_read(line, &o)) {
		print_row(t, &(struct row){ .verdict = "?", .what = "a line that is not a record" });
		return;
	}
	if (has_kind(&o, "intent"))
		wait_for_outcome(t, &o, line);
	else if (has_kind(&o, "outcome"))
		outcome_comes(t, &o);
	else if (has_kind(&o, "denial"))
		denial_row(t, &o);
	else if (has_kind(&o, "dns"))
		name_row(t, &o, "dns");
	else if (has_kind(&o, "connection"))
		name_row(t, &o, "connect");
	else
		event_row(t, &o);
}

void audit_table_end(struct audit_table *t)
{
	while (t->waiting_count)
		show_waiting(t, 0, NULL);
}
