/* initrd.h - the guest's first root: paddock-init and the modules that it loads */
#pragma once

#include "machine/kernel.h"

/** initrd_build() - a cpio archive ("newc") with /init, /dev/console, /modules/list and the
 *  modules of @k, in the order in which they are to be loaded. Appends to @b.
 * Return: ERR_OK; ERR_INPUT: a module is missing (named in @ret_text); ERR_LOCAL; buf_err(b) */
must_use enum err initrd_build(const struct kernel *k, const char *init, struct buf *b, struct buf *ret_text);

/** initrd_entry() - one archive member; initrd_end() - the trailer. mode as stat's st_mode. */
void initrd_entry(struct buf *b, const char *name, uint32_t mode, uint32_t device_major,
		  uint32_t device_minor, struct str content);
void initrd_end(struct buf *b);
