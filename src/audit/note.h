/* note.h - checkpoints: C2SP signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), Ed25519
 *
 * The body of a checkpoint: "paddock/trail/<sandbox>\n", the number of records as decimal and
 * "\n", base64 of the last one's hash and "\n". A blank line parts it from the signature lines.
 */
#pragma once

#include "base/buf.h"

#define NOTE_BODY_MAX 512	/* what the keeper signs at most */
#define NOTE_MAX 2048
#define NOTE_KEY_NAME_MAX 200
#define NOTE_KEY_BYTES 32
#define NOTE_SIGNATURE_BYTES 64

/** note_key_name_is_valid() - not empty, UTF-8, no white space, no '+' */
bool note_key_name_is_valid(struct str name);
/** note_key_id() - first 4 bytes of SHA-256(name || "\n" || 0x01 || key) */
must_use enum err note_key_id(struct str name, const uint8_t key[NOTE_KEY_BYTES], uint8_t ret[4]);
/** note_put_checkpoint() - appends the body */
void note_put_checkpoint(struct buf *b, struct str sandbox, uint64_t size, const uint8_t hash[32]);
/** note_put_signature() - appends the blank line and one signature line */
must_use enum err note_put_signature(struct buf *b, struct str name, const uint8_t key[NOTE_KEY_BYTES],
				     const uint8_t signature[NOTE_SIGNATURE_BYTES]);
/** note_split() - @ret_body with its last newline, @ret_signatures the lines after the blank one */
must_use bool note_split(struct str note, struct str *ret_body, struct str *ret_signatures);
/** note_verify() - is one of @signatures by @key over @body?
 * Return: ERR_OK; ERR_AUDIT_BROKEN: none is, or the one that says so does not verify; ERR_MEMORY */
must_use enum err note_verify(struct str body, struct str signatures, const uint8_t key[NOTE_KEY_BYTES]);

/** note_put_verifier() - appends the verifier key "<name>+<id>+<base64(0x01 || key)>" */
must_use enum err note_put_verifier(struct buf *b, struct str name, const uint8_t key[NOTE_KEY_BYTES]);
/** note_read_verifier() - reads one (a newline at its end is taken too)
 * Return: ERR_OK, *@ret_name (a view into @text), @ret_key; ERR_INPUT */
must_use enum err note_read_verifier(struct str text, struct str *ret_name, uint8_t ret_key[NOTE_KEY_BYTES]);
