/* keeper_server.h - what the keeper answers */
#pragma once

#include "credential/keeper.h"
#include "credential/keeper_config.h"
#include "credential/keeper_key.h"
#include "tls/mint.h"

struct keeper {
	const struct keeper_config *config;
	const struct keeper_key *key;
	const struct mint *mint;
	bool pinned;				/* the first key certified is the only one */
	uint8_t point[KEEPER_POINT_BYTES];
};

/** keeper_answer() - one request
 * @reply:      result, data_bytes, data, sequence are written; the caller wipes it after use
 * @ret_reason: for the log, static text; NULL on success */
void keeper_answer(struct keeper *k, const struct keeper_request *request, struct keeper_reply *reply,
		   const char **ret_reason);
