/* note.c - C2SP signed notes with Ed25519
 *
 * Theory of operation: writing is straight; reading is of files that may have been changed, so
 * each line must have exactly the form of the specification and a signature counts only if its
 * key id follows from its own name and the key that the caller trusts. Signature lines of other
 * keys (witnesses) are passed over, as the specification says.
 */
#include "audit/note.h"

#include "audit/openssl.h"
#include "base/reader.h"

#define ALGORITHM_ED25519 0x01
#define SIGNATURES_MAX 16
#define DASH "\xe2\x80\x94 "	/* em dash, space */

bool note_key_name_is_valid(struct str name)
{
	if (name.n == 0 || name.n > NOTE_KEY_NAME_MAX || !str_is_utf8(name))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 0x7f || name.p[i] == '+')
			return false;
	return true;
}

enum err note_key_id(struct str name, const uint8_t key[NOTE_KEY_BYTES], uint8_t ret[4])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	auto_buf b = BUF_EMPTY;

	buf_init(&b, NOTE_KEY_NAME_MAX + 2 + NOTE_KEY_BYTES);
	if (!note_key_name_is_valid(name))
		return ERR_INPUT;
	buf_put(&b, name);
	buf_put_byte(&b, '\n');
	buf_put_byte(&b, ALGORITHM_ED25519);
	buf_put(&b, str_make(key, NOTE_KEY_BYTES));
	if (buf_err(&b) || !EVP_Digest(b.p, b.len, hash, NULL, EVP_sha256(), NULL))
		return ERR_MEMORY;
	memcpy(ret, hash, 4);
	return ERR_OK;
}

void note_put_checkpoint(struct buf *b, struct str sandbox, uint64_t size, const uint8_t hash[32])
{
	buf_put_z(b, "paddock/trail/");
	buf_put(b, sandbox);
	buf_put_byte(b, '\n');
	buf_put_decimal(b, size);
	buf_put_byte(b, '\n');
	buf_put_base64(b, str_make(hash, 32));
	buf_put_byte(b, '\n');
}

enum err note_put_signature(struct buf *b, struct str name, const uint8_t key[NOTE_KEY_BYTES],
			    const uint8_t signature[NOTE_SIGNATURE_BYTES])
{
	uint8_t blob[4 + NOTE_SIGNATURE_BYTES];
	enum err e = note_key_id(name, key, blob);

	if (e)
		return e;
	memcpy(blob + 4, signature, NOTE_SIGNATURE_BYTES);
	buf_put_z(b, "\n" DASH);
	buf_put(b, name);
	buf_put_byte(b, ' ');
	buf_put_base64(b, str_make(blob, sizeof blob));
	buf_put_byte(b, '\n');
	return buf_err(b);
}

bool note_split(struct str note, struct str *ret_body, struct str *ret_signatures)
{
	/* The last blank line parts them: signature lines hold none. */
	for (size_t i = note.n; i >= 2; i--) {
		if (note.p[i - 1] != '\n' || note.p[i - 2] != '\n')
			continue;
		*ret_body = str_head(note, i - 1);
		*ret_signatures = str_from(note, i);
		return i - 1 > 1 && ret_signatures->n > 0;
	}
	return false;
}

static bool ed25519_verifies(struct str body, const uint8_t key[NOTE_KEY_BYTES], const uint8_t *signature)
{
	EVP_PKEY *k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, NOTE_KEY_BYTES);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = k && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, k) == 1 &&
		  EVP_DigestVerify(context, signature, NOTE_SIGNATURE_BYTES, (const uint8_t *)body.p,
				   body.n) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(k);
	return ok;
}

/* One line: is it well-formed, and does it claim to be by @key? */
static bool read_signature(struct str line, const uint8_t key[NOTE_KEY_BYTES],
			   uint8_t ret_signature[NOTE_SIGNATURE_BYTES], bool *ret_ours)
{
	struct reader r = reader_of(line);
	struct str name;
	uint8_t id[4];
	auto_buf blob = BUF_EMPTY;

	buf_init(&blob, NOTE_MAX);
	if (!reader_literal(&r, STR(DASH)) || !reader_until(&r, ' ', &name) ||
	    !note_key_name_is_valid(name) || base64_decode(&blob, reader_rest(&r)) || blob.len < 5)
		return false;
	*ret_ours = blob.len == 4 + NOTE_SIGNATURE_BYTES && !note_key_id(name, key, id) &&
		    memcmp(id, blob.p, sizeof id) == 0;
	if (*ret_ours)
		memcpy(ret_signature, blob.p + 4, NOTE_SIGNATURE_BYTES);
	return true;
}

enum err note_verify(struct str body, struct str signatures, const uint8_t key[NOTE_KEY_BYTES])
{
	struct reader r = reader_of(signatures);
	uint8_t signature[NOTE_SIGNATURE_BYTES];
	bool found = false, ours;
	struct str line;

	for (int i = 0; i < SIGNATURES_MAX && !reader_done(&r); i++) {
		if (!reader_until(&r, '\n', &line) || !read_signature(line, key, signature, &ours))
			return ERR_AUDIT_BROKEN;
		if (!ours)
			continue;
		if (!ed25519_verifies(body, key, signature))
			return ERR_AUDIT_BROKEN;
		found = true;
	}
	return found && reader_done(&r) ? ERR_OK : ERR_AUDIT_BROKEN;
}

enum err note_put_verifier(struct buf *b, struct str name, const uint8_t key[NOTE_KEY_BYTES])
{
	uint8_t blob[1 + NOTE_KEY_BYTES] = { ALGORITHM_ED25519 }, id[4];
	enum err e = note_key_id(name, key, id);

	if (e)
		return e;
	memcpy(blob + 1, key, NOTE_KEY_BYTES);
	buf_put(b, name);
	buf_put_byte(b, '+');
	buf_put_hex(b, str_make(id, sizeof id));
	buf_put_byte(b, '+');
	buf_put_base64(b, str_make(blob, sizeof blob));
	return buf_err(b);
}

enum err note_read_verifier(struct str text, struct str *ret_name, uint8_t ret_key[NOTE_KEY_BYTES])
{
	struct reader r;
	struct str name, id_hex;
	uint8_t id[4];
	auto_buf key = BUF_EMPTY, hex = BUF_EMPTY;

	if (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	r = reader_of(text);
	buf_init(&key, 1 + NOTE_KEY_BYTES);
	buf_init(&hex, 8);
	if (!reader_until(&r, '+', &name) || !reader_until(&r, '+', &id_hex) ||
	    base64_decode(&key, reader_rest(&r)) || key.len != 1 + NOTE_KEY_BYTES ||
	    key.p[0] != ALGORITHM_ED25519 || note_key_id(name, (const uint8_t *)key.p + 1, id))
		return ERR_INPUT;
	buf_put_hex(&hex, str_make(id, sizeof id));
	if (!str_eq(buf_str(&hex), id_hex))
		return ERR_INPUT;
	*ret_name = name;
	memcpy(ret_key, key.p + 1, NOTE_KEY_BYTES);
	return ERR_OK;
}
