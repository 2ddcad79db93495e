/* session_messages.c - a WebSocket over HTTP/2 (RFC 8441)
 *
 * Theory of operation: the stream's DATA are the WebSocket's bytes. What the client sends waits in t->upload,
 * at most its window, and is consumed as messages_up() takes it; frames for the client are made when nghttp2
 * asks for bytes. The end of either direction is the end of all; who is refused is told by a close frame
 * first.
 */
#include "inspector/session_private.h"

#define PIECE 16384u

void session_messages_end(struct session_stream *t, enum err why, uint16_t code)
{
	if (t->messages_over)
		return;
	messages_close(t->messages, &t->frames, why, code);
	t->messages_over = true;
	exchange_close(&t->exchange, why ? why : ERR_CANCELLED);
	if (t->deferred) {
		t->deferred = false;
		(void)nghttp2_session_resume_data(t->session->nghttp2, t->id);
	}
}

void session_messages_up(struct session_stream *t)
{
	struct str input = buf_str(&t->upload);
	uint16_t code;
	size_t taken;
	enum err e;

	if (t->messages_over)
		return;
	e = messages_up(t->messages, &input, &code);
	taken = t->upload.len - input.n;
	(void)nghttp2_session_consume(t->session->nghttp2, t->id, taken);
	buf_drop(&t->upload, taken);
	if (e) {
		connection_claim(t->session->connection, e, "");
		session_messages_end(t, e, code);
	} else if (t->upload_done && t->upload.len == 0 && !t->messages->closing) {
		session_messages_end(t, ERR_CANCELLED, 0);	/* the client has gone without a close */
	}
}

ssize_t session_messages_read(struct session_stream *t, uint8_t *p, size_t n, uint32_t *flags)
{
	struct messages *m = t->messages;
	struct str piece;

	if (!t->messages_over && t->frames.len < n && messages_down(m, &t->frames, n < PIECE ? n : PIECE))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	piece = str_head(buf_str(&t->frames), n);
	if (piece.n) {
		memcpy(p, piece.p, piece.n);
		buf_drop(&t->frames, piece.n);
	}
	if (t->frames.len == 0 && (t->messages_over || messages_over(m))) {
		if (m->down_left)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;	/* RST_STREAM: it was cut off */
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	} else if (piece.n == 0) {
		t->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)piece.n;
}
