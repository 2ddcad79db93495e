/* control.c - the supervisor's socket
 *
 * Theory of operation: one JSON message a datagram, from the trusted supervisor, read strictly all
 * the same: a message that is not understood stops the courier, because then the two are not of one
 * build. We never wait to be read. The end of the socket is the end of the supervisor, and ours.
 */
#include "courier/control.h"

#include "base/auto.h"
#include "base/log.h"
#include "os/fd.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>

static void tell(struct courier *c, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	if (text && c->options.control >= 0 &&
	    send(c->options.control, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("the supervisor does not read");
	free(text);
	json_decref(message);
}

void control_reloaded(struct courier *c, enum err result, const char *text)
{
	if (result == ERR_OK)
		tell(c, json_pack("{s:s, s:s}", "op", "reloaded", "policy_digest", text));
	else
		tell(c, json_pack("{s:s, s:s}", "op", "reload-refused", "text",
				  text[0] ? text : err_text(result)));
}

/* Read once, into memory of our own: nobody can change what is being compiled. */
static bool read_policy(int fd, struct buf *text)
{
	char block[8192];
	ssize_t n;

	while ((n = read(fd, block, sizeof block)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			buf_put(text, str_make(block, (size_t)n));
	return n == 0 && buf_err(text) == ERR_OK;
}

static bool reload(struct courier *c, json_t *message, int fd)
{
	const char *op, *policy = NULL;
	size_t policy_bytes = 0;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, POLICY_BYTES_MAX);
	if (json_unpack_ex(message, NULL, JSON_STRICT, "{s:s, s?s%}", "op", &op, "policy", &policy,
			   &policy_bytes) ||
	    !policy == (fd < 0))
		return false;
	if (!policy && !read_policy(fd, &text)) {
		control_reloaded(c, ERR_LIMIT, "the policy's text could not be read");
		return true;
	}
	courier_reload(c, policy ? str_make(policy, policy_bytes) : buf_str(&text));
	return true;
}

/* @fd: the file that came with the message, or -1. */
static bool obey(struct courier *c, json_t *message, int fd)
{
	const char *op = NULL, *result = "";
	int exit_code = -1;

	if (json_unpack(message, "{s:s}", "op", &op))
		return false;
	if (strcmp(op, "reload") == 0)
		return reload(c, message, fd);
	if (fd >= 0 || strcmp(op, "stop") != 0 ||
	    json_unpack_ex(message, NULL, JSON_STRICT, "{s:s, s?s, s?i}", "op", &op, "result", &result,
			   "exit_code", &exit_code))
		return false;
	courier_stop(c, str_of(result), exit_code);
	return true;
}

static void control_ready(uv_poll_t *poll, int status, int events)
{
	struct courier *c = poll->data;
	json_t *message = NULL;
	auto_fd fd = -1;
	size_t n;
	enum err e = ERR_CLOSED;

	(void)events;
	if (status >= 0)
		e = fd_receive(c->options.control, c->control_message, COURIER_CONTROL_MAX, &n, &fd);
	if (e == ERR_MORE)
		return;
	if (e == ERR_CLOSED) {
		courier_stop(c, STR("the supervisor has gone"), -1);
		return;
	}
	if (e == ERR_OK)
		message = json_loadb(c->control_message, n, JSON_REJECT_DUPLICATES, NULL);
	if (!message || !obey(c, message, fd)) {
		log_error("the supervisor sent what is no control message");
		courier_stop(c, STR("control socket misused"), -1);
	}
	json_decref(message);
}

enum err control_start(struct courier *c)
{
	if (c->options.control < 0)
		return ERR_OK;
	c->control_message = malloc(COURIER_CONTROL_MAX);
	if (!c->control_message)
		return ERR_MEMORY;
	if (uv_poll_init(c->options.loop, &c->control, c->options.control))
		return ERR_LOCAL;
	c->control.data = c;
	c->handles_open++;
	uv_poll_start(&c->control, UV_READABLE, control_ready);
	tell(c, json_pack("{s:s}", "op", "ready"));
	return ERR_OK;
}
