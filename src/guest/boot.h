/* boot.h - what only the PID 1 of a virtual machine does */
#pragma once

#include "base/str.h"
#include "base/err.h"

#define BOOT_PORTS 3

/** boot_machine() - from the kernel's hand-over to the layout that world.h expects: modules,
 *  the image under an overlay at WORLD_ROOT, own /proc, /dev and cgroups
 * Return: NULL and the port descriptors (net, control, files); or the step that failed, with errno */
const char *boot_machine(int ret_ports[BOOT_PORTS]);

/** boot_clock() - CLOCK_REALTIME; boot_entropy() - @seed into the kernel's pool, which is then
 *  reseeded. ERR_LOCAL with errno */
must_use enum err boot_clock(uint64_t unix_ns);
must_use enum err boot_entropy(struct str seed);
