/* qemu.h - what qemu.c and probe.c share */
#pragma once

#include "machine/kernel.h"
#include "machine/machine.h"

/** struct qemu_plan - everything that decides what is started */
struct qemu_plan {
	const struct machine_spec *spec;	/* NULL for a probe */
	bool kvm;
	const char *kernel, *initrd;
	int output_fd;				/* the guest's console and QEMU's complaints */
};

#define QEMU_PROGRAM "/usr/bin/qemu-system-x86_64"

/** qemu_spawn() - starts QEMU, confined, by @p. Return:
 * ERR_OK; ERR_LOCAL, ERR_LIMIT, ERR_CONFINE with errno */
must_use enum err qemu_spawn(const struct qemu_plan *p, pid_t *ret_pid, int *ret_pidfd);

/** probe_kvm() - does KVM run a guest here? Answered by booting @kernel under it, once per boot of
 *  the host, kernel and QEMU; the answer is cached
 * @ret_text: why not, one sentence, when it is false */
bool probe_kvm(const char *kernel, const char *initrd, struct buf *ret_text);
