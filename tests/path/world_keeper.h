/* world_keeper.h - the keeper of courier_world.h */
#pragma once

/* ---- the keeper ---- */

#define KEEPER_SIGNATURE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct keeper_world {
	EVP_PKEY *key;
	uint8_t public_key[32];
	unsigned secrets, leaves, signatures, again;	/* again: SIGV4 with KEEPER_AGAIN */
	bool again_fails;
	char replaced[1024];		/* REPLACE's text, its NULs as spaces */
	bool fails;
	bool silent;			/* asked for a leaf */
	enum { LIE_NONE, LIE_EMPTY, LIE_SHORTER, LIE_FAILED, LIE_RESULT, LIE_CUT, LIE_STALE, LIE_GONE } lie;
};

static struct keeper_world keeper;

/* Makes of an answer one that is none; returns how much of it is sent. */
static size_t keeper_lies(int fd, struct keeper_reply *r, size_t n)
{
	switch (keeper.lie) {
	case LIE_EMPTY: return KEEPER_REPLY_HEAD;
	case LIE_SHORTER: return KEEPER_REPLY_HEAD + KEEPER_STAMP_BYTES - 1;
	case LIE_FAILED: r->result = ERR_CREDENTIAL; break;	/* and data all the same */
	case LIE_RESULT: r->result = UINT32_MAX; break;
	case LIE_CUT: return KEEPER_REPLY_HEAD - 1;
	case LIE_STALE:	/* a stale answer before the one that belongs to the question */
		r->sequence--;
		send(fd, r, n, MSG_NOSIGNAL);
		r->sequence++;
		return KEEPER_REPLY_HEAD;
	case LIE_NONE: case LIE_GONE: break;
	}
	return n;
}

static void *keeper_serve(void *arg)
{
	struct keeper_reply reply;
	struct keeper_request q;
	int fd = (int)(intptr_t)arg;	/* its own: the last test's may still be ending */
	ssize_t asked;

	while ((asked = recv(fd, &q, sizeof q, 0)) >= (ssize_t)KEEPER_REQUEST_HEAD) {
		size_t text_bytes = (size_t)asked - KEEPER_REQUEST_HEAD, n = 64;

		reply.result = ERR_OK;
		if (q.op == KEEPER_SIGN) {
			EVP_MD_CTX *ctx = EVP_MD_CTX_new();

			EVP_DigestSignInit(ctx, NULL, NULL, NULL, keeper.key);
			EVP_DigestSign(ctx, reply.data, &n, (const unsigned char *)q.text, text_bytes);
			EVP_MD_CTX_free(ctx);
		} else if (q.op == KEEPER_SECRET) {
			keeper.secrets++;
			n = KEEPER_STAMP_BYTES + strlen(SECRET);
			memset(reply.data, 0, KEEPER_STAMP_BYTES);
			memcpy(reply.data + KEEPER_STAMP_BYTES, SECRET, strlen(SECRET));
		} else if (q.op == KEEPER_LEASE || q.op == KEEPER_REPLACE) {	/* of one refresh token */
			n = (size_t)snprintf((char *)reply.data, 600, "%s%c%c" SECRET "%c%c%c%c%c%c",
					     q.op == KEEPER_REPLACE ? "replaced" : "taken", 0, 0, 0, 0, 0, 0,
					     0, 0);
			for (size_t i = 0;
			     q.op == KEEPER_REPLACE && i < text_bytes && i < sizeof keeper.replaced - 1; i++)
				keeper.replaced[i] = (char)(q.text[i] ? q.text[i] : ' ');
		} else if (q.op == KEEPER_SIGV4) {	/* key, session token, signature */
			bool again = q.flags & KEEPER_AGAIN;

			keeper.again += again;
			keeper.signatures += text_bytes > 0;
			n = (size_t)snprintf((char *)reply.data, 600, "AKIATEST%c" SECRET "%c%s%c", 0, 0,
					     text_bytes ? KEEPER_SIGNATURE : "", 0);
			if (again && keeper.again_fails)
				reply.result = ERR_CREDENTIAL, n = 0;
		} else {
			keeper.leaves++;
			if (keeper.silent)
				continue;
			n = (size_t)snprintf((char *)reply.data, 600, "leaf of %.*s",
					     (int)(text_bytes - KEEPER_POINT_BYTES),
					     q.text + KEEPER_POINT_BYTES);
		}
		if (keeper.fails)
			reply.result = ERR_CREDENTIAL, n = 0;
		reply.sequence = q.sequence;
		n += KEEPER_REPLY_HEAD;
		if (keeper.lie == LIE_GONE)
			break;
		if (keeper.lie && q.op == KEEPER_SECRET)
			n = keeper_lies(fd, &reply, n);
		send(fd, &reply, n, MSG_NOSIGNAL);
	}
	close(fd);
	return NULL;
}
