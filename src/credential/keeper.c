/* keeper.c - the courier asks its keeper; see keeper.h
 *
 * Both ends are ours, and the keeper is the more trusted one; still its answer is checked
 * for size before it is used, so that a broken keeper is an error and not an overrun. The
 * answer may be a secret: it is received into secret memory, which is wiped each time.
 */
#include "credential/keeper.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static enum err wait_readable(int fd, uint64_t deadline_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_ms();
		uint64_t left = now < deadline_ms ? deadline_ms - now : 0;
		int n = poll(&p, 1, left > 3600000 ? 3600000 : (int)left);

		if (n > 0)
			return ERR_OK;
		if (n < 0 && errno != EINTR)
			return ERR_LOCAL;
		if (n == 0 && left == 0)
			return ERR_TIMEOUT;
	}
}

/* the next reply that belongs to @sequence */
static enum err receive(int fd, uint32_t sequence, uint64_t deadline_ms, struct keeper_reply *reply)
{
	for (;;) {
		enum err e = wait_readable(fd, deadline_ms);
		ssize_t n;

		if (e)
			return e;
		n = read(fd, reply, sizeof *reply);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < (ssize_t)KEEPER_REPLY_HEAD || reply->data_bytes > KEEPER_DATA_MAX ||
		    (size_t)n != KEEPER_REPLY_HEAD + reply->data_bytes || reply->result >= ERR_COUNT)
			return ERR_CLOSED;
		if (reply->sequence == sequence)
			return ERR_OK;
	}
}

static enum err ask(int fd, struct keeper_request *request, uint64_t timeout_ms, struct keeper_reply *reply)
{
	static uint32_t sequence;
	uint64_t deadline_ms = clock_ms() + timeout_ms;
	ssize_t n;
	enum err e;

	request->sequence = ++sequence;
	do
		n = write(fd, request, sizeof *request);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof *request)
		return n < 0 && errno == EAGAIN ? ERR_TIMEOUT : ERR_CLOSED;
	e = receive(fd, request->sequence, deadline_ms, reply);
	return e ? e : (enum err)reply->result;
}

static bool put_text(struct keeper_request *request, struct str text)
{
	if (text.n == 0 || text.n > sizeof request->text)
		return false;
	memcpy(request->text, text.p, text.n);
	request->text_bytes = (uint32_t)text.n;
	return true;
}

enum err keeper_leaf(int fd, struct str host, const uint8_t point[KEEPER_POINT_BYTES], uint64_t timeout_ms,
		     struct buf *ret_der)
{
	struct keeper_request request = { .op = KEEPER_LEAF };
	struct keeper_reply reply;
	enum err e;

	memcpy(request.point, point, sizeof request.point);
	if (!put_text(&request, host))
		return ERR_INPUT;
	e = ask(fd, &request, timeout_ms, &reply);
	if (e)
		return e;
	buf_put(ret_der, str_make(reply.data, reply.data_bytes));
	return buf_err(ret_der);
}

enum err keeper_sign(int fd, struct str body, uint64_t timeout_ms,
		     uint8_t ret_signature[KEEPER_SIGNATURE_BYTES])
{
	struct keeper_request request = { .op = KEEPER_SIGN };
	struct keeper_reply reply;
	enum err e;

	if (!put_text(&request, body))
		return ERR_INPUT;
	e = ask(fd, &request, timeout_ms, &reply);
	if (e)
		return e;
	if (reply.data_bytes != KEEPER_SIGNATURE_BYTES)
		return ERR_CLOSED;
	memcpy(ret_signature, reply.data, KEEPER_SIGNATURE_BYTES);
	return ERR_OK;
}

enum err keeper_secret(int fd, uint32_t credential, uint64_t timeout_ms, struct secret **ret_secret)
{
	struct keeper_request request = { .op = KEEPER_SECRET, .credential = credential };
	struct keeper_reply *reply = secret_map(sizeof *reply);
	enum err e;

	if (!reply)
		return ERR_MEMORY;
	e = ask(fd, &request, timeout_ms, reply);
	if (!e)
		e = secret_new(reply->data, reply->data_bytes, ret_secret);
	secret_unmap(reply, sizeof *reply);
	return e;
}
