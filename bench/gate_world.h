/* gate_world.h - what bench/gate measures against and through; failures end the program with a word */
#pragma once

#include <stdint.h>

#define GATE_HOST "gate.test"

/** gate_world_start() - the upstream and nginx as its reverse proxy, on these ports of loopback; all
 *  that was started ends with this program */
void gate_world_start(uint16_t *ret_upstream, uint16_t *ret_proxy);
/** gate_start() - inspector and courier, with @upstream as GATE_HOST; returns the guest's end of the
 *  net link */
int gate_start(uint16_t upstream);
