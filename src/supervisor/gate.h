/* gate.h - `paddock gate`: the inspector and the courier as an explicit proxy, without a machine */
#pragma once

#include "supervisor/spec.h"

/** gate_run() - listens until a signal or `paddock stop`
 * ends it; the exit code: 0 when it was ended so, else 125 */
int gate_run(const struct spec *spec);
