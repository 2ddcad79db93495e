/* git_fetch.c - the body of a git-upload-pack request
 *
 * Theory of operation: protocol 2 is one command, its capabilities, a delimiter, its arguments, flush;
 * protocols 0 and 1 are want, shallow, deepen and filter lines, flush, then have lines and done. Each line
 * has to begin with a word that is known: a server's extension that nothing here has heard of is refused, not
 * passed on. Only the commands that read are known, so that no rule for fetching can do more.
 * git compresses the longer of these bodies with gzip.
 * Source: gitprotocol-v2(5), gitprotocol-pack(5).
 */
#include "decoder/git.h"

#include "decoder/pktline.h"

#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#define OUTPUT_MAX (64u * 1024 * 1024)

enum part { PART_FIRST, PART_CAPABILITIES, PART_ARGUMENTS, PART_WANTS, PART_OVER };

struct git_fetch {
	struct git_sink *sink;
	struct pktline line;
	enum part part;
	bool gzip, gzip_over;
	z_stream z;
	size_t bytes;			/* of packet lines */
	uint64_t fed;
};

struct git_fetch *git_fetch_new(bool gzip, struct git_sink *sink)
{
	struct git_fetch *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->sink = sink;
	f->gzip = gzip;
	if (gzip && inflateInit2(&f->z, 16 + MAX_WBITS) != Z_OK) {
		free(f);
		return NULL;
	}
	return f;
}

void git_fetch_free(struct git_fetch *f)
{
	if (f && f->gzip)
		(void)inflateEnd(&f->z);
	free(f);
}

static enum err bad(struct git_fetch *f, const char *reason)
{
	f->sink->reason = reason;
	return ERR_DECODER;
}

/* Is the line one of @words, or one of them and more after a space or '='? */
static bool known(struct str line, const char *const *words)
{
	struct str word = str_head(line, str_find(line, ' '));

	word = str_head(word, str_find(word, '='));
	for (; *words; words++)
		if (str_eq(word, str_of(*words)))
			return true;
	return false;
}

static const char *const want_words[] = {
	"want", "have", "done", "shallow", "deepen", "deepen-since", "deepen-not", "deepen-relative",
	"filter", NULL,
};
static const char *const argument_words[] = {
	"want", "have", "done", "shallow", "deepen", "deepen-since", "deepen-not", "deepen-relative",
	"filter",
	"want-ref", "thin-pack", "no-progress", "include-tag", "ofs-delta", "sideband-all", "packfile-uris",
	"wait-for-done", "peel", "symrefs", "unborn", "ref-prefix", "size", "oid", NULL,
};
static const char *const capability_words[] = {
	"agent", "object-format", "session-id", "server-option", NULL,
};

static enum err first_line(struct git_fetch *f, struct str line)
{
	static const char *const commands[] = { "ls-refs", "fetch", "object-info", NULL };

	if (str_starts(line, STR("command="))) {
		if (!known(str_from(line, 8), commands))
			return bad(f, "a command of git's protocol that is not known");
		f->part = PART_CAPABILITIES;
		f->sink->fact(f->sink->user, STR("git.command"), str_from(line, 8));
		return ERR_OK;
	}
	if (!known(line, want_words))
		return bad(f, "no request of git-upload-pack");
	f->part = PART_WANTS;
	f->sink->fact(f->sink->user, STR("git.command"), STR("want"));
	return ERR_OK;
}

static enum err packet(struct git_fetch *f, enum pktline_kind kind, struct str line)
{
	if (f->part == PART_OVER)
		return bad(f, "more than one command");
	if (kind == PKTLINE_FLUSH) {
		if (f->part != PART_WANTS)
			f->part = PART_OVER;
		return ERR_OK;
	}
	if (kind == PKTLINE_DELIMITER && f->part == PART_CAPABILITIES) {
		f->part = PART_ARGUMENTS;
		return ERR_OK;
	}
	if (kind != PKTLINE_DATA)
		return bad(f, "a packet out of place");
	if (f->part == PART_FIRST)
		return first_line(f, line);
	if (known(line, f->part == PART_CAPABILITIES ? capability_words
			: f->part == PART_ARGUMENTS ? argument_words : want_words))
		return ERR_OK;
	return bad(f, "a line of git's protocol that is not known");
}

static enum err plain(struct git_fetch *f, struct str bytes)
{
	enum pktline_kind kind;
	struct str payload;

	f->bytes += bytes.n;
	if (f->bytes > OUTPUT_MAX)
		return bad(f, "a fetch request that is too long");
	for (;;) {
		enum err e = pktline_next(&f->line, &bytes, &kind, &payload);

		if (e == ERR_MORE)
			return ERR_OK;
		if (e != ERR_OK)
			return bad(f, "no packet lines");
		e = packet(f, kind, pktline_text(payload));
		if (e != ERR_OK)
			return e;
	}
}

static enum err inflated(struct git_fetch *f, struct str bytes)
{
	char out[16384];

	f->z.next_in = (const Bytef *)bytes.p;
	f->z.avail_in = (uInt)bytes.n;
	while (f->z.avail_in || f->z.avail_out == 0) {
		int status;
		enum err e;

		if (f->gzip_over)
			return bad(f, "bytes after the end of gzip");
		f->z.next_out = (Bytef *)out;
		f->z.avail_out = sizeof out;
		status = inflate(&f->z, Z_NO_FLUSH);
		f->gzip_over = status == Z_STREAM_END;
		if (status == Z_BUF_ERROR)
			break;
		if (status != Z_OK && status != Z_STREAM_END)
			return bad(f, "malformed gzip");
		e = plain(f, str_make(out, sizeof out - f->z.avail_out));
		if (e != ERR_OK || (f->gzip_over && f->z.avail_in == 0))
			return e;
	}
	return ERR_OK;
}

enum err git_fetch_feed(struct git_fetch *f, struct str bytes)
{
	enum err e = ERR_OK;

	f->fed += bytes.n;
	while (bytes.n && e == ERR_OK) {	/* in pieces that zlib can count */
		struct str piece = str_head(bytes, 65536);

		e = f->gzip ? inflated(f, piece) : plain(f, piece);
		bytes = str_from(bytes, piece.n);
	}
	return e;
}

enum err git_fetch_end(struct git_fetch *f)
{
	if (f->gzip && !f->gzip_over)
		return bad(f, "gzip without its end");
	if (pktline_partial(&f->line) || (f->part != PART_OVER && f->part != PART_WANTS))
		return bad(f, "the fetch request ends within a command");
	return ERR_OK;
}

uint64_t git_fetch_passable(const struct git_fetch *f) { return f->part == PART_FIRST ? 0 : f->fed; }
