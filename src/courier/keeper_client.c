/* keeper_client.c - the courier's questions to its keeper; see keeper_client.h
 *
 * Theory of operation: calls stand in one list, oldest first, from keeper_call() to their answer. What
 * the socket has no room for stays unsent until it has. A reply is matched by its sequence; one that
 * belongs to no call (cancelled, timed out) is dropped. Answers are given from the loop only: a reply
 * that keeper_client_wait() came across is kept in its call until then.
 * Trust: both ends are ours and the keeper is the more trusted one; still a packet is checked for size
 * and result before it is used, so that a broken keeper is an error and not an overrun. One that is no
 * reply might have been anybody's: it ends every call that waits for one.
 * Replies and requests may be secrets: both live in memory that is wiped.
 */
#include "courier/keeper_client.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

struct keeper_call {
	struct keeper_call *next, **at;
	struct keeper_client *client;
	keeper_answered *answered;
	void *user;
	struct buf packet, reply;	/* packet: until it is sent */
	uint32_t sequence;
	uint64_t deadline_ms;
	bool sent, finished;
	enum err result;
};

struct keeper_client {
	int fd;
	bool over;			/* the keeper has gone */
	uint32_t sequence;
	unsigned count;
	struct keeper_call *calls, **end;
	struct keeper_reply *reply;	/* secret_map() */
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;		/* not closed yet */
};

/* ---- the list ---- */

static void unlink_call(struct keeper_call *call)
{
	struct keeper_client *c = call->client;

	*call->at = call->next;
	if (call->next)
		call->next->at = call->at;
	else
		c->end = call->at;
	c->count--;
}

static void call_free(struct keeper_call *call)
{
	buf_free(&call->packet);
	buf_free(&call->reply);
	free(call);
}

static void finish(struct keeper_call *call, enum err e)
{
	call->finished = true;
	call->result = e;
}

/* ---- the socket ---- */

/* Return: false if the socket has no room */
static bool send_call(struct keeper_client *c, struct keeper_call *call)
{
	ssize_t n;

	do
		n = send(c->fd, call->packet.p, call->packet.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n == (ssize_t)call->packet.len) {
		call->sent = true;
		buf_free(&call->packet);
	} else {
		c->over = true;
	}
	return true;
}

static void send_all(struct keeper_client *c)
{
	for (struct keeper_call *call = c->calls; call && !c->over; call = call->next)
		if (!call->sent && !call->finished && !send_call(c, call))
			break;
}

static void take_reply(struct keeper_client *c, size_t n)
{
	struct keeper_call *call = c->calls;

	if (n < KEEPER_REPLY_HEAD || n > sizeof *c->reply || c->reply->result >= ERR_COUNT ||
	    (c->reply->result != ERR_OK && n > KEEPER_REPLY_HEAD)) {
		for (; call; call = call->next)
			if (call->sent && !call->finished)
				finish(call, ERR_CLOSED);
		return;
	}
	while (call && call->sequence != c->reply->sequence)
		call = call->next;
	if (!call || call->finished)
		return;
	buf_put(&call->reply, str_make(c->reply->data, n - KEEPER_REPLY_HEAD));
	finish(call, buf_err(&call->reply) ? buf_err(&call->reply) : (enum err)c->reply->result);
}

static void receive_all(struct keeper_client *c)
{
	while (!c->over) {
		ssize_t n = recv(c->fd, c->reply, sizeof *c->reply, MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			c->over = true;
		else
			take_reply(c, (size_t)n);
		explicit_bzero(c->reply,
			       n > 0 && (size_t)n < sizeof *c->reply ? (size_t)n : sizeof *c->reply);
	}
}

/* ---- the loop ---- */

static void expire(struct keeper_client *c, uint64_t now)
{
	for (struct keeper_call *call = c->calls; call; call = call->next) {
		if (!call->finished && c->over)
			finish(call, ERR_CLOSED);
		else if (!call->finished && call->deadline_ms <= now)
			finish(call, ERR_TIMEOUT);
	}
}

static void on_ready(uv_poll_t *handle, int status, int events);
static void on_time(uv_timer_t *timer);

/* What is waited for follows from the calls alone. */
static void watch(struct keeper_client *c)
{
	uint64_t now = clock_ms(), next = UINT64_MAX;
	int events = UV_READABLE;

	for (struct keeper_call *call = c->calls; call; call = call->next) {
		uint64_t at = call->finished || c->over ? now : call->deadline_ms;

		if (!call->sent && !call->finished)
			events |= UV_WRITABLE;
		next = at < next ? at : next;
	}
	if (c->over || uv_poll_start(&c->poll, events, on_ready))
		uv_poll_stop(&c->poll);
	if (next == UINT64_MAX)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_time, next > now ? next - now : 0, 0);
}

/* An answer's owner may ask and cancel: the list is looked at anew after each. */
static void deliver(struct keeper_client *c)
{
	for (;;) {
		struct keeper_call *call = c->calls;

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed is no longer in the list */
		while (call && !call->finished)
			call = call->next;
		if (!call)
			break;
		unlink_call(call);
		call->answered(call->user, call->result,
			       call->result == ERR_OK ? buf_str(&call->reply) : (struct str){ NULL, 0 });
		call_free(call);
	}
	watch(c);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
	struct keeper_client *c = handle->data;

	if (status < 0)
		c->over = true;
	if (events & UV_WRITABLE)
		send_all(c);
	receive_all(c);
	expire(c, clock_ms());
	deliver(c);
}

static void on_time(uv_timer_t *timer)
{
	struct keeper_client *c = timer->data;

	expire(c, clock_ms());
	deliver(c);
}

/* ---- what others call ---- */

struct keeper_client *keeper_client_new(uv_loop_t *loop, int fd)
{
	struct keeper_client *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->fd = fd;
	c->end = &c->calls;
	c->reply = secret_map(sizeof *c->reply);
	if (!c->reply || uv_poll_init(loop, &c->poll, fd)) {
		secret_unmap(c->reply, sizeof *c->reply);
		free(c);
		return NULL;
	}
	uv_timer_init(loop, &c->timer);
	c->poll.data = c->timer.data = c;
	c->handles = 2;
	watch(c);
	return c;
}

static void handle_closed(uv_handle_t *handle)
{
	struct keeper_client *c = handle->data;

	if (--c->handles == 0)
		free(c);
}

void keeper_client_free(struct keeper_client *c)
{
	if (!c)
		return;
	for (struct keeper_call *call = c->calls, *next; call; call = next) {
		next = call->next;
		keeper_cancel(call);
	}
	secret_unmap(c->reply, sizeof *c->reply);
	c->reply = NULL;
	uv_close((uv_handle_t *)&c->poll, handle_closed);
	uv_close((uv_handle_t *)&c->timer, handle_closed);
}

static uint64_t default_timeout(enum keeper_op op)
{
	bool at_once = op == KEEPER_LEAF || op == KEEPER_SIGN || op == KEEPER_LOGIN || op == KEEPER_LEASE ||
		       op == KEEPER_REPLACE;

	return at_once ? KEEPER_CLIENT_MS : KEEPER_CLIENT_SOURCE_MS;
}

static enum err make_packet(const struct keeper_question *q, uint32_t sequence, struct buf *b)
{
	const struct { uint32_t op, credential, sequence; uint8_t part, flags, zero[2]; } head = {
		.op = q->op, .credential = q->credential, .sequence = sequence, .part = (uint8_t)q->part,
		.flags = q->flags,
	};
	_Static_assert(sizeof head == KEEPER_REQUEST_HEAD, "as in keeper.h");

	buf_init_secret(b, sizeof head + KEEPER_TEXT_MAX);
	buf_put(b, str_make(&head, sizeof head));
	buf_put(b, q->text);
	return buf_err(b);
}

static enum err call_new(struct keeper_client *c, const struct keeper_question *q, struct keeper_call **ret)
{
	struct keeper_call *call;
	enum err e;

	if (q->text.n > KEEPER_TEXT_MAX)
		return ERR_INPUT;
	if (c->over)
		return ERR_CLOSED;
	if (c->count >= KEEPER_CALLS_MAX)
		return ERR_LIMIT;
	call = calloc(1, sizeof *call);
	if (!call)
		return ERR_MEMORY;
	call->client = c;
	call->sequence = ++c->sequence;
	call->deadline_ms = clock_ms() + (q->timeout_ms ? q->timeout_ms : default_timeout(q->op));
	buf_init_secret(&call->reply, KEEPER_DATA_MAX);
	e = make_packet(q, call->sequence, &call->packet);
	if (e) {
		call_free(call);
		return e;
	}
	call->at = c->end;
	*c->end = call;
	c->end = &call->next;
	c->count++;
	*ret = call;
	return ERR_OK;
}

enum err keeper_call(struct keeper_client *c, const struct keeper_question *question,
		     keeper_answered *answered, void *user, struct keeper_call **ret)
{
	struct keeper_call *call;
	enum err e = call_new(c, question, &call);

	if (e)
		return e;
	call->answered = answered;
	call->user = user;
	send_all(c);
	watch(c);
	if (ret)
		*ret = call;
	return ERR_OK;
}

void keeper_cancel(struct keeper_call *call)
{
	if (!call)
		return;
	unlink_call(call);
	call_free(call);
}

static void wait_for(struct keeper_client *c, const struct keeper_call *call, uint64_t now)
{
	uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 0;
	struct pollfd p = { .fd = c->fd, .events = (short)(call->sent ? POLLIN : POLLIN | POLLOUT) };

	(void)poll(&p, 1, left > 60000 ? 60000 : (int)left);
}

enum err keeper_client_wait(struct keeper_client *c, const struct keeper_question *question,
			    struct buf *reply)
{
	struct keeper_call *call;
	enum err e = call_new(c, question, &call);

	if (e)
		return e;
	for (;;) {
		send_all(c);
		receive_all(c);
		if (!call->finished && c->over)
			finish(call, ERR_CLOSED);
		if (!call->finished && clock_ms() >= call->deadline_ms)
			finish(call, ERR_TIMEOUT);
		if (call->finished)
			break;
		wait_for(c, call, clock_ms());
	}
	unlink_call(call);
	e = call->result;
	if (e == ERR_OK) {
		buf_put(reply, buf_str(&call->reply));
		e = buf_err(reply);
	}
	call_free(call);
	watch(c);
	return e;
}
