/* options.c - see options.h
 *
 * Everything is checked before anything is started: a bad option leaves nothing behind. A
 * policy that lies in the workspace was perhaps written by an agent: it is used only if the
 * user named it with --policy or trusted its digest.
 */
#include "cli/options.h"

#include "cli/trust.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_DEFAULT (2ull << 30)
#define MEMORY_MIN (128ull << 20)
#define MEMORY_MAX (1ull << 40)
#define CPUS_MAX 64u
#define TIMEOUT_MAX_MS (366ull * 24 * 3600 * 1000)
#define NAME_MAX_BYTES 63
#define CA_MAX_BYTES (1024 * 1024)
#define ARENA_MAX (1024 * 1024)
#define CLIENTS_MAX 1024u

enum option_key {
	OPTION_POLICY = 256, OPTION_WORKSPACE, OPTION_IMAGE, OPTION_MEMORY, OPTION_CPUS, OPTION_ENV,
	OPTION_NAME,
	OPTION_TIMEOUT, OPTION_RESOLVE, OPTION_UPSTREAM_CA, OPTION_MACHINE, OPTION_LISTEN, OPTION_CLIENTS,
	OPTION_ENV_FILE,
};

/* and the end of a table */
#define COMMON_OPTIONS \
	{ "policy", required_argument, NULL, OPTION_POLICY }, \
	{ "name", required_argument, NULL, OPTION_NAME }, \
	{ "resolve", required_argument, NULL, OPTION_RESOLVE }, \
	{ "upstream-ca", required_argument, NULL, OPTION_UPSTREAM_CA }, \
	{ "quiet", no_argument, NULL, 'q' }, \
	{ "help", no_argument, NULL, 'h' }, \
	{ NULL, 0, NULL, 0 }

static const struct option long_options[] = {
	{ "workspace", required_argument, NULL, OPTION_WORKSPACE },
	{ "image", required_argument, NULL, OPTION_IMAGE },
	{ "memory", required_argument, NULL, OPTION_MEMORY },
	{ "cpus", required_argument, NULL, OPTION_CPUS },
	{ "env", required_argument, NULL, OPTION_ENV },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "machine", required_argument, NULL, OPTION_MACHINE },
	COMMON_OPTIONS,
};

static const struct option gate_options[] = {
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "clients", required_argument, NULL, OPTION_CLIENTS },
	{ "env-file", required_argument, NULL, OPTION_ENV_FILE },
	COMMON_OPTIONS,
};

static enum err wrong(struct buf *why, const char *option, const char *value, const char *expected)
{
	buf_clear(why);
	buf_printf(why, "%s %.200s: %s", option, value, expected);
	return ERR_INPUT;
}

/* Digits, then a unit of the table; the product must not exceed @max. */
struct unit {
	struct str name;
	uint64_t factor;
};

static bool quantity(struct str text, const struct unit *units, size_t count, uint64_t max, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t n;

	while (digits < text.n && ascii_digit(text.p[digits]))
		digits++;
	if (!str_decimal(str_head(text, digits), max, &n))
		return false;
	for (size_t i = 0; i < count; i++)
		if (str_eq(str_from(text, digits), units[i].name)) {
			if (n > max / units[i].factor)
				return false;
			*ret = n * units[i].factor;
			return true;
		}
	return false;
}

bool size_parse(struct str text, uint64_t max, uint64_t *ret_bytes)
{
	static const struct unit units[] = { { STR_INIT(""), 1 }, { STR_INIT("B"), 1 },
					     { STR_INIT("KiB"), 1ull << 10 },
		{ STR_INIT("MiB"), 1ull << 20 }, { STR_INIT("GiB"), 1ull << 30 },
		{ STR_INIT("K"), 1ull << 10 },
		{ STR_INIT("M"), 1ull << 20 }, { STR_INIT("G"), 1ull << 30 } };

	return quantity(text, units, sizeof units / sizeof *units, max, ret_bytes);
}

bool duration_parse(struct str text, uint64_t max_ms, uint64_t *ret_ms)
{
	static const struct unit units[] = { { STR_INIT(""), 1000 }, { STR_INIT("ms"), 1 },
					     { STR_INIT("s"), 1000 },
		{ STR_INIT("m"), 60000 }, { STR_INIT("h"), 3600000 }, { STR_INIT("d"), 86400000 } };

	return quantity(text, units, sizeof units / sizeof *units, max_ms, ret_ms);
}

static bool variable_name(struct str s)
{
	if (s.n == 0 || s.n > 255 || ascii_digit(s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) && s.p[i] != '_')
			return false;
	return true;
}

static enum err add_environment(struct spec *s, const char *value, struct buf *why)
{
	struct str text = str_of(value), name = str_head(text, str_find(text, '='));
	auto_buf pair = BUF_EMPTY;

	if (!variable_name(name))
		return wrong(why, "--env", value,
			     "expected NAME or NAME=VALUE, NAME of letters, digits and _");
	if (s->environment_count == SPEC_ENVIRONMENT_MAX)
		return wrong(why, "--env", value, "too many; at most 256 variables can be given");
	buf_init(&pair, 128 * 1024);
	buf_put(&pair, text);
	if (name.n == text.n) {
		const char *mine = getenv(value);

		if (!mine)
			return wrong(why, "--env", value,
				     "is not set here; give it as NAME=VALUE, or set it first");
		buf_put_byte(&pair, '=');
		buf_put_z(&pair, mine);
	}
	struct str copy = arena_copy(s->arena, buf_str(&pair));

	if (buf_err(&pair) || !copy.p)
		return wrong(why, "--env", "value", "too long; all variables together may have 1 MiB");
	s->environment[s->environment_count++] = copy;
	return ERR_OK;
}

static bool take_port(struct str s, uint16_t *ret)
{
	uint64_t n;

	if (!str_decimal(s, 65535, &n) || n == 0)
		return false;
	*ret = (uint16_t)n;
	return true;
}

/* One part up to ':' (an IPv6 literal in brackets), canonical. */
static bool take_host(struct arena *arena, struct str *rest, struct str *ret)
{
	char canonical[HEAD_HOST_MAX + 1];
	size_t end = rest->n && rest->p[0] == '[' ? str_find(*rest, ']') + 1 : str_find(*rest, ':');

	if (end > rest->n || host_canonical(str_head(*rest, end), canonical))
		return false;
	*ret = arena_copy(arena, str_of(canonical));
	*rest = str_from(*rest, end);
	return ret->p != NULL;
}

static bool parse_resolve(struct spec *s, struct str rest, struct spec_resolve *r)
{
	struct str port;

	if (!take_host(s->arena, &rest, &r->host) || !rest.n || rest.p[0] != ':')
		return false;
	rest = str_from(rest, 1);
	port = str_head(rest, str_find(rest, ':'));
	rest = str_from(rest, port.n + 1);
	if (!take_port(port, &r->port) || !take_host(s->arena, &rest, &r->address) ||
	    host_type(r->address) == HOST_NAME)
		return false;
	r->address_port = r->port;
	return rest.n == 0 || (rest.p[0] == ':' && take_port(str_from(rest, 1), &r->address_port));
}

static enum err add_resolve(struct spec *s, const char *value, struct buf *why)
{
	if (s->resolve_count == SPEC_RESOLVE_MAX)
		return wrong(why, "--resolve", value, "too many; at most 64");
	if (!parse_resolve(s, str_of(value), &s->resolve[s->resolve_count]))
		return wrong(why, "--resolve", value,
			     "expected HOST:PORT:ADDRESS or HOST:PORT:ADDRESS:PORT, for example "
			     "api.example:443:127.0.0.1:8443");
	s->resolve_count++;
	return ERR_OK;
}

static bool name_check(struct str name)
{
	bool good = name.n > 0 && name.n <= NAME_MAX_BYTES && name.p[0] != '-' && name.p[0] != '.';

	for (size_t i = 0; i < name.n; i++)
		good = good &&
		       (ascii_alpha(name.p[i]) || ascii_digit(name.p[i]) || memchr("-_.", name.p[i], 3));
	return good;
}

bool options_client_name(const char *name) { return name_check(str_of(name)); }

static enum err set_name(struct spec *s, const char *value, struct buf *why)
{
	if (!name_check(str_of(value)))
		return wrong(why, "--name", value, "expected 1 to 63 letters, digits, '-', '_' or '.'");
	s->name = value;
	return ERR_OK;
}

/* One line of the file: a name, blanks, 64 hex digits; "" and "# ..." say nothing. */
static bool read_client(struct spec *s, struct str line)
{
	struct spec_client *c = &s->clients[s->client_count];
	size_t end = 0, from;

	while (end < line.n && line.p[end] != ' ' && line.p[end] != '\t')
		end++;
	for (from = end; from < line.n && (line.p[from] == ' ' || line.p[from] == '\t'); from++)
		;
	if (line.n == 0 || line.p[0] == '#')
		return true;
	if (s->client_count == CLIENTS_MAX || !name_check(str_head(line, end)) ||
	    line.n - from != sizeof c->digest - 1)
		return false;
	for (size_t i = from; i < line.n; i++)
		if (ascii_hex(line.p[i]) < 0)
			return false;
	c->name = arena_copy(s->arena, str_head(line, end));
	memcpy(c->digest, line.p + from, sizeof c->digest - 1);
	s->client_count++;
	return c->name.p != NULL;
}

static enum err read_clients(struct spec *s, const char *path, struct buf *why)
{
	auto_buf text = BUF_EMPTY;
	unsigned line = 0;

	buf_init(&text, CLIENTS_MAX * 160);
	s->clients = arena_array(s->arena, CLIENTS_MAX, sizeof *s->clients);
	if (!s->clients)
		return ERR_MEMORY;
	if (paths_read(path, CLIENTS_MAX * 128, &text))
		return wrong(why, "--clients", path, strerror(errno));
	for (struct str rest = buf_str(&text); rest.n; rest = str_from(rest, str_find(rest, '\n') + 1)) {
		line++;
		if (read_client(s, str_head(rest, str_find(rest, '\n'))))
			continue;
		buf_clear(why);
		buf_printf(why, "%.200s:%u: expected NAME and the SHA-256 of its token, 64 hex digits, as `paddock gate --new-token NAME` prints; at most %u clients",
			   path, line, CLIENTS_MAX);
		return ERR_INPUT;
	}
	return s->client_count ? ERR_OK : wrong(why, "--clients", path, "names no client");
}

static enum err set_quantity(struct spec *s, int key, const char *value, struct buf *why)
{
	uint64_t n;

	switch (key) {
	case OPTION_MEMORY:
		if (!size_parse(str_of(value), MEMORY_MAX, &s->memory_bytes) || s->memory_bytes < MEMORY_MIN)
			return wrong(why, "--memory", value,
				     "expected a size of at least 128MiB, for example 2GiB");
		s->memory_bytes &= ~((1ull << 20) - 1);
		return ERR_OK;
	case OPTION_CPUS:
		if (!str_decimal(str_of(value), CPUS_MAX, &n) || n == 0)
			return wrong(why, "--cpus", value, "expected a whole number from 1 to 64");
		s->cpus = (uint32_t)n;
		return ERR_OK;
	default:
		if (!duration_parse(str_of(value), TIMEOUT_MAX_MS, &s->timeout_ms) || s->timeout_ms == 0)
			return wrong(why, "--timeout", value,
				     "expected a duration over 0, for example 90s, 10m or 2h");
		return ERR_OK;
	}
}

static enum err set_option(struct spec *s, int key, char *value, const char **workspace, struct buf *why)
{
	switch (key) {
	case OPTION_POLICY:
		s->policy_path = value;
		return ERR_OK;
	case OPTION_WORKSPACE:
		*workspace = value;
		return ERR_OK;
	case OPTION_IMAGE:
		s->image = value;
		return ERR_OK;
	case OPTION_MACHINE:
		s->machine = value;
		return ERR_OK;
	case OPTION_UPSTREAM_CA:
		s->upstream_ca_path = value;
		return ERR_OK;
	case OPTION_LISTEN:
		s->listen = value;
		return ERR_OK;
	case OPTION_ENV_FILE:
		s->environment_file = value;
		return ERR_OK;
	case OPTION_CLIENTS:
		return read_clients(s, value, why);
	case OPTION_ENV:
		return add_environment(s, value, why);
	case OPTION_RESOLVE:
		return add_resolve(s, value, why);
	case OPTION_NAME:
		return set_name(s, value, why);
	case 'q':
		s->quiet = true;
		return ERR_OK;
	case 'h':
		return ERR_STATE;
	default:
		return set_quantity(s, key, value, why);
	}
}

static enum err read_arguments(int argc, char **argv, const char *verb, const struct option *options,
			       struct spec *s, const char **workspace, struct buf *why)
{
	int key;
	enum err e = ERR_OK;

	optind = 0;	/* the command line may have been looked at before */
	opterr = 0;
	while (!e && (key = getopt_long(argc, argv, "+:qh", options, NULL)) != -1) {
		const char *at = argv[optind - 1 < argc ? optind - 1 : argc - 1];

		if (key == '?')
			return wrong(why, verb, at, "no such option; see its --help");
		if (key == ':')
			return wrong(why, verb, at, "needs a value; see its --help");
		e = set_option(s, key, optarg, workspace, why);
	}
	if (e)
		return e;
	if (s->gate)
		return optind < argc ? wrong(why, verb, argv[optind], "takes no such argument") : ERR_OK;
	if (optind >= argc) {
		buf_put_z(why, "no command: expected `paddock run [options] -- COMMAND [ARGUMENT...]`");
		return ERR_INPUT;
	}
	s->command = argv + optind;
	return ERR_OK;
}

static enum err resolve_workspace(struct spec *s, const char *given, struct buf *why)
{
	char *real = realpath(given ? given : ".", NULL);
	struct stat st;
	struct str copy;

	if (!real)
		return wrong(why, "--workspace", given ? given : ".", strerror(errno));
	copy = arena_copy(s->arena, str_of(real));
	free(real);
	s->workspace = copy.p;
	if (!copy.p || stat(copy.p, &st) || !S_ISDIR(st.st_mode))
		return wrong(why, "--workspace", given ? given : ".", "is not a directory");
	if (copy.n == 1)
		return wrong(why, "--workspace", "/",
			     "the whole host cannot be a workspace; name a project's directory");
	if (paths_hold_home(copy))
		return wrong(why, "--workspace", copy.p,
			     "holds your home directory, and with it your keys; name a project's directory");
	return ERR_OK;
}

/* The file itself, links followed once and for all: a link that the sandbox can replace must not
 * lead a reload elsewhere (I5). What protects it in the workspace knows it by the same path. */
static const char *resolved(struct spec *s, const char *named)
{
	char *real = realpath(named, NULL);
	const char *copy = real ? arena_copy(s->arena, str_of(real)).p : NULL;

	free(real);
	return copy;
}

/* The policy named, or ./paddock.yaml if its digest is trusted, or none. */
static enum err find_policy(struct spec *s, struct buf *why)
{
	const char *given = s->policy_path;
	auto_buf path = BUF_EMPTY;
	enum err e;

	buf_init(&path, PATHS_MAX);
	buf_put_z(&path, given ? given : s->workspace);
	if (!given)
		buf_put_z(&path, "/paddock.yaml");
	s->policy_path = buf_z(&path) ? resolved(s, buf_z(&path)) : NULL;
	e = s->policy_path ? paths_read(s->policy_path, POLICY_BYTES_MAX, &s->policy_text) : ERR_LOCAL;
	if (given) {
		if (e)
			return wrong(why, "--policy", given,
				     e == ERR_LIMIT ? "is larger than 8 MiB" : strerror(errno));
		if (!str_is_utf8(str_of(s->policy_path)))
			return wrong(why, "--policy", given,
				     "its path is not UTF-8, so it could not be protected; rename it");
		return ERR_OK;
	}
	if (e)
		s->policy_note = "no policy: everything is denied; `paddock init claude` (or codex, generic) "
				 "writes one to start from";
	else if (!trust_is_trusted(buf_str(&s->policy_text)))
		s->policy_note = "paddock.yaml is not trusted, so everything is denied; read it, then run "
				 "`paddock policy trust`";
	s->policy_trusted = trust_is_trusted;
	if (s->policy_note) {
		buf_clear(&s->policy_text);
		s->policy_path = NULL;
	}
	return ERR_OK;
}

static enum err load_policy(struct spec *s, struct buf *why)
{
	struct policy_error error;
	enum err e = find_policy(s, why);

	if (e)
		return e;
	if (!s->policy_path)
		return policy_deny_all(&s->policy);
	e = policy_load(buf_str(&s->policy_text), s->policy_path, getenv("HOME"), &s->policy, &error);
	if (e == ERR_POLICY_SYNTAX) {
		buf_clear(why);
		buf_printf(why, "%s:%u:%u: %s", s->policy_path, (unsigned)error.line, (unsigned)error.column,
			   error.text);
		return ERR_INPUT;
	}
	return e;
}

static enum err check_limits(struct spec *s, struct buf *why)
{
	const struct policy_limits *limits = policy_limits(s->policy);

	if (limits->memory_bytes && s->memory_bytes > limits->memory_bytes)
		return wrong(why, "--memory", "value",
			     "is over limits.memory of the policy; lower it, or change the policy");
	if (limits->cpus && s->cpus > limits->cpus)
		return wrong(why, "--cpus", "value",
			     "is over limits.cpus of the policy; lower it, or change the policy");
	if (!s->memory_bytes)
		s->memory_bytes = limits->memory_bytes ? limits->memory_bytes : MEMORY_DEFAULT;
	if (!s->cpus)
		s->cpus = limits->cpus ? limits->cpus : 2;
	if (s->memory_bytes < MEMORY_MIN)
		return wrong(why, "limits.memory", "of the policy", "a machine needs at least 128MiB");
	return ERR_OK;
}

/* A variable that holds a credential's secret never goes to the guest by --env. */
static enum err check_environment(const struct spec *s, struct buf *why)
{
	for (uint32_t c = 0; c < policy_credential_count(s->policy); c++) {
		const struct policy_credential *k = policy_credential(s->policy, c);

		if (k->source != POLICY_SOURCE_ENVIRONMENT)
			continue;
		for (uint32_t i = 0; i < s->environment_count; i++) {
			struct str name = str_head(s->environment[i], str_find(s->environment[i], '='));

			if (!str_eq(name, k->environment))
				continue;
			buf_clear(why);
			buf_printf(why, "--env %.*s: holds the credential %.*s, which stays outside; the guest has a "
				   "placeholder if the policy names one", STR_FMT(name), STR_FMT(k->name));
			return ERR_INPUT;
		}
	}
	return ERR_OK;
}

static enum err read_upstream_ca(struct spec *s, struct buf *why)
{
	if (!s->upstream_ca_path)
		return ERR_OK;
	if (paths_read(s->upstream_ca_path, CA_MAX_BYTES, &s->upstream_ca))
		return wrong(why, "--upstream-ca", s->upstream_ca_path, strerror(errno));
	if (!buf_z(&s->upstream_ca) || !strstr(buf_z(&s->upstream_ca), "-----BEGIN CERTIFICATE-----"))
		return wrong(why, "--upstream-ca", s->upstream_ca_path, "holds no certificate in PEM form");
	return ERR_OK;
}

static enum err begin(struct spec *s, struct spec defaults)
{
	*s = defaults;
	s->arena = arena_new(ARENA_MAX);
	buf_init(&s->policy_text, POLICY_BYTES_MAX + 8192);
	buf_init(&s->upstream_ca, CA_MAX_BYTES + 8192);
	return s->arena ? ERR_OK : ERR_MEMORY;
}

enum err options_parse_gate(int argc, char **argv, struct spec *ret, struct buf *why)
{
	static char word[] = "gate", *command[] = { word, NULL };
	const char *unused = NULL;
	enum err e = begin(ret, (struct spec){ .image = "", .machine = "none", .gate = true, .workspace = ".",
					       .command = command });

	if (!e)
		e = read_arguments(argc, argv, "paddock gate", gate_options, ret, &unused, why);
	if (!e && !ret->listen)
		e = wrong(why, "paddock gate", "--listen", "is required, such as --listen 127.0.0.1:3128");
	if (!e)
		e = load_policy(ret, why);
	if (!e)
		e = read_upstream_ca(ret, why);
	return e;
}

enum err options_parse(int argc, char **argv, struct spec *ret, struct buf *why)
{
	const char *workspace = NULL;
	enum err e;

	e = begin(ret, (struct spec){ .image = "host", .machine = "qemu" });
	if (!e)
		e = read_arguments(argc, argv, "paddock run", long_options, ret, &workspace, why);
	if (!e)
		e = resolve_workspace(ret, workspace, why);
	if (!e)
		e = load_policy(ret, why);
	if (!e)
		e = check_limits(ret, why);
	if (!e)
		e = check_environment(ret, why);
	if (!e)
		e = read_upstream_ca(ret, why);
	return e;
}

void options_free(struct spec *s)
{
	policy_free(s->policy);
	buf_free(&s->policy_text);
	buf_free(&s->upstream_ca);
	arena_free(s->arena);
	s->arena = NULL;
}
