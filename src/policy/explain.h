/* explain.h - what the parts of the explanation share; for explain*.c only */
#pragma once

#include "policy/match.h"
#include "policy/protocol.h"

/** struct explain - why a request is decided as it is */
struct explain {
	const struct compiled_rule *rule;	/* that decides, or NULL: by default */
	bool unrecognised;			/* ... because its protocol does not know the request */
	bool websocket_refused;			/* ... because it is a handshake,
						   and the rule has no `websocket` */
	const struct compiled_rule *nearest;	/* if none decides and one is near, else NULL */
	bool differs[MATCH_AXES];		/* of the nearest */
	bool host_named;
	const struct compiled_rule *tunnel;	/* if none decides: one that passes
						   the host unopened, or NULL */
	enum protocol_answer answer;		/* of the deciding rule's protocol,
						   if it lets the request pass; and */
	struct buf words;			/* why; explain_free() */
};

/** explain_find() - the reason, which is policy_match()'s own */
void explain_find(const struct policy *p, const struct head *head, struct explain *ret);
/** explain_ask() - after explain_find(): what the rule's
 * protocol adds, by what is told of the body and the metadata */
void explain_ask(struct explain *w, const struct head *head, const struct protocol_facts *told);
void explain_free(struct explain *w);
/** explain_verdict() - of the head alone; explain_word() -
 * "allow", "deny", "observe", "undecided", with the answer */
enum policy_verdict explain_verdict(const struct explain *w);
const char *explain_word(const struct explain *w);
/** explain_note() - what is said of the answer: "refused", "may still be refused by", ..; NULL: nothing */
const char *explain_note(const struct explain *w);
extern const char *const explain_verdicts[];	/* by enum policy_verdict */
extern const char *const explain_axes[MATCH_AXES];

/** explain_put_url() - the request's URL, its path and query cut */
void explain_put_url(struct buf *b, const struct head *h);
/** explain_put_rule() - "rule 'x' (paddock.yaml:3)" */
void explain_put_rule(struct buf *b, const struct policy *p, const struct policy_rule *r);
/** explain_put_change() - what would have to change in @r for it to agree with @h on @axis */
void explain_put_change(struct buf *b, const struct compiled_rule *r, const struct head *h,
			enum match_axis axis);
/** explain_put_refusal() - why the rule that matched refuses all the same, and what would have to change */
void explain_put_refusal(struct buf *b, const struct explain *w);
/** explain_object() - all of it as a JSON object */
void explain_object(struct buf *b, const struct policy *p, const struct head *h, const struct explain *w);
/** explain_put_json() - a JSON text; what is not UTF-8 (a file's name) becomes '?' byte by byte */
void explain_put_json(struct buf *b, struct str s);
/** explain_put_json_rule() - {"name":...,"index":...,"line":... : the caller closes it */
void explain_put_json_rule(struct buf *b, const struct policy_rule *r);
