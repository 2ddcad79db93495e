/* resolve.c - names of upstreams to addresses
 *
 * Theory of operation: c-ares on the loop. c-ares says which of its sockets it wants to hear of
 * (`socket_changed`), each gets a poll handle; one timer drives its retries while there is
 * anything to retry. The answer is chosen by whoever owns the name: addresses are only copied
 * here and judged by address_admit() before they are dialled. There is no cache: one query a
 * dial, and the connection pool makes dials rare. c-ares cannot give up a single query, so a
 * cancelled one stays, deaf, until its own deadline; RESOLVE_OUTSTANDING_MAX counts those too.
 * A name is looked up as it is: no search domain of the host's is ever put behind it, or the name
 * that policy allowed would not be the one that is asked for.
 * Source: ares_init_options(3), ares_getaddrinfo(3).
 */
#include "courier/resolve.h"

#include <ares.h>
#include <netdb.h>
#include <stdlib.h>

#define TIMER_MS 500
#define TRIES 3

struct watcher {
	uv_poll_t poll;
	struct resolver *resolver;
	struct watcher *next;
	ares_socket_t socket;
};

struct resolver {
	uv_loop_t *loop;
	ares_channel channel;
	uv_timer_t *timer;		/* closes on its own, after the resolver */
	struct watcher *watchers;
	struct resolve *queries;	/* that are outstanding */
	uint32_t outstanding;
};

struct resolve {
	struct resolver *resolver;
	struct resolve *next, **at;
	const void *asker;
	resolve_done *done;		/* NULL: cancelled */
	void *user;
	struct resolve **slot;		/* resolve_start()'s, while it runs */
};

static void timer_changed(struct resolver *r);

static void watcher_closed(uv_handle_t *h) { free(h->data); }
static void timer_closed(uv_handle_t *h) { free(h); }

static void socket_ready(uv_poll_t *poll, int status, int events)
{
	struct watcher *w = poll->data;
	struct resolver *r = w->resolver;
	ares_socket_t s = w->socket;
	bool readable = status < 0 || (events & UV_READABLE), writable = status < 0 || (events & UV_WRITABLE);

	ares_process_fd(r->channel, readable ? s : ARES_SOCKET_BAD, writable ? s : ARES_SOCKET_BAD);
	timer_changed(r);
}

static void timer_fired(uv_timer_t *timer)
{
	struct resolver *r = timer->data;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	timer_changed(r);
}

static void timer_changed(struct resolver *r)
{
	if (r->outstanding && !uv_is_active((uv_handle_t *)r->timer))
		uv_timer_start(r->timer, timer_fired, TIMER_MS, TIMER_MS);
	else if (!r->outstanding)
		uv_timer_stop(r->timer);
}

static void watcher_remove(struct resolver *r, struct watcher *w)
{
	for (struct watcher **at = &r->watchers; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	uv_close((uv_handle_t *)&w->poll, watcher_closed);
}

static void socket_changed(void *data, ares_socket_t s, int readable, int writable)
{
	struct resolver *r = data;
	struct watcher *w = r->watchers;

	while (w && w->socket != s)
		w = w->next;
	if (!readable && !writable) {
		if (w)
			watcher_remove(r, w);
		return;
	}
	if (!w) {
		w = calloc(1, sizeof *w);
		if (!w)
			return;		/* the query runs into its deadline */
		w->resolver = r;
		w->socket = s;
		if (uv_poll_init(r->loop, &w->poll, s) != 0) {
			free(w);
			return;
		}
		w->poll.data = w;
		w->next = r->watchers;
		r->watchers = w;
	}
	uv_poll_start(&w->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), socket_ready);
}

enum err resolver_new(uv_loop_t *loop, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof *r);
	char lookups[] = "fb";		/* /etc/hosts, then DNS */
	struct ares_options options = {
		.timeout = RESOLVE_TRY_MS,
		.tries = TRIES,
		.lookups = lookups,
		.ndomains = 0,
		.sock_state_cb = socket_changed,
		.sock_state_cb_data = r,
	};

	if (!r)
		return ERR_MEMORY;
	r->timer = calloc(1, sizeof *r->timer);
	if (!r->timer) {
		free(r);
		return ERR_MEMORY;
	}
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    ares_init_options(&r->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
			      ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
		free(r->timer);
		free(r);
		return ERR_LOCAL;
	}
	r->loop = loop;
	uv_timer_init(loop, r->timer);
	r->timer->data = r;
	*ret = r;
	return ERR_OK;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	ares_destroy(r->channel);	/* calls back for what is outstanding, and closes its sockets */
	while (r->watchers)
		watcher_remove(r, r->watchers);
	uv_close((uv_handle_t *)r->timer, timer_closed);
	ares_library_cleanup();
	free(r);
}

static uint32_t collect(const struct ares_addrinfo *info, struct address *out)
{
	uint32_t count = 0;

	for (const struct ares_addrinfo_node *n = info->nodes; n && count < RESOLVE_ADDRESSES_MAX;
	     n = n->ai_next) {
		const void *at = n->ai_addr;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		bool ok = false;

		if (n->ai_family == AF_INET && n->ai_addrlen >= (ares_socklen_t)sizeof in) {
			memcpy(&in, at, sizeof in);
			ok = address_of(str_make(&in.sin_addr, 4), &out[count]);
		} else if (n->ai_family == AF_INET6 && n->ai_addrlen >= (ares_socklen_t)sizeof in6) {
			memcpy(&in6, at, sizeof in6);
			ok = address_of(str_make(&in6.sin6_addr, 16), &out[count]);
		}
		count += ok;
	}
	return count;
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve *q = arg;
	struct address found[RESOLVE_ADDRESSES_MAX];
	uint32_t count = status == ARES_SUCCESS && info ? collect(info, found) : 0;

	(void)timeouts;
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	q->resolver->outstanding--;
	if (info)
		ares_freeaddrinfo(info);
	if (q->slot)
		*q->slot = NULL;
	if (q->done && status != ARES_EDESTRUCTION)
		q->done(q->user, count ? ERR_OK : ERR_RESOLVE, found, count);
	free(q);
}

/* Given up or not: whoever gives up many would keep the others from asking. */
static bool asks_too_much(const struct resolver *r, const void *asker)
{
	unsigned count = 0;

	for (const struct resolve *q = r->queries; asker && q; q = q->next)
		count += q->asker == asker;
	return count >= RESOLVE_ASKER_MAX;
}

enum err resolve_start(struct resolver *r, struct str host, const void *asker, resolve_done *done, void *user,
		       struct resolve **ret_query)
{
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	char name[HEAD_HOST_MAX + 1];
	struct resolve *q;

	if (host.n > HEAD_HOST_MAX || r->outstanding >= RESOLVE_OUTSTANDING_MAX || asks_too_much(r, asker))
		return ERR_LIMIT;
	q = calloc(1, sizeof *q);
	if (!q)
		return ERR_MEMORY;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	struct resolve *pending = q;
	*q = (struct resolve){ .resolver = r, .next = r->queries, .at = &r->queries, .asker = asker,
			       .done = done,
			       .user = user, .slot = &pending };
	if (q->next)
		q->next->at = &q->next;
	r->queries = q;
	*ret_query = q;		/* before @done, which may drop it */
	r->outstanding++;
	ares_getaddrinfo(r->channel, name, NULL, &hints, answered, q);
	if (pending)
		pending->slot = NULL;
	timer_changed(r);
	return ERR_OK;
}

void resolve_cancel(struct resolve *query)
{
	if (query)
		query->done = NULL;
}
