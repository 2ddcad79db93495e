/* spool.c - the one writer of a trail
 *
 * Theory of operation: each record becomes one line, written by write() to the segment that is
 * open for appending. Room is bought ahead with fallocate(KEEP_SIZE), in steps, so that
 *
 *	allocated >= written + (open intents + stop + checkpoint) * AUDIT_RECORD_MAX
 *
 * holds before any intent is stored: a disk that fills up afterwards can refuse the next request,
 * but cannot lose the outcome of one that left. An outcome and the closing records use up their
 * own part of that room and ask for nothing.
 *
 * An outcome is not written at once, but with the next record or by spool_flush(), which the
 * owner calls before anybody learns of what it says: so the outcomes of many exchanges that
 * end together, and the intents that follow them, cost one write.
 *
 * A line that was written in part is cut off again. Cutting gives back the room behind it, so
 * that it is bought again; until that works, intents are refused. If it cannot be cut off, or
 * fdatasync() fails (what is on disk is then unknown), the spool has failed: every further call
 * is ERR_AUDIT. What a failed call leaves is a chain that verifies up to the last stored record.
 *
 * A full segment is left when the next one exists and has its room; outcomes stay in the old one
 * until then. The new one is never removed again: empty, it does not count (trail.c).
 */
#include "audit/chain.h"
#include "audit/note.h"
#include "audit/record.h"
#include "audit/trail.h"
#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define AHEAD_BYTES UINT64_C(262144)
#define CLOSING_RECORDS 2u		/* stop, checkpoint */
#define CHECKPOINT_EVERY 1000u
#define OPEN_INTENTS_MAX 16384u
#define SANDBOX_ID_MAX 128
#define WAITING_BYTES 65536u		/* of outcomes: with more, they are written */

struct segment {
	int fd;
	uint64_t written, allocated;
};

struct spool {
	struct spool_options options;
	char sandbox[SANDBOX_ID_MAX], key_name[NOTE_KEY_NAME_MAX];
	struct chain chain;
	struct segment now, next;	/* next.fd >= 0: made, but without its room as yet */
	uint32_t number;		/* of `now` */
	uint32_t open_intents;
	uint64_t signed_seq;		/* last checkpoint's seq */
	uint64_t sign_at_seq;		/* try the next one when the chain is there */
	bool failed;
	struct buf line;		/* the one that is being made */
	struct buf waiting;		/* lines of the chain that are not written yet, oldest first */
};

/* Buys room up to @end; a step ahead if there is that much, else exactly. */
static enum err segment_allocate(struct segment *g, uint64_t end)
{
	const uint64_t ends[] = { end + AHEAD_BYTES, end };

	if (end <= g->allocated)
		return ERR_OK;
	for (size_t i = 0; i < 2; i++) {
		off_t more = (off_t)(ends[i] - g->allocated);
		int r;

		do
			r = fallocate(g->fd, FALLOC_FL_KEEP_SIZE, (off_t)g->allocated, more);
		while (r && errno == EINTR);
		if (r == 0) {
			g->allocated = ends[i];
			return ERR_OK;
		}
	}
	return ERR_AUDIT;
}

static enum err segment_create(struct spool *s, uint32_t number, struct segment *ret)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[TRAIL_SEGMENT_NAME_BYTES];
	int fd;

	if (number > 999999) {
		errno = EFBIG;
		return ERR_AUDIT;
	}
	trail_segment_name(number, name);
	fd = openat(s->options.directory, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_AUDIT;
	/* Only tells readers that somebody writes; a filesystem without locks is fine. */
	(void)fcntl(fd, F_OFD_SETLK, &lock);
	*ret = (struct segment){ .fd = fd };
	return ERR_OK;
}

/* Gives back the room that was not used, and closes. */
static void segment_close(struct segment *g)
{
	if (g->fd < 0)
		return;
	if (g->allocated > g->written)
		(void)!ftruncate(g->fd, (off_t)g->written);
	close(g->fd);
	g->fd = -1;
}

static uint64_t reserved_bytes(uint32_t intents)
{
	return ((uint64_t)intents + CLOSING_RECORDS) * AUDIT_RECORD_MAX;
}

/* A part of a line was written: cut it off, and buy the room behind it again. */
static void undo_write(struct spool *s)
{
	int why = errno;

	if (ftruncate(s->now.fd, (off_t)s->now.written)) {
		s->failed = true;
	} else {
		s->now.allocated = s->now.written;
		(void)!segment_allocate(&s->now,
					s->now.written + s->waiting.len + reserved_bytes(s->open_intents));
	}
	errno = why;
}

/* Writes what waits, all of it or nothing. */
static enum err store(struct spool *s)
{
	size_t done = 0;

	if (s->waiting.len == 0)
		return ERR_OK;
	while (done < s->waiting.len) {
		ssize_t n = write(s->now.fd, s->waiting.p + done, s->waiting.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			if (done)
				undo_write(s);
			return ERR_AUDIT;
		}
		done += (size_t)n;
	}
	s->now.written += done;
	buf_clear(&s->waiting);
	if (s->options.durable && fdatasync(s->now.fd)) {
		s->failed = true;
		return ERR_AUDIT;
	}
	return ERR_OK;
}

/* The present segment is full: on to the next, once that has room for all that is promised. */
static enum err rotate(struct spool *s, uint64_t need)
{
	enum err e = store(s);

	if (!e && s->next.fd < 0)
		e = segment_create(s, s->number + 1, &s->next);
	if (!e)
		e = segment_allocate(&s->next, need);
	if (!e && s->options.durable && fsync(s->options.directory))
		e = ERR_AUDIT;
	if (e)
		return e;
	segment_close(&s->now);
	s->now = s->next;
	s->next.fd = -1;
	s->number++;
	return ERR_OK;
}

/* Room for @bytes now, beside what stays promised with @intents open. */
static enum err make_room(struct spool *s, size_t bytes, uint32_t intents)
{
	uint64_t need = bytes + reserved_bytes(intents), end = s->now.written + s->waiting.len;

	if (end > AUDIT_SEGMENT_BYTES || bytes > AUDIT_SEGMENT_BYTES - end)
		return rotate(s, need);
	return segment_allocate(&s->now, end + need);
}

/* The record's line, and its hash. */
static enum err make_line(struct spool *s, struct record *r, uint8_t ret_hash[CHAIN_HASH_BYTES])
{
	char prev[2 * CHAIN_HASH_BYTES];
	enum err e;

	buf_clear(&s->line);
	chain_prev(&s->chain, prev);
	e = record_line(r, s->chain.seq + 1, str_make(prev, sizeof prev), clock_unix_ns(), &s->line);
	if (!e)
		e = chain_hash(&s->chain, buf_str(&s->line), ret_hash);
	if (e) {
		errno = e == ERR_MEMORY ? ENOMEM : EINVAL;
		return ERR_AUDIT;
	}
	buf_put_byte(&s->line, '\n');
	if (buf_err(&s->line)) {
		errno = EMSGSIZE;
		return ERR_AUDIT;
	}
	return ERR_OK;
}

/* How a record is appended. */
enum manner {
	NOW,		/* stored, in room that is asked for */
	PROMISED,	/* stored, in room that was set aside */
	SOON,		/* as PROMISED, and may wait */
};

/* Makes the line, stores it, moves the chain. @intents: how many will be open after it. */
static enum err append(struct spool *s, struct record *r, enum manner manner, uint32_t intents)
{
	uint8_t hash[CHAIN_HASH_BYTES];
	enum err e;

	if (s->failed) {
		errno = EIO;
		return ERR_AUDIT;
	}
	e = make_line(s, r, hash);
	if (e)
		return e;
	if (manner == NOW && make_room(s, s->line.len, intents))
		return ERR_AUDIT;
	buf_put(&s->waiting, buf_str(&s->line));
	if (manner != SOON || s->waiting.len > WAITING_BYTES)
		e = store(s);
	if (e) {
		if (s->waiting.len)	/* else it is written, if not surely on disk, and the spool has failed */
			s->waiting.len -= s->line.len;
		return e;
	}
	s->open_intents = intents;
	chain_step(&s->chain, hash);
	return ERR_OK;
}

/* Appends the note's text: what is signed, and the signature. */
static enum err sign(struct spool *s, struct buf *note)
{
	const struct spool_options *o = &s->options;
	uint8_t signature[NOTE_SIGNATURE_BYTES];
	enum err e;

	note_put_checkpoint(note, o->sandbox, s->chain.seq, s->chain.hash);
	if (buf_err(note) || note->len > NOTE_BODY_MAX)
		return ERR_AUDIT;
	e = o->signer(o->signer_ctx, buf_str(note), signature);
	return e ? e : note_put_signature(note, o->key_name, o->public_key, signature);
}

static enum err checkpoint(struct spool *s, enum manner manner)
{
	auto_record r = NULL;
	auto_buf note = BUF_EMPTY;
	enum err e;

	buf_init(&note, NOTE_MAX);
	e = sign(s, &note);
	if (e) {
		errno = EKEYREJECTED;
		return ERR_AUDIT;
	}
	r = record_new(STR("checkpoint"), STR("courier"));
	if (!r)
		return ERR_AUDIT;
	record_text(r, "note", buf_str(&note), NOTE_MAX);
	e = append(s, r, manner, s->open_intents);
	if (!e)
		s->signed_seq = s->chain.seq;
	return e;
}

/* A checkpoint when it is due: after the first record, so that no trail is without one, then
 * after every so many. The record before it is stored whatever comes of it; a signer that
 * does not answer is asked again some records later. */
static void checkpoint_if_due(struct spool *s)
{
	uint32_t every = s->options.checkpoint_every;

	if (s->chain.seq < s->sign_at_seq || s->failed)
		return;
	s->sign_at_seq = checkpoint(s, NOW) ? s->chain.seq + every / 8 + 1 : s->chain.seq + every;
}

/* Without a signature for twice the distance, nothing more may leave. */
static bool signature_is_overdue(const struct spool *s)
{
	return s->chain.seq - s->signed_seq >= 2 * (uint64_t)s->options.checkpoint_every;
}

static bool sandbox_is_valid(struct str id)
{
	if (id.n == 0 || id.n > SANDBOX_ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_alpha(id.p[i]) && !ascii_digit(id.p[i]) && id.p[i] != '-' && id.p[i] != '_')
			return false;
	return true;
}

static struct spool *spool_new(const struct spool_options *o)
{
	struct spool *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->options = *o;
	memcpy(s->sandbox, o->sandbox.p, o->sandbox.n);
	memcpy(s->key_name, o->key_name.p, o->key_name.n);
	s->options.sandbox.p = s->sandbox;
	s->options.key_name.p = s->key_name;
	if (o->checkpoint_every == 0)
		s->options.checkpoint_every = CHECKPOINT_EVERY;
	s->now.fd = s->next.fd = -1;
	s->number = 1;
	s->sign_at_seq = 1;
	buf_init(&s->line, AUDIT_RECORD_MAX);
	buf_init(&s->waiting, WAITING_BYTES + 2 * AUDIT_RECORD_MAX);
	return s;
}

static void spool_free(struct spool *s)
{
	segment_close(&s->now);
	segment_close(&s->next);
	chain_free(&s->chain);
	buf_free(&s->line);
	buf_free(&s->waiting);
	free(s);
}

enum err spool_open(const struct spool_options *o, struct spool **ret)
{
	struct spool *s;
	enum err e;

	if (!sandbox_is_valid(o->sandbox) || !note_key_name_is_valid(o->key_name) || !o->signer) {
		errno = EINVAL;
		return ERR_AUDIT;
	}
	s = spool_new(o);
	if (!s)
		return ERR_MEMORY;
	e = chain_init(&s->chain, s->options.sandbox);
	if (!e)
		e = buf_reserve(&s->line, AUDIT_RECORD_MAX);
	if (!e)
		e = buf_reserve(&s->waiting, WAITING_BYTES + 2 * AUDIT_RECORD_MAX);
	if (!e)
		e = segment_create(s, s->number, &s->now);
	if (!e)
		e = segment_allocate(&s->now, reserved_bytes(0));
	if (!e && o->durable && fsync(o->directory))
		e = ERR_AUDIT;
	if (e) {
		int why = errno;

		spool_free(s);
		errno = why;
		return e;
	}
	*ret = s;
	return ERR_OK;
}

enum err spool_append(struct spool *s, struct record *r, uint64_t *ret_seq)
{
	enum err e = append(s, r, NOW, s->open_intents);

	if (e)
		return e;
	if (ret_seq)
		*ret_seq = s->chain.seq;
	checkpoint_if_due(s);
	return ERR_OK;
}

enum err spool_intent(struct spool *s, struct record *r, uint64_t *ret_seq)
{
	enum err e;

	if (s->open_intents == OPEN_INTENTS_MAX) {
		errno = EMFILE;
		return ERR_AUDIT;
	}
	if (signature_is_overdue(s) && checkpoint(s, NOW))
		return ERR_AUDIT;
	e = append(s, r, NOW, s->open_intents + 1);
	if (e)
		return e;
	if (ret_seq)
		*ret_seq = s->chain.seq;
	checkpoint_if_due(s);
	return ERR_OK;
}

enum err spool_outcome(struct spool *s, struct record *r)
{
	enum err e;

	if (s->open_intents == 0) {
		errno = EINVAL;
		return ERR_STATE;
	}
	e = append(s, r, SOON, s->open_intents - 1);
	if (!e)
		checkpoint_if_due(s);
	return e;
}

enum err spool_flush(struct spool *s)
{
	if (!s->failed)
		return store(s);
	errno = EIO;
	return s->waiting.len ? ERR_AUDIT : ERR_OK;
}

enum err spool_durable(struct spool *s, bool durable)
{
	bool begins = durable && !s->options.durable;

	s->options.durable = durable;
	if (begins && (fdatasync(s->now.fd) || fsync(s->options.directory))) {
		s->failed = true;
		return ERR_AUDIT;
	}
	return ERR_OK;
}

enum err spool_checkpoint(struct spool *s)
{
	enum err e = checkpoint(s, NOW);

	if (!e)
		s->sign_at_seq = s->chain.seq + s->options.checkpoint_every;
	return e;
}

enum err spool_close(struct spool *s, struct record *r)
{
	enum err stop = r ? append(s, r, PROMISED, s->open_intents) : spool_flush(s);
	enum err last = checkpoint(s, PROMISED);
	int why = errno;

	spool_free(s);
	errno = why;
	return stop ? stop : last;
}
