/* match.h - one rule against one head, axis by axis; for match.c and explain.c */
#pragma once

#include "policy/compiled.h"

enum match_axis {
	MATCH_HOST, MATCH_METHOD, MATCH_SCHEME, MATCH_PORT, MATCH_PATH, MATCH_QUERY, MATCH_HEADERS,
	MATCH_PROTOCOL, MATCH_AXES
};

/** match_axis() - does @head agree with @r on one axis? */
bool match_axis(const struct compiled_rule *r, const struct head *head, enum match_axis axis);
/** match_query(), match_header() - one condition of an allowing (all that bear the name must
 *  agree) or denying rule (any may) */
bool match_query(const struct compiled_condition *c, const struct head *head, bool denies);
bool match_header(const struct compiled_condition *c, const struct head *head, bool denies);
/** match_first_named() - the first rule that speaks of connections to @host and @port, or NULL */
const struct policy_rule *match_first_named(const struct policy *p, struct str host, uint16_t port);
