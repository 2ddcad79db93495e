/* progress.c - see progress.h. Silent for the first second: a quick start shows nothing. */
#include "supervisor/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define QUIET_MS 1000
#define REPEAT_MS 200

struct progress {
	uv_timer_t timer;
	const char *what;
	uint64_t began_ms;
	bool shown, ended;
};

static void on_timer(uv_timer_t *timer)
{
	struct progress *p = timer->data;
	uint64_t ms = clock_ms() - p->began_ms;

	if (ms < QUIET_MS || !p->what)
		return;
	p->shown = true;
	(void)fprintf(stderr, "\r\033[Kpaddock: %s (%u.%u s)", p->what, (unsigned)(ms / 1000),
		      (unsigned)(ms % 1000 / 100));
	(void)fflush(stderr);
}

struct progress *progress_new(uv_loop_t *loop, bool quiet)
{
	struct progress *p;

	if (quiet || !isatty(STDERR_FILENO))
		return NULL;
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->began_ms = clock_ms();
	uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	uv_timer_start(&p->timer, on_timer, REPEAT_MS, REPEAT_MS);
	return p;
}

void progress_step(struct progress *p, const char *what)
{
	if (p)
		p->what = what;
}

void progress_end(struct progress *p)
{
	if (!p || p->ended)
		return;
	p->ended = true;
	uv_timer_stop(&p->timer);
	if (p->shown)
		(void)fputs("\r\033[K", stderr);
	(void)fflush(stderr);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void progress_free(struct progress *p)
{
	if (!p)
		return;
	progress_end(p);
	uv_close((uv_handle_t *)&p->timer, on_closed);
}
