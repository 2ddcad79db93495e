/* seal_store.h - the sealed entries of an installation, and where their key is
 *
 * DIRECTORY (the configuration directory, 0700): "seal.key" (0600), "sealed/NAME" (0600), one envelope each.
 * The key may be in the kernel instead (user keyring, key "user" "paddock-seal"): nothing that opens an
 * entry is on the disk then, and a reboot forgets it. Which of both opens an entry is found by the key's id.
 */
#pragma once

#include "credential/seal.h"

#define SEAL_KEY_FILE "seal.key"
#define SEAL_DIRECTORY "sealed"
#define SEAL_ENTRIES_MAX 1024

/** seal_store_open() - @path of DIRECTORY, which exists; makes "sealed"
 * Return: ERR_OK and *ret_fd of DIRECTORY; ERR_LOCAL with
 * errno (EPERM: others can write it, or it is another's) */
must_use enum err seal_store_open(const char *path, int *ret_fd);

/** seal_key_file() - opens the file of keys
 * Return: ERR_OK and *ret_fd; ERR_LOCAL with errno: ENOENT, or EPERM (not a file, not the user's alone) */
must_use enum err seal_key_file(int directory, int *ret_fd);
/** seal_keys_read() - the keys of the file @fd (-1: none), then those of the
 *  kernel's keyring if @keyring; a keyring that cannot be asked has none
 * Return: ERR_OK; ERR_INPUT (the file is not one of keys); ERR_LIMIT; ERR_LOCAL; ERR_MEMORY */
must_use enum err seal_keys_read(int fd, bool keyring, struct seal_keys *ret);
/** seal_keys_write() - all of the place's keys, the file's or the keyring's; none: the place is emptied.
 *  ERR_LOCAL with errno, ERR_MEMORY */
must_use enum err seal_keys_write(int directory, bool keyring, const struct seal_keys *keys);

/** seal_entry_read() - the envelope of @name. ERR_LOCAL with errno, ERR_INPUT (name), ERR_LIMIT */
must_use enum err seal_entry_read(int directory, struct str name, struct buf *ret);
/** seal_entry_write() - whole or not at all. ERR_LOCAL with errno, ERR_INPUT */
must_use enum err seal_entry_write(int directory, struct str name, struct str envelope);
/** seal_entry_remove() - ERR_LOCAL with errno, ERR_INPUT */
must_use enum err seal_entry_remove(int directory, struct str name);
/** seal_entry_each() - calls @f with each name, in no order; ends early if it fails
 * Return: ERR_OK; what @f returned; ERR_LOCAL with errno; ERR_LIMIT */
must_use enum err seal_entry_each(int directory, enum err (*f)(void *ctx, struct str name), void *ctx);
