/* namespace.h - a machine driver for tests: paddock-init in Linux namespaces, without a VM
 *
 * No security boundary is claimed for it. It starts in milliseconds and runs unprivileged, so
 * most system tests use it; the guest's code is the same as in a virtual machine.
 */
#pragma once

#include "machine/machine.h"

/** machine_namespace - image "host[:DIR...]": the host's /usr and, read-only, the directories named */
extern const struct machine_ops machine_namespace;
