/* job_aws_chunked.c - the framing in which AWS clients send a body whose signature they make as they go
 *
 *   <hex size>;chunk-signature=<hex> CR LF <bytes> CR LF ... 0;chunk-signature=<hex> CR LF [trailers] CR LF
 *
 * It is HTTP's chunked framing with a signature for an extension, and read by the same parser. Output is the
 * payload; the signatures are dropped, since whoever signs anew with the real key signs anew. The trailers
 * (checksums that the client announced in x-amz-trailer) are facts: "trailer", "name: value".
 * Source: AWS Signature Version 4, streaming payload (chunked upload); RFC 9112 s7.1.
 */
#include "decoder/kinds.h"
#include "wire/http1_body.h"

struct chunks {
	struct http1_body body;
};

static enum err aws_start(struct job *j, struct str parameters)
{
	struct chunks *c = job_state(j);

	(void)parameters;
	http1_body_init(&c->body, HTTP1_CHUNKED, 0);
	return ERR_OK;
}

static enum err aws_input(struct job *j, struct str bytes)
{
	struct chunks *c = job_state(j);
	struct str piece;
	enum err e;

	while ((e = http1_body_next(&c->body, &bytes, &piece)) == ERR_OK && piece.n) {
		c->body.extensions = 0;	/* a signature each: the cap is for one line here, not for all */
		e = job_output(j, piece);
		if (e)
			return e;
	}
	if (e != ERR_OK && e != ERR_MORE)
		return job_fail(j, e == ERR_MEMORY ? e : ERR_DECODER, "malformed aws-chunked framing");
	if (bytes.n)
		return job_fail(j, ERR_DECODER, "something follows its end");
	return job_mark(j, job_taken(j));
}

static enum err aws_end(struct job *j)
{
	struct chunks *c = job_state(j);
	struct head trailers;

	if (!c->body.done)
		return job_fail(j, ERR_DECODER, "it is cut off");
	if (http1_body_trailers(&c->body, &trailers) != ERR_OK)
		return job_fail(j, ERR_DECODER, "malformed aws-chunked trailers");
	for (uint32_t i = 0; i < trailers.field_count; i++) {
		auto_buf line = BUF_EMPTY;

		buf_init(&line, HTTP1_TRAILERS_MAX + 2);
		buf_put(&line, trailers.fields[i].name);
		buf_put(&line, STR(": "));
		buf_put(&line, trailers.fields[i].value);
		if (buf_err(&line))
			return job_fail(j, ERR_MEMORY, "no memory");
		enum err e = job_fact(j, STR("trailer"), buf_str(&line));
		if (e)
			return e;
	}
	return ERR_OK;
}

static void aws_free(struct job *j)
{
	struct chunks *c = job_state(j);

	http1_body_free(&c->body);
}

const struct job_kind job_aws_chunked = {
	.name = "aws-chunked", .state_bytes = sizeof(struct chunks),
	.start = aws_start, .input = aws_input, .end = aws_end, .free = aws_free,
};
