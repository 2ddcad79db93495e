/* keeper_key.c - reads, makes and uses the checkpoint key; see keeper_key.h
 *
 * Theory of operation: the file is written under a temporary name, synced, and linked to its
 * own name only if that does not exist, so that of two first runs one wins and both go on
 * with its key. The public file follows; should it be missing it is made again from the key.
 * Every buffer that held the seed is wiped.
 * Source: RFC 8032; c2sp.org/signed-note; golang.org/x/mod/sumdb/note (the signer's form).
 */
#include "credential/keeper_key.h"

#include "base/auto.h"
#include "base/secret.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#include <openssl/sha.h>
#undef ERR_STATE
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#define SEED_BYTES 32
#define ALGORITHM 0x01		/* Ed25519, in C2SP signed-note */
#define FILE_MAX 512
#define ID_BYTES 4
#define PRIVATE STR("PRIVATE+KEY+")

struct keeper_key {
	EVP_PKEY *key;
	uint8_t public[SEED_BYTES];
	size_t name_n;
	char name[KEEPER_KEY_NAME_MAX];
};

void keeper_key_free(struct keeper_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

struct str keeper_key_name(const struct keeper_key *k) { return (struct str){ k->name, k->name_n }; }
const uint8_t *keeper_key_public(const struct keeper_key *k) { return k->public; }

static bool name_is_valid(struct str name)
{
	if (name.n == 0 || name.n > KEEPER_KEY_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == '+')
			return false;
	return true;
}

/* SHA-256(name || "\n" || algorithm || public key), its first bytes */
static void key_id(const struct keeper_key *k, uint8_t ret_id[ID_BYTES])
{
	uint8_t text[KEEPER_KEY_NAME_MAX + 2 + SEED_BYTES], digest[SHA256_DIGEST_LENGTH];

	memcpy(text, k->name, k->name_n);
	text[k->name_n] = '\n';
	text[k->name_n + 1] = ALGORITHM;
	memcpy(text + k->name_n + 2, k->public, sizeof k->public);
	SHA256(text, k->name_n + 2 + sizeof k->public, digest);
	memcpy(ret_id, digest, ID_BYTES);
}

/* "<name>+<id>+<base64(algorithm || @key)>" */
static void put_key(const struct keeper_key *k, const uint8_t key[SEED_BYTES], struct buf *out)
{
	uint8_t typed[1 + SEED_BYTES] = { ALGORITHM }, id[ID_BYTES];

	key_id(k, id);
	memcpy(typed + 1, key, SEED_BYTES);
	buf_put(out, keeper_key_name(k));
	buf_put_z(out, "+");
	buf_put_hex(out, str_make(id, sizeof id));
	buf_put_z(out, "+");
	buf_put_base64(out, str_make(typed, sizeof typed));
	explicit_bzero(typed, sizeof typed);
}

enum err keeper_key_put_verifier(const struct keeper_key *k, struct buf *out)
{
	put_key(k, k->public, out);
	return buf_err(out);
}

static enum err from_seed(struct str name, const uint8_t seed[SEED_BYTES], struct keeper_key **ret)
{
	struct keeper_key *k = calloc(1, sizeof *k);
	size_t n = sizeof k->public;

	if (!k)
		return ERR_MEMORY;
	k->name_n = name.n;
	memcpy(k->name, name.p, name.n);
	k->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED_BYTES);
	if (!k->key || EVP_PKEY_get_raw_public_key(k->key, k->public, &n) != 1) {
		keeper_key_free(k);
		return ERR_MEMORY;
	}
	*ret = k;
	return ERR_OK;
}

enum err keeper_key_sign(const struct keeper_key *k, struct str body, uint8_t ret_signature[64])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t signature[64];
	size_t n = sizeof signature;
	bool ok = context && EVP_DigestSignInit(context, NULL, NULL, NULL, k->key) == 1 &&
		  EVP_DigestSign(context, signature, &n, (const uint8_t *)body.p, body.n) == 1 &&
		  n == sizeof signature;

	EVP_MD_CTX_free(context);
	if (!ok)
		return ERR_MEMORY;
	memcpy(ret_signature, signature, sizeof signature);
	return ERR_OK;
}

/* one line, in the form of keeper_key.h, whose id agrees with its key */
static enum err parse(struct str line, struct keeper_key **ret)
{
	struct str name, id, wanted;
	auto_buf seed = BUF_EMPTY, again = BUF_EMPTY;
	struct keeper_key *k = NULL;
	enum err e;

	buf_init_secret(&seed, 64);
	buf_init_secret(&again, FILE_MAX);
	if (!str_starts(line, PRIVATE))
		return ERR_INPUT;
	wanted = line = str_from(line, PRIVATE.n);
	name = str_head(line, str_find(line, '+'));
	line = str_from(line, name.n + 1);
	id = str_head(line, str_find(line, '+'));
	line = str_from(line, id.n + 1);
	if (!name_is_valid(name) || base64_decode(&seed, line) || seed.len != 1 + SEED_BYTES ||
	    seed.p[0] != ALGORITHM)
		return ERR_INPUT;
	e = from_seed(name, (const uint8_t *)seed.p + 1, &k);
	if (e)
		return e;
	put_key(k, (const uint8_t *)seed.p + 1, &again);	/* there is one spelling, ids included */
	if (buf_err(&again) || !secret_eq(buf_str(&again), wanted)) {
		keeper_key_free(k);
		return ERR_INPUT;
	}
	*ret = k;
	return ERR_OK;
}

enum err keeper_key_read(int fd, struct keeper_key **ret)
{
	char text[FILE_MAX];
	ssize_t n = pread(fd, text, sizeof text, 0);
	enum err e = ERR_INPUT;

	if (n < 0)
		e = ERR_LOCAL;
	else if (n > 1 && text[n - 1] == '\n' && (size_t)n < sizeof text)
		e = parse(str_make(text, (size_t)n - 1), ret);
	explicit_bzero(text, sizeof text);
	return e;
}

/* ---- the supervisor's side ---- */

/* @name gets @text whole or not at all; an existing file stays. EEXIST is no failure. */
static bool create_once(int directory, const char *name, mode_t mode, struct str text)
{
	auto_buf temporary = BUF_EMPTY;
	uint32_t number;
	const char *z;
	bool ok;

	buf_init(&temporary, 64);
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return false;
	buf_printf(&temporary, ".%s.%08x", name, number);
	z = buf_z(&temporary);
	auto_fd fd =
		z ? openat(directory, z, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode) : -1;

	if (fd < 0)
		return false;
	ok = fd_write(fd, text) == ERR_OK && fsync(fd) == 0 &&
	     (linkat(directory, z, directory, name, 0) == 0 || errno == EEXIST);
	(void)unlinkat(directory, z, 0);
	return ok && fsync(directory) == 0;
}

static enum err create_key(int directory)
{
	uint8_t seed[SEED_BYTES], number[8];
	struct keeper_key *k = NULL;
	auto_buf name = BUF_EMPTY, text = BUF_EMPTY;
	enum err e;

	buf_init(&name, 64);
	buf_init_secret(&text, FILE_MAX);
	if (getrandom(seed, sizeof seed, 0) != sizeof seed ||
	    getrandom(number, sizeof number, 0) != sizeof number)
		return ERR_LOCAL;
	buf_put_z(&name, "paddock/");
	buf_put_hex(&name, str_make(number, sizeof number));
	e = buf_err(&name) ? buf_err(&name) : from_seed(buf_str(&name), seed, &k);
	if (!e) {
		buf_put(&text, PRIVATE);
		put_key(k, seed, &text);
		buf_put_z(&text, "\n");
		keeper_key_free(k);
		e = buf_err(&text);
	}
	explicit_bzero(seed, sizeof seed);
	if (!e && !create_once(directory, KEEPER_KEY_FILE, 0600, buf_str(&text)))
		e = ERR_LOCAL;
	return e;
}

static enum err create_public(int directory, int fd)
{
	struct keeper_key *k = NULL;
	enum err e = keeper_key_read(fd, &k);
	auto_buf text = BUF_EMPTY;

	buf_init(&text, FILE_MAX);
	if (e) {
		errno = EBADMSG;
		return e == ERR_INPUT ? ERR_LOCAL : e;
	}
	e = keeper_key_put_verifier(k, &text);
	keeper_key_free(k);
	buf_put_z(&text, "\n");
	if (!e && !create_once(directory, KEEPER_PUBLIC_FILE, 0644, buf_str(&text)))
		e = ERR_LOCAL;
	return e;
}

static int open_key(int directory)
{
	return openat(directory, KEEPER_KEY_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

enum err keeper_installation_key(int directory, int *ret_fd)
{
	auto_fd fd = open_key(directory);
	struct stat st;
	enum err e;

	if (fd < 0 && errno == ENOENT) {
		e = create_key(directory);
		if (e)
			return e;
		fd = open_key(directory);
	}
	if (fd < 0 || fstat(fd, &st))
		return ERR_LOCAL;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
		errno = EPERM;
		return ERR_LOCAL;
	}
	if (faccessat(directory, KEEPER_PUBLIC_FILE, F_OK, 0)) {
		e = create_public(directory, fd);
		if (e)
			return e;
	}
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}
