/* verify.c - is a trail whole, in order, and signed?
 *
 * Theory of operation: one pass. Each line must be canonical, carry the next number and the hash
 * of the line before it; each checkpoint must say exactly what the chain says at that place, and
 * be signed by the key. The first thing that is not so ends the pass: what follows proves
 * nothing. What is merely missing (an outcome, the stop record, a signature over the last
 * records) is named, and is no fault of the chain: a killed courier leaves it so.
 *
 * What this cannot show: records that stood behind the last checkpoint and were all taken away
 * (the missing stop record tells of it), and the time of a trail's very last record when that
 * is a checkpoint (the signature is over what is before it).
 * The files are not trusted; nothing here grows with them but the table of open intents, which
 * is bounded.
 */
#include "audit/chain.h"
#include "audit/json.h"
#include "audit/note.h"
#include "audit/trail.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define OPEN_MAX 20000u		/* more than the spool ever has open */
#define REQUEST_ID_MAX 64
#define NAMED_MAX 4		/* open intents that the report names */

struct open_intent {
	uint64_t seq;
	size_t bytes;
	char id[REQUEST_ID_MAX];
};

struct verifier {
	struct str sandbox;
	const uint8_t *key;		/* NULL: signatures are not looked at */
	struct chain chain;
	struct audit_report *report;
	struct open_intent *open;	/* OPEN_MAX of them */
	uint32_t open_count;
	uint64_t strays;		/* outcomes without an intent */
	struct buf text;		/* scratch */
};

/* The record after the last good one is at fault. */
static enum err broken(struct verifier *v, const char *why)
{
	v->report->bad_seq = v->chain.seq + 1;
	(void)snprintf(v->report->text, sizeof v->report->text, "record %llu: %s",
		       (unsigned long long)v->report->bad_seq, why);
	return ERR_AUDIT_BROKEN;
}

static enum err check_seq(struct verifier *v, const struct json_object *o)
{
	const struct json_value *seq = json_member(o, "seq", JSON_INTEGER);
	uint64_t expected = v->chain.seq + 1, found;
	char why[96];

	if (!seq || !json_integer_of(seq->text, &found))
		return broken(v, "has no number (seq)");
	if (found == expected)
		return ERR_OK;
	(void)snprintf(why, sizeof why, "%s: %llu stands in its place",
		       found > expected ? "is missing" : "an earlier one is there again or out of order",
		       (unsigned long long)found);
	return broken(v, why);
}

static enum err check_prev(struct verifier *v, const struct json_object *o)
{
	const struct json_value *prev = json_member(o, "prev", JSON_STRING);
	char expected[2 * CHAIN_HASH_BYTES];
	char why[96];

	chain_prev(&v->chain, expected);
	if (prev && prev->text.n == sizeof expected + 2 &&
	    memcmp(prev->text.p + 1, expected, sizeof expected) == 0)
		return ERR_OK;
	if (v->chain.seq == 0)
		return broken(v, "does not begin the chain of this sandbox (prev)");
	(void)snprintf(why, sizeof why, "does not follow record %llu (prev): one of the two was changed",
		       (unsigned long long)v->chain.seq);
	return broken(v, why);
}

/* The text of member @name in v->text; empty if there is none. */
static enum err member_text(struct verifier *v, const struct json_object *o, const char *name)
{
	const struct json_value *value = json_member(o, name, JSON_STRING);

	buf_clear(&v->text);
	return value ? json_text(value->text, &v->text) : ERR_OK;
}

static enum err check_checkpoint(struct verifier *v, const struct json_object *o)
{
	const struct json_value *process = json_member(o, "process", JSON_STRING);
	struct str body, signatures;
	auto_buf expected = BUF_EMPTY;
	enum err e;

	buf_init(&expected, NOTE_MAX);
	if (o->count != 6 || !process || !str_eq(process->text, STR("\"courier\"")) ||
	    member_text(v, o, "note") || !note_split(buf_str(&v->text), &body, &signatures))
		return broken(v, "the checkpoint is malformed");
	note_put_checkpoint(&expected, v->sandbox, v->chain.seq, v->chain.hash);
	if (buf_err(&expected))
		return buf_err(&expected);
	if (!str_eq(body, buf_str(&expected)))
		return broken(v, "the checkpoint was made for another chain");
	if (v->key) {
		e = note_verify(body, signatures, v->key);
		if (e == ERR_AUDIT_BROKEN)
			return broken(v, "the checkpoint is not signed by this key");
		if (e)
			return e;
	}
	v->report->checkpoints++;
	v->report->last_checkpoint_seq = v->chain.seq + 1;
	return ERR_OK;
}

static enum err intent_opens(struct verifier *v, struct str id)
{
	struct open_intent *i;

	v->report->intents++;
	if (v->open_count == OPEN_MAX)
		return broken(v, "more intents are open at once than a courier can have");
	i = &v->open[v->open_count++];
	i->seq = v->chain.seq + 1;
	i->bytes = str_head(id, sizeof i->id).n;
	memcpy(i->id, id.p, i->bytes);
	return ERR_OK;
}

/* Newest first: requests are short. */
static void outcome_closes(struct verifier *v, struct str id)
{
	v->report->outcomes++;
	id = str_head(id, REQUEST_ID_MAX);
	for (uint32_t i = v->open_count; i > 0; i--) {
		if (!str_eq(str_make(v->open[i - 1].id, v->open[i - 1].bytes), id))
			continue;
		memmove(&v->open[i - 1], &v->open[i], (v->open_count - i) * sizeof *v->open);
		v->open_count--;
		return;
	}
	v->strays++;
}

static enum err check_kind(struct verifier *v, const struct json_object *o)
{
	const struct json_value *kind = json_member(o, "kind", JSON_STRING);
	enum err e = ERR_OK;

	if (!kind)
		return broken(v, "has no kind");
	if (str_eq(kind->text, STR("\"checkpoint\"")))
		return check_checkpoint(v, o);
	v->report->stopped = str_eq(kind->text, STR("\"stop\""));
	if (str_eq(kind->text, STR("\"intent\"")) || str_eq(kind->text, STR("\"outcome\""))) {
		if (member_text(v, o, "request") || v->text.len == 0)
			return broken(v, "names no request");
		if (str_eq(kind->text, STR("\"intent\"")))
			e = intent_opens(v, buf_str(&v->text));
		else
			outcome_closes(v, buf_str(&v->text));
	}
	return e;
}

static enum err check_line(struct verifier *v, struct str line)
{
	uint8_t hash[CHAIN_HASH_BYTES];
	struct json_object o;
	enum err e;

	if (json_object_read(line, &o))
		return broken(v, "is not a canonical record");
	e = check_seq(v, &o);
	if (!e)
		e = check_prev(v, &o);
	if (!e)
		e = check_kind(v, &o);
	if (!e)
		e = chain_hash(&v->chain, line, hash);
	if (e)
		return e;
	chain_step(&v->chain, hash);
	v->report->records++;
	return ERR_OK;
}

/* One more sentence of the report; what does not fit is cut. */
static void say(struct audit_report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct audit_report *r, const char *format, ...)
{
	size_t used = strlen(r->text);
	va_list args;

	if (used && used < sizeof r->text - 3) {
		memcpy(r->text + used, "; ", 3);
		used += 2;
	}
	va_start(args, format);
	(void)vsnprintf(r->text + used, sizeof r->text - used, format, args);
	va_end(args);
}

static void name_open_intents(const struct verifier *v)
{
	struct audit_report *r = v->report;

	if (v->open_count == 0)
		return;
	say(r, "%u request%s no outcome:", v->open_count, v->open_count == 1 ? " has" : "s have");
	for (uint32_t i = 0; i < v->open_count && i < NAMED_MAX; i++) {
		size_t used = strlen(r->text);
		char id[4 * REQUEST_ID_MAX + 1];

		(void)log_escape(str_make(v->open[i].id, v->open[i].bytes), id, sizeof id);
		(void)snprintf(r->text + used, sizeof r->text - used, " %s (record %llu)%s", id,
			       (unsigned long long)v->open[i].seq,
			       i + 1 == v->open_count ? "" : i + 1 == NAMED_MAX ? ", ..." : ",");
	}
}

/* The chain holds: what is missing nevertheless? */
static void name_gaps(const struct verifier *v, const struct trail *t)
{
	struct audit_report *r = v->report;
	uint64_t unsigned_count = r->records - r->last_checkpoint_seq;

	r->open_intents = v->open_count;
	r->torn_tail = trail_torn(t);
	if (r->records == 0)
		say(r, "nothing is recorded");
	else if (!r->stopped)
		say(r, trail_is_being_written(t) ? "no stop record: the sandbox still runs" :
						   "no stop record: the courier was killed");
	if (r->torn_tail)
		say(r, "the last line is cut off: writing was interrupted after record %llu",
		    (unsigned long long)r->records);
	if (unsigned_count == r->records && r->records)
		say(r, "no checkpoint: nothing is signed");
	else if (unsigned_count)
		say(r, "no checkpoint after record %llu: the last %llu %s not signed",
		    (unsigned long long)r->last_checkpoint_seq, (unsigned long long)unsigned_count,
		    unsigned_count == 1 ? "is" : "are");
	name_open_intents(v);
	if (v->strays)
		say(r, "%llu outcomes have no intent", (unsigned long long)v->strays);
}

static enum err walk(struct verifier *v, struct trail *t)
{
	struct str line;
	enum err e;

	do {
		e = trail_next(t, &line);
		if (!e)
			e = check_line(v, line);
		else if (e == ERR_AUDIT_BROKEN)
			return broken(v, trail_fault(t));
	} while (!e);
	if (e != ERR_MORE)
		return e;
	name_gaps(v, t);
	return ERR_OK;
}

enum err audit_verify(int directory, struct str sandbox, const uint8_t public_key[32],
		      struct audit_report *ret)
{
	struct audit_report report = { 0 };
	struct verifier v = { .sandbox = sandbox, .key = public_key, .report = &report };
	auto_trail t = NULL;
	enum err e;

	v.open = malloc(OPEN_MAX * sizeof *v.open);
	buf_init(&v.text, AUDIT_RECORD_MAX);
	e = v.open ? chain_init(&v.chain, sandbox) : ERR_MEMORY;
	if (!e)
		e = trail_open(directory, &t);
	if (!e)
		e = walk(&v, t);
	if (v.open)
		chain_free(&v.chain);
	buf_free(&v.text);
	free(v.open);
	if (e == ERR_OK || e == ERR_AUDIT_BROKEN) {
		*ret = report;
		return e;
	}
	return e == ERR_MEMORY ? e : ERR_LOCAL;
}
