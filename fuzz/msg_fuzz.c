/* msg_fuzz.c - what a getter takes, its putter writes, and that reads as the same again
 *
 * Input: one byte that chooses the message, then the payload. */
#include "wire/msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* encode(decode(x)) is a fixed point: encoding leaves out only what stands for nothing */
#define ROUND_TRIP(name) \
	static void fuzz_##name(struct str payload) \
	{ \
		static struct msg_##name first, second; \
		auto_buf a = BUF_EMPTY, b = BUF_EMPTY; \
\
		buf_init(&a, 4 * MSG_FIELD_MAX); \
		buf_init(&b, 4 * MSG_FIELD_MAX); \
		if (msg_get_##name(payload, &first)) \
			return; \
		msg_put_##name(&a, &first); \
		check(buf_err(&a) == ERR_OK && a.len <= payload.n); \
		check(msg_get_##name(buf_str(&a), &second) == ERR_OK); \
		msg_put_##name(&b, &second); \
		check(str_eq(buf_str(&a), buf_str(&b))); \
	}

ROUND_TRIP(connect)
ROUND_TRIP(claim)
ROUND_TRIP(config)
ROUND_TRIP(exec)
ROUND_TRIP(status)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const fuzz[])(struct str) = {
		fuzz_connect, fuzz_claim, fuzz_config, fuzz_exec, fuzz_status,
	};

	if (size == 0 || size > 100000)
		return 0;
	fuzz[data[0] % 5](str_make(data + 1, size - 1));
	return 0;
}
