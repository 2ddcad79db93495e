/* decoder.h - what the courier and paddock-decoder say to each other
 *
 * paddock-decoder reads what the courier must not interpret (I1): compressed bodies, pkt-lines, package
 * metadata, aws-chunked framing. It holds no secret and decides nothing; a captured one misjudges the
 * exchange that it was started for. The program is a fork server: over its SOCK_SEQPACKET (fd 3) the courier
 * sends one byte with one end of a stream socketpair (SCM_RIGHTS); a fresh child serves that socket alone,
 * under limits (CPU seconds, address space) and a seccomp filter of read, write and exit, and ends with the
 * job.
 *
 *   offset size field     little-endian; both directions
 *   0      1    type      enum decoder_type
 *   1      3    zero
 *   4      4    length    of the payload, <= DECODER_PAYLOAD_MAX
 *
 *   courier -> decoder    JOB   u8 enum decoder_job, then its parameters (JSON text or empty); first, once
 *                         DATA  bytes of the body, at least 1
 *                         END   no more
 *   decoder -> courier    DATA  bytes of the output
 *                         FACT  name, NUL, value: what was found (names: docs/gate.md)
 *                         MARK  u64: this many bytes of input are wholly reflected in the output so far, so that
 *                               who passes the input on reveals nothing that has not been searched
 *                         END   the job is done and the input was whole and good
 *                         FAIL  u16 enum err, then words (static text of the decoder's)
 */
#pragma once

#include "base/buf.h"

#define DECODER_HEADER_BYTES 8
#define DECODER_PAYLOAD_MAX 65536
#define DECODER_JOB_MAX 65000			/* parameters */
#define DECODER_OUTPUT_MAX (1ull << 30)		/* bytes of one job */
#define DECODER_RATIO_MAX 200			/* output to input, once past 1 MiB of output */
#define DECODER_WINDOW_LOG_MAX 23		/* zstd: 8 MiB */
#define DECODER_CPU_S 30
#define DECODER_MEMORY_MAX (256ul << 20)	/* address space of one job */
#define DECODER_CHILDREN_MAX 128		/* jobs at once */

enum decoder_type { DECODER_JOB = 1, DECODER_DATA, DECODER_END, DECODER_FACT, DECODER_MARK, DECODER_FAIL };

enum decoder_job {
	DECODER_GZIP = 1, DECODER_DEFLATE, DECODER_BROTLI, DECODER_ZSTD,	/* content codings: output is the plain body */
	DECODER_AWS_CHUNKED,		/* output is the payload; chunk signatures are dropped */
	DECODER_GIT_PUSH,		/* a receive-pack request; facts: refs,
					   and whether each is a fast-forward */
	DECODER_GIT_FETCH,		/* an upload-pack request; facts */
	DECODER_GIT_LFS,		/* an LFS batch request (JSON); facts */
	DECODER_NPM, DECODER_PYPI_HTML, DECODER_PYPI_JSON, DECODER_CRATES,	/* metadata: output is what policy leaves of it */
	DECODER_METADATA,		/* metadata of one version: facts (digest, time, yanked), no output */
	DECODER_JOBS
};

/** decoder_put() - a message; @payload.n <= DECODER_PAYLOAD_MAX. buf_err(b) */
must_use enum err decoder_put(struct buf *b, enum decoder_type type, struct str payload);
/** decoder_next() - takes the message at the front of @input; *ret_payload borrows from it. ERR_MORE
 *  until it is whole; ERR_LINK_MALFORMED: an unknown type, bytes that must be zero, a length over the cap */
must_use enum err decoder_next(struct str *input, enum decoder_type *ret_type, struct str *ret_payload);
