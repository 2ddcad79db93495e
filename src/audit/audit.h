/* audit.h - the trail of one sandbox: records, the chain, its storage
 *
 * RFC 8785 canonical JSON, one record a line, in
 * STATE/trails/<sandbox-id>/NNNNNN.jsonl. Members of every record: "seq" (from 1), "prev"
 * (hex SHA-256 of the previous line's bytes without its newline; of the sandbox id for the
 * first), "time", "kind", "process" (whose word it is). Only the courier writes.
 *
 * "Stored" is: the write() of the whole line returned. Room for the outcome of every open
 * intent, for a stop record and for a checkpoint is allocated (fallocate) before the intent
 * is written, so that a full disk refuses the next request and loses no outcome (I3).
 *
 * Kinds, and the members that readers know by name (others may stand beside them; docs/audit.md):
 *
 *   start       sandbox, name, person, command (list), policy, policy_digest
 *   stop        result, exit_code
 *   dns         host, query_type, verdict ("yes", "no"), asked_by
 *   connection  connection, host, address, port, asked_by; at its end bytes_in, bytes_out, result
 *   intent      request, method, url, verdict ("allow", "observe"), rule, line, credential, asked_by
 *   message     request, message (number), type ("text", "binary"), bytes_out, verdict ("allow", "deny")
 *   outcome     request (an intent's), status, bytes_in, bytes_out, duration_ms, result
 *   denial      request, method, url (or host), rule, line, result, text, asked_by
 *   reload      policy_digest, result
 *   limit       text
 *   claim       claim (exec, exit, file, terminal, ...), path, text, exit_code, exit_signal
 *   checkpoint  note: written by the spool itself
 *
 * An intent and its outcome are joined by "request", which no two intents of a trail share.
 */
#pragma once

#include "base/buf.h"
#include "wire/msg.h"

#define AUDIT_RECORD_MAX 8192		/* longest line; values are cut, and say so, to fit */
#define AUDIT_SEGMENT_BYTES UINT64_C(67108864)	/* 64 MiB */

/** struct record - one record under construction; members in any order, sorted at the end */
struct record;
struct record *record_new(struct str kind, struct str process);	/* NULL without memory */
void record_free(struct record *r);
static inline void record_freep(struct record **r) { record_free(*r); }
#define auto_record __attribute__((cleanup(record_freep))) struct record *
/** record_*() - adds a member; failure is sticky and reported by spool_append(). Bytes that
 *  are not UTF-8 become {"base64":"..."}; text over @max_bytes is cut and marked
 *  ("<name>_cut": original length). Names are ours: lower-case literals. */
void record_text(struct record *r, const char *name, struct str value, size_t max_bytes);
void record_integer(struct record *r, const char *name, uint64_t value);	/* <= 2^53, else as text */
void record_bool(struct record *r, const char *name, bool value);
void record_list(struct record *r, const char *name, const struct str *values, size_t count);
/** record_process() - "asked_by": {pid, uid, exe, ancestors} */
void record_process(struct record *r, const struct msg_process *p);
/** record_claim() - the members of a claim that are set: "claim" (its kind in lower case),
 *  "result" if not OK, "text", "host", "address" (as text), "port", "query_type", "path",
 *  "verdict", "connection", "bytes_in", "bytes_out", "exit_code", "exit_signal", "asked_by" */
void record_claim(struct record *r, const struct msg_claim *c);
/** record_claim_kind() - the kind of record that a claim becomes: dns, connection, denial,
 *  start, stop, limit, or claim */
struct str record_claim_kind(enum claim_kind kind);

struct spool;
/** audit_signer - signs a checkpoint note body; the key stays in the keeper. The courier
 *  passes a function that asks it synchronously. */
typedef enum err audit_signer(void *ctx, struct str body, uint8_t ret_signature[64]);

struct spool_options {
	int directory;			/* O_DIRECTORY fd of trails/<sandbox-id>; borrowed, stays open */
	struct str sandbox;		/* id */
	struct str key_name;		/* C2SP signed-note key name, for example "paddock/<installation>" */
	uint8_t public_key[32];
	audit_signer *signer;
	void *signer_ctx;
	bool durable;			/* fdatasync before "stored" */
	uint32_t checkpoint_every;	/* records; 0: 1000 */
};
/** spool_open() - starts a chain (the directory must be empty) and preallocates
 * Return: ERR_OK; ERR_AUDIT (errno tells), ERR_MEMORY */
must_use enum err spool_open(const struct spool_options *o, struct spool **ret);
/** spool_append() - completes @r (seq, prev, time), stores it; *ret_seq may be NULL.
 *  ERR_AUDIT: it is not stored, nothing else is damaged; the caller refuses the request. */
must_use enum err spool_append(struct spool *s, struct record *r, uint64_t *ret_seq);
/** spool_intent() - as spool_append(), and reserves room for one outcome */
must_use enum err spool_intent(struct spool *s, struct record *r, uint64_t *ret_seq);
/** spool_outcome() - as spool_append() into room reserved by spool_intent(); stored by the next record or by
 *  spool_flush(), whichever comes first */
must_use enum err spool_outcome(struct spool *s, struct record *r);
/** spool_flush() - stores the outcomes that wait. ERR_AUDIT: they still do, unless the spool has failed */
must_use enum err spool_flush(struct spool *s);
/** spool_durable() - as the option of spool_open(), from now on, and for what the present segment holds
 *  ERR_AUDIT: that cannot be brought to disk; nothing more is stored */
must_use enum err spool_durable(struct spool *s, bool durable);
/** spool_checkpoint() - writes a signed checkpoint record now */
must_use enum err spool_checkpoint(struct spool *s);
/** spool_close() - stop record @r (may be NULL), last checkpoint, close; frees in any case */
enum err spool_close(struct spool *s, struct record *r);

/** verification */
struct audit_report {
	uint64_t records, checkpoints, intents, outcomes;
	uint64_t open_intents;		/* without an outcome: the courier was killed in between */
	bool stopped;			/* a stop record ends it */
	bool torn_tail;			/* the last line has no newline: cut off while being written */
	uint64_t last_checkpoint_seq;
	uint64_t bad_seq;		/* first record at fault, 0: none */
	char text[512];			/* what is wrong, or what is missing, in words */
};
/** audit_verify() - the chain in @directory; @public_key NULL: chain only, signatures not
 * Return: ERR_OK (complete or with named gaps: see the report); ERR_AUDIT_BROKEN; ERR_LOCAL */
must_use enum err audit_verify(int directory, struct str sandbox, const uint8_t public_key[32],
			       struct audit_report *ret);
/** audit_each() - calls @f with every record's line (no newline), in order, until it returns
 *  false; a torn tail is not handed out */
must_use enum err audit_each(int directory, bool (*f)(void *ctx, struct str line), void *ctx);
