/* audit_world.h - a directory, a key and a small trail for the tests of the audit layer */
#pragma once

#include "audit/audit.h"
#include "audit/note.h"
#include "audit/openssl.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define WORLD_SANDBOX STR_INIT("sb-0123456789ab")

struct world {
	char path[64];
	int directory;
	EVP_PKEY *key;
	struct spool_options options;
	bool signer_fails;
};

static enum err world_sign(void *ctx, struct str body, uint8_t ret_signature[64])
{
	struct world *w = ctx;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = 64;

	if (w->signer_fails) {
		EVP_MD_CTX_free(c);
		return ERR_CLOSED;
	}
	assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, w->key), 1);
	assert_int_equal(EVP_DigestSign(c, ret_signature, &n, (const uint8_t *)body.p, body.n), 1);
	EVP_MD_CTX_free(c);
	return ERR_OK;
}

static void world_directory(struct world *w, const char *parent)
{
	(void)snprintf(w->path, sizeof w->path, "%s/audit-XXXXXX", parent);
	assert_non_null(mkdtemp(w->path));
	w->directory = open(w->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_true(w->directory >= 0);
}

static void world_make(struct world *w, const char *parent)
{
	uint8_t seed[32];
	size_t n = 32;

	memset(seed, 7, sizeof seed);
	memset(w, 0, sizeof *w);
	world_directory(w, parent);
	w->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
	assert_non_null(w->key);
	w->options = (struct spool_options){ .directory = w->directory, .sandbox = WORLD_SANDBOX,
		.key_name = STR_INIT("paddock/test"), .signer = world_sign, .signer_ctx = w };
	assert_int_equal(EVP_PKEY_get_raw_public_key(w->key, w->options.public_key, &n), 1);
}

static void world_unmake(struct world *w)
{
	for (int i = 1; i < 6; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "%06d.jsonl", i);
		(void)unlinkat(w->directory, name, 0);
	}
	close(w->directory);
	assert_int_equal(rmdir(w->path), 0);
	EVP_PKEY_free(w->key);
}

/* "outcome" is stored at once, "late outcome" may wait. */
static enum err world_put(struct spool *s, const char *kind, const char *request)
{
	bool intent = strcmp(kind, "intent") == 0, late = strcmp(kind, "late outcome") == 0;
	bool outcome = late || strcmp(kind, "outcome") == 0;
	auto_record r = record_new(outcome ? STR("outcome") : str_of(kind), STR("courier"));

	assert_non_null(r);
	if (request)
		record_text(r, "request", str_of(request), 64);
	if (intent)
		record_text(r, "url", STR("https://api.example.test/items"), 2048);
	if (outcome)
		record_integer(r, "status", 200);
	if (!outcome)
		return intent ? spool_intent(s, r, NULL) : spool_append(s, r, NULL);
	enum err e = spool_outcome(s, r);

	return e || late ? e : spool_flush(s);
}

static enum err world_stop(struct spool *s)
{
	auto_record r = record_new(STR("stop"), STR("courier"));

	return spool_close(s, r);
}

static inline enum err world_verify(struct world *w, struct audit_report *report)
{
	memset(report, 0, sizeof *report);
	return audit_verify(w->directory, w->options.sandbox, w->options.public_key, report);
}
