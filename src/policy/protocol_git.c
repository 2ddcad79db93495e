/* protocol_git.c - git over HTTPS, seen from the request's head and the refs of a push
 *
 * Theory of operation: smart HTTP is three requests: GET <repository>/info/refs?service=S, POST
 * <repository>/S with S git-upload-pack (fetch) or git-receive-pack (push), and Git LFS beneath
 * <repository>/info/lfs. Nothing else is
 * recognised: dumb HTTP, a web page, another query. The repository is what stands before, without ".git";
 * only characters that have one spelling may stand in it (no '%', no "//", no ';'), so that no two servers
 * read two names. What a push changes is in its body: paddock-decoder reads it, judge() decides, and can only
 * deny.
 * A rule that denies matches where it might: names without
 * regard to case, an LFS batch whichever way it goes.
 * Source: gitprotocol-http(5), git-lfs docs/api/batch.md.
 */
#include "policy/protocol_git.h"

#include "base/glob.h"

static const struct str heads_prefix = STR_INIT("refs/heads/");

/* ---- the request ---- */

static bool repository_byte(char c)
{
	return ascii_alpha(c) || ascii_digit(c) || c == '-' || c == '_' || c == '.' || c == '~' || c == '+' ||
	       c == '@';
}

static bool repository_valid(struct str s)
{
	char before = '/';

	if (s.n == 0 || s.n > GIT_REPOSITORY_MAX)
		return false;
	for (size_t i = 0; i < s.n; before = s.p[i], i++)
		if (s.p[i] == '/' ? before == '/' : !repository_byte(s.p[i]))
			return false;
	return before != '/';
}

/* "/acme/site.git" to "acme/site". One ending, in lower case:
 * of any other, servers differ in what it is a name of. */
static bool take_repository(struct str path, struct str *ret)
{
	const struct str ending = STR(".git");
	struct str s = str_from(path, 1);

	if (str_ends(s, ending))
		s.n -= ending.n;
	*ret = s;
	return repository_valid(s) && (s.n < ending.n || !str_eq_nocase(str_from(s, s.n - ending.n), ending));
}

static bool cut_end(struct str path, struct str end, struct str *ret)
{
	*ret = str_head(path, path.n - (end.n < path.n ? end.n : path.n));
	return str_ends(path, end) && path.n > end.n;
}

static bool lower_hex_64(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_digit(s.p[i]) && (s.p[i] < 'a' || s.p[i] > 'f'))
			return false;
	return s.n == 64;
}

/* Beneath <repository>/info/lfs/: the batch, the objects of a server
 * that keeps them there, locks, which alone are asked for with a query. */
static bool lfs_request(const struct head *head, struct str rest, struct git_request *ret)
{
	bool get = str_eq(head->method, STR("GET")), post = str_eq(head->method, STR("POST"));
	struct str object = str_head(str_from(rest, 8), 64), size = str_from(rest, 73);
	uint64_t bytes;

	ret->lfs = true;
	ret->service = GIT_PUSH;
	if (head->has_query && !(get && str_eq(rest, STR("locks"))))
		return false;
	if (str_eq(rest, STR("objects/batch"))) {
		ret->service = GIT_LFS;
		ret->body = GIT_BODY_BATCH;
		return post;
	}
	if (str_starts(rest, STR("objects/")) && lower_hex_64(object)) {
		ret->service = get ? GIT_FETCH : GIT_PUSH;
		return (get || str_eq(head->method, STR("PUT"))) &&
		       (rest.n == 72 || (rest.p[72] == '/' && str_decimal(size, INT64_MAX, &bytes)));
	}
	if (str_eq(rest, STR("locks")) && get)
		ret->service = GIT_FETCH;
	return str_eq(rest, STR("verify")) || str_eq(rest, STR("locks/verify"))
		       ? post : str_eq(rest, STR("locks")) && (get || post);
}

static bool service_request(const struct head *head, struct git_request *ret, struct str *repository)
{
	static const struct { struct str name; enum git_service service; enum git_body body; } services[] = {
		{ STR_INIT("git-upload-pack"), GIT_FETCH, GIT_BODY_FETCH },
		{ STR_INIT("git-receive-pack"), GIT_PUSH, GIT_BODY_PUSH },
	};
	bool advertise = cut_end(head->path, STR("/info/refs"), repository);

	for (size_t i = 0; i < 2; i++) {
		struct str name = services[i].name;

		ret->service = services[i].service;
		ret->body = advertise ? GIT_BODY_NONE : services[i].body;
		if (advertise && str_eq(head->method, STR("GET")) &&
		    str_starts(head->query, STR("service=")) && str_eq(str_from(head->query, 8), name))
			return true;
		if (!advertise && str_ends(head->path, name) && head->path.n > name.n + 1 &&
		    head->path.p[head->path.n - name.n - 1] == '/' && str_eq(head->method, STR("POST")) &&
		    !head->has_query) {
			*repository = str_head(head->path, head->path.n - name.n - 1);
			return true;
		}
	}
	return false;
}

bool protocol_git_request(const struct head *head, struct git_request *ret)
{
	static const struct str lfs = STR_INIT("/info/lfs/");
	const char *at = head->path.n ? memmem(head->path.p, head->path.n, lfs.p, lfs.n) : NULL;
	struct git_request r = { .body = GIT_BODY_NONE };
	struct str repository;

	if (head->websocket)
		return false;
	if (at) {
		repository = str_head(head->path, (size_t)(at - head->path.p));
		if (!lfs_request(head, str_from(head->path, repository.n + lfs.n), &r))
			return false;
	} else if (!service_request(head, &r, &repository)) {
		return false;
	}
	if (!take_repository(repository, &r.repository))
		return false;
	*ret = r;
	return true;
}

/* ---- the rule ---- */

static bool any_glob(const struct str *globs, uint32_t count, struct str text)
{
	for (uint32_t i = 0; i < count; i++)
		if (glob_match(globs[i], text, GLOB_PATH))
			return true;
	return false;
}

static bool repository_agrees(const struct git_rule *r, const struct str *globs, uint32_t count,
			      struct str name)
{
	char lower[GIT_REPOSITORY_MAX];

	for (size_t i = 0; r->denies && i < name.n; i++)
		lower[i] = ascii_lower(name.p[i]);
	return any_glob(globs, count, r->denies ? str_make(lower, name.n) : name);
}

static bool may_push(const struct git_rule *r, struct str repository)
{
	return r->push_access &&
	       (r->push_count == 0 || repository_agrees(r, r->push, r->push_count, repository));
}

/* What the rule has against it, NULL if nothing. */
static const char *refusal(const struct git_rule *r, const struct git_request *q)
{
	if (!repository_agrees(r, r->repositories, r->repository_count, q->repository))
		return " is not among the repositories";
	if (q->lfs && !r->lfs)
		return ": Git LFS is not allowed";
	if (q->service == GIT_FETCH)
		return r->fetch ? NULL : " may not be fetched from";
	if (q->service == GIT_LFS && r->fetch)
		return NULL;
	return may_push(r, q->repository) ? NULL : " may not be pushed to";
}

static enum protocol_match match(const void *data, const struct head *head)
{
	const struct git_rule *r = data;
	struct git_request q;

	if (!protocol_git_request(head, &q))
		return PROTOCOL_UNRECOGNISED;
	return refusal(r, &q) ? PROTOCOL_NO : PROTOCOL_YES;
}

static bool why(const void *data, const struct head *head, struct buf *out)
{
	const struct git_rule *r = data;
	struct git_request q;
	const char *words = protocol_git_request(head, &q) ? refusal(r, &q) : NULL;

	if (r->denies || !words)
		return false;
	buf_put(out, str_head(q.repository, 200));
	buf_put_z(out, words);
	return true;
}

static bool all_covered(const struct str *wide, uint32_t wide_count, const struct str *narrow,
			uint32_t narrow_count)
{
	for (uint32_t i = 0; i < narrow_count; i++) {
		uint32_t k = 0;

		while (k < wide_count && !glob_covers(wide[k], narrow[i], GLOB_PATH))
			k++;
		if (k == wide_count)
			return false;
	}
	return true;
}

/* Of what match() sees: the refs of the first rule that takes a push are the ones that count. A rule that
 * denies folds case, which is wider than what one that allows compares; the other way round nothing is
 * certain. */
static bool covers(const void *wide_data, const void *narrow_data)
{
	const struct git_rule *wide = wide_data, *narrow = narrow_data;
	const struct str *pushed = narrow->push_count ? narrow->push : narrow->repositories;
	uint32_t pushed_count = narrow->push_count ? narrow->push_count : narrow->repository_count;

	if (wide->denies != narrow->denies || (narrow->fetch && !wide->fetch) ||
	    (narrow->push_access && !wide->push_access) || (narrow->lfs && !wide->lfs))
		return false;
	if (narrow->push_access && wide->push_count &&
	    !all_covered(wide->push, wide->push_count, pushed, pushed_count))
		return false;
	return all_covered(wide->repositories, wide->repository_count, narrow->repositories,
			   narrow->repository_count);
}

static enum protocol_match facts(const void *data, const struct head *head, struct protocol_facts *ret)
{
	static const struct str names[] = { STR_INIT("fetch"), STR_INIT("push"), STR_INIT("lfs") };
	struct git_request q;

	(void)data;
	if (!protocol_git_request(head, &q) ||
	    protocol_facts_add(ret, STR("git.repository"), q.repository) != ERR_OK ||
	    protocol_facts_add(ret, STR("git.service"), names[q.service]) != ERR_OK)
		return PROTOCOL_UNRECOGNISED;
	return PROTOCOL_YES;
}

/* ---- what the body says ---- */

/* One command of a push: NULL if the rule has nothing against it, else why. */
static const char *judge_ref(const struct git_rule *r, const struct protocol_facts *f)
{
	struct str ref = protocol_fact_find(f, STR("git.ref")),
		   change = protocol_fact_find(f, STR("git.change"));
	struct str forced = protocol_fact_find(f, STR("git.forced"));

	if (!any_glob(r->refs, r->ref_count, ref))
		return "is not among the refs that may be pushed";
	if (str_eq(change, STR("delete")))
		return r->delete ? NULL : "may not be deleted (delete: true would allow it)";
	if (str_eq(change, STR("create")))
		return r->create ? NULL : "may not be created";
	if (!str_eq(change, STR("update")))
		return "is changed in a way that is not known";
	if (forced.n == 0 || r->force || str_eq(forced, STR("no")))
		return NULL;
	return str_eq(forced, STR("yes"))
		       ? "would lose commits: a forced push (force: true would allow it)"
		       : "cannot be shown to keep its commits, and counts as a forced push "
			 "(merge or rebase onto it first; force: true would allow it)";
}

static const char *judge_operation(const struct git_rule *r, const struct protocol_facts *f)
{
	struct str operation = protocol_fact_find(f, STR("git.operation"));
	bool upload = str_eq(operation, STR("upload"));

	if (operation.n == 0)
		return NULL;
	if (!upload && !str_eq(operation, STR("download")))
		return "an LFS operation that is not known";
	if (upload && !may_push(r, protocol_fact_find(f, STR("git.repository"))))
		return "LFS objects may not be uploaded to this repository";
	return upload || r->fetch ? NULL : "LFS objects may not be downloaded from this repository";
}

static enum err judge(const void *data, const struct protocol_facts *f, struct buf *reason)
{
	const struct git_rule *r = data;
	struct str ref = protocol_fact_find(f, STR("git.ref")),
		   pack = protocol_fact_find(f, STR("git.pack_bytes"));
	uint64_t bytes = 0;
	const char *why;

	if (pack.n && (!str_decimal(pack, UINT64_MAX, &bytes) || bytes > r->pack_max)) {
		buf_printf(reason, "the pack is larger than pack_max, %llu bytes",
			   (unsigned long long)r->pack_max);
		return ERR_POLICY_DENIED;
	}
	why = judge_operation(r, f);
	if (!why && ref.n) {
		why = judge_ref(r, f);
		if (why)
			buf_printf(reason, "%.*s ", STR_FMT(str_head(ref, 200)));
	}
	if (!why)
		return ERR_OK;
	buf_put_z(reason, why);
	return ERR_POLICY_DENIED;
}

/* ---- what it may still say ---- */

static bool any_ref(const struct git_rule *r)
{
	for (uint32_t i = 0; i < r->ref_count; i++)
		if (str_eq(r->refs[i], STR("refs/**")))
			return true;
	return false;
}

/* What of a push is still to be judged: any ref, or the change of one that is known. */
static enum protocol_answer open_push(const struct git_rule *r, struct str ref, struct buf *out)
{
	bool refs = !ref.n && !any_ref(r);
	const struct { bool open; const char *words; } parts[] = {
		{ refs, "refs" }, { !r->create, "create" }, { !r->delete, "delete" }, { !r->force, "force" },
	};
	const char *before = "";

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (!parts[i].open)
			continue;
		buf_printf(out, "%s'%s'", before, parts[i].words);
		before = ", ";
	}
	if (!before[0])
		return PROTOCOL_PASSES;
	buf_put_z(out, ref.n ? ": what the push does to the ref" : ": which refs the push changes, and how");
	return PROTOCOL_OPEN;
}

static enum protocol_answer ask_push(const struct git_rule *r, const struct protocol_facts *told,
				     struct buf *out)
{
	struct str ref = protocol_fact_find(told, STR("git.ref"));

	if (ref.n && protocol_fact_find(told, STR("git.change")).n)
		return judge(r, told, out) == ERR_OK ? PROTOCOL_PASSES : PROTOCOL_REFUSES;
	if (!ref.n || any_glob(r->refs, r->ref_count, ref))
		return open_push(r, ref, out);
	buf_put(out, str_head(ref, 200));
	buf_put_z(out, " is not among the refs that may be pushed");
	return PROTOCOL_REFUSES;
}

static enum protocol_answer ask(const void *data, const struct head *head, const struct protocol_facts *told,
				struct buf *out)
{
	const struct git_rule *r = data;
	struct git_request q = { .service = GIT_FETCH };
	bool push = protocol_git_request(head, &q) && q.body == GIT_BODY_PUSH;

	for (uint32_t i = 0; i < told->count; i++)
		if (!push || !str_starts(told->items[i].name, STR("git."))) {
			buf_put_z(out, push ? "of a push refs can be told, nothing else"
					    : "refs are told of a push: POST to .../git-receive-pack");
			return PROTOCOL_FOREIGN;
		}
	if (push)
		return ask_push(r, told, out);
	if (q.service != GIT_LFS || (r->fetch && may_push(r, q.repository)))
		return PROTOCOL_PASSES;
	buf_printf(out, "'access', which has %s alone: whether LFS objects are downloaded or uploaded",
		   r->fetch ? "downloads" : "uploads");
	return PROTOCOL_OPEN;
}

bool protocol_git_needs_history(const struct git_rule *r) { return !r->force; }

static void describe_list(struct buf *out, const struct str *items, uint32_t count)
{
	for (uint32_t i = 0; i < count && i < 8; i++) {
		buf_put_z(out, i ? ", " : "");
		buf_put(out, str_head(items[i], 100));
	}
	if (count > 8)
		buf_put_z(out, ", ...");
}

static void describe(const void *data, struct buf *out)
{
	const struct git_rule *r = data;

	buf_put_z(out, r->fetch ? r->push_access ? "fetch and push of " : "fetch of " : "push of ");
	describe_list(out, r->repositories, r->repository_count);
	if (r->push_access && r->push_count) {
		buf_put_z(out, "; push only to ");
		describe_list(out, r->push, r->push_count);
	}
	if (r->push_access) {
		buf_put_z(out, "; refs ");
		describe_list(out, r->refs, r->ref_count);
		buf_printf(out, "; %s, %s, %s", r->create ? "creation" : "no creation",
			   r->delete ? "deletion" : "no deletion", r->force ? "force" : "no force");
		if (r->pack_max != UINT64_MAX)
			buf_printf(out, "; packs of at most %llu bytes", (unsigned long long)r->pack_max);
	}
	if (!r->lfs)
		buf_put_z(out, "; no LFS");
}

const struct protocol protocol_git = {
	.name = "git", .facts = facts, .match = match, .covers = covers, .judge = judge, .ask = ask,
	.why = why, .describe = describe,
};

/* ---- compilation ---- */

static enum err check_repository(struct compile *c, const struct document_text *t)
{
	char sample[GIT_REPOSITORY_MAX];

	if (t->text.n > sizeof sample)
		return compile_fail(c, t->at, "a repository of more than %d bytes", GIT_REPOSITORY_MAX);
	for (size_t i = 0; i < t->text.n; i++)
		sample[i] = (char)(t->text.p[i] == '*' || t->text.p[i] == '?' ? 'x' : t->text.p[i]);
	if (repository_valid(str_make(sample, t->text.n)) && !str_ends(t->text, STR(".git")))
		return ERR_OK;
	return compile_fail(c, t->at,
			    "'%.*s' is no repository: expected its path without a first '/' and without '.git', such as "
			    "acme/site or acme/*", STR_FMT(node_quote(t->text)));
}

static enum err check_ref(struct compile *c, const struct document_text *t)
{
	bool good = t->text.n > 0 && t->text.n <= GIT_REF_MAX - heads_prefix.n && t->text.p[0] != '/';

	for (size_t i = 0; i < t->text.n; i++)
		good = good && (uint8_t)t->text.p[i] > 0x20 && t->text.p[i] != 0x7f && !strchr("~^:\\[", t->text.p[i]);
	return good ? ERR_OK
		    : compile_fail(c, t->at, "'%.*s' is no ref: expected a branch such as agent/*, or a whole name such as "
				   "refs/tags/v*", STR_FMT(node_quote(t->text)));
}

/* A rule that denies compares names in lower case. */
static enum err repositories(struct compile *c, const struct document_texts *in, const char *what, bool lower,
			     uint32_t *ret_count, const struct str **ret)
{
	const struct str *plain;
	struct str *folded;
	enum err err = compile_texts(c, in, what, check_repository, ret_count, &plain);

	if (err != ERR_OK || !lower) {
		if (err == ERR_OK)
			*ret = plain;
		return err;
	}
	folded = arena_array(c->a, *ret_count, sizeof *folded);
	for (uint32_t i = 0; folded && i < *ret_count; i++) {
		char *p = arena_alloc(c->a, plain[i].n + 1);

		if (!p)
			return ERR_MEMORY;
		for (size_t k = 0; k < plain[i].n; k++)
			p[k] = ascii_lower(plain[i].p[k]);
		folded[i] = str_make(p, plain[i].n);
	}
	*ret = folded;
	return folded ? ERR_OK : ERR_MEMORY;
}

/* "agent/<star>" is a branch; what begins with refs/ is whole. */
static enum err refs(struct compile *c, const struct document_git *in, struct git_rule *out)
{
	const struct str *plain;
	struct str *whole;
	enum err err = compile_texts(c, &in->refs, "refs", check_ref, &out->ref_count, &plain);

	if (err != ERR_OK)
		return err;
	whole = arena_array(c->a, out->ref_count, sizeof *whole);
	for (uint32_t i = 0; whole && i < out->ref_count; i++) {
		bool full = str_starts(plain[i], STR("refs/"));
		char *p = arena_alloc(c->a, heads_prefix.n + plain[i].n);

		if (!p)
			return ERR_MEMORY;
		if (!full)
			memcpy(p, heads_prefix.p, heads_prefix.n);
		memcpy(p + (full ? 0 : heads_prefix.n), plain[i].p, plain[i].n);
		whole[i] = str_make(p, plain[i].n + (full ? 0 : heads_prefix.n));
	}
	out->refs = whole;
	return whole ? ERR_OK : ERR_MEMORY;
}

static enum err access_words(struct compile *c, const struct document_git *in, struct git_rule *out)
{
	static const char *const words[] = { "fetch", "push" };

	if (!in->access.at.line || in->access.count == 0)
		return compile_fail(c, in->at, "'git' needs 'access': fetch, push, or [fetch, push]");
	for (uint32_t i = 0; i < in->access.count; i++) {
		unsigned which;
		enum err err = compile_choice(c, &in->access.items[i], "access", words, 2, 0, &which);

		if (err != ERR_OK)
			return err;
		*(which ? &out->push_access : &out->fetch) = true;
	}
	return ERR_OK;
}

/* What limits a push and stands where nothing can be pushed is a mistake; so is a push of nothing. */
static enum err push_keys(struct compile *c, const struct document_git *in, struct git_rule *out)
{
	const struct { const char *name; struct place at; } keys[] = {
		{ "refs", in->refs.at }, { "force", in->force.at }, { "delete", in->delete.at },
		{ "create", in->create.at }, { "pack_max", in->pack_max.at }, { "push", in->push.at },
	};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		bool narrows = i != 5;

		if (keys[i].at.line && !out->push_access)
			return compile_fail(c, keys[i].at, "'%s' is about pushes, and 'access' has none",
					    keys[i].name);
		if (keys[i].at.line && out->denies && narrows)
			return compile_fail(c, keys[i].at,
					    "'%s' narrows what may be pushed; in a rule that denies it "
					    "would be read after the decision: allow what may pass instead",
					    keys[i].name);
	}
	if (!out->push_access || out->denies)
		return ERR_OK;
	if (!in->refs.at.line)
		return compile_fail(c, in->at, "'git' with push needs 'refs', such as [agent/*, refs/tags/v*]");
	return refs(c, in, out);
}

enum err protocol_git_compile(struct compile *c, const struct document_git *in, enum policy_verdict verdict,
			      const void **ret)
{
	struct git_rule *r = arena_alloc(c->a, sizeof *r);
	enum err err;

	if (!r)
		return ERR_MEMORY;
	r->denies = verdict == POLICY_DENY;
	if (!in->repositories.at.line)
		return compile_fail(c, in->at, "'git' needs 'repositories', such as [acme/site, \"acme/*\"]");
	err = repositories(c, &in->repositories, "repositories", r->denies, &r->repository_count, &r->repositories);
	if (err == ERR_OK)
		err = access_words(c, in, r);
	if (err == ERR_OK)
		err = push_keys(c, in, r);
	if (err == ERR_OK && in->push.at.line)
		err = repositories(c, &in->push, "push", r->denies, &r->push_count, &r->push);
	r->force = in->force.value;
	r->delete = in->delete.value;
	r->create = in->create.at.line ? in->create.value : true;
	r->lfs = in->lfs.at.line ? in->lfs.value : true;
	r->pack_max = in->pack_max.at.line ? in->pack_max.value : UINT64_MAX;
	if (err == ERR_OK)
		*ret = r;
	return err;
}
