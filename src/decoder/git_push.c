/* git_push.c - the body of a git-receive-pack request
 *
 * Theory of operation: packet lines "old new ref" (the first with capabilities after a NUL), flush; if push
 * options were negotiated, packet lines of them, flush; then a pack, unless every command deletes. The
 * commands are facts as soon as the flush is here, so that policy can judge them before any of it goes on.
 * What was pushed is a fast-forward if the old commit is reachable from the new: git_pack.c says so once the
 * pack is through. A signed push (push-cert) hides the commands in another form, and is refused. An empty
 * push (one flush) is git's own probe for credentials.
 * Source: gitprotocol-pack(5), gitprotocol-capabilities(5).
 */
#include "decoder/git.h"

#include "decoder/pktline.h"

#include <stdio.h>
#include <stdlib.h>

enum part { PART_COMMANDS, PART_OPTIONS, PART_PACK };

struct update {
	uint32_t number;		/* of its command */
	uint8_t old[GIT_ID_MAX], new[GIT_ID_MAX];
};
struct git_push {
	struct git_sink *sink;
	struct pktline line;
	enum part part;
	bool history, options, packed, report, side_band;
	unsigned id_bytes;
	size_t bytes;			/* of packet lines */
	uint64_t fed, before_pack;	/* of the input */
	uint32_t commands, updates;
	struct update update[GIT_COMMANDS_MAX];
	struct git_pack *pack;
};

struct git_push *git_push_new(bool history, struct git_sink *sink)
{
	struct git_push *p = calloc(1, sizeof *p);

	if (p) {
		p->sink = sink;
		p->history = history;
		p->id_bytes = 20;
	}
	return p;
}

void git_push_free(struct git_push *p)
{
	if (p)
		git_pack_free(p->pack);
	free(p);
}

static enum err bad(struct git_push *p, const char *reason)
{
	p->sink->reason = reason;
	return ERR_DECODER;
}

static bool id_of(struct str hex, unsigned bytes, uint8_t *ret)
{
	if (hex.n != 2 * (size_t)bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		int high = ascii_hex(hex.p[2 * i]), low = ascii_hex(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

static bool zero(const uint8_t *id)
{
	static const uint8_t none[GIT_ID_MAX];

	return memcmp(id, none, sizeof none) == 0;
}

/* The words after the first NUL. git takes any white space between them, and reads no
 * further than the next NUL: where that could make a difference, they are refused. */
static enum err capabilities(struct git_push *p, struct str words)
{
	for (size_t i = 0; i < words.n; i++)
		if ((uint8_t)words.p[i] < 0x20)
			return bad(p, "malformed capabilities of a push");
	while (words.n) {
		struct str word = str_head(words, str_find(words, ' '));

		words = str_from(words, word.n + 1);
		if (str_eq(word, STR("push-options")))
			p->options = true;
		p->report |= str_starts(word, STR("report-status"));
		p->side_band |= str_eq(word, STR("side-band-64k"));
		if (str_eq(word, STR("object-format=sha256")))
			p->id_bytes = 32;
	}
	return ERR_OK;
}

/* git-check-ref-format(1), as far as it keeps two readings apart. */
static bool ref_valid(struct str ref)
{
	if (!ref.p || !str_starts(ref, STR("refs/")) || ref.n > 1000 || ref.p[ref.n - 1] == '/' ||
	    memmem(ref.p, ref.n, "..", 2) || memmem(ref.p, ref.n, "//", 2) || memmem(ref.p, ref.n, "/.", 2) ||
	    memmem(ref.p, ref.n, "@{", 2) || str_ends(ref, STR(".lock")))
		return false;
	for (size_t i = 0; i < ref.n; i++)
		if ((uint8_t)ref.p[i] <= 0x20 || ref.p[i] == 0x7f || strchr("~^:?*[\\", ref.p[i]))
			return false;
	return true;
}

static enum err command(struct git_push *p, struct str text)
{
	struct str old_hex = str_head(text, str_find(text, ' ')), rest = str_from(text, old_hex.n + 1);
	struct str new_hex = str_head(rest, str_find(rest, ' ')), ref = str_from(rest, new_hex.n + 1);
	struct update u = { .number = p->commands };
	char value[3 * GIT_ID_MAX * 2 + 1100];
	int n;

	if (!id_of(old_hex, p->id_bytes, u.old) || !id_of(new_hex, p->id_bytes, u.new) || !ref_valid(ref) ||
	    (zero(u.old) && zero(u.new)))
		return bad(p, "a malformed push command");
	if (p->commands == GIT_COMMANDS_MAX)
		return bad(p, "too many refs in one push");
	n = snprintf(value, sizeof value, "%s %.*s %.*s %.*s",
		     zero(u.old) ? "create" : zero(u.new) ? "delete" : "update", STR_FMT(old_hex),
		     STR_FMT(new_hex),
		     STR_FMT(ref));
	if (!zero(u.old) && !zero(u.new))
		p->update[p->updates++] = u;
	p->packed |= !zero(u.new);
	p->commands++;
	p->sink->fact(p->sink->user, STR("git.command"), str_make(value, (size_t)n));
	return ERR_OK;
}

static enum err command_line(struct git_push *p, struct str payload)
{
	struct str text = payload;

	if (p->commands == 0 && str_find(payload, '\0') < payload.n) {
		text = str_head(payload, str_find(payload, '\0'));
		if (capabilities(p, pktline_text(str_from(payload, text.n + 1))) != ERR_OK)
			return ERR_DECODER;
		if (p->report)
			p->sink->fact(p->sink->user, STR("git.report"),
				      p->side_band ? STR("side-band") : STR("plain"));
	}
	text = pktline_text(text);
	if (str_starts(text, STR("push-cert")))
		return bad(p, "a signed push (push-cert) cannot be judged");
	if (str_starts(text, STR("shallow "))) {
		uint8_t id[GIT_ID_MAX];

		return id_of(str_from(text, 8), p->id_bytes, id) ? ERR_OK
								 : bad(p, "a malformed shallow line");
	}
	return command(p, text);
}

static void commands_known(struct git_push *p)
{
	char count[16];
	int n = snprintf(count, sizeof count, "%u", p->commands);

	p->part = PART_PACK;
	p->sink->fact(p->sink->user, STR("git.commands"), str_make(count, (size_t)n));
}

static enum err packet(struct git_push *p, enum pktline_kind kind, struct str payload)
{
	if (kind == PKTLINE_FLUSH) {
		if (p->part == PART_COMMANDS && p->options && p->commands)
			p->part = PART_OPTIONS;
		else
			commands_known(p);
		return ERR_OK;
	}
	p->bytes += payload.n + 4;
	if (kind != PKTLINE_DATA || p->bytes > GIT_COMMANDS_BYTES_MAX)
		return bad(p, "malformed push commands, or too many");
	if (p->part == PART_COMMANDS)
		return command_line(p, payload);
	p->sink->fact(p->sink->user, STR("git.option"), str_head(pktline_text(payload), 256));
	return ERR_OK;
}

static enum err feed_pack(struct git_push *p, struct str bytes)
{
	if (!p->before_pack)
		p->before_pack = p->fed - bytes.n;
	if (bytes.n == 0 || (!p->history && p->packed))
		return ERR_OK;
	if (!p->packed)
		return bad(p, "a pack that no command asks for");
	if (!p->pack)
		p->pack = git_pack_new(p->id_bytes, p->sink);
	return p->pack ? git_pack_feed(p->pack, bytes) : ERR_MEMORY;
}

enum err git_push_feed(struct git_push *p, struct str bytes)
{
	enum pktline_kind kind;
	struct str payload;

	p->fed += bytes.n;
	while (p->part != PART_PACK) {
		enum err e = pktline_next(&p->line, &bytes, &kind, &payload);

		if (e == ERR_MORE)
			return ERR_OK;
		if (e == ERR_OK)
			e = packet(p, kind, payload);
		else
			p->sink->reason = "no packet lines";
		if (e != ERR_OK)
			return e;
	}
	return feed_pack(p, bytes);
}

enum err git_push_end(struct git_push *p)
{
	static const char *const words[] = { "no", "yes", "unknown" };
	enum err e;

	if (p->part != PART_PACK)
		return bad(p, "the push ends within its commands");
	if (!p->history || !p->packed)
		return ERR_OK;
	e = p->pack ? git_pack_end(p->pack) : bad(p, "a push without its pack");
	for (uint32_t i = 0; e == ERR_OK && i < p->updates; i++) {
		const struct update *u = &p->update[i];
		char value[32];
		int n = snprintf(value, sizeof value, "%u %s", u->number,
				 words[git_pack_forced(p->pack, u->old, u->new)]);

		p->sink->fact(p->sink->user, STR("git.history"), str_make(value, (size_t)n));
	}
	return e;
}

uint64_t git_push_passable(const struct git_push *p)
{
	if (p->part != PART_PACK)
		return 0;
	if (!p->history || !p->packed)
		return p->fed;
	return p->before_pack + (p->pack ? git_pack_passable(p->pack) : 0);
}
