/* json_walk.h - a JSON document as it streams by, member by
 * member: copied, dropped, entered, or taken to be looked at
 *
 * For documents too large for a tree (an npm packument has tens of megabytes). What is copied goes byte for
 * byte and is only balanced, not validated: a reader refuses what is malformed. Entered objects and lists are
 * written anew, with their members in order and without the space between them. Memory: the nesting that is
 * entered, and one taken value.
 */
#pragma once

#include "base/buf.h"

#define JSON_WALK_DEPTH_MAX 6		/* that can be entered */
#define JSON_WALK_KEY_MAX 1024		/* of a name, as written */
#define JSON_WALK_TAKEN_MAX (128u * 1024)

struct json_walk;

enum json_choice { JSON_WALK_COPY, JSON_WALK_DROP, JSON_WALK_ENTER, JSON_WALK_TAKE };

struct json_walk_ops {
	/** a value begins: @key is its name, unescaped (empty in a list, and for the
	 *  document itself). ENTER is for objects and lists; of anything else it means COPY */
	enum json_choice (*choose)(void *user, struct json_walk *w, struct str key);
	/** the value that was taken, whole; json_walk_put() writes it, or another, or nothing is written */
	enum err (*taken)(void *user, struct json_walk *w, struct str key, struct str value);
	/** an entered object or list ends: more may be put into it. May be NULL */
	enum err (*leave)(void *user, struct json_walk *w);
	enum err (*output)(void *user, struct str bytes);
};

/** json_walk_new() - NULL without memory */
struct json_walk *json_walk_new(const struct json_walk_ops *ops, void *user);
void json_walk_free(struct json_walk *w);
/** json_walk_feed() - ERR_DECODER: not JSON, or nested or named beyond the limits; or what an op returned */
must_use enum err json_walk_feed(struct json_walk *w, struct str bytes);
/** json_walk_end() - ERR_DECODER if the document is not complete */
must_use enum err json_walk_end(struct json_walk *w);

/* from within the ops: */
/** json_walk_depth() - how many values around this one are entered: 0 for the document itself */
unsigned json_walk_depth(const struct json_walk *w);
/** json_walk_key() - the name of the entered value at @level (1: a member of the document) */
struct str json_walk_key(const struct json_walk *w, unsigned level);
/** json_walk_put() - one member of what is entered now: JSON
 * text @value, with @key (unescaped) if it is an object */
must_use enum err json_walk_put(struct json_walk *w, struct str key, struct str value);
