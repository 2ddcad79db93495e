/* keeper_main.c - paddock-keeper: keys and credential sources of one sandbox
 *
 * Theory of operation: descriptors (keeper_config.h) are 3 the courier, 4 the configuration,
 * 5 where the CA's certificate and the checkpoint key's public half go, 6 the checkpoint key.
 * It makes the sandbox's CA, confines itself, and then answers requests until the courier has
 * gone; a credential command runs beside that. It reads no byte of guest or upstream: a host
 * name and a public key are all that ever came from there, checked by then and checked again.
 *
 * Confinement, by what the policy's credentials need:
 *   environment only  empty network, empty root, no file, no process: base system calls
 *   and files         as above, but the directories of these files (and of what they are links
 *                     to) are there, read-only: whole directories, since a token is refreshed
 *                     by rename; to be written too where this program replaces the file (logins,
 *                     refresh tokens)
 *   and commands      such a command is the user's own program (gh, gcloud, a script) and needs
 *                     the user's files and network: there is no namespace, root or Landlock of
 *                     our own then, only the loss of capabilities, no_new_privs (so that sudo
 *                     and other set-user-id programs do not work) and a filter that refuses
 *                     mounts, ptrace, modules and the like, which the command inherits. What
 *                     stays is that nothing hostile is ever parsed here.
 * Failure: it exits, the courier sees the end of its descriptor and refuses what needs it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "credential/keeper_about.h"
#include "credential/keeper_server.h"
#include "os/confine.h"
#include "os/fd.h"

#include <errno.h>
#include <limits.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/crypto.h>
#undef ERR_STATE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define SECURE_HEAP_BYTES 65536		/* OpenSSL keeps private keys there: locked, not dumped */
#define DIRECTORIES_MAX 64
#define DESCRIPTORS_MAX 16
#define SEND_SECONDS 10

/* ---- confinement ---- */

struct directories {
	size_t count;
	char *paths[DIRECTORIES_MAX];
	bool writable[DIRECTORIES_MAX];
};

static bool add_directory_of(struct directories *d, const char *file, bool writable)
{
	const char *slash = strrchr(file, '/');
	size_t n = slash ? (size_t)(slash - file) : 0;
	char *path;

	if (!slash)
		return false;
	path = n ? strndup(file, n) : strdup("/");
	for (size_t i = 0; path && i < d->count; i++)
		if (strcmp(d->paths[i], path) == 0) {
			d->writable[i] |= writable;
			free(path);
			return true;
		}
	if (!path || d->count == DIRECTORIES_MAX) {
		free(path);
		return false;
	}
	d->writable[d->count] = writable;
	d->paths[d->count++] = path;
	return true;
}

/* a directory that does not exist yet is left out, and with it the credential */
static bool collect_directories(const struct keeper_config *c, struct directories *d)
{
	for (size_t i = 0; i < c->credential_count; i++) {
		const struct keeper_source *s = &c->credentials[i].source;
		enum keeper_use use = c->credentials[i].use;
		bool replaced =
			use == KEEPER_USE_REFRESH || use == KEEPER_USE_CLAUDE || use == KEEPER_USE_CODEX;
		struct stat st;

		if (s->kind != KEEPER_FILE)
			continue;
		if (stat(s->path, &st))
			log_note("credential %s: its file cannot be read now: %s", c->credentials[i].name,
				 strerror(errno));
		else if (st.st_mode & 0004)
			log_note("credential %s: its file can be read by every user of this host",
				 c->credentials[i].name);
		if (!add_directory_of(d, s->path, false) || !add_directory_of(d, s->real, replaced))
			return false;
	}
	return true;
}

static enum err confine_to(const struct directories *d)
{
	struct confine_bind binds[DIRECTORIES_MAX] = { 0 };
	struct confine_path paths[DIRECTORIES_MAX] = { 0 };
	size_t there = 0;
	struct stat st;
	enum err e;

	for (size_t i = 0; i < d->count; i++)
		binds[i] = (struct confine_bind){ .source = d->paths[i], .target = d->paths[i],
						 .writable = d->writable[i], .optional = true };
	e = confine_namespaces(CONFINE_NET_EMPTY);
	if (!e)
		e = confine_root(binds, d->count, false);
	for (size_t i = 0; i < d->count; i++)
		if (stat(d->paths[i], &st) == 0)
			paths[there++] = (struct confine_path){ .path = d->paths[i], .fd = -1,
							       .write = d->writable[i] };
	if (!e)
		e = confine_limits(DESCRIPTORS_MAX, 0);
	if (!e)
		e = confine_drop();
	if (!e)
		e = confine_landlock(paths, there, false, NULL);
	return e ? e : confine_seccomp(CONFINE_BASE | (d->count ? CONFINE_FILES : 0));
}

/* what an ordinary user has no capability to drop needs none to be given up */
static enum err drop_without_namespace(void)
{
	if (geteuid() == 0)
		return confine_drop();
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
			       prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
		       ? ERR_CONFINE
		       : ERR_OK;
}

static enum err confine(const struct keeper_config *c)
{
	struct directories d = { 0 };
	enum err e;

	for (size_t i = 0; i < c->credential_count; i++)
		if (c->credentials[i].source.kind == KEEPER_COMMAND) {
			e = drop_without_namespace();
			return e ? e : confine_seccomp(CONFINE_SPAWN);
		}
	e = collect_directories(c, &d) ? confine_to(&d) : ERR_CONFINE;
	for (size_t i = 0; i < d.count; i++)
		free(d.paths[i]);
	return e;
}

/* ---- start ---- */

static json_t *text_json(const struct buf *b) { return buf_err(b) ? NULL : json_stringn(b->p ? b->p : "", b->len); }

static enum err put_start(const struct keeper *k, struct buf *out)
{
	auto_buf pem = BUF_EMPTY, hex = BUF_EMPTY, verifier = BUF_EMPTY;
	struct str name = keeper_key_name(k->key);
	json_t *o;
	char *z;
	enum err e;

	buf_init(&pem, KEEPER_START_MAX);
	buf_init(&hex, 64);
	buf_init(&verifier, 512);
	buf_put_hex(&hex, str_make(keeper_key_public(k->key), 32));
	e = mint_ca_pem(k->mint, &pem);
	if (!e)
		e = keeper_key_put_verifier(k->key, &verifier);
	if (e)
		return e;
	o = json_pack("{s:o, s:s#, s:o, s:o, s:o}", "ca", text_json(&pem), "key_name", name.p, (int)name.n,
		      "public_key", text_json(&hex), "verifier_key", text_json(&verifier), "about",
		      keeper_about(k->config));
	z = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!z)
		return ERR_MEMORY;
	buf_put_z(out, z);
	buf_put_z(out, "\n");
	free(z);
	return buf_err(out);
}

/* also warms up OpenSSL's providers, which load lazily, while files can still be opened */
static enum err warm_up(const struct keeper *k)
{
	uint8_t signature[KEEPER_SIGNATURE_BYTES];

	return keeper_key_sign(k->key, STR("not a checkpoint"), signature);
}

static enum err prepare(struct keeper *k, const char **ret_what)
{
	struct keeper_config *config = NULL;
	struct keeper_key *key = NULL;
	struct mint *mint = NULL;
	static char why[256];
	auto_buf start = BUF_EMPTY;
	enum err e;

	buf_init(&start, KEEPER_START_MAX);
	*ret_what = why;
	e = keeper_config_read(KEEPER_CONFIG_FD, &config, why);
	if (e)
		return e;
	*ret_what = "the checkpoint key's file is not valid";
	e = keeper_key_read(config->key_fd, &key);
	if (e)
		return e;
	close(config->key_fd);
	*ret_what = "the sandbox's CA cannot be made";
	e = mint_new(str_of(config->sandbox), clock_unix_ns() / 1000000000, config->ca_days, &mint);
	if (e)
		return e;
	k->config = config;
	k->key = key;
	k->mint = mint;
	e = put_start(k, &start);
	if (!e)
		e = warm_up(k);
	if (e)
		return e;
	*ret_what = "this process cannot be confined";
	e = confine(config);
	if (e)
		return e;
	*ret_what = "the start message cannot be written";
	return fd_write(KEEPER_START_FD, buf_str(&start));
}

/* ---- the loop ---- */

struct service {
	struct keeper keeper;
	bool deaf;			/* the courier does not take its answers */
};

static void send_reply(void *user, enum err result, uint32_t sequence, struct str data, const char *name,
		       const char *reason)
{
	struct service *s = user;
	const struct { uint32_t result, sequence; } head = { (uint32_t)result, sequence };
	struct iovec parts[] = {
		{ (void *)(uintptr_t)&head, sizeof head }, { (void *)(uintptr_t)data.p, data.n },
	};
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = data.n ? 2 : 1 };
	ssize_t sent;

	_Static_assert(sizeof head == KEEPER_REPLY_HEAD, "as in keeper.h");
	if (reason)
		log_error("%s: %s", name, reason);
	do
		sent = sendmsg(KEEPER_LINK_FD, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent != (ssize_t)(sizeof head + data.n))
		s->deaf = true;
}

/* Return: false at the courier's end, with *ret_status */
static bool receive(struct service *s, struct keeper_request *request, int *ret_status)
{
	ssize_t n = recv(KEEPER_LINK_FD, request, sizeof *request, MSG_TRUNC);
	enum err e = ERR_OK;

	if (n < 0 && errno == EINTR)
		return true;
	*ret_status = n == 0 ? 0 : 1;
	if (n <= 0)
		return false;
	e = keeper_take(&s->keeper, request, (size_t)n);
	explicit_bzero(request, (size_t)n < sizeof *request ? (size_t)n : sizeof *request);
	if (e)
		log_error("a request of the wrong size");
	return e == ERR_OK;
}

static int serve(struct service *s)
{
	struct keeper_request *request = secret_map(sizeof *request);
	static struct pollfd fds[1 + KEEPER_SOURCES_MAX];
	int status = 1;

	while (request && !s->deaf) {
		uint64_t deadline_ms, now;
		size_t count = 1 + keeper_wants(&s->keeper, fds + 1, &deadline_ms);

		fds[0] = (struct pollfd){ .fd = KEEPER_LINK_FD, .events = POLLIN };
		now = clock_ms();
		if (deadline_ms == UINT64_MAX)
			(void)poll(fds, count, -1);
		else
			(void)poll(fds, count, deadline_ms > now ? (int)(deadline_ms - now) : 0);
		keeper_step(&s->keeper);
		if (fds[0].revents && !receive(s, request, &status))
			break;
	}
	if (s->deaf)
		log_error("the courier does not take its answers");
	keeper_end(&s->keeper);
	return status;
}

int main(void)
{
	struct timeval send_timeout = { .tv_sec = SEND_SECONDS };
	static struct service service;
	const char *what = NULL;
	enum err e;

	log_init("paddock-keeper");
	signal(SIGPIPE, SIG_IGN);
	e = secret_process();
	if (e) {
		log_error("cannot make this process private: %s", strerror(errno));
		return 1;
	}
	(void)CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, 32);
	if (setsockopt(KEEPER_LINK_FD, SOL_SOCKET, SO_SNDTIMEO, &send_timeout, sizeof send_timeout)) {
		log_error("descriptor %d: %s", KEEPER_LINK_FD, strerror(errno));
		return 1;
	}
	service.keeper.answer = send_reply;
	service.keeper.user = &service;
	e = prepare(&service.keeper, &what);
	if (e) {
		if (e == ERR_LOCAL || e == ERR_CONFINE)
			log_error("%s: %s", what, strerror(errno));
		else
			log_error("%s (%s)", what, err_name(e));
		return 1;
	}
	close(KEEPER_CONFIG_FD);
	close(KEEPER_START_FD);
	_exit(serve(&service));	/* confined: nothing is left for exit handlers to do, nor may they do much */
}
