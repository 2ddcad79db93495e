/* courier_encoded_world.h - a courier, its decoder and an upstream whose answers are in a content coding */
#pragma once

#include "../path/courier_world.h"

#include "../path/encode.h"
#include "decoder/job.h"

#include <semaphore.h>

/* ---- what the upstream answers ---- */

static struct {
	struct str body;
	const char *coding;		/* NULL: no such field */
	const char *field;		/* another field line, or NULL */
	size_t cut; /* two chunks, and a pause between them; also by the path: /offer/<cut> */
	size_t ends[8], end_count;	/* chunks that wait for `next` each */
	bool length;			/* content-length, not chunks */
} offer;
static sem_t next;

static void say_chunk(SSL *s, struct str piece)
{
	char line[32];

	if (!piece.n)
		return;
	snprintf(line, sizeof line, "%zx\r\n", piece.n);
	world_say(s, line);
	world_send(s, piece.p, piece.n);
	world_say(s, "\r\n");
}

static void say_body(SSL *s, size_t cut)
{
	size_t at = 0;

	for (size_t i = 0; i < offer.end_count; i++) {
		say_chunk(s, str_head(str_from(offer.body, at), offer.ends[i] - at));
		at = offer.ends[i];
		sem_wait(&next);
	}
	if (cut > at) {
		say_chunk(s, str_head(str_from(offer.body, at), cut - at));
		at = cut;
		usleep(2000);
	}
	say_chunk(s, str_from(offer.body, at));
	world_say(s, "0\r\n\r\n");
}

static bool answer(SSL *s, const char *path)
{
	char head[400];
	size_t cut = offer.cut;

	if (strncmp(path, "/offer", 6) != 0)
		return false;
	if (path[6] == '/')
		cut = 0;
	for (const char *digit = path + 6; *digit; digit++)
		if (*digit != '/')
			cut = cut * 10 + (size_t)(*digit - '0');
	int n = snprintf(head, sizeof head,
			 "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%s%s%s%s%s",
			 offer.coding ? "content-encoding: " : "", offer.coding ? offer.coding : "",
			 offer.coding ? "\r\n" : "", offer.field ? offer.field : "",
			 offer.field ? "\r\n" : "");

	if (offer.length)
		snprintf(head + n, sizeof head - (size_t)n, "content-length: %zu\r\n\r\n", offer.body.n);
	else
		snprintf(head + n, sizeof head - (size_t)n, "transfer-encoding: chunked\r\n\r\n");
	world_say(s, head);
	if (offer.length)
		world_send(s, offer.body.p, offer.body.n);
	else
		say_body(s, cut);
	return true;
}

static const char policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {environment: API_KEY}\n"
	"    hosts: [api.test]\n"
	"    strategy: placeholder\n"
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n"
	"network:\n"
	"  - {name: loose, hosts: [api.test], methods: [POST], paths: [/offer], credential: api, unscrubbed: "
	"pass}\n"
	"  - {name: api, hosts: [api.test], methods: [GET, POST], credential: api}\n"
	"  - {name: other, hosts: [other.test], methods: [GET, POST]}\n"
	"  - {name: git, hosts: [a.wild.test], git: {repositories: [a/b], access: push, refs: [main]}}\n";

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	world.requests = 0;
	world.log_bytes = 0;
	offer = (typeof(offer)){ .coding = NULL };
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static struct reply *get(const char *host)
{
	return ask_wait(&rig, &(struct ask){ .host = host, .path = "/offer" });
}

#define BEFORE "event: message\ndata: {\"text\":\"here it is, "
#define AFTER " and more\"}\n\n"

static const struct str clean = STR_INIT(BEFORE "nothing at all" AFTER),
			dirty = STR_INIT(BEFORE SECRET AFTER);
static inline int encoded_world(const struct CMUnitTest *tests, size_t count)
{
	sem_init(&next, 0, 0);
	world_start();
	world.answer = answer;
	return world_end(_cmocka_run_group_tests("encoded", tests, count, NULL, NULL));
}
