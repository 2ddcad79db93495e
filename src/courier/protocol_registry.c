/* protocol_registry.c - a registry's requests in an exchange
 *
 * Theory of operation: whether package and version may be had was decided over the head. Here comes what the
 * registry's own metadata adds (registry_table.c): the age of a file's version is judged before the request
 * leaves, and what is delivered is hashed as it passes and compared with the digest that the metadata has;
 * the last bytes wait for that, so that a file with another digest never arrives whole.
 * Metadata for the guest goes through the decoder with a filter (policy/registry_filter.h):
 * versions that may not be installed are left out, so that a package manager resolves to what may.
 * The head asks for what can be read: whole, unencoded, not "if it changed" (what passes depends on today's
 * date). A refusal is put as the registry's clients print it: npm the text of "error", cargo the body, apt
 * the status line. pip shows of a page that it cannot have nothing but a Content-Type which it does not know,
 * and only under status 200: that is what it gets, with no link in it. The trail says what it was.
 */
#include "courier/protocol.h"

#include "base/clock.h"
#include "courier/binding.h"
#include "courier/registry_digest.h"
#include "courier/registry_table.h"
#include "credential/attach.h"
#include "policy/registry_filter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define ORIGIN_PATH_MAX 1024
#define DAY_S 86400

struct registry {
	struct registry_request request;
	bool understood;
	struct waiter wait;
	bool filtered;			/* the metadata has to be */
	bool reserved;			/* a place for it */
	struct buf filter;		/* the decoder's parameters */
	struct str algorithm, digest;	/* expected, in words */
	struct buf words;		/* they point into */
	char delivered[REGISTRY_DIGEST_TEXT];
	enum registry_verdict { VERDICT_NONE, VERDICT_SAME, VERDICT_OTHER, VERDICT_UNKNOWN } verdict;
	int64_t published;
	bool yanked;
};

/* ---- examine ---- */

static bool narrows_metadata(const struct registry_rule *r)
{
	return r->range_count || r->advisories || r->min_age_ms;
}

static enum step examine(struct protocol_run *run)
{
	static const struct str conditional[] = {
		STR_INIT("if-none-match"), STR_INIT("if-modified-since"), STR_INIT("if-match"),
		STR_INIT("if-unmodified-since"), STR_INIT("if-range"), STR_INIT("range"),
		STR_INIT("accept-encoding"),
	};
	const struct registry_rule *rule = run->data;
	struct registry *g = run->state;
	struct head *head = &run->x->head;

	if (g->understood)
		return STEP_NEXT;
	if (!registry_request(rule, head, &g->request))
		return exchange_fail(run->x, ERR_PROTOCOL_UNRECOGNISED, "");
	g->understood = true;
	g->published = -1;
	buf_init(&g->filter, DECODER_JOB_MAX);
	buf_init(&g->words, 1024);
	g->filtered = g->request.action == REGISTRY_METADATA && !g->request.single &&
		      narrows_metadata(rule) && rule->ecosystem->ages && !protocol_observes(run);
	if (!g->filtered && g->request.action != REGISTRY_FILE)
		return STEP_NEXT;
	for (size_t i = 0; i < sizeof conditional / sizeof *conditional; i++)
		head_remove(head, conditional[i]);
	if (head_add(head, STR("accept-encoding"), STR("identity")) != ERR_OK)
		return exchange_fail(run->x, ERR_HEAD_TOO_LARGE, "");
	return STEP_NEXT;
}

/* ---- where the metadata is ---- */

static void put_index_path(const struct registry_rule *rule, struct str package, struct buf *out)
{
	size_t slash = str_find(package, '/');

	if (rule->type == REGISTRY_NPM) {
		buf_put(out, str_head(package, slash));
		buf_put_z(out, slash < package.n ? "%2F" : "");
		buf_put(out, str_from(package, slash + 1));
	} else if (rule->type == REGISTRY_PYPI) {
		buf_put_z(out, str_ends(rule->base, STR("simple/")) ? "" : "simple/");
		buf_put(out, package);
		buf_put_z(out, "/");
	} else if (package.n < 4) {
		buf_printf(out, "%zu/", package.n);
		buf_put(out, package.n == 3 ? str_head(package, 1) : STR(""));
		buf_put_z(out, package.n == 3 ? "/" : "");
		buf_put(out, package);
	} else {
		buf_put(out, str_head(package, 2));
		buf_put_z(out, "/");
		buf_put(out, str_head(str_from(package, 2), 2));
		buf_put_z(out, "/");
		buf_put(out, package);
	}
}

/* The index of a public registry whose files are on a host of their own. */
static struct str index_of(const struct registry_rule *rule, struct str host)
{
	if (rule->index_host.n)
		return rule->index_host;
	if (rule->type == REGISTRY_PYPI && str_eq(host, STR("files.pythonhosted.org")))
		return STR("pypi.org");
	if (rule->type == REGISTRY_CRATES &&
	    (str_eq(host, STR("static.crates.io")) || str_eq(host, STR("crates.io"))))
		return STR("index.crates.io");
	return host;
}

/* A request for a package's metadata says itself where it is; to a host of files it says nothing. */
static bool says_where(const struct protocol_run *run)
{
	const struct registry_rule *rule = run->data;
	const struct registry *g = run->state;
	struct str host = run->x->head.host;

	return g->request.action == REGISTRY_METADATA && !rule->index_host.n && !g->request.single &&
	       str_eq(index_of(rule, host), host);
}

static enum err origin_of(struct protocol_run *run, struct buf *path, struct registry_origin *ret)
{
	const struct registry_rule *rule = run->data;
	struct registry *g = run->state;
	const struct head *head = &run->x->head;
	struct registry_origin o = { .scheme = head->scheme, .port = head->port,
				     .host = index_of(rule, head->host) };

	if (rule->index_host.n) {
		o.scheme = rule->index_scheme;
		o.port = rule->index_port;
	}
	if (says_where(run)) {
		buf_put(path, head->path);
	} else {
		buf_put(path, rule->base);
		put_index_path(rule, registry_package(&g->request), path);
	}
	o.path = buf_str(path);
	*ret = o;
	return buf_err(path);
}

static void changed(void *user) { exchange_run(user); }

/* The request's own credential goes with ours to the same host, and to no other. */
static enum err credential_fields(struct protocol_run *run, const struct registry_origin *o,
				  struct buf *secrets, struct head *signed_head, struct str *ret_name)
{
	struct exchange *x = run->x;
	struct head plain = x->head;
	enum err e = ERR_OK;

	*ret_name = (struct str){ NULL, 0 };
	*signed_head = (struct head){ .kind = HEAD_REQUEST };
	if (!str_eq(o->host, x->head.host) || o->port != x->head.port || o->scheme != x->head.scheme)
		return ERR_OK;
	plain.path = o->path;
	plain.has_query = false;
	plain.query = (struct str){ NULL, 0 };
	if (x->binding) {
		*ret_name = x->credential->name;
		e = binding_apply(x->binding, &plain, secrets, signed_head);
	} else {
		*signed_head = plain;
	}
	return e;
}

static enum err ask(struct protocol_run *run, const struct registry_table **ret, const char **ret_reason)
{
	const struct registry_rule *rule = run->data;
	struct registry *g = run->state;
	struct exchange *x = run->x;
	struct head signed_head;
	struct head_field fields[2];
	struct registry_question q = {
		.policy = str_of(policy_digest(snapshot_policy(x->snapshot))), .rule = x->rule,
		.package = registry_package(&g->request), .client = x->client ? x->client->name : STR(""),
		.known = says_where(run), .ages = rule->min_age_ms > 0, .parent = str_of(x->request_id),
		.fields = fields, .own = &x->head, .secret = x->binding ? binding_pool(x->binding) : 0,
	};
	auto_buf path = BUF_EMPTY;
	auto_buf secrets = BUF_EMPTY;
	enum err e;

	buf_init(&path, ORIGIN_PATH_MAX);
	buf_init_secret(&secrets, ATTACH_BYTES_MAX);
	e = origin_of(run, &path, &q.origin);
	if (e == ERR_OK)
		e = credential_fields(run, &q.origin, &secrets, &signed_head, &q.credential);
	if (e != ERR_OK)
		return e;
	for (uint32_t i = 0; i < signed_head.field_count && q.field_count < 2; i++)
		if (str_eq(signed_head.fields[i].name, STR("authorization")) ||
		    (q.credential.n && str_eq(signed_head.fields[i].name, x->credential->header_name)))
			fields[q.field_count++] = signed_head.fields[i];
	return registry_table_ask(x->courier, &q, &g->wait, ret, ret_reason);
}

/* ---- files ---- */

static int64_t now_s(void) { return (int64_t)(clock_unix_ns() / 1000000000); }

static struct str item_of(const struct registry_rule *rule, const struct registry *g)
{
	return rule->type == REGISTRY_PYPI ? registry_file(&g->request) : registry_version(&g->request);
}

/* "x.whl.metadata" is of the age of x.whl, and has a digest of its own. */
static const struct registry_entry *entry_of(const struct registry_table *t, struct str item,
					     bool *ret_derived)
{
	*ret_derived = str_ends(item, STR(".metadata"));
	if (*ret_derived)
		item.n -= 9;
	return registry_table_find(t, item);
}

static enum step judge_age(struct protocol_run *run, const struct registry_entry *entry)
{
	struct registry *g = run->state;
	struct protocol_facts f;
	char age[24] = "unknown";
	enum err e;

	if (entry && entry->published >= 0)
		snprintf(age, sizeof age, "%lld",
			 (long long)(now_s() > entry->published ? now_s() - entry->published : 0));
	protocol_facts_init(&f);
	e = protocol_facts_add(&f, STR("registry.package"), registry_package(&g->request));
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("registry.version"), registry_version(&g->request));
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("registry.age"), str_of(age));
	if (e == ERR_OK)
		e = protocol_judge(run, &f);
	protocol_facts_free(&f);
	return e == ERR_OK ? STEP_NEXT : protocol_deny(run, "");
}

static void expect_digest(struct registry *g, const struct registry_entry *entry)
{
	size_t n = entry->algorithm.n;

	if (!entry->digest.n)
		return;
	buf_put(&g->words, entry->algorithm);
	buf_put(&g->words, entry->digest);
	if (buf_err(&g->words) != ERR_OK)
		return;
	g->algorithm = str_head(buf_str(&g->words), n);
	g->digest = str_from(buf_str(&g->words), n);
}

static enum step prepare_file(struct protocol_run *run, const struct registry_table *t)
{
	const struct registry_rule *rule = run->data;
	struct registry *g = run->state;
	bool derived;
	const struct registry_entry *entry = t ? entry_of(t, item_of(rule, g), &derived) : NULL;

	if (rule->min_age_ms && judge_age(run, entry) != STEP_NEXT)
		return STEP_END;
	if (entry && !g->words.len) {
		g->published = entry->published;
		g->yanked = entry->yanked;
		if (!derived)
			expect_digest(g, entry);
	}
	return STEP_NEXT;
}

/* ---- metadata ---- */

static bool old_enough(const struct registry_rule *rule, const struct registry_entry *e)
{
	return e->published >= 0 && now_s() - e->published >= (int64_t)(rule->min_age_ms / 1000);
}

static bool entry_passes(const struct registry_rule *rule, struct str package, const struct registry_entry *e)
{
	struct registry_request q = { .action = REGISTRY_INDEX };
	struct str version = e->item;

	if (rule->type == REGISTRY_PYPI) {
		if (!registry_pypi_file(e->item, &q))
			return false;
		version = registry_version(&q);
	}
	return old_enough(rule, e) && !registry_refuses_version(rule, package, version, NULL);
}

/* The shorter of two lists: what passes, or what does not. Those
 * that pass are closed: what the table does not have is too young. */
static enum err put_list(const struct registry_rule *rule, const struct registry_table *t, bool passing,
			 struct buf *out)
{
	for (uint32_t i = 0; i < registry_table_count(t); i++) {
		const struct registry_entry *e = registry_table_entry(t, i);

		if (old_enough(rule, e) != passing)
			continue;
		buf_put_z(out, passing ? "only " : "not ");
		buf_put(out, e->item);
		buf_put_z(out, "\n");
	}
	return buf_err(out);
}

static enum step nothing_passes(struct protocol_run *run)
{
	const struct registry_rule *rule = run->data;
	struct registry *g = run->state;

	buf_put_z(&run->reason, "no version of ");
	buf_put(&run->reason, registry_package(&g->request));
	buf_printf(&run->reason,
		   " may be installed: none that the rule takes was published at least %llu days ago",
		   (unsigned long long)(rule->min_age_ms / 1000 / DAY_S));
	return protocol_deny(run, "");
}

static enum step prepare_metadata(struct protocol_run *run, const struct registry_table *t)
{
	const struct registry_rule *rule = run->data;
	struct registry *g = run->state;
	struct str package = registry_package(&g->request);
	size_t before;
	bool any = false;

	if (g->filter.len)
		return STEP_NEXT;
	registry_filter_put(rule, package, &g->filter);
	if (t && registry_table_missing(t)) {	/* its own 404 says so best; anything else is empty */
		buf_put_z(&g->filter, "only -\n");
		return STEP_NEXT;
	}
	before = g->filter.len;
	for (uint32_t i = 0; t && i < registry_table_count(t) && !any; i++)
		any = entry_passes(rule, package, registry_table_entry(t, i));
	if (t && !any)
		return nothing_passes(run);
	if (t && put_list(rule, t, true, &g->filter) == ERR_LIMIT) {
		buf_clear(&g->filter);
		registry_filter_put(rule, package, &g->filter);
		if (g->filter.len != before || put_list(rule, t, false, &g->filter) != ERR_OK)
			return exchange_fail(run->x, ERR_LIMIT, "the package has too many versions");
	}
	return buf_err(&g->filter) == ERR_OK
		       ? STEP_NEXT : exchange_fail(run->x, ERR_LIMIT, "the package has too many advisories");
}

static enum step prepare(struct protocol_run *run)
{
	const struct registry_rule *rule = run->data;
	struct registry *g = run->state;
	const struct registry_table *t = NULL;
	bool file = g->request.action == REGISTRY_FILE, aged = rule->min_age_ms > 0;
	const char *reason = "";
	enum err e = ERR_OK;

	if (!file && !g->filtered && !(g->request.single && aged))
		return STEP_NEXT;
	g->wait.changed = changed;
	g->wait.user = run->x;
	if (g->filtered && !g->reserved)
		e = registry_reserve(run->x->courier, &g->wait);
	g->reserved |= g->filtered && e == ERR_OK;
	if (e == ERR_OK && rule->ecosystem->ages && (file || aged))
		e = ask(run, &t, &reason);
	if (e == ERR_MORE) {
		run->x->deadline_ms = clock_ms() + EXCHANGE_CREDENTIAL_MS;
		return STEP_WAIT;
	}
	if (e != ERR_OK && aged) {
		buf_put_z(&run->reason, "the age of ");
		buf_put(&run->reason, registry_package(&g->request));
		buf_put_z(&run->reason, " is not known: ");
		buf_put_z(&run->reason, reason[0] ? reason : err_text(e));
		return protocol_deny(run, "");
	}
	return g->filtered ? prepare_metadata(run, t) : prepare_file(run, t);
}

/* ---- the answer ---- */

static bool names_type(const struct head *head, const char *word)
{
	const struct head_field *type = head_find(head, STR("content-type"));

	return type && memmem(type->value.p, type->value.n, word, strlen(word));
}

static enum decoder_job job_of(const struct registry_rule *rule, const struct head *head)
{
	switch (rule->type) {
	case REGISTRY_NPM:
		return DECODER_NPM;
	case REGISTRY_CRATES:
		return DECODER_CRATES;
	case REGISTRY_PYPI:
		return names_type(head, "json") ? DECODER_PYPI_JSON : DECODER_PYPI_HTML;
	case REGISTRY_APT:
	case REGISTRY_TYPES:
		break;
	}
	return 0;
}

static enum err filter_metadata(struct protocol_run *run, struct head *head)
{
	static const struct str stale[] = {
		STR_INIT("etag"), STR_INIT("last-modified"), STR_INIT("content-md5"), STR_INIT("digest"),
		STR_INIT("repr-digest"), STR_INIT("content-digest"), STR_INIT("accept-ranges"),
	};
	const struct head_field *coding = head_find(head, STR("content-encoding"));
	struct registry *g = run->state;

	if (coding && !str_eq_nocase(coding->value, STR("identity"))) {
		buf_put_z(&run->reason, "the metadata comes in a content coding that was not asked for");
		return ERR_DECODER;
	}
	for (size_t i = 0; i < sizeof stale / sizeof *stale; i++)
		head_remove(head, stale[i]);
	head->framing = HEAD_BODY_STREAMED;
	head->length = 0;
	head->trailers = false;
	return protocol_filter_answer(run, job_of(run->data, head), buf_str(&g->filter));
}

static void hashed(void *user, const char *text, bool known, bool same)
{
	struct protocol_run *run = user;
	struct registry *g = run->state;

	snprintf(g->delivered, sizeof g->delivered, "%s", text);
	g->verdict = !known ? VERDICT_UNKNOWN : same ? VERDICT_SAME : VERDICT_OTHER;
}

static enum err answer(struct protocol_run *run, struct head *head, bool body)
{
	struct registry *g = run->state;

	if (head->status == 200 && g->filtered && body)
		return filter_metadata(run, head);
	if (head->status == 206 && g->request.action == REGISTRY_FILE) {
		buf_put_z(&run->reason, "a part of a file that nobody asked for");
		return ERR_UPSTREAM_MALFORMED;
	}
	if (head->status != 200 || g->request.action != REGISTRY_FILE || !body)
		return ERR_OK;
	return registry_digest_answer(run, g->algorithm, g->digest, hashed);
}

/* ---- words ---- */

static void put_reason(struct protocol_run *run, struct buf *out)
{
	struct exchange *x = run->x;
	size_t before;

	buf_put_z(out, "Paddock: ");
	buf_put_z(out, err_text(x->result));
	before = out->len;
	buf_put_z(out, ": ");
	if (run->protocol->why && !x->rule && run->protocol->why(run->data, &x->head, out))
		return;
	if (x->rule && x->reason[0])
		buf_printf(out, "%.600s", x->reason);
	else
		out->len = before;
}

/* A field's value, or a reason phrase: printable, no quote, and not too long. */
static void put_line(struct buf *out, struct str s, size_t max)
{
	s = str_head(s, max);
	for (size_t i = 0; i < s.n; i++)
		buf_put_byte(out, (uint8_t)s.p[i] < 0x20 || (uint8_t)s.p[i] >= 0x7f || s.p[i] == '"' ||
			     s.p[i] == '\\'
					  ? ' ' : (uint8_t)s.p[i]);
}

static bool from_pip(const struct head *head)
{
	const struct head_field *agent = head_find(head, STR("user-agent"));

	return agent && str_starts(agent->value, STR("pip/"));
}

/* The lines live in the exchange's storage, for the head that points to them. */
static bool plain_refusal(struct protocol_run *run, struct str reason, struct head *head, struct buf *body)
{
	const struct registry_rule *rule = run->data;
	struct registry_request q;
	struct buf *line = &run->x->refusal;

	buf_free(line);
	buf_init(line, 1024);
	if (rule->type == REGISTRY_PYPI && err_http_status(run->x->result) == 403 &&
	    from_pip(&run->x->head) && registry_request(rule, &run->x->head, &q) &&
	    q.action == REGISTRY_METADATA) {
		buf_put_z(line, "text/plain; refused=\"");
		put_line(line, reason, 400);
		buf_put_z(line, "\"");
		head->status = 200;
		head->fields[0].value = buf_str(line);
		return true;
	}
	put_line(line, reason, 400);
	buf_put(body, reason);
	buf_put_z(body, "\n");
	head->fields[0].value = STR("text/plain; charset=utf-8");
	return head_add(head, STR("x-paddock-reason"), buf_str(line)) == ERR_OK;
}

static bool refusal(struct protocol_run *run, struct head *head, struct buf *body)
{
	const struct registry_rule *rule = run->data;
	auto_buf reason = BUF_EMPTY;
	json_t *root;
	char *text;

	buf_init(&reason, PROTOCOL_REASON_MAX);
	put_reason(run, &reason);
	if (buf_err(&reason) != ERR_OK)
		return false;
	buf_clear(body);
	if (rule->type != REGISTRY_NPM)
		return plain_refusal(run, buf_str(&reason), head, body);
	root = json_object();
	json_object_set_new(root, "error", json_stringn(reason.p, reason.len));
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	buf_put_z(body, text ? text : "{}");
	free(text);
	return true;
}

static void journal(const struct protocol_run *run, struct record *r)
{
	const struct registry *g = run->state;

	if (g->published >= 0)
		record_integer(r, "registry_published", (uint64_t)g->published);
	if (g->yanked)
		record_bool(r, "registry_yanked", true);
	if (g->delivered[0])
		record_text(r, "registry_digest", str_of(g->delivered), sizeof g->delivered);
	if (g->verdict == VERDICT_SAME || g->verdict == VERDICT_OTHER)
		record_bool(r, "registry_digest_agrees", g->verdict == VERDICT_SAME);
}

static void registry_free(struct protocol_run *run)
{
	struct registry *g = run->state;

	waiter_end(&g->wait);
	if (g->reserved)
		registry_release(run->x->courier);
	buf_free(&g->filter);
	buf_free(&g->words);
}

const struct protocol_steps protocol_steps_registry = {
	.state_bytes = sizeof(struct registry), .examine = examine, .prepare = prepare, .answer = answer,
	.refusal = refusal, .journal = journal, .free = registry_free,
};
