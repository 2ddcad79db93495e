/* guest_stream.h - TCP connections of the guest's, each a stream of its link */
#pragma once

#include "inspector/inspector.h"

/** guest_stream_open() - the guest opened TCP stream @number; @fields is its OPEN */
void guest_stream_open(struct inspector *i, uint32_t number, struct str fields);
