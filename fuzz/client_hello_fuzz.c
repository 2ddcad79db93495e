/* client_hello_fuzz.c - a name that is read is canonical,
 * and no prefix of a good hello is anything but short */
#include "wire/client_hello.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_make(data, size);
	struct client_hello h, shorter;
	auto_buf storage = BUF_EMPTY;

	buf_init(&storage, CLIENT_HELLO_MAX);
	if (client_hello_parse(bytes, &storage, &h))
		return 0;
	if (h.host[0] && host_type(str_of(h.host)) == HOST_INVALID)
		abort();
	for (size_t n = 0; n < size && n < 64; n++) {
		enum err e = client_hello_parse(str_head(bytes, n), &storage, &shorter);

		if (e != ERR_MORE && e != ERR_OK)
			abort();
	}
	return 0;
}
