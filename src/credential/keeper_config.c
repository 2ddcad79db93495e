/* keeper_config.c - the keeper reads its configuration; see keeper_config.h
 *
 * The memfd holds secrets from the environment. It is read once into memory that is wiped,
 * then overwritten, so that it is nobody's to read again. jansson allocates with an allocator
 * that wipes. The configuration comes from our own supervisor; it is read strictly all the
 * same, so that a mistake is an error at start and not a credential that is silently absent.
 */
#include "credential/keeper_config.h"

#include "base/arena.h"
#include "credential/seal_store.h"
#include "tls/mint.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRINGS_MAX (1024u * 1024)

static void wiping_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void keeper_config_free(struct keeper_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->credential_count; i++) {
		secret_free(c->credentials[i].source.value);
		for (int part = 0; part < KEEPER_PARTS; part++)
			secret_free(c->credentials[i].parts[part].value);
	}
	seal_keys_wipe(&c->seals);
	arena_free(c->arena);
	free(c);
}

static enum err read_whole(int fd, struct buf *b)
{
	struct stat st;
	ssize_t n;
	enum err e;

	if (fstat(fd, &st))
		return ERR_LOCAL;
	if (st.st_size <= 0 || st.st_size > KEEPER_CONFIG_MAX)
		return ERR_INPUT;
	e = buf_reserve(b, (size_t)st.st_size);
	if (e)
		return e;
	while (b->len < (size_t)st.st_size) {
		n = pread(fd, b->p + b->len, (size_t)st.st_size - b->len, (off_t)b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_LOCAL;
		b->len += (size_t)n;
	}
	return ERR_OK;
}

static enum err overwrite(int fd, size_t bytes)
{
	static const char zeros[4096];

	for (size_t at = 0; at < bytes;) {
		size_t n = bytes - at < sizeof zeros ? bytes - at : sizeof zeros;
		ssize_t done = pwrite(fd, zeros, n, (off_t)at);

		if (done <= 0 && errno != EINTR)
			return ERR_LOCAL;
		at += done > 0 ? (size_t)done : 0;
	}
	return ftruncate(fd, 0) ? ERR_LOCAL : ERR_OK;
}

static const char *copy(struct keeper_config *c, const char *z)
{
	return arena_copy(c->arena, str_of(z)).p;
}

/* an array of strings to a NULL-terminated one */
static enum err copy_list(struct keeper_config *c, json_t *list, size_t max, char ***ret)
{
	size_t count = json_array_size(list);
	char **copies;

	if (!json_is_array(list) || count > max)
		return ERR_INPUT;
	copies = arena_array(c->arena, count + 1, sizeof *copies);
	if (!copies)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++) {
		const char *z = json_string_value(json_array_get(list, i));
		struct str s = z ? arena_copy(c->arena, str_of(z)) : (struct str){ 0 };

		if (!z)
			return ERR_INPUT;
		copies[i] = (char *)(uintptr_t)s.p;	/* execve() wants it so */
		if (!copies[i])
			return ERR_MEMORY;
	}
	*ret = copies;
	return ERR_OK;
}

/* the members of one credential as they stand in the object */
struct members {
	const char *name, *use, *source, *value, *path, *entry, *envelope;
	const char *client_secret, *actor_token, *profile, *issuer;
	json_t *argv, *services, *regions;
	json_int_t timeout_ms;
};

static enum err read_value(const char *base64, const char *missing, struct keeper_source *s)
{
	auto_buf b = BUF_EMPTY;
	enum err e;

	s->kind = KEEPER_VALUE;
	s->missing = missing;
	if (!base64 || !base64[0])
		return ERR_OK;
	buf_init_secret(&b, SECRET_MAX_BYTES);
	e = base64_decode(&b, str_of(base64));
	return e ? e : secret_new(b.p, b.len, &s->value);
}

static enum err file_source(struct keeper_config *c, const struct members *m, struct keeper_source *s)
{
	char real[PATH_MAX];

	if (m->path[0] != '/')
		return ERR_INPUT;
	s->kind = KEEPER_FILE;
	s->path = copy(c, m->path);
	s->real = realpath(m->path, real) ? copy(c, real) : s->path;
	return s->path && s->real ? ERR_OK : ERR_MEMORY;
}

static enum err command_source(struct keeper_config *c, const struct members *m, struct keeper_source *s)
{
	enum err e;

	if (m->timeout_ms < 1 || m->timeout_ms > KEEPER_COMMAND_TIMEOUT_MAX_MS ||
	    json_array_size(m->argv) == 0)
		return ERR_INPUT;
	s->kind = KEEPER_COMMAND;
	s->timeout_ms = (uint64_t)m->timeout_ms;
	e = copy_list(c, m->argv, KEEPER_ARGUMENTS_MAX, &s->argv);
	return e || s->argv[0][0] ? e : ERR_INPUT;
}

/* An entry that does not open is a credential that is not there; the others are. */
static enum err sealed_source(struct keeper_config *c, const struct members *m, struct keeper_source *s)
{
	auto_buf value = BUF_EMPTY;
	enum err e;

	buf_init_secret(&value, SECRET_MAX_BYTES);
	s->kind = KEEPER_VALUE;
	s->missing = "its sealed entry is not there: `paddock credential seal` makes one";
	if (!m->envelope)
		return ERR_OK;
	e = seal_open(&c->seals, str_of(m->entry), str_of(m->envelope), &value, &s->missing);
	if (e)
		return e == ERR_CREDENTIAL ? ERR_OK : e;
	return secret_new(value.p, value.len, &s->value);
}

/* exactly the members of its kind */
static enum err read_source(struct keeper_config *c, const struct members *m, struct keeper_source *s)
{
	struct str kind = str_of(m->source);

	if (str_eq(kind, STR("sealed")) && m->entry && !m->value && !m->path && !m->argv && !m->timeout_ms)
		return sealed_source(c, m, s);
	if (m->entry || m->envelope)
		return ERR_INPUT;
	if (str_eq(kind, STR("environment")) && !m->path && !m->argv && !m->timeout_ms)
		return read_value(m->value, "its environment variable was not set when the run started", s);
	if (str_eq(kind, STR("file")) && m->path && !m->value && !m->argv && !m->timeout_ms)
		return file_source(c, m, s);
	if (str_eq(kind, STR("command")) && m->argv && !m->path && !m->value)
		return command_source(c, m, s);
	return ERR_INPUT;
}

static enum err read_use(const char *name, enum keeper_use *ret)
{
	for (int use = 0; use < KEEPER_USES; use++)
		if (strcmp(name, keeper_use_name((enum keeper_use)use)) == 0) {
			*ret = (enum keeper_use)use;
			return ERR_OK;
		}
	return ERR_INPUT;
}

static enum err copy_optional(struct keeper_config *c, const char *z, const char **ret)
{
	*ret = z ? copy(c, z) : NULL;
	return z && !*ret ? ERR_MEMORY : ERR_OK;
}

static enum err read_options(struct keeper_config *c, const struct members *m, struct keeper_credential *k)
{
	static const char not_set[] = "its token's environment variable was not set when the run started";
	enum err e = read_value(m->client_secret, not_set, &k->parts[KEEPER_PART_CLIENT_SECRET]);

	if (!e)
		e = read_value(m->actor_token, not_set, &k->parts[KEEPER_PART_ACTOR_TOKEN]);
	if (!e)
		e = copy_optional(c, m->profile, &k->profile);
	if (!e)
		e = copy_optional(c, m->issuer, &k->issuer);
	if (!e && m->services)
		e = copy_list(c, m->services, KEEPER_ARGUMENTS_MAX, &k->services);
	if (!e && m->regions)
		e = copy_list(c, m->regions, KEEPER_ARGUMENTS_MAX, &k->regions);
	return e;
}

static enum err read_credential(struct keeper_config *c, json_t *j)
{
	struct members m = { .name = NULL };
	struct keeper_credential *k;
	enum err e;

	if (c->credential_count == KEEPER_SOURCES_MAX ||
	    json_unpack_ex(j, NULL, JSON_STRICT,
			   "{s:s, s:s, s:s, s?s, s?s, s?s, s?s, s?o, s?I, s?s, s?s, s?s, s?s, s?o, s?o}",
			   "name", &m.name, "use", &m.use, "source", &m.source, "value", &m.value,
			   "path", &m.path, "entry", &m.entry, "envelope", &m.envelope, "argv", &m.argv,
			   "timeout_ms", &m.timeout_ms,
			   "client_secret", &m.client_secret, "actor_token", &m.actor_token,
			   "profile", &m.profile, "issuer", &m.issuer, "services", &m.services,
			   "regions", &m.regions))
		return ERR_INPUT;
	k = &c->credentials[c->credential_count];
	k->name = copy(c, m.name);
	if (!k->name)
		return ERR_MEMORY;
	c->credential_count++;
	e = read_use(m.use, &k->use);
	if (!e)
		e = read_source(c, &m, &k->source);
	return e ? e : read_options(c, &m, k);
}

/* The keys, where a credential is sealed; with a file that is none of keys none of its entries opens. */
static enum err read_seal_keys(struct keeper_config *c, json_t *credentials, int fd, char why[256])
{
	bool any = false;
	enum err e;

	for (size_t i = 0; i < json_array_size(credentials); i++)
		any |= json_object_get(json_array_get(credentials, i), "envelope") != NULL;
	e = any ? seal_keys_read(fd, true, &c->seals) : ERR_OK;
	if (fd >= 0)
		close(fd);
	if (e)
		snprintf(why, 256, "the sealed store's key file is not valid");
	return e;
}

static enum err read_root(struct keeper_config *c, json_t *root, char why[256])
{
	json_t *environment, *credentials;
	const char *sandbox;
	json_error_t at;
	int days, key_fd, seal_fd = -1;
	enum err e;

	if (json_unpack_ex(root, &at, JSON_STRICT, "{s:s, s:i, s:i, s?i, s:o, s:o}", "sandbox", &sandbox,
			   "ca_days", &days, "checkpoint_key_fd", &key_fd, "seal_key_fd", &seal_fd,
			   "environment", &environment, "credentials", &credentials)) {
		snprintf(why, 256, "%.200s", at.text);
		return ERR_INPUT;
	}
	snprintf(why, 256, "sandbox, ca_days, checkpoint_key_fd or environment is not valid");
	if (strlen(sandbox) == 0 || strlen(sandbox) > KEEPER_SANDBOX_MAX || days < 1 || days > MINT_DAYS_MAX ||
	    key_fd <= KEEPER_START_FD || !json_is_array(credentials))
		return ERR_INPUT;
	memcpy(c->sandbox, sandbox, strlen(sandbox));
	c->ca_days = (unsigned)days;
	c->key_fd = key_fd;
	e = copy_list(c, environment, KEEPER_ARGUMENTS_MAX, &c->environment);
	if (!e)
		e = read_seal_keys(c, credentials, seal_fd, why);
	for (size_t i = 0; i < json_array_size(credentials) && !e; i++) {
		e = read_credential(c, json_array_get(credentials, i));
		snprintf(why, 256, "credential %zu is not valid", i);
	}
	return e;
}

static enum err parse(struct str text, struct keeper_config **ret, char why[256])
{
	struct keeper_config *c = calloc(1, sizeof *c);
	json_error_t at;
	json_t *root;
	enum err e;

	snprintf(why, 256, "out of memory");
	if (!c)
		return ERR_MEMORY;
	c->arena = arena_new(STRINGS_MAX);
	root = c->arena ? json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &at) : NULL;
	if (root) {
		e = read_root(c, root, why);
	} else {
		e = c->arena ? ERR_INPUT : ERR_MEMORY;
		if (c->arena)	/* never the text itself, which may quote a secret */
			snprintf(why, 256, "not JSON, at byte %d", at.position);
	}
	json_decref(root);
	seal_keys_wipe(&c->seals);
	if (e) {
		keeper_config_free(c);
		return e;
	}
	*ret = c;
	return ERR_OK;
}

enum err keeper_config_read(int fd, struct keeper_config **ret, char ret_why[256])
{
	struct keeper_config *c = NULL;
	enum err e, wiped;
	auto_buf text = BUF_EMPTY;

	json_set_alloc_funcs(malloc, wiping_free);
	buf_init_secret(&text, KEEPER_CONFIG_MAX);
	e = read_whole(fd, &text);
	if (e) {
		snprintf(ret_why, 256, "the configuration cannot be read");
		return e;
	}
	wiped = overwrite(fd, text.len);
	if (wiped) {
		snprintf(ret_why, 256, "the configuration cannot be overwritten");
		return wiped;
	}
	e = parse(buf_str(&text), &c, ret_why);
	if (!e)
		*ret = c;
	return e;
}
