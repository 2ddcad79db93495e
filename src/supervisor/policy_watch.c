/* policy_watch.c - see policy_watch.h
 *
 * Theory of operation: the directory is watched, since editors replace the file; a change settles for a
 * moment, since they write in several steps. Its text is read and checked here, by the user's process, so
 * that a mistake is told to whoever made it; what decides is the courier's own reading of the same bytes.
 */
#include "supervisor/policy_watch.h"

#include "base/auto.h"
#include "base/log.h"
#include "os/fd.h"
#include "supervisor/configure.h"
#include "supervisor/state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SETTLE_MS 200
#define TRUST_MS 2000	/* an untrusted change is asked about again: trusting it changes another file */

struct policy_watch {
	const struct spec *spec;
	int courier;
	uv_fs_event_t change;
	uv_timer_t settle;
	uv_poll_t answer;
	unsigned handles_open;
	char seen[65];		/* digest of the text handed over last */
	char untrusted[65];	/* of the one that was complained about last */
};

/* A policy is as long as it likes, and a message is not: the text goes along as a file. */
static enum err hand_policy(const struct policy_watch *w, struct str text)
{
	auto_fd fd = -1;
	enum err e = configure_sealed(text, &fd);

	return e ? e : fd_send(w->courier, STR("{\"op\":\"reload\"}"), fd);
}

static void reload(uv_timer_t *timer);

static void wait_for_trust(struct policy_watch *w, const char *digest)
{
	if (strcmp(digest, w->untrusted) != 0)
		log_error("%s changed and is not trusted: the policy in force stays; read it, then run "
			  "`paddock policy trust %s`", w->spec->policy_path, w->spec->policy_path);
	memcpy(w->untrusted, digest, sizeof w->untrusted);
	uv_timer_start(&w->settle, reload, TRUST_MS, 0);
}

static void reload(uv_timer_t *timer)
{
	struct policy_watch *w = timer->data;
	auto_buf text = BUF_EMPTY;
	char seen[65];
	enum err e;

	buf_init(&text, POLICY_BYTES_MAX + 8192);
	memcpy(seen, w->seen, sizeof seen);
	e = state_changed_policy(w->spec, seen, &text);
	if (e == ERR_POLICY_DENIED) {
		wait_for_trust(w, seen);
		return;
	}
	memcpy(w->seen, seen, sizeof seen);
	w->untrusted[0] = '\0';
	if (e || !text.len)
		return;
	e = hand_policy(w, buf_str(&text));
	if (e == ERR_OK)
		return;
	w->seen[0] = '\0';
	if (e == ERR_MORE)	/* its socket is full for now */
		uv_timer_start(&w->settle, reload, SETTLE_MS, 0);
	else
		log_error("the changed policy could not be handed over (%s): the one in force stays; save the file again",
			  err_name(e));
}

static void changed(uv_fs_event_t *handle, const char *name, int events, int status)
{
	struct policy_watch *w = handle->data;
	const char *slash = strrchr(w->spec->policy_path, '/');

	(void)events;
	if (status || (name && strcmp(name, slash ? slash + 1 : w->spec->policy_path)))
		return;
	uv_timer_start(&w->settle, reload, SETTLE_MS, 0);
}

/* How a reload went; the courier's end is seen by its pidfd. */
static void answered(uv_poll_t *handle, int status, int events)
{
	struct policy_watch *w = handle->data;
	char text[4096], clean[1024];
	ssize_t n = status < 0 ? 0 : recv(w->courier, text, sizeof text, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		uv_poll_stop(handle);
		return;
	}
	if (memmem(text, (size_t)n, "\"reload", 7))
		log_note("policy: %s", log_escape(str_make(text, (size_t)n), clean, sizeof clean));
}

static void watch(struct policy_watch *w)
{
	auto_buf directory = BUF_EMPTY;
	size_t slash;

	buf_init(&directory, 4096);
	buf_put_z(&directory, w->spec->policy_path);
	for (slash = directory.len; slash > 0 && directory.p[slash - 1] != '/'; slash--)
		;
	directory.len = slash;
	if (!slash)
		buf_put_z(&directory, ".");
	if (buf_z(&directory))
		(void)uv_fs_event_start(&w->change, changed, buf_z(&directory), 0);
	uv_timer_start(&w->settle, reload, 0, 0);
}

struct policy_watch *policy_watch_new(uv_loop_t *loop, const struct spec *spec, int courier_control)
{
	struct policy_watch *w = calloc(1, sizeof *w);

	if (!w)
		return NULL;
	*w = (struct policy_watch){ .spec = spec, .courier = courier_control, .handles_open = 3 };
	memcpy(w->seen, policy_digest(spec->policy), sizeof w->seen);
	uv_fs_event_init(loop, &w->change);
	uv_timer_init(loop, &w->settle);
	uv_poll_init(loop, &w->answer, courier_control);
	w->change.data = w->settle.data = w->answer.data = w;
	uv_poll_start(&w->answer, UV_READABLE, answered);
	if (spec->policy_path)
		watch(w);
	return w;
}

static void handle_closed(uv_handle_t *h)
{
	struct policy_watch *w = h->data;

	if (--w->handles_open == 0)
		free(w);
}

void policy_watch_free(struct policy_watch *w)
{
	if (!w)
		return;
	uv_close((uv_handle_t *)&w->change, handle_closed);
	uv_close((uv_handle_t *)&w->settle, handle_closed);
	uv_close((uv_handle_t *)&w->answer, handle_closed);
}
