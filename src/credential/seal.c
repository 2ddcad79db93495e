/* seal.c - see seal.h
 *
 * Strict in both directions: there is one spelling of a key and of an envelope, so that what was
 * changed by a bit does not open. The nonce is random; one key seals far fewer values than 2^32.
 * Source: NIST SP 800-38D s8.2.2, s8.3.
 */
#include "credential/seal.h"

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#include <openssl/sha.h>
#undef ERR_STATE
#include <sys/random.h>

#define KEY_WORD STR("PADDOCK-SEAL-KEY-1 ")
#define ENVELOPE_WORD STR("PADDOCK-SEALED-1 ")
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define SEALED_MAX (NONCE_BYTES + SECRET_MAX_BYTES + TAG_BYTES)

bool seal_name(struct str name)
{
	if (name.n == 0 || name.n > SEAL_NAME_MAX || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_alpha(name.p[i]) && !ascii_digit(name.p[i]) && !memchr("._-", name.p[i], 3))
			return false;
	return true;
}

static bool make_id(const uint8_t key[SEAL_KEY_BYTES], char ret[SEAL_ID_BYTES + 1])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	auto_buf text = BUF_EMPTY, hex = BUF_EMPTY;

	buf_init_secret(&text, 64);
	buf_init(&hex, SEAL_ID_BYTES);
	buf_put_z(&text, "paddock-seal-key\n");
	buf_put(&text, str_make(key, SEAL_KEY_BYTES));
	if (buf_err(&text))
		return false;
	SHA256((const uint8_t *)text.p, text.len, digest);
	buf_put_hex(&hex, str_make(digest, SEAL_ID_BYTES / 2));
	if (buf_err(&hex))
		return false;
	memcpy(ret, hex.p, SEAL_ID_BYTES);
	ret[SEAL_ID_BYTES] = 0;
	return true;
}

enum err seal_key_new(struct seal_key *ret)
{
	return getrandom(ret->key, sizeof ret->key, 0) == sizeof ret->key && make_id(ret->key, ret->id)
		       ? ERR_OK : ERR_LOCAL;
}

void seal_key_put(const struct seal_key *key, struct buf *out)
{
	buf_put(out, KEY_WORD);
	buf_put_z(out, key->id);
	buf_put_byte(out, ' ');
	buf_put_base64(out, str_make(key->key, sizeof key->key));
	buf_put_byte(out, '\n');
}

void seal_keys_wipe(struct seal_keys *keys) { explicit_bzero(keys, sizeof *keys); }

static enum err parse_key(struct str line, struct seal_key *ret)
{
	struct str id = str_head(str_from(line, KEY_WORD.n), SEAL_ID_BYTES);
	auto_buf bytes = BUF_EMPTY;
	char own[SEAL_ID_BYTES + 1];

	buf_init_secret(&bytes, SEAL_KEY_BYTES + 3);
	if (!str_starts(line, KEY_WORD) || line.n < KEY_WORD.n + SEAL_ID_BYTES + 1 ||
	    line.p[KEY_WORD.n + SEAL_ID_BYTES] != ' ' ||
	    base64_decode(&bytes, str_from(line, KEY_WORD.n + SEAL_ID_BYTES + 1)) ||
	    bytes.len != SEAL_KEY_BYTES || !make_id((const uint8_t *)bytes.p, own) ||
	    !str_eq(id, str_of(own)))
		return ERR_INPUT;
	memcpy(ret->id, own, sizeof own);
	memcpy(ret->key, bytes.p, SEAL_KEY_BYTES);
	return ERR_OK;
}

static const struct seal_key *find(const struct seal_keys *keys, struct str id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (str_eq(str_of(keys->key[i].id), id))
			return &keys->key[i];
	return NULL;
}

enum err seal_keys_parse(struct str text, struct seal_keys *keys)
{
	while (text.n) {
		struct str line = str_head(text, str_find(text, '\n'));
		struct seal_key key;
		enum err e = line.n == text.n ? ERR_INPUT : parse_key(line, &key);

		if (!e && !find(keys, str_of(key.id))) {
			e = keys->count < SEAL_KEYS_MAX ? ERR_OK : ERR_LIMIT;
			if (!e)
				keys->key[keys->count++] = key;
		}
		explicit_bzero(&key, sizeof key);
		if (e)
			return e;
		text = str_from(text, line.n + 1);
	}
	return ERR_OK;
}

/* ---- envelopes ---- */

static bool put_context(struct buf *b, const char *id, struct str name)
{
	buf_init(b, 128);
	buf_put(b, str_head(ENVELOPE_WORD, ENVELOPE_WORD.n - 1));
	buf_put_byte(b, '\n');
	buf_put_z(b, id);
	buf_put_byte(b, '\n');
	buf_put(b, name);
	return !buf_err(b);
}

static bool encrypt(const struct seal_key *key, struct str context, struct str value, uint8_t *nonce,
		    uint8_t *text)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;
	bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->key, nonce) == 1 &&
		  EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)context.p, (int)context.n) == 1 &&
		  EVP_EncryptUpdate(c, text, &n, (const uint8_t *)value.p, (int)value.n) == 1 &&
		  (size_t)n == value.n && EVP_EncryptFinal_ex(c, text + n, &n) == 1 && n == 0 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + value.n) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

enum err seal_value(const struct seal_key *key, struct str name, struct str value, struct buf *out)
{
	uint8_t sealed[SEALED_MAX];
	auto_buf context = BUF_EMPTY;

	if (!seal_name(name) || value.n == 0 || value.n > SECRET_MAX_BYTES)
		return ERR_INPUT;
	if (!put_context(&context, key->id, name))
		return ERR_MEMORY;
	if (getrandom(sealed, NONCE_BYTES, 0) != NONCE_BYTES)
		return ERR_LOCAL;
	if (!encrypt(key, buf_str(&context), value, sealed, sealed + NONCE_BYTES))
		return ERR_MEMORY;
	buf_put(out, ENVELOPE_WORD);
	buf_put_z(out, key->id);
	buf_put_byte(out, ' ');
	buf_put_base64(out, str_make(sealed, NONCE_BYTES + value.n + TAG_BYTES));
	buf_put_byte(out, '\n');
	return buf_err(out);
}

struct str seal_envelope_id(struct str envelope)
{
	size_t n = ENVELOPE_WORD.n + SEAL_ID_BYTES;

	if (!str_starts(envelope, ENVELOPE_WORD) || envelope.n <= n || envelope.p[n] != ' ')
		return (struct str){ NULL, 0 };
	return str_make(envelope.p + ENVELOPE_WORD.n, SEAL_ID_BYTES);
}

static bool decrypt(const struct seal_key *key, struct str context, struct str sealed, uint8_t *text)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	const uint8_t *p = (const uint8_t *)sealed.p;
	size_t count = sealed.n - NONCE_BYTES - TAG_BYTES;
	uint8_t tag[TAG_BYTES];
	int n = 0;

	memcpy(tag, p + sealed.n - TAG_BYTES, TAG_BYTES);
	bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->key, p) == 1 &&
		  EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)context.p, (int)context.n) == 1 &&
		  EVP_DecryptUpdate(c, text, &n, p + NONCE_BYTES, (int)count) == 1 && (size_t)n == count &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
		  EVP_DecryptFinal_ex(c, text + n, &n) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

static enum err open_bytes(const struct seal_key *key, struct str name, struct str sealed, struct buf *value)
{
	auto_buf context = BUF_EMPTY;
	uint8_t *text;
	enum err e = ERR_CREDENTIAL;

	if (sealed.n <= NONCE_BYTES + TAG_BYTES || sealed.n > SEALED_MAX)
		return ERR_CREDENTIAL;
	text = secret_map(SECRET_MAX_BYTES);
	if (!text || !put_context(&context, key->id, name)) {
		secret_unmap(text, SECRET_MAX_BYTES);
		return ERR_MEMORY;
	}
	if (decrypt(key, buf_str(&context), sealed, text)) {
		buf_put(value, str_make(text, sealed.n - NONCE_BYTES - TAG_BYTES));
		e = buf_err(value);
	}
	secret_unmap(text, SECRET_MAX_BYTES);
	return e;
}

enum err seal_open(const struct seal_keys *keys, struct str name, struct str envelope, struct buf *value,
		   const char **ret_reason)
{
	struct str id = seal_envelope_id(envelope);
	const struct seal_key *key = id.n ? find(keys, id) : NULL;
	auto_buf sealed = BUF_EMPTY;
	enum err e;

	buf_init(&sealed, SEALED_MAX + 3);
	*ret_reason = "its sealed entry is malformed";
	if (!id.n || !seal_name(name) || envelope.p[envelope.n - 1] != '\n')
		return ERR_CREDENTIAL;
	envelope.n--;
	if (base64_decode(&sealed, str_from(envelope, ENVELOPE_WORD.n + SEAL_ID_BYTES + 1)))
		return ERR_CREDENTIAL;
	*ret_reason = "the key of its sealed entry is not here";
	if (!key)
		return ERR_CREDENTIAL;
	e = open_bytes(key, name, buf_str(&sealed), value);
	*ret_reason = "its sealed entry was changed, or is another's";
	return e;
}
