/* verb_credential.c - `paddock credential`: the sealed store
 *
 * A value comes from standard input or a file, never from an argument, which every process of this host could
 * read. What is written is an envelope; the value itself is never printed, and lives here in memory that is
 * wiped. A new key opens what the old one sealed before it is alone: a rotation that is interrupted loses
 * nothing.
 */
#include "base/auto.h"
#include "base/nearest.h"
#include "cli/cli.h"
#include "credential/seal_store.h"
#include "os/fd.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <termios.h>

struct arguments {
	const char *name, *file;
	bool keyring, json;
};

struct store {
	int directory;
	struct seal_keys keys;	/* of the file, then of the keyring */
	size_t in_file;		/* how many are the file's */
};

static int failed(const char *what, enum err e)
{
	fprintf(stderr, "paddock credential: %s: %s\n", what,
		e == ERR_LOCAL && errno == EPERM ? "it is open to others, or not yours: `chmod go= ` it, or remove it"
		: e == ERR_LOCAL ? strerror(errno) : err_text(e));
	return CLI_EXIT_FAILURE;
}

static void store_close(struct store *s)
{
	auto_fd_close(&s->directory);
	seal_keys_wipe(&s->keys);
}

static int store_open(struct store *s)
{
	auto_buf path = BUF_EMPTY;
	auto_fd fd = -1;
	enum err e;

	*s = (struct store){ .directory = -1 };
	buf_init(&path, PATHS_MAX);
	e = paths_directory(PATHS_CONFIG, &path);
	if (!e)
		e = buf_z(&path) ? seal_store_open(buf_z(&path), &s->directory) : ERR_LIMIT;
	if (!e && flock(s->directory, LOCK_EX))
		e = ERR_LOCAL;
	if (e)
		return failed(buf_z(&path) ? buf_z(&path) : "the configuration directory", e);
	e = seal_key_file(s->directory, &fd);
	if (e && errno == ENOENT)
		e = ERR_OK;
	if (!e)
		e = seal_keys_read(fd, false, &s->keys);
	s->in_file = s->keys.count;
	if (!e)
		e = seal_keys_read(fd, true, &s->keys);
	return e ? failed(SEAL_KEY_FILE, e) : 0;
}

/* The key that seals: the first of the place that was asked for; made if there is none. */
static int sealing_key(struct store *s, bool keyring, const struct seal_key **ret)
{
	struct seal_keys one = { .count = 1 };
	size_t from = keyring ? s->in_file : 0;
	enum err e;

	if (from < s->keys.count) {
		*ret = &s->keys.key[from];
		return 0;
	}
	e = s->keys.count == SEAL_KEYS_MAX ? ERR_LIMIT : seal_key_new(&one.key[0]);
	if (!e)
		e = seal_keys_write(s->directory, keyring, &one);
	if (!e) {
		s->keys.key[s->keys.count] = one.key[0];
		*ret = &s->keys.key[s->keys.count++];
		if (keyring)
			fputs("a key was made in the kernel's keyring: a reboot forgets it, and what it "
			      "sealed\n",
			      stderr);
		else
			fprintf(stderr, "a key was made, %s in Paddock's configuration directory: keep it from others, "
					"and back it up apart from what it seals\n", SEAL_KEY_FILE);
	}
	seal_keys_wipe(&one);
	return e ? failed(keyring ? "the kernel's keyring" : SEAL_KEY_FILE, e) : 0;
}

/* ---- values ---- */

/* one line, which is not shown */
static enum err read_terminal(const char *name, struct buf *value)
{
	struct termios before, silent;
	ssize_t n;

	if (tcgetattr(STDIN_FILENO, &before) || buf_reserve(value, SECRET_MAX_BYTES + 2))
		return ERR_LOCAL;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(stderr, "value of %s (not shown): ", name);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent))
		return ERR_LOCAL;
	n = read(STDIN_FILENO, buf_tail(value), SECRET_MAX_BYTES + 2);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputs("\n", stderr);
	value->len += n > 0 ? (size_t)n : 0;
	return n < 0 ? ERR_LOCAL : ERR_OK;
}

static int read_value(const struct arguments *a, struct buf *value)
{
	auto_fd fd = a->file ? open(a->file, O_RDONLY | O_CLOEXEC) : -1;
	enum err e;

	if (a->file)
		e = fd < 0 ? ERR_LOCAL : fd_read(fd, value, SECRET_MAX_BYTES + 2);
	else if (isatty(STDIN_FILENO))
		e = read_terminal(a->name, value);
	else
		e = fd_read(STDIN_FILENO, value, SECRET_MAX_BYTES + 2);
	if (e)
		return failed(a->file ? a->file : "standard input", e);
	if (value->len && value->p[value->len - 1] == '\n')
		value->len--;
	if (value->len == 0 || value->len > SECRET_MAX_BYTES) {
		fprintf(stderr, "paddock credential seal: %s: expected 1 to %d bytes\n",
			a->file ? a->file : "standard input", SECRET_MAX_BYTES);
		return CLI_EXIT_FAILURE;
	}
	return 0;
}

/* ---- seal, remove ---- */

static int seal(struct store *s, const struct arguments *a)
{
	const struct seal_key *key;
	auto_buf value = BUF_EMPTY, envelope = BUF_EMPTY;
	enum err e;
	int code;

	buf_init_secret(&value, SECRET_MAX_BYTES + 2);
	buf_init(&envelope, SEAL_ENVELOPE_MAX);
	code = read_value(a, &value);
	if (!code)
		code = sealing_key(s, a->keyring, &key);
	if (code)
		return code;
	e = seal_value(key, str_of(a->name), buf_str(&value), &envelope);
	if (!e)
		e = seal_entry_write(s->directory, str_of(a->name), buf_str(&envelope));
	if (e)
		return failed(a->name, e);
	printf("sealed %s; in a policy: source: {sealed: %s}\n", a->name, a->name);
	return 0;
}

static int remove_entry(struct store *s, const struct arguments *a)
{
	enum err e = seal_entry_remove(s->directory, str_of(a->name));

	return e ? failed(a->name, e) : 0;
}

/* ---- list ---- */

struct listing {
	struct store *store;
	bool json;
	size_t count;
};

static const char *state_of(const struct store *s, struct str name, char id[SEAL_ID_BYTES + 1])
{
	auto_buf envelope = BUF_EMPTY, value = BUF_EMPTY;
	const char *reason = "it cannot be read";
	struct str key;

	buf_init(&envelope, SEAL_ENVELOPE_MAX);
	buf_init_secret(&value, SECRET_MAX_BYTES);
	snprintf(id, SEAL_ID_BYTES + 1, "%s", "");
	if (seal_entry_read(s->directory, name, &envelope))
		return reason;
	key = seal_envelope_id(buf_str(&envelope));
	for (size_t i = 0; i < key.n; i++)
		id[i] = (char)(ascii_hex(key.p[i]) >= 0 ? key.p[i] : '?');
	return seal_open(&s->keys, name, buf_str(&envelope), &value, &reason) ? reason : NULL;
}

static enum err list_one(void *ctx, struct str name)
{
	struct listing *l = ctx;
	char id[SEAL_ID_BYTES + 1];
	const char *bad;

	memset(id, 0, sizeof id);
	bad = state_of(l->store, name, id);
	if (l->json)
		printf("%s{\"name\":\"%.*s\",\"key\":\"%s\",\"opens\":%s}", l->count ? "," : "",
		       STR_FMT(name), id, bad ? "false" : "true");
	else
		printf("%-32.*s key %-16s %s\n", STR_FMT(name), id, bad ? bad : "opens");
	l->count++;
	return ERR_OK;
}

static int list(struct store *s, const struct arguments *a)
{
	struct listing l = { .store = s, .json = a->json };
	enum err e;

	if (a->json)
		fputs("[", stdout);
	e = seal_entry_each(s->directory, list_one, &l);
	if (a->json)
		fputs("]\n", stdout);
	else if (!e && l.count == 0)
		fputs("nothing is sealed: `paddock credential seal NAME` does\n", stderr);
	return e ? failed(SEAL_DIRECTORY, e) : 0;
}

/* ---- rotate-key ---- */

struct rotation {
	struct store *store;
	const struct seal_key *fresh;
	size_t sealed, lost;
};

static enum err reseal(void *ctx, struct str name)
{
	struct rotation *r = ctx;
	auto_buf envelope = BUF_EMPTY, value = BUF_EMPTY, again = BUF_EMPTY;
	const char *reason;
	enum err e;

	buf_init(&envelope, SEAL_ENVELOPE_MAX);
	buf_init(&again, SEAL_ENVELOPE_MAX);
	buf_init_secret(&value, SECRET_MAX_BYTES);
	e = seal_entry_read(r->store->directory, name, &envelope);
	if (!e && seal_open(&r->store->keys, name, buf_str(&envelope), &value, &reason)) {
		fprintf(stderr, "paddock credential rotate-key: %.*s: %s\n", STR_FMT(name), reason);
		r->lost++;
		return ERR_OK;
	}
	if (!e)
		e = seal_value(r->fresh, name, buf_str(&value), &again);
	if (!e)
		e = seal_entry_write(r->store->directory, name, buf_str(&again));
	r->sealed += e == ERR_OK;
	return e;
}

/* New before the place's own old ones: what was sealed by either opens from now on. */
static enum err write_both(struct store *s, bool keyring, const struct seal_key *fresh)
{
	struct seal_keys both = { .count = 1, .key = { *fresh } };
	size_t from = keyring ? s->in_file : 0, to = keyring ? s->keys.count : s->in_file;
	enum err e = ERR_OK;

	for (size_t i = from; i < to && !e; i++) {
		e = both.count < SEAL_KEYS_MAX ? ERR_OK : ERR_LIMIT;
		if (!e)
			both.key[both.count++] = s->keys.key[i];
	}
	if (!e)
		e = seal_keys_write(s->directory, keyring, &both);
	seal_keys_wipe(&both);
	return e;
}

static int rotate(struct store *s, const struct arguments *a)
{
	struct seal_keys one = { .count = 1 }, none = { .count = 0 };
	struct rotation r = { .store = s, .fresh = &one.key[0] };
	enum err e = seal_key_new(&one.key[0]);

	if (!e)
		e = write_both(s, a->keyring, &one.key[0]);
	if (!e)
		e = seal_entry_each(s->directory, reseal, &r);
	if (!e && r.lost == 0)
		e = seal_keys_write(s->directory, a->keyring, &one);
	if (!e && r.lost == 0)
		e = seal_keys_write(s->directory, !a->keyring, &none);
	seal_keys_wipe(&one);
	if (e)
		return failed("the rotation is not complete, and nothing is lost", e);
	printf("%zu sealed with a new key, in %s\n", r.sealed,
	       a->keyring ? "the kernel's keyring" : SEAL_KEY_FILE);
	if (r.lost)
		fprintf(stderr,
			"paddock credential rotate-key: %zu could not be opened; the old keys are kept\n",
			r.lost);
	return r.lost ? CLI_EXIT_FAILURE : 0;
}

/* ---- arguments ---- */

static const struct sub {
	const char *name;
	bool takes_name, takes_file, takes_keyring, takes_json;
	int (*run)(struct store *s, const struct arguments *a);
} subs[] = {
	{ "seal", true, true, true, false, seal },
	{ "list", false, false, false, true, list },
	{ "remove", true, false, false, false, remove_entry },
	{ "rotate-key", false, false, true, false, rotate },
};
#define SUBS (sizeof subs / sizeof *subs)

static bool read_arguments(const struct sub *sub, int argc, char **argv, struct arguments *ret)
{
	for (int i = 2; i < argc; i++) {
		if (sub->takes_keyring && !strcmp(argv[i], "--keyring"))
			ret->keyring = true;
		else if (sub->takes_json && !strcmp(argv[i], "--json"))
			ret->json = true;
		else if (sub->takes_file && !strcmp(argv[i], "--file") && i + 1 < argc)
			ret->file = argv[++i];
		else if (sub->takes_name && !ret->name && argv[i][0] != '-')
			ret->name = argv[i];
		else
			return false;
	}
	return !sub->takes_name == !ret->name;
}

int verb_credential(int argc, char **argv)
{
	const char *words[SUBS], *near;
	const struct sub *sub = NULL;
	struct arguments a = { .name = NULL };
	struct store s;
	int code;

	for (size_t i = 0; i < SUBS; i++) {
		words[i] = subs[i].name;
		if (argc > 1 && !strcmp(argv[1], subs[i].name))
			sub = &subs[i];
	}
	if (!sub) {
		near = argc > 1 ? nearest(str_of(argv[1]), words, SUBS) : NULL;
		return cli_usage("credential", "expected seal, list, remove or rotate-key%s%s%s",
				 near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	if (!read_arguments(sub, argc, argv, &a))
		return cli_usage("credential", "%s: arguments that it does not take%s", sub->name,
				 sub->takes_name ? " (a value comes by standard input or --file)" : "");
	if (a.name && !seal_name(str_of(a.name)))
		return cli_usage("credential",
				 "a name is 1 to %d of A-Z a-z 0-9 . _ - and does not begin with '.'",
				 SEAL_NAME_MAX);
	code = store_open(&s);
	if (!code)
		code = sub->run(&s, &a);
	store_close(&s);
	return code;
}
