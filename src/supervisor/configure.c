/* configure.c - see configure.h
 *
 * Values of credentials whose source is the environment pass from this process's environment
 * to the keeper's memfd (which the keeper wipes) and nowhere else: children are started with an
 * environment of their own.
 */
#include "supervisor/configure.h"

#include "base/auto.h"
#include "base/clock.h"
#include "credential/keeper_config.h"
#include "credential/seal_store.h"
#include "os/fd.h"
#include "supervisor/front.h"
#include "supervisor/paths.h"
#include "supervisor/placeholders.h"
#include "wire/link.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (8u * 1024 * 1024)
#define PATH_STANDARD "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static json_t *view(struct str s) { return json_stringn(s.p ? s.p : "", s.n); }

static void put(json_t *o, const char *name, json_t *value) { json_object_set_new(o, name, value); }

enum err configure_sealed(struct str bytes, int *ret_fd)
{
	auto_fd fd = memfd_create("paddock", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fd_write(fd, bytes) != ERR_OK || lseek(fd, 0, SEEK_SET) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return ERR_LOCAL;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

static enum err sealed_json(json_t *o, int *ret_fd)
{
	char *z = json_dumps(o, JSON_COMPACT);
	enum err e;

	json_decref(o);
	if (!z)
		return ERR_INPUT;	/* text that is not UTF-8 */
	e = configure_sealed(str_of(z), ret_fd);
	free(z);
	return e;
}

/* --- keeper --- */

static struct str secret_variable(void *ctx, struct str name)
{
	auto_buf z = BUF_EMPTY;

	(void)ctx;
	buf_init(&z, 4096);
	buf_put(&z, name);
	return str_of(buf_z(&z) ? getenv(buf_z(&z)) : NULL);
}

static enum err check_variable(const struct policy_credential *k, struct str variable, const char *what,
			       struct buf *why)
{
	if (!variable.n || secret_variable(NULL, variable).n)
		return ERR_OK;
	buf_printf(why, "the credential %.*s %s the environment variable %.*s, which is not set: set it and run again",
		   STR_FMT(k->name), what, STR_FMT(variable));
	return ERR_INPUT;
}

static enum err check_sources(const struct policy *p, struct buf *why)
{
	enum err e = ERR_OK;

	for (uint32_t i = 0; i < policy_credential_count(p) && !e; i++) {
		const struct policy_credential *k = policy_credential(p, i);

		if (k->source == POLICY_SOURCE_ENVIRONMENT)
			e = check_variable(k, k->environment, "comes from", why);
		if (!e && k->token)
			e = check_variable(k, k->token->client_secret_environment,
					   "has its client's secret in", why);
		if (!e && k->token)
			e = check_variable(k, k->token->actor_token_environment, "has its actor's token in",
					   why);
	}
	return e;
}

/* what a credential command of the user's (gh, gcloud, a script) may see of the environment */
static enum err command_environment(struct arena *arena, char *ret[4])
{
	static const char *const names[] = { "HOME", "PATH", "USER" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = getenv(names[i]);
		auto_buf pair = BUF_EMPTY;

		if (!value)
			continue;
		buf_init(&pair, 65536);
		buf_put_z(&pair, names[i]);
		buf_put_byte(&pair, '=');
		buf_put_z(&pair, value);
		char *copy = arena_alloc(arena, pair.len + 1);

		if (!copy || !buf_z(&pair))
			return ERR_MEMORY;
		memcpy(copy, buf_z(&pair), pair.len + 1);
		ret[n++] = copy;
	}
	ret[n] = NULL;
	return ERR_OK;
}

/* The sealed store, if the policy names an entry of it: each of them is there. */
static enum err open_seals(const struct policy *p, int *ret_directory, int *ret_key, struct buf *why)
{
	auto_buf path = BUF_EMPTY;
	auto_fd directory = -1;
	enum err e = ERR_OK;

	for (uint32_t i = 0; i < policy_credential_count(p) && !e; i++) {
		const struct policy_credential *k = policy_credential(p, i);
		auto_buf envelope = BUF_EMPTY;

		if (k->source != POLICY_SOURCE_SEALED)
			continue;
		buf_init(&path, PATHS_MAX);
		if (directory < 0 && (paths_directory(PATHS_CONFIG, &path) || !buf_z(&path) ||
				      seal_store_open(buf_z(&path), &directory))) {
			buf_printf(why, "the sealed store cannot be opened: %.300s: %s",
				   buf_z(&path) ? buf_z(&path) : "", strerror(errno));
			return ERR_INPUT;
		}
		buf_init(&envelope, SEAL_ENVELOPE_MAX);
		if (seal_entry_read(directory, k->sealed, &envelope)) {
			buf_printf(why, "the credential %.*s is sealed as %.*s, which cannot be read: "
				   "`paddock credential seal %.*s`", STR_FMT(k->name), STR_FMT(k->sealed),
				   STR_FMT(k->sealed));
			return ERR_INPUT;
		}
		buf_free(&path);
	}
	if (directory >= 0 && seal_key_file(directory, ret_key) && errno != ENOENT) {
		buf_printf(why, "the sealed store's key file, %s: %s", SEAL_KEY_FILE,
			   errno == EPERM ? "others can read it, or it is not yours" : strerror(errno));
		return ERR_INPUT;
	}
	*ret_directory = fd_take(&directory);
	return ERR_OK;
}

enum err configure_keeper(const struct spec *spec, const struct rundir *run, struct buf *why, int *ret_fd,
			  int *ret_seal_key)
{
	auto_arena arena = arena_new(256 * 1024);
	auto_fd seals = -1;
	char *environment[4];
	enum err e = arena ? check_sources(spec->policy, why) : ERR_MEMORY;

	if (!e)
		e = open_seals(spec->policy, &seals, ret_seal_key, why);
	if (!e)
		e = command_environment(arena, environment);
	return e ? e
		 : keeper_config_make(spec->policy, str_of(run->id), secret_variable, NULL, environment,
				      seals, *ret_seal_key >= 0, ret_fd);
}

/* --- courier --- */

static json_t *resolve_list(const struct spec *spec)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < spec->resolve_count; i++) {
		json_t *r = json_object();

		put(r, "host", view(spec->resolve[i].host));
		put(r, "port", json_integer(spec->resolve[i].port));
		put(r, "address", view(spec->resolve[i].address));
		put(r, "to_port", json_integer(spec->resolve[i].address_port));
		json_array_append_new(list, r);
	}
	return list;
}

static void put_placeholder(json_t *map, struct str credential, const char *part, struct str value)
{
	auto_buf name = BUF_EMPTY;

	buf_init(&name, 1024);
	buf_put(&name, credential);
	buf_put_z(&name, part);
	if (value.n && buf_z(&name))
		put(map, buf_z(&name), view(value));
}

static json_t *placeholder_map(const struct spec *spec, const struct placeholders *placeholders)
{
	json_t *map = json_object();

	for (uint32_t i = 0; i < policy_credential_count(spec->policy); i++) {
		const struct policy_credential *c = policy_credential(spec->policy, i);

		put_placeholder(map, c->name, "", placeholders->value[i]);
		if (c->strategy == POLICY_STRATEGY_LOGIN) {
			put_placeholder(map, c->name, ".refresh", placeholders->second[i]);
			put_placeholder(map, c->name, ".id", placeholders->id[i]);
		}
	}
	return map;
}

static json_t *client_map(const struct spec *spec)
{
	json_t *map = json_object();

	for (uint32_t i = 0; i < spec->client_count; i++)
		put(map, spec->clients[i].name.p, json_string(spec->clients[i].digest));
	return map;
}

enum err configure_courier(const struct spec *spec, const struct rundir *run,
			   const struct placeholders *placeholders, struct str machine,
			   const struct keeper_start *keeper, int *ret_fd)
{
	json_t *o = json_object(), *command = json_array();
	const struct passwd *user = getpwuid(getuid());
	auto_buf hex = BUF_EMPTY;

	put(o, "version", json_integer(1));
	put(o, "sandbox", json_string(run->id));
	put(o, "policy", view(spec->policy_path ? buf_str(&spec->policy_text) : STR("version: 1\n")));
	put(o, "policy_file", json_string(spec->policy_path ? spec->policy_path : ""));
	if (spec->name)
		put(o, "name", json_string(spec->name));
	if (user)
		put(o, "person", json_string(user->pw_name));
	for (char *const *a = spec->command; *a; a++)
		json_array_append_new(command, json_string(*a) ? json_string(*a) : json_string("?"));
	put(o, "command", command);
	put(o, "image", json_string(spec->image));
	put(o, "machine", view(machine));
	if (getenv("HOME"))
		put(o, "home", json_string(getenv("HOME")));
	put(o, "placeholders", placeholder_map(spec, placeholders));
	if (spec->resolve_count)
		put(o, "resolve", resolve_list(spec));
	if (spec->client_count)
		put(o, "clients", client_map(spec));
	if (spec->upstream_ca_path)
		put(o, "upstream_ca", view(buf_str(&spec->upstream_ca)));
	buf_init(&hex, 64);
	buf_put_hex(&hex, str_make(keeper->public_key, sizeof keeper->public_key));
	put(o, "key_name", json_string(keeper->key_name));
	put(o, "public_key", view(buf_str(&hex)));
	return sealed_json(o, ret_fd);
}

/* --- files --- */

static json_t *globs(const struct str *list, uint32_t count)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(a, view(list[i]));
	return a;
}

/* The loaded policy as the mount at @mount shows it, if
 * it does: the mount's own path may lead through links. */
static bool add_policy(json_t *names, const char *policy, struct str mount)
{
	char *real = realpath(mount.p, NULL);
	auto_buf path = BUF_EMPTY;
	bool good = real != NULL;

	buf_init(&path, 2 * PATHS_MAX);
	if (real && paths_is_below(str_of(policy), str_of(real))) {
		buf_put(&path, mount);
		buf_put(&path, str_from(str_of(policy), str_of(real).n));
		good = !buf_err(&path) && json_array_append_new(names, view(buf_str(&path))) == 0;
	}
	free(real);
	return good;
}

enum err configure_files(const struct spec *spec, const struct mounts *mounts, int *ret_fd)
{
	const struct policy_filesystem *f = policy_filesystem(spec->policy);
	json_t *o = json_object(), *list = json_array(), *names = json_array();

	json_array_append_new(names, json_string("paddock.yaml"));
	for (uint32_t i = 0; i < mounts->count; i++) {
		const struct mount_entry *m = &mounts->entry[i];
		json_t *entry = json_object();

		put(entry, "path", view(m->path));
		put(entry, "read_only", json_boolean(m->read_only));
		put(entry, "file", json_boolean(m->file));
		put(entry, "hidden", globs(f->hidden, f->hidden_count));
		put(entry, "read_only_globs", globs(f->read_only, f->read_only_count));
		put(entry, "protect_git", json_boolean(f->protect_git));
		json_array_append_new(list, entry);
		if (spec->policy_path && !add_policy(names, spec->policy_path, m->path)) {
			json_decref(names);
			json_decref(list);
			json_decref(o);
			return ERR_INPUT;	/* never served without its protection */
		}
	}
	put(o, "mounts", list);
	put(o, "protected_files", names);
	put(o, "uid", json_integer(0));	/* the agent is root of its namespace:
					   what the user owns is its own */
	put(o, "gid", json_integer(0));
	return sealed_json(o, ret_fd);
}

/* --- terminal: the guest's boot configuration and the command --- */

static enum err put_guest(struct buf *b, const struct spec *spec, const struct rundir *run,
			  const struct mounts *mounts, const struct placeholders *placeholders,
			  struct str ca_pem)
{
	struct msg_config c = {
		.hostname = str_of(spec->name ? spec->name : run->id), .ca_pem = ca_pem,
		.time_ns = clock_unix_ns(), .processes_max = policy_limits(spec->policy)->processes,
		.mount_count = mounts->count, .file_count = placeholders->file_count,
	};
	uint8_t seed[64];

	if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
		return ERR_LOCAL;
	c.seed = str_make(seed, sizeof seed);
	for (uint32_t i = 0; i < mounts->count; i++)
		c.mounts[i] = (struct msg_mount){
			.flags = (uint8_t)((mounts->entry[i].read_only ? MSG_MOUNT_READ_ONLY : 0) |
					   (mounts->entry[i].file ? MSG_MOUNT_FILE : 0)),
			.path = mounts->entry[i].path,
		};
	memcpy(c.files, placeholders->files, placeholders->file_count * sizeof c.files[0]);
	msg_put_config(b, &c);
	explicit_bzero(seed, sizeof seed);
	return buf_err(b);
}

static bool given(const struct spec *spec, struct str name)
{
	for (uint32_t i = 0; i < spec->environment_count; i++)
		if (str_starts(spec->environment[i], name) && spec->environment[i].n > name.n &&
		    spec->environment[i].p[name.n] == '=')
			return true;
	return false;
}

static void add_variable(struct msg_exec *x, struct arena *arena, const struct spec *spec, struct str name,
			 struct str value)
{
	auto_buf pair = BUF_EMPTY;

	if (!value.p || x->environment_count == MSG_ARGUMENTS_MAX || given(spec, name))
		return;
	buf_init(&pair, MSG_FIELD_MAX);
	buf_put(&pair, name);
	buf_put_byte(&pair, '=');
	buf_put(&pair, value);
	struct str copy = arena_copy(arena, buf_str(&pair));

	if (copy.p && !buf_err(&pair))
		x->environment[x->environment_count++] = copy;
}

/* The directories of COMMAND's own tools come first, then the standard ones. */
static struct str guest_path(const struct spec *spec, struct arena *arena)
{
	auto_buf path = BUF_EMPTY;

	buf_init(&path, 32768);
	for (uint32_t i = 0; i < spec->tool_count; i++) {
		static const char *const below[] = { "/bin", "/.bin" };

		for (size_t k = 0; k < 2; k++) {
			auto_buf candidate = BUF_EMPTY;
			struct stat st;

			buf_init(&candidate, PATHS_MAX);
			buf_put(&candidate, spec->tools[i]);
			buf_put_z(&candidate, below[k]);
			if (buf_z(&candidate) && stat(buf_z(&candidate), &st) == 0 && S_ISDIR(st.st_mode)) {
				buf_put(&path, buf_str(&candidate));
				buf_put_byte(&path, ':');
			}
		}
	}
	buf_put_z(&path, PATH_STANDARD);
	return arena_copy(arena, buf_str(&path));
}

static void add_environment(struct msg_exec *x, struct arena *arena, const struct spec *spec,
			    const struct placeholders *placeholders)
{
	static const char *const same[] = { "TERM", "COLORTERM", "LANG", "LC_ALL", "TZ" };

	for (uint32_t i = 0; i < spec->environment_count; i++)	/* <= SPEC_ENVIRONMENT_MAX */
		x->environment[x->environment_count++] = spec->environment[i];
	for (uint32_t i = 0; i < policy_credential_count(spec->policy); i++) {
		const struct policy_credential *k = policy_credential(spec->policy, i);

		if (k->placeholder_environment.n)
			add_variable(x, arena, spec, k->placeholder_environment, placeholders->value[i]);
		/* its other half, which signs for nobody */
		if (k->strategy == POLICY_STRATEGY_SIGV4 &&
		    str_eq(k->placeholder_environment, STR("AWS_ACCESS_KEY_ID")))
			add_variable(x, arena, spec, STR("AWS_SECRET_ACCESS_KEY"), placeholders->second[i]);
	}
	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		add_variable(x, arena, spec, str_of(same[i]), str_of(getenv(same[i])));
	add_variable(x, arena, spec, STR("HOME"), placeholders_home(spec));
	add_variable(x, arena, spec, STR("USER"), STR("root"));
	add_variable(x, arena, spec, STR("LOGNAME"), STR("root"));
	add_variable(x, arena, spec, STR("SHELL"), STR("/bin/sh"));
	add_variable(x, arena, spec, STR("PATH"), guest_path(spec, arena));
	add_variable(x, arena, spec, STR("PADDOCK"), STR("1"));
	/* without it Claude Code will not skip its own questions
	 * as root, which the agent is in its namespace */
	add_variable(x, arena, spec, STR("IS_SANDBOX"), STR("1"));
}

static enum err put_command(struct buf *b, const struct spec *spec, const struct placeholders *placeholders)
{
	struct msg_exec *x = calloc(1, sizeof *x);
	auto_arena arena = arena_new(4u * 1024 * 1024);
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	enum err e = ERR_MEMORY;

	if (x && arena) {
		e = ERR_OK;
		for (char *const *a = spec->command; *a; a++) {
			if (x->argument_count == MSG_ARGUMENTS_MAX) {
				e = ERR_LIMIT;
				break;
			}
			x->arguments[x->argument_count++] = str_of(*a);
		}
		add_environment(x, arena, spec, placeholders);
		x->directory = str_of(spec->workspace);
		x->terminal = front_is_ours() && isatty(STDOUT_FILENO);
		if (x->terminal)
			(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
		x->rows = size.ws_row;
		x->columns = size.ws_col;
		if (!e)
			msg_put_exec(b, x);
		if (!e)
			e = buf_err(b);
	}
	free(x);
	return e;
}

enum err configure_terminal(const struct spec *spec, const struct rundir *run, const struct mounts *mounts,
			    const struct placeholders *placeholders, struct str ca_pem, struct buf *why,
			    int *ret_fd)
{
	auto_buf guest = BUF_EMPTY, command = BUF_EMPTY, both = BUF_EMPTY;
	enum err e;

	buf_init(&guest, CONFIG_MAX);
	buf_init(&command, CONFIG_MAX);
	buf_init(&both, CONFIG_MAX);
	e = put_guest(&guest, spec, run, mounts, placeholders, ca_pem);
	if (!e && guest.len > LINK_PAYLOAD_MAX)
		e = ERR_LIMIT;
	if (e == ERR_LIMIT)
		buf_put_z(why, "the credential files and the paths of what the sandbox sees are over 64 KiB "
			       "together: "
			       "render or show less");
	if (!e) {
		e = put_command(&command, spec, placeholders);
		if (!e && command.len > LINK_PAYLOAD_MAX)
			e = ERR_LIMIT;
		if (e == ERR_LIMIT)
			buf_put_z(why, "the command and its environment are over 64 KiB together: pass long "
				       "input by "
				       "a file");
	}
	if (e)
		return e;
	buf_put_u32le(&both, (uint32_t)guest.len);
	buf_put(&both, buf_str(&guest));
	buf_put_u32le(&both, (uint32_t)command.len);
	buf_put(&both, buf_str(&command));
	return buf_err(&both) ? buf_err(&both) : configure_sealed(buf_str(&both), ret_fd);
}
