/* registry_table.c - see registry_table.h
 *
 * Theory of operation: a table is asked for by an exchange, fetched, given to a decoder piece by piece, and
 * filled from its facts; then whoever waited asks again. One that failed is remembered for a short while, so
 * that an agent cannot make the courier ask without end. Tables go, oldest first, when there are too many or
 * too much.
 * What one policy's registry said judges nothing under another policy, and what one client or one
 * credential was told (that there is no such package) is told to no other. Who has nothing to show where
 * the metadata is (a file on another host) may use what was told to its client's other requests.
 * Invariant: credentials go to the host that they were made for, and to no other (I5).
 * Bytes: the answer is the registry's; only the decoder
 * reads it. What that says is bounded and compared, no more.
 */
#include "courier/registry_table.h"

#include "base/clock.h"
#include "courier/decode.h"
#include "courier/fetch.h"

#include <stdlib.h>

#define FAILED_MS 5000
#define TABLE_BYTES_MAX (8u * 1024 * 1024)

struct registry_table {
	struct courier *courier;
	struct registry_table *next;
	uint8_t subject[DIGEST_BYTES];	/* policy, rule, package, client */
	uint8_t asker[DIGEST_BYTES];	/* with whose credentials; zero: without any */
	char *host, *path;		/* where it comes from */
	enum head_scheme scheme;
	uint16_t port;
	uint64_t said_ms;		/* when a request of the agent's own went there; 0: none did */
	bool ages;
	enum registry_type type;

	struct fetch *fetch;
	struct decode *decode;
	struct buf body;		/* given to the decoder from `fed` on */
	size_t fed;
	struct waiter *waits;

	bool busy;			/* it is fetched, or read */
	bool calling;			/* those who waited */
	bool ready, missing;
	enum err failed;		/* why there is nothing; ERR_OK */
	const char *reason;
	uint64_t until_ms;
	struct arena *arena;
	size_t bytes;
	uint32_t count, room;
	struct registry_entry *items;
};

/* ---- entries ---- */

static int by_item(const void *a, const void *b)
{
	return str_compare(((const struct registry_entry *)a)->item,
			   ((const struct registry_entry *)b)->item);
}

const struct registry_entry *registry_table_find(const struct registry_table *t, struct str item)
{
	const struct registry_entry key = { .item = item };

	return t->count ? bsearch(&key, t->items, t->count, sizeof *t->items, by_item) : NULL;
}

bool registry_table_missing(const struct registry_table *t) { return t->missing; }
uint32_t registry_table_count(const struct registry_table *t) { return t->count; }
const struct registry_entry *registry_table_entry(const struct registry_table *t, uint32_t i) { return &t->items[i]; }

static struct str word(struct str *rest)
{
	struct str w = str_head(*rest, str_find(*rest, ' '));

	*rest = str_from(*rest, w.n + 1);
	return str_eq(w, STR("-")) ? (struct str){ NULL, 0 } : w;
}

/* "<item> <published> <algorithm> <digest> <yanked>" */
static enum err add(struct registry_table *t, struct str line)
{
	struct registry_entry e = { .published = -1 };
	struct str time;
	uint64_t v;

	e.item = arena_copy(t->arena, word(&line));
	time = word(&line);
	e.algorithm = arena_copy(t->arena, word(&line));
	e.digest = arena_copy(t->arena, word(&line));
	e.yanked = str_eq(line, STR("yanked"));
	if (str_decimal(time, INT64_MAX, &v))
		e.published = (int64_t)v;
	if (t->count == t->room) {
		uint32_t more = t->room ? t->room * 2 : 64;
		struct registry_entry *items = reallocarray(t->items, more, sizeof *items);

		if (!items)
			return ERR_MEMORY;
		t->items = items;
		t->room = more;
	}
	if (!e.item.p || !e.algorithm.p || !e.digest.p || t->count == REGISTRY_ITEMS_MAX)
		return ERR_MEMORY;
	t->bytes += sizeof e + e.item.n + e.algorithm.n + e.digest.n;
	t->items[t->count++] = e;
	return ERR_OK;
}

/* ---- the life of a table ---- */

static void clear(struct registry_table *t)
{
	arena_free(t->arena);
	t->arena = NULL;
	free(t->items);
	t->items = NULL;
	t->count = t->room = 0;
	t->bytes = 0;
	t->ready = false;
}

static void rest(struct registry_table *t)
{
	t->courier->registry_busy -= t->busy;
	t->busy = false;
}

static void discard(struct registry_table *t)
{
	while (t->waits)
		waiter_end(t->waits);
	rest(t);
	fetch_cancel(t->fetch);
	decode_free(t->decode);
	buf_free(&t->body);
	clear(t);
	free(t->host);
	free(t->path);
	free(t);
}

/* @w waits in @list, and in no other: what it waited for may have changed. */
static void wait_in(struct waiter **list, struct waiter *w)
{
	waiter_end(w);
	waiter_join(w, list, w->changed, w->user);
}

enum err registry_reserve(struct courier *c, struct waiter *wait)
{
	if (c->registry_filters >= REGISTRY_FILTERS_MAX) {
		wait_in(&c->registry_waits, wait);
		return ERR_MORE;
	}
	c->registry_filters++;
	return ERR_OK;
}

/* Called while an exchange is freed: those who wait are
 * called from the loop's next turn (registry_tick()). */
void registry_release(struct courier *c) { c->registry_filters--; }

/* Each is called once; what they do may free others, or begin new tables. */
static void over(struct registry_table *t, enum err e, const char *reason)
{
	decode_free(t->decode);
	t->decode = NULL;
	buf_free(&t->body);
	rest(t);
	t->failed = e;
	t->reason = reason;
	t->ready = e == ERR_OK;
	t->until_ms = clock_ms() + (e == ERR_OK ? REGISTRY_TABLE_MS : FAILED_MS);
	if (e != ERR_OK)
		clear(t);
	else if (t->count)
		qsort(t->items, t->count, sizeof *t->items, by_item);
	t->calling = true;
	waiter_wake(&t->waits);
	t->calling = false;
	waiter_wake(&t->courier->registry_waits);
}

/* ---- reading the answer ---- */

static void feed(struct registry_table *t)
{
	enum err e = ERR_OK;

	while (e == ERR_OK && t->fed < t->body.len) {
		struct str more = str_head(str_from(buf_str(&t->body), t->fed), decode_room(t->decode));

		if (more.n == 0)
			return;
		e = decode_input(t->decode, more);
		t->fed += more.n;
	}
	if (e == ERR_OK)
		decode_end(t->decode);
	else
		over(t, e, "the metadata cannot be read");
}

static void on_room(void *user) { feed(user); }

static void on_fact(void *user, struct str name, struct str value)
{
	struct registry_table *t = user;
	enum err e = str_eq(name, STR("release")) ? add(t, value) : ERR_OK;

	if (e != ERR_OK)
		over(t, e, "the metadata is too large");
}

static void on_done(void *user, enum err e, const char *reason)
{
	(void)reason;
	over(user, e, e == ERR_OK ? "" : "the metadata cannot be read");
}

static struct str format_of(const struct registry_table *t, const struct head *head)
{
	const struct head_field *type = head_find(head, STR("content-type"));

	switch (t->type) {
	case REGISTRY_NPM:
		return STR("npm");
	case REGISTRY_CRATES:
		return STR("crates");
	case REGISTRY_PYPI:
		return type && memmem(type->value.p, type->value.n, "json", 4) ? STR("pypi-json")
									       : STR("pypi-html");
	case REGISTRY_APT:
	case REGISTRY_TYPES:
		break;
	}
	return STR("");
}

static void on_fetched(void *user, enum err e, const char *reason, const struct head *head, struct str body)
{
	static const struct decode_ops ops = { .fact = on_fact, .room = on_room, .done = on_done };
	struct registry_table *t = user;

	t->fetch = NULL;
	t->missing = e == ERR_OK && (head->status == 404 || head->status == 410);
	if (t->missing) {
		over(t, ERR_OK, "");
		return;
	}
	if (e != ERR_OK || head->status != 200) {
		over(t, e != ERR_OK ? e : ERR_UPSTREAM_MALFORMED,
		     e != ERR_OK && reason[0] ? reason : "the registry has no metadata of it");
		return;
	}
	buf_init(&t->body, FETCH_ANSWER_MAX);
	buf_put(&t->body, body);
	t->fed = 0;
	t->arena = arena_new(TABLE_BYTES_MAX);
	e = t->arena ? buf_err(&t->body) : ERR_MEMORY;
	if (e == ERR_OK)
		e = decode_start(t->courier, DECODER_METADATA, format_of(t, head), &ops, t, &t->decode);
	if (e != ERR_OK)
		over(t, e, "the metadata cannot be read");
	else
		feed(t);
}

/* ---- asking ---- */

static char *copy(struct str s)
{
	char *z = malloc(s.n + 1);

	if (!z)
		return NULL;
	memcpy(z, s.p, s.n);
	z[s.n] = 0;
	return z;
}

static bool same_host(const struct registry_table *t, const struct registry_origin *o)
{
	return t->scheme == o->scheme && t->port == o->port && str_eq(str_of(t->host), o->host);
}

static enum err start(struct registry_table *t, const struct registry_question *q)
{
	static const struct head_field accepts[] = {
		[REGISTRY_NPM] = { STR_INIT("accept"),
				   STR_INIT("application/vnd.npm.install-v1+json, application/json;q=0.8") },
		[REGISTRY_PYPI] = { STR_INIT("accept"),
				    STR_INIT("application/vnd.pypi.simple.v1+json, text/html;q=0.1") },
		[REGISTRY_CRATES] = { STR_INIT("accept"), STR_INIT("*/*") },
	};
	const bool own_host = same_host(t, &q->origin);
	struct head_field sent[8] = { accepts[t->type] };
	struct fetch_request r = {
		.purpose = "metadata", .parent = q->parent,
		.credential = own_host ? q->credential : (struct str){ NULL, 0 }, .scheme = t->scheme,
		.host = str_of(t->host), .port = t->port, .method = STR("GET"), .path = str_of(t->path),
		.fields = sent, .field_count = 1, .address_count = q->rule->address_count,
		.addresses = q->rule->addresses, .answer_max = FETCH_ANSWER_MAX,
	};

	if (t->type == REGISTRY_NPM && t->ages)
		sent[0].value = STR("application/json");
	sent[r.field_count++] = (struct head_field){ STR("accept-encoding"), STR("identity") };
	sent[r.field_count++] = (struct head_field){ STR("user-agent"), STR("paddock") };
	for (uint32_t i = 0; own_host && i < q->field_count && r.field_count < 8; i++)
		sent[r.field_count++] = q->fields[i];
	clear(t);
	t->failed = ERR_OK;
	enum err e = fetch_start(t->courier, &r, on_fetched, t, &t->fetch);

	t->busy = e == ERR_OK;
	t->courier->registry_busy += t->busy;
	return e;
}

/* Room for one more: those that nobody waits for go, the one that is over first of all. */
static void make_room(struct courier *c)
{
	for (;;) {
		struct registry_table **oldest = NULL;
		uint64_t bytes = 0;
		unsigned count = 0;

		for (struct registry_table **at = &c->registry_tables; *at; at = &(*at)->next) {
			bytes += (*at)->bytes;
			count++;
			if (!(*at)->busy && !(*at)->waits && !(*at)->calling &&
			    (!oldest || (*at)->until_ms < (*oldest)->until_ms))
				oldest = at;
		}
		if ((count < REGISTRY_TABLES_MAX && bytes < REGISTRY_TABLES_BYTES_MAX) || !oldest)
			return;
		struct registry_table *t = *oldest;

		*oldest = t->next;
		discard(t);
	}
}

static enum err subject_of(const struct registry_question *q, uint8_t ret[DIGEST_BYTES])
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 2048);
	buf_printf(&b, "%u %zu %zu\n", q->rule->index, q->package.n, q->client.n);
	buf_put(&b, q->policy);
	buf_put(&b, q->package);
	buf_put(&b, q->client);
	if (buf_err(&b) != ERR_OK)
		return buf_err(&b);
	return digest_bytes(b.p, b.len, ret) ? ERR_OK : ERR_MEMORY;
}

static bool is_sent(const struct registry_question *q, struct str name)
{
	for (uint32_t i = 0; i < q->field_count; i++)
		if (str_eq(q->fields[i].name, name))
			return true;
	return false;
}

/* The same of what is sent with the same credentials, and nothing that the secret could be guessed by. */
static enum err asker_of(const struct registry_question *q, uint8_t ret[DIGEST_BYTES])
{
	auto_buf b = BUF_EMPTY;

	buf_init_secret(&b, 2 * (size_t)HEAD_MAX_BYTES);
	buf_printf(&b, "%llu\n", (unsigned long long)q->secret);
	for (uint32_t i = 0; i < q->own->field_count; i++) {
		const struct head_field *f = &q->own->fields[i];

		if (!is_sent(q, f->name))
			continue;
		buf_put(&b, f->name);
		buf_put_z(&b, ":");
		buf_put(&b, f->value);
		buf_put_z(&b, "\n");
	}
	if (buf_err(&b) != ERR_OK)
		return buf_err(&b);
	return digest_bytes(b.p, b.len, ret) ? ERR_OK : ERR_MEMORY;
}

/* Where the agent asked for it. A place that does not have it is none. */
static struct registry_origin where(const struct courier *c, const uint8_t *subject,
				    const struct registry_question *q)
{
	const struct registry_table *best = NULL;

	if (q->known)
		return q->origin;
	for (const struct registry_table *t = c->registry_tables; t; t = t->next) {
		bool here = same_host(t, &q->origin);

		if (!t->said_ms || t->missing || memcmp(t->subject, subject, DIGEST_BYTES) != 0)
			continue;
		if (!best || here > same_host(best, &q->origin) ||
		    (here == same_host(best, &q->origin) && t->said_ms > best->said_ms))
			best = t;
	}
	return best ? (struct registry_origin){ .scheme = best->scheme, .host = str_of(best->host),
						.path = str_of(best->path), .port = best->port }
		    : q->origin;
}

static bool good(const struct registry_table *t)
{
	return t->ready && !t->missing && clock_ms() < t->until_ms;
}

static struct registry_table *find(const struct courier *c, const uint8_t *subject, const uint8_t *asker,
				   const struct registry_origin *at)
{
	static const uint8_t nobody[DIGEST_BYTES];
	struct registry_table *own = NULL, *other = NULL;

	for (struct registry_table *t = c->registry_tables; t; t = t->next) {
		if (memcmp(t->subject, subject, DIGEST_BYTES) != 0 || !same_host(t, at) ||
		    !str_eq(str_of(t->path), at->path))
			continue;
		if (!memcmp(t->asker, asker, DIGEST_BYTES))
			own = t;
		else if (good(t))
			other = t;
	}
	if (other && !(own && good(own)) && !memcmp(asker, nobody, DIGEST_BYTES))
		return other;
	return own;
}

static struct registry_table *make(struct courier *c, const struct registry_question *q,
				   const uint8_t *subject, const uint8_t *asker,
				   const struct registry_origin *at)
{
	const struct registry_rule *registry = q->rule->data;
	struct registry_table *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	*t = (struct registry_table){ .courier = c, .host = copy(at->host), .path = copy(at->path),
				      .scheme = at->scheme, .port = at->port, .ages = q->ages,
				      .type = registry->type };
	memcpy(t->subject, subject, DIGEST_BYTES);
	memcpy(t->asker, asker, DIGEST_BYTES);
	if (!t->host || !t->path) {
		free(t->host);
		free(t->path);
		free(t);
		return NULL;
	}
	make_room(c);	/* not before: @at may be of one that goes */
	t->next = c->registry_tables;
	c->registry_tables = t;
	return t;
}

static struct registry_table *find_or_make(struct courier *c, const struct registry_question *q)
{
	uint8_t subject[DIGEST_BYTES], asker[DIGEST_BYTES] = { 0 };
	struct registry_table *t;

	if (subject_of(q, subject) != ERR_OK)
		return NULL;
	const struct registry_origin at = where(c, subject, q);

	if (q->field_count && at.scheme == q->origin.scheme && at.port == q->origin.port &&
	    str_eq(at.host, q->origin.host) && asker_of(q, asker) != ERR_OK)
		return NULL;
	t = find(c, subject, asker, &at);
	if (!t)
		t = make(c, q, subject, asker, &at);
	if (t && q->known)
		t->said_ms = clock_ms();
	return t;
}

static bool may_fetch(const struct courier *c)
{
	return c->registry_busy < REGISTRY_FETCHES_MAX && c->fetch_count < FETCH_AT_ONCE;
}

enum err registry_table_ask(struct courier *c, const struct registry_question *q, struct waiter *wait,
			    const struct registry_table **ret, const char **ret_reason)
{
	struct registry_table *t = find_or_make(c, q);

	*ret_reason = "";
	if (!t)
		return ERR_MEMORY;
	if (!t->busy && clock_ms() >= t->until_ms) {
		if (!may_fetch(c)) {
			wait_in(&c->registry_waits, wait);
			return ERR_MORE;
		}
		enum err e = start(t, q);

		if (e != ERR_OK)
			return e;
	}
	if (t->busy) {
		wait_in(&t->waits, wait);
		return ERR_MORE;
	}
	*ret_reason = t->reason;
	if (!t->ready)
		return t->failed;
	*ret = t;
	return ERR_OK;
}

void registry_tick(struct courier *c)
{
	if (c->registry_waits && may_fetch(c) && c->registry_filters < REGISTRY_FILTERS_MAX)
		waiter_wake(&c->registry_waits);
}

void registry_tables_free(struct courier *c)
{
	while (c->registry_waits)
		waiter_end(c->registry_waits);
	while (c->registry_tables) {
		struct registry_table *t = c->registry_tables;

		c->registry_tables = t->next;
		discard(t);
	}
}
