/* service.c - requests from the guest's link, replies to it, claims to the courier's
 *
 * Theory of operation: the guest opens one stream of LINK_KIND_FUSE. Its DATA is a sequence of
 * FUSE messages, cut anywhere; whole ones are served one after the other and their replies
 * queued. Credit goes back only for bytes that were served, and nothing is served while
 * replies wait beyond REPLIES_MAX, so that a guest that does not read stops itself: input is
 * bounded by its window, output by REPLIES_MAX and one reply.
 * Claims go as HEADs of a LINK_KIND_CLAIMS stream; those that come before the courier greets
 * wait; more than CLAIMS_MAX bytes of them are counted and told as one.
 * A second stream, a malformed message, or the loss of either peer ends the service (I4, I8).
 */
#include "files/service.h"

#include "files/tree.h"
#include "os/channel.h"
#include "wire/msg.h"

#include <stdlib.h>
#include <unistd.h>

#define REPLIES_MAX (256u * 1024)
#define INPUT_MAX (LINK_WINDOW_BYTES + LINK_PAYLOAD_MAX)
#define CLAIMS_MAX (64u * 1024)

struct service {
	uv_loop_t *loop;
	struct tree *tree;
	struct channel *guest, *claims;
	uint32_t stream, claims_stream;		/* 0: not open yet */
	struct buf input, reply, replies;
	struct buf waiting;			/* claims: u32 length, bytes, ... */
	uint64_t lost_claims;
	bool over;
	enum err why;
};

static void stop(struct service *s, enum err why)
{
	if (s->over)
		return;
	s->over = true;
	s->why = why;
	uv_stop(s->loop);
}

enum err service_ended(const struct service *s) { return s->why; }

static void queue_claim(struct service *s, const struct msg_claim *claim)
{
	auto_buf message = BUF_EMPTY;

	buf_init(&message, LINK_PAYLOAD_MAX);
	msg_put_claim(&message, claim);
	if (buf_err(&message) || buf_room(&s->waiting) < message.len + 4) {
		s->lost_claims++;
		return;
	}
	buf_put_u32le(&s->waiting, (uint32_t)message.len);
	buf_put(&s->waiting, buf_str(&message));
}

static void queue_loss(struct service *s)
{
	auto_buf text = BUF_EMPTY;
	struct msg_claim claim = { .kind = CLAIM_LIMIT, .result = ERR_LIMIT };
	uint64_t lost = s->lost_claims;

	buf_init(&text, 100);
	if (lost == 0 || s->waiting.len > 0)
		return;
	buf_put_decimal(&text, lost);
	buf_put_z(&text, " claims of file rules were too many and are not recorded");
	claim.text = buf_str(&text);
	queue_claim(s, &claim);
	s->lost_claims -= lost;
}

static void send_claims(struct service *s)
{
	struct link *link = channel_link(s->claims);
	struct reader r;
	uint32_t length;
	struct str message;

	if (!s->claims_stream)
		return;
	queue_loss(s);
	r = reader_of(buf_str(&s->waiting));
	while (reader_u32le(&r, &length) && reader_take(&r, length, &message)) {
		if (link_sendable(link, s->claims_stream) < length ||
		    link_head(link, s->claims_stream, message))
			break;
		buf_drop(&s->waiting, length + 4);
		r = reader_of(buf_str(&s->waiting));
	}
	channel_flush(s->claims);
}

static void report(void *user, struct str path, struct str text, bool refused)
{
	struct service *s = user;
	struct msg_claim claim = { .kind = CLAIM_FILE, .result = refused ? ERR_POLICY_DENIED : ERR_OK,
				   .has_verdict = true, .verdict = !refused, .path = path, .text = text };

	queue_claim(s, &claim);
	send_claims(s);
}

/* Sends what the link takes of the replies. */
static void send_replies(struct service *s)
{
	struct link *link = channel_link(s->guest);
	size_t sent = 0;

	while (sent < s->replies.len) {
		size_t n = link_sendable(link, s->stream);

		n = n < s->replies.len - sent ? n : s->replies.len - sent;
		if (n == 0 || link_data(link, s->stream, 0, str_make(s->replies.p + sent, n)))
			break;
		sent += n;
	}
	buf_drop(&s->replies, sent);
}

/* Serves the message at the front of @input. ERR_MORE: it is not whole yet. */
static enum err serve_one(struct service *s, struct str input, size_t *ret_length)
{
	enum err e = fuse_length(input, ret_length);

	if (!e && *ret_length > input.n)
		e = ERR_MORE;
	if (!e)
		e = tree_request(s->tree, str_head(input, *ret_length), &s->reply);
	if (e)
		return e;
	buf_put(&s->replies, buf_str(&s->reply));
	return buf_err(&s->replies);
}

/* Serves what has come as far as there is room for the replies. */
static void pump(struct service *s)
{
	size_t served = 0, length;
	enum err e = ERR_OK;

	if (!s->stream || s->over)
		return;
	send_replies(s);
	while (!e && s->replies.len < REPLIES_MAX) {
		e = serve_one(s, str_from(buf_str(&s->input), served), &length);
		if (!e) {
			served += length;
			send_replies(s);
		}
	}
	buf_drop(&s->input, served);
	if (served)
		link_consumed(channel_link(s->guest), s->stream, served);
	channel_flush(s->guest);
	if (e && e != ERR_MORE)
		stop(s, e);
}

static void guest_frame(void *user, const struct link_frame *f)
{
	struct service *s = user;

	if (s->over)
		return;
	if (f->type == LINK_HELLO || f->type == LINK_CREDIT) {
		pump(s);
	} else if (f->type == LINK_OPEN && f->kind == LINK_KIND_FUSE && !s->stream && f->payload.n == 0) {
		s->stream = f->stream;
	} else if (f->type == LINK_DATA && f->flags == 0 && f->stream == s->stream) {
		buf_put(&s->input, f->payload);
		if (buf_err(&s->input))
			stop(s, buf_err(&s->input));
		pump(s);
	} else if (f->type == LINK_END || f->type == LINK_RESET) {
		stop(s, ERR_CLOSED);
	} else {
		stop(s, ERR_LINK_STATE);
	}
}

static void guest_writable(void *user) { pump(user); }

static void guest_closed(void *user, enum err why) { stop(user, why); }

static void claims_frame(void *user, const struct link_frame *f)
{
	struct service *s = user;

	if (s->over)
		return;
	if (f->type == LINK_HELLO &&
	    link_open(channel_link(s->claims), LINK_KIND_CLAIMS, (struct str){ NULL, 0 }, &s->claims_stream))
		stop(s, ERR_LINK_STATE);
	else if (f->type == LINK_HELLO || f->type == LINK_CREDIT)
		send_claims(s);
	else
		stop(s, ERR_LINK_STATE);
}

static void claims_writable(void *user) { send_claims(user); }

static void claims_closed(void *user, enum err why)
{
	stop(user, why == ERR_CLOSED ? ERR_STATE : why);	/* the courier must outlive us */
}

/* A channel on @fd, or NULL and @fd closed. */
static struct channel *channel_on(uv_loop_t *loop, int fd, enum link_side side, const struct channel_ops *ops,
				  void *user)
{
	static const struct link_limits limits = { 4, LINK_WINDOW_BYTES, 512 * 1024 };
	struct link *link = link_new(side, &limits);
	struct channel *c = link ? channel_new(loop, fd, link, ops, user) : NULL;

	if (!c) {
		link_free(link);
		close(fd);
	}
	return c;
}

enum err service_new(uv_loop_t *loop, int guest, int claims, const struct config *config, const int *roots,
		     const struct inode_limits *limits, struct service **ret)
{
	static const struct tree_ops tree_ops = { report };
	static const struct channel_ops guest_ops = { .frame = guest_frame, .writable = guest_writable,
						      .closed = guest_closed };
	static const struct channel_ops claims_ops = { .frame = claims_frame, .writable = claims_writable,
						       .closed = claims_closed };
	struct service *s = calloc(1, sizeof *s);
	enum err e = s ? tree_new(config, roots, limits, &tree_ops, s, &s->tree) : ERR_MEMORY;

	if (e) {
		free(s);
		return e;
	}
	s->loop = loop;
	buf_init(&s->input, INPUT_MAX);
	buf_init(&s->reply, FUSE_REPLY_MAX);
	buf_init(&s->replies, REPLIES_MAX + FUSE_REPLY_MAX);
	buf_init(&s->waiting, CLAIMS_MAX);
	s->guest = channel_on(loop, guest, LINK_UPPER, &guest_ops, s);
	s->claims = channel_on(loop, claims, LINK_LOWER, &claims_ops, s);
	if (!s->guest || !s->claims) {
		service_free(s);
		return ERR_MEMORY;
	}
	*ret = s;
	return ERR_OK;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	if (s->guest)
		channel_close(s->guest);
	if (s->claims)
		channel_close(s->claims);
	tree_free(s->tree);
	buf_free(&s->input);
	buf_free(&s->reply);
	buf_free(&s->replies);
	buf_free(&s->waiting);
	free(s);
}
