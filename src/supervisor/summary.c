/* summary.c - see summary.h
 *
 * Reads the trail that the courier wrote, as an auditor would. A trail that cannot be read is
 * said, never skipped: a summary that is silent would look like a run without requests.
 */
#include "supervisor/summary.h"

#include "audit/audit.h"
#include "base/auto.h"
#include "base/log.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define HOSTS_MAX 256
#define HOSTS_SHOWN 20
#define NOTES_MAX 8

struct host_count {
	char name[256];
	unsigned allowed, denied;
};

struct summary {
	struct host_count hosts[HOSTS_MAX];
	size_t host_count, note_count;
	unsigned allowed, denied, refused_names, failed;
	char notes[NOTES_MAX][512];
	bool unreadable;
};

/* Host of "https://host:port/path"; an IPv6 literal keeps its brackets. */
static struct str url_host(struct str url)
{
	size_t scheme = 0;

	while (scheme + 3 <= url.n && memcmp(url.p + scheme, "://", 3))
		scheme++;
	if (scheme + 3 > url.n)
		return url;
	url = str_from(url, scheme + 3);
	for (size_t i = 0, bracket = 0; i < url.n; i++) {
		bracket = url.p[i] == '[' || (bracket && url.p[i] != ']');
		if (url.p[i] == '/' || url.p[i] == '?' || (url.p[i] == ':' && !bracket))
			return str_head(url, i);
	}
	return url;
}

static struct host_count *count_of(struct summary *s, struct str host)
{
	char name[256];

	log_escape(host, name, sizeof name);
	for (size_t i = 0; i < s->host_count; i++)
		if (!strcmp(s->hosts[i].name, name))
			return &s->hosts[i];
	if (s->host_count == HOSTS_MAX)
		return &s->hosts[HOSTS_MAX - 1];
	memcpy(s->hosts[s->host_count].name, name, sizeof name);
	return &s->hosts[s->host_count++];
}

static void add_note(struct summary *s, const char *what, const char *text)
{
	char clean[400];

	if (s->note_count == NOTES_MAX)
		return;
	log_escape(str_of(text ? text : ""), clean, sizeof clean);
	(void)snprintf(s->notes[s->note_count++], sizeof s->notes[0], "%s%s", what, clean);
}

static const char *member(const json_t *record, const char *name)
{
	return json_string_value(json_object_get(record, name));
}

static void count_denial(struct summary *s, const json_t *record)
{
	const char *url = member(record, "url"), *host = member(record, "host");

	s->denied++;
	count_of(s, url ? url_host(str_of(url)) : str_of(host ? host : "?"))->denied++;
}

static void count_record(struct summary *s, const json_t *record)
{
	const char *kind = member(record, "kind"), *result = member(record, "result");
	const char *claim = member(record, "claim"), *verdict = member(record, "verdict");

	if (!kind)
		return;
	if (!strcmp(kind, "intent")) {
		s->allowed++;
		if (member(record, "url"))
			count_of(s, url_host(str_of(member(record, "url"))))->allowed++;
	} else if (!strcmp(kind, "denial")) {
		count_denial(s, record);
	} else if (!strcmp(kind, "outcome") && result && strcmp(result, "OK")) {
		s->failed++;
		if (!strcmp(result, "SECRET_REFLECTED"))
			add_note(s, "an answer that contained a credential was cut off: request ",
				 member(record, "request"));
	} else if (!strcmp(kind, "dns") && verdict && !strcmp(verdict, "no")) {
		s->refused_names++;
	} else if (!strcmp(kind, "limit")) {
		add_note(s, "limit: ", member(record, "text"));
	} else if (!strcmp(kind, "claim") && claim && !strcmp(claim, "file") && member(record, "text") &&
		   strstr(member(record, "text"), "repository")) {
		add_note(s, "a git repository was made inside; look at its hooks and configuration before you run "
			 "git in it: ", member(record, "path"));
	}
}

static bool on_line(void *ctx, struct str line)
{
	struct summary *s = ctx;
	json_t *record = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);

	if (!record)
		s->unreadable = true;
	else
		count_record(s, record);
	json_decref(record);
	return true;
}

static int most_first(const void *a, const void *b)
{
	const struct host_count *x = a, *y = b;
	unsigned n = x->allowed + x->denied, m = y->allowed + y->denied;

	return n == m ? strcmp(x->name, y->name) : (n < m) - (n > m);
}

static void print(struct summary *s, const char *id, const char *trail)
{
	(void)fprintf(stderr, "\npaddock: %u request%s allowed, %u denied", s->allowed,
		      s->allowed == 1 ? "" : "s", s->denied);
	if (s->failed)
		(void)fprintf(stderr, ", %u failed", s->failed);
	if (s->refused_names)
		(void)fprintf(stderr, "; %u look-up%s of unlisted names refused", s->refused_names,
			      s->refused_names == 1 ? "" : "s");
	(void)fputs("\n", stderr);
	qsort(s->hosts, s->host_count, sizeof s->hosts[0], most_first);
	for (size_t i = 0; i < s->host_count && i < HOSTS_SHOWN; i++)
		(void)fprintf(stderr, "  %-40s %6u allowed %6u denied\n", s->hosts[i].name,
			      s->hosts[i].allowed, s->hosts[i].denied);
	if (s->host_count > HOSTS_SHOWN)
		(void)fprintf(stderr, "  and %zu more hosts\n", s->host_count - HOSTS_SHOWN);
	for (size_t i = 0; i < s->note_count; i++)
		(void)fprintf(stderr, "  %s\n", s->notes[i]);
	if (s->unreadable)
		(void)fprintf(stderr, "  the trail has lines that cannot be read: %s\n", trail);
	(void)fprintf(stderr, "  trail: paddock audit show %s\n", id);
}

void summary_print(const char *sandbox_id)
{
	struct summary *s = calloc(1, sizeof *s);
	auto_buf path = BUF_EMPTY;

	buf_init(&path, PATHS_MAX);
	if (!s || paths_directory(PATHS_STATE, &path)) {
		free(s);
		return;
	}
	buf_printf(&path, "/trails/%s", sandbox_id);
	auto_fd directory = buf_z(&path) ? open(buf_z(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (directory < 0 || audit_each(directory, on_line, s))
		log_error("the trail cannot be read for the summary: %s: %s", buf_z(&path), strerror(errno));
	else
		print(s, sandbox_id, buf_z(&path));
	free(s);
}
