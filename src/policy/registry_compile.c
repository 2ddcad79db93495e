/* registry_compile.c - the registry part of a rule, from the document */
#include "policy/registry.h"

#include "base/glob.h"
#include "policy/value.h"

static enum err access_words(struct compile *c, const struct document_registry *in, struct registry_rule *out)
{
	static const char *const words[] = { "install", "publish" };

	out->install = !in->access.at.line;
	for (uint32_t i = 0; i < in->access.count; i++) {
		unsigned which;
		enum err err = compile_choice(c, &in->access.items[i], "access", words, 2, 0, &which);

		if (err != ERR_OK)
			return err;
		*(which ? &out->publish : &out->install) = true;
	}
	if (in->access.at.line && in->access.count == 0)
		return compile_fail(c, in->access.at, "'access' is an empty list: install, publish, or both");
	return ERR_OK;
}

/* @folded: what refuses a name does so in any case */
static enum err name_pattern(struct compile *c, const struct registry_rule *r, const struct document_text *t,
			     bool folded, struct str *ret)
{
	char bytes[REGISTRY_NAME_MAX];
	size_t n;

	if (!r->ecosystem->normalise(t->text, true, bytes, &n))
		return compile_fail(c, t->at, "'%.*s' could be the name of no package of %s",
				    STR_FMT(node_quote(t->text)), r->ecosystem->name);
	for (size_t i = 0; folded && i < n; i++)
		bytes[i] = ascii_lower(bytes[i]);
	return compile_text(c, str_make(bytes, n), ret);
}

static enum err names(struct compile *c, const struct registry_rule *r, const struct document_texts *in,
		      const char *what, bool folded, uint32_t *ret_count, const struct str **ret)
{
	struct str *globs = arena_array(c->a, in->count + 1, sizeof *globs);
	enum err err = globs ? ERR_OK : ERR_MEMORY;

	if (in->at.line && in->count == 0)
		return compile_fail(c, in->at, "'%s' is an empty list", what);
	for (uint32_t i = 0; i < in->count && err == ERR_OK; i++)
		err = name_pattern(c, r, &in->items[i], folded, &globs[i]);
	*ret_count = in->count;
	*ret = globs;
	return err;
}

static enum err ranges(struct compile *c, const struct document_registry *in, struct registry_rule *out)
{
	struct registry_range *items = arena_array(c->a, in->versions.count + 1, sizeof *items);
	enum err err = items ? ERR_OK : ERR_MEMORY;

	for (uint32_t i = 0; i < in->versions.count && err == ERR_OK; i++) {
		const struct document_pair *pair = &in->versions.items[i];

		err = name_pattern(c, out, &pair->name, true, &items[i].packages);
		if (err == ERR_OK && !version_range_valid(out->ecosystem->scheme, pair->value.text))
			return compile_fail(c, pair->value.at,
					    "'%.*s' is no range of versions as %s writes them",
					    STR_FMT(node_quote(pair->value.text)), out->ecosystem->name);
		if (err == ERR_OK)
			err = compile_text(c, pair->value.text, &items[i].range);
	}
	out->ranges = items;
	out->range_count = in->versions.count;
	return err;
}

static enum err advisories(struct compile *c, const struct document_registry *in, struct registry_rule *out)
{
	const char *reason = "";
	struct str path;
	enum err err;

	if (!in->advisories.at.line)
		return ERR_OK;
	err = compile_path(c, &in->advisories, &path);
	if (err != ERR_OK)
		return err;
	err = registry_advisories_read(c->a, path, out->ecosystem, &out->advisories, &reason);
	return err == ERR_INPUT ? compile_fail(c, in->advisories.at, "'%.*s' %s", STR_FMT(node_quote(path)),
					       reason) : err;
}

/* "https://host[:port]/base/", where metadata is asked for */
static enum err index_url(struct compile *c, const struct document_text *t, struct registry_rule *out)
{
	struct str rest = t->text, host, port;
	uint64_t number;

	out->base = STR("/");
	if (!t->at.line)
		return ERR_OK;
	out->index_scheme = str_starts(rest, STR("http://")) ? HEAD_HTTP : HEAD_HTTPS;
	rest = str_from(rest, out->index_scheme == HEAD_HTTPS ? 8 : 7);
	host = str_head(rest, str_find(rest, '/'));
	rest = str_from(rest, host.n);
	port = str_from(host, str_find(host, ':') + 1);
	number = out->index_scheme == HEAD_HTTPS ? 443 : 80;
	host = str_head(host, str_find(host, ':'));
	if ((!str_starts(t->text, STR("https://")) && !str_starts(t->text, STR("http://"))) ||
	    host_type(host) == HOST_INVALID || (port.n && (!str_decimal(port, 65535, &number) || !number)) ||
	    (rest.n && (!path_check(rest) || rest.p[rest.n - 1] != '/')))
		return compile_fail(c, t->at, "'%.*s' is no address of an index: expected https://host/ or "
				    "https://host/path/", STR_FMT(node_quote(t->text)));
	out->index_port = (uint16_t)number;
	if (rest.n)
		out->base = rest;
	if (compile_text(c, out->base, &out->base) != ERR_OK)
		return ERR_MEMORY;
	return compile_text(c, host, &out->index_host);
}

/* What narrows an installation is read after a rule has matched, and a rule that denies is over then. */
static enum err refuse_narrowing(struct compile *c, const struct document_registry *in,
				 const struct registry_rule *r)
{
	const struct { const char *name; struct place at; } keys[] = {
		{ "deny", in->deny.at }, { "versions", in->versions.at }, { "min_age", in->min_age.at },
		{ "advisories", in->advisories.at },
	};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (keys[i].at.line && r->denies)
			return compile_fail(c, keys[i].at,
					    "'%s' narrows what may be installed; a rule that denies has "
					    "'packages' for that", keys[i].name);
		if (keys[i].at.line && i > 0 && !r->install)
			return compile_fail(c, keys[i].at, "'%s' is about installing, and 'access' has none",
					    keys[i].name);
	}
	if (in->min_age.at.line && !r->ecosystem->ages)
		return compile_fail(c, in->min_age.at,
				    "%s's index does not say when a package was published: 'min_age' "
				    "cannot be kept", r->ecosystem->name);
	return ERR_OK;
}

enum err registry_compile(struct compile *c, const struct document_registry *in, enum policy_verdict verdict,
			  const void **ret)
{
	static const char *const types[] = { "npm", "pypi", "crates", "apt" };
	struct registry_rule *r = arena_alloc(c->a, sizeof *r);
	unsigned type;
	enum err err;

	if (!r)
		return ERR_MEMORY;
	if (!in->type.at.line)
		return compile_fail(c, in->at, "'registry' needs 'type': npm, pypi, crates or apt");
	err = compile_choice(c, &in->type, "type", types, REGISTRY_TYPES, 0, &type);
	if (err != ERR_OK)
		return err;
	r->type = (enum registry_type)type;
	r->ecosystem = registry_ecosystem(r->type);
	r->denies = verdict == POLICY_DENY;
	r->min_age_ms = in->min_age.value;
	err = access_words(c, in, r);
	if (err == ERR_OK)
		err = refuse_narrowing(c, in, r);
	if (err == ERR_OK)
		err = names(c, r, &in->packages, "packages", r->denies, &r->package_count, &r->packages);
	if (err == ERR_OK)
		err = names(c, r, &in->deny, "deny", true, &r->deny_count, &r->deny);
	if (err == ERR_OK)
		err = ranges(c, in, r);
	if (err == ERR_OK)
		err = advisories(c, in, r);
	if (err == ERR_OK)
		err = index_url(c, &in->index, r);
	if (err == ERR_OK)
		*ret = r;
	return err;
}
