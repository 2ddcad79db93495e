/* state.c - see state.h */
#include "supervisor/state.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MAX 65536	/* of its end */
#define LOG_LINES 12

static json_t *text(const char *z) { return z ? json_string_nocheck(z) : json_null(); }

static enum err dump(json_t *o, struct buf *b)
{
	char *z = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENSURE_ASCII);

	json_decref(o);
	if (!z)
		return ERR_INPUT;
	buf_put_z(b, z);
	free(z);
	return buf_err(b);
}

static json_t *processes(const struct children *c)
{
	json_t *o = json_object();

	for (int i = 0; i < CHILD_COUNT; i++)
		json_object_set_new(o, child_name((enum child)i), json_integer(c->process[i].pid));
	return o;
}

enum err state_write(const struct rundir *run, const struct spec *spec, const struct children *c)
{
	json_t *o = json_object(), *command = json_array();
	char now[CLOCK_RFC3339_BYTES];
	auto_buf out = BUF_EMPTY, how = BUF_EMPTY;
	enum err e;

	clock_rfc3339(clock_unix_ns(), now);
	buf_init(&out, 65536);
	buf_init(&how, 1024);
	buf_put(&how, buf_str(&c->machine_text));
	for (char *const *a = spec->command; *a; a++)
		json_array_append_new(command, json_string(*a) ? json_string(*a) : json_string("?"));
	json_object_set_new(o, "id", text(run->id));
	json_object_set_new(o, "name", text(spec->name));
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "started", text(now));
	json_object_set_new(o, "workspace", text(spec->workspace));
	json_object_set_new(o, "policy", text(spec->policy_path));
	json_object_set_new(o, "policy_digest", text(policy_digest(spec->policy)));
	json_object_set_new(o, "machine", text(buf_z(&how)));
	json_object_set_new(o, "command", command);
	json_object_set_new(o, "processes", processes(c));
	e = dump(o, &out);
	return e ? e : rundir_write(run, "state.json", buf_str(&out));
}

void state_stop_message(struct buf *b, const char *reason, int exit_code)
{
	json_t *o = json_object();

	json_object_set_new(o, "op", json_string("stop"));
	json_object_set_new(o, "result", json_string(reason[0] ? reason : "ended"));
	json_object_set_new(o, "exit_code", json_integer(exit_code));
	if (dump(o, b))
		buf_put_z(b, "{\"op\":\"stop\"}");
}

/* Touched; or changed and trusted; or changed by whoever can write to the workspace, which is also git of the
 * user's own when it checks out what the agent committed. */
static enum err judge_change(const struct spec *spec, const char *digest, char seen[65], struct buf *policy_text)
{
	bool known = !strcmp(digest, seen);

	if (known)
		buf_clear(policy_text);
	memcpy(seen, digest, 65);
	if (known || !spec->policy_trusted || spec->policy_trusted(buf_str(policy_text)))
		return ERR_OK;
	buf_clear(policy_text);
	return ERR_POLICY_DENIED;
}

enum err state_changed_policy(const struct spec *spec, char seen[65], struct buf *policy_text)
{
	struct policy_error error;
	struct policy *p = NULL;
	enum err e = paths_read(spec->policy_path, POLICY_BYTES_MAX, policy_text);

	if (e == ERR_LIMIT) {
		log_error("%s changed and has more than %u bytes: the policy in force stays; make it shorter",
			  spec->policy_path, POLICY_BYTES_MAX);
		return e;
	}
	if (e) {
		log_error("%s changed and cannot be read (%s): the policy in force stays; save it again",
			  spec->policy_path, strerror(errno));
		return e;
	}
	e = policy_load(buf_str(policy_text), spec->policy_path, getenv("HOME"), &p, &error);
	if (e == ERR_POLICY_SYNTAX)
		log_error("%s:%u:%u: %s (the policy in force stays)", spec->policy_path, (unsigned)error.line,
			  (unsigned)error.column, error.text);
	else if (e)
		log_error("%s changed and cannot be taken (%s): the policy in force stays; save it again",
			  spec->policy_path, err_name(e));
	if (e)
		return e;
	e = judge_change(spec, policy_digest(p), seen, policy_text);
	policy_free(p);
	return e;
}

void state_print_log(const struct rundir *run)
{
	char path[PATHS_MAX], line[512];
	auto_buf log = BUF_EMPTY;
	size_t from, lines = 0;
	struct stat st;
	ssize_t n;

	buf_init(&log, LOG_MAX);
	auto_fd fd = snprintf(path, sizeof path, "%s/machine.log", run->path) < (int)sizeof path
			     ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) || buf_reserve(&log, LOG_MAX))
		return;
	n = pread(fd, buf_tail(&log), LOG_MAX, st.st_size > LOG_MAX ? st.st_size - LOG_MAX : 0);
	log.len = n > 0 ? (size_t)n : 0;
	for (from = log.len; from > 0 && lines <= LOG_LINES; from--)
		lines += log.p[from - 1] == '\n';
	struct str rest = str_from(buf_str(&log), from);

	while (rest.n) {
		size_t end = str_find(rest, '\n');

		(void)fprintf(stderr, "  | %s\n", log_escape(str_head(rest, end), line, sizeof line));
		rest = str_from(rest, end + 1);
	}
}
