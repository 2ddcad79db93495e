/* keeper_fuzz.c - whatever a captured courier asks, no key
 * that signs comes back; whatever a source holds is read
 *
 * Input: byte 0 below 0x80: a request: op, credential, part, flags (bytes 0 to 3), then its text, to a keeper
 * with one credential of each use. Else: byte 0's low bits are a use, and the rest is a source's text.
 */
#include "credential/keeper_login.h"
#include "credential/keeper_ops.h"
#include "credential/keeper_server.h"

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#include <openssl/pem.h>
#undef ERR_STATE
#include <stdlib.h>

#define AWS_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keeper keeper;
static struct keeper_config config;
static char pem[2048];
static size_t pem_bytes;

static void must(bool good)
{
	if (!good)
		abort();
}

/* the second line of the PEM: the key itself */
static struct str key_material(void)
{
	struct str s = str_make(pem, pem_bytes);

	s = str_from(s, str_find(s, '\n') + 1);
	return str_head(s, str_find(s, '\n'));
}

static void answered(void *user, enum err result, uint32_t sequence, struct str data, const char *name,
		     const char *reason)
{
	struct str key = key_material();

	(void)user;
	must(result < ERR_COUNT && sequence == 7 && name && !result == !reason && (!result || data.n == 0));
	must(data.n <= KEEPER_DATA_MAX);
	must(data.p || !data.n);
	if (data.p) {
		must(!memmem(data.p, data.n, AWS_SECRET, sizeof AWS_SECRET - 1));
		must(!memmem(data.p, data.n, key.p, key.n));
	}
}

static void add(enum keeper_use use, struct str text)
{
	struct keeper_credential *c = &config.credentials[config.credential_count++];

	c->name = "c";
	c->use = use;
	c->issuer = use == KEEPER_USE_JWT ? "me" : NULL;
	must(secret_new(text.p, text.n, &c->source.value) == ERR_OK);
}

static void begin(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;

	must(key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	pem_bytes = (size_t)BIO_get_mem_data(bio, &p);
	must(pem_bytes < sizeof pem);
	memcpy(pem, p, pem_bytes);
	BIO_free(bio);
	EVP_PKEY_free(key);
	memcpy(config.sandbox, "quiet-otter", 11);
	add(KEEPER_USE_SECRET, STR("a-plain-secret-0123"));
	add(KEEPER_USE_SIGV4,
	    STR("[default]\naws_access_key_id=AKID\naws_secret_access_key=" AWS_SECRET "\n"));
	add(KEEPER_USE_JWT, str_make(pem, pem_bytes));
	add(KEEPER_USE_CLAUDE,
	    STR("{\"claudeAiOauth\":{\"accessToken\":\"a\",\"refreshToken\":\"r\",\"expiresAt\":1}}"));
	add(KEEPER_USE_CODEX, STR("{\"tokens\":{\"access_token\":\"a.e30.s\",\"refresh_token\":\"r\"}}"));
	add(KEEPER_USE_CERTIFICATE, STR("-----BEGIN CERTIFICATE-----\n"));
	must(mint_new(STR("quiet-otter"), 1700000000, 1, (struct mint **)(uintptr_t)&keeper.mint) == ERR_OK);
	keeper.config = &config;
	keeper.answer = answered;
}

static void ask(const uint8_t *data, size_t size)
{
	static struct keeper_request r;
	size_t n = size > 4 ? size - 4 : 0;

	if (size < 4 || n > KEEPER_TEXT_MAX || data[0] == KEEPER_SIGN)	/* there is no checkpoint key here */
		return;
	r.op = data[0];
	r.credential = data[1];
	r.sequence = 7;
	r.part = data[2];
	r.flags = data[3];
	memcpy(r.text, data + 4, n);
	must(keeper_take(&keeper, &r, KEEPER_REQUEST_HEAD + n) == ERR_OK);
}

static void login(enum keeper_use use, struct str text)
{
	const struct keeper_login fresh = { .access = STR("new.e30.s"), .refresh = STR("new-refresh") };
	struct keeper_login_file f, again;
	const char *reason;
	auto_buf changed = BUF_EMPTY;

	if (keeper_login_parse(use, text, &f, &reason))
		return;
	buf_init_secret(&changed, 8 * KEEPER_SOURCE_MAX);
	must(keeper_login_change(use, &f, &fresh, &changed) == ERR_OK);
	keeper_login_close(&f);
	must(keeper_login_parse(use, buf_str(&changed), &again, &reason) == ERR_OK);
	must(str_eq(again.login.access, fresh.access) && str_eq(again.login.refresh, fresh.refresh));
	keeper_login_close(&again);
}

static void read_source(enum keeper_use use, struct str text)
{
	const struct keeper_credential c = { .use = use, .issuer = "me" };
	const char *reason = NULL;
	auto_buf out = BUF_EMPTY;
	enum err e = ERR_OK;

	buf_init_secret(&out, KEEPER_DATA_MAX);
	if (use == KEEPER_USE_SIGV4) {
		e = keeper_op_sigv4(&c, text, STR(""), &out, &reason);
		(void)keeper_text_expires_s(&c, text, 1700000000);
	} else if (use == KEEPER_USE_JWT) {
		e = keeper_op_account(&c, text, &out, &reason);
	} else if (use == KEEPER_USE_CERTIFICATE) {
		e = keeper_op_certificate(text, &out, &reason);
	} else if (use == KEEPER_USE_CLAUDE || use == KEEPER_USE_CODEX) {
		login(use, text);
		e = keeper_op_login(&c, text, &out, &reason);
	}
	must(!e || reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!keeper.config)
		begin();
	if (size && data[0] < 0x80)
		ask(data, size);
	else if (size && size <= KEEPER_SOURCE_MAX && (data[0] & 0x7f) < KEEPER_USES)
		read_source((enum keeper_use)(data[0] & 0x7f), str_make(data + 1, size - 1));
	return 0;
}
