/* event.h - a server-sent event of bench/gate: when it was sent, by CLOCK_MONOTONIC of this host */
#pragma once

#define EVENT_FORMAT "data: %020" PRIu64 "\n\n"
#define EVENT_BYTES 28u
