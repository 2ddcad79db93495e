/* seal_store.c - see seal_store.h
 *
 * Files are written beside and renamed. The kernel keeps the keyring's key readable for this user's processes
 * alone; its permission is widened from "whoever possesses it" to them, since a service's session may not be
 * linked to the user's keyring. Source: keyctl(2), add_key(2), keyrings(7).
 */
#include "credential/seal_store.h"

#include "base/auto.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define KEYRING_NAME "paddock-seal"
#define POSSESSOR_ALL 0x3f000000u
#define USER_VIEW_READ_SEARCH 0x000b0000u

static enum err refused(int why)
{
	errno = why;
	return ERR_LOCAL;
}

static bool is_ours_alone(const struct stat *st, mode_t others)
{
	return st->st_uid == geteuid() && !(st->st_mode & others);
}

enum err seal_store_open(const char *path, int *ret_fd)
{
	auto_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return ERR_LOCAL;
	if (!is_ours_alone(&st, 022))
		return refused(EPERM);
	if (mkdirat(fd, SEAL_DIRECTORY, 0700) && errno != EEXIST)
		return ERR_LOCAL;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

/* ---- files ---- */

/* Less than @max bytes. */
static enum err read_file(int fd, size_t max, struct buf *ret)
{
	enum err e = fd_read(fd, ret, max);

	return e || ret->len < max ? e : ERR_LIMIT;
}

static enum err replace_file(int directory, const char *name, struct str text)
{
	char temporary[SEAL_NAME_MAX + 16];
	bool ok;

	snprintf(temporary, sizeof temporary, ".%s.new", name);	/* '.' first: no entry is called so */
	auto_fd fd =
		openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return ERR_LOCAL;
	ok = fchmod(fd, 0600) == 0 && fd_write(fd, text) == ERR_OK && fsync(fd) == 0 &&
	     renameat(directory, temporary, directory, name) == 0;
	return ok && fsync(directory) == 0 ? ERR_OK : ERR_LOCAL;
}

/* ---- keys ---- */

enum err seal_key_file(int directory, int *ret_fd)
{
	auto_fd fd = openat(directory, SEAL_KEY_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return errno == ELOOP ? refused(EPERM) : ERR_LOCAL;
	if (!S_ISREG(st.st_mode) || !is_ours_alone(&st, 077))
		return refused(EPERM);
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

static long keyring_find(void)
{
	return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", KEYRING_NAME, 0);
}

/* Return: its bytes; -1: there is none, or it cannot be asked */
static long keyring_read(char *text, size_t max)
{
	long serial = keyring_find();
	long n = serial < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, serial, text, max);

	return n > (long)max ? -1 : n;
}

static enum err keyring_write(struct str text)
{
	if (text.n == 0) {
		long old = keyring_find();

		return old < 0 || syscall(SYS_keyctl, KEYCTL_UNLINK, old, KEY_SPEC_USER_KEYRING) == 0
			       ? ERR_OK : ERR_LOCAL;
	}
	long serial = syscall(SYS_add_key, "user", KEYRING_NAME, text.p, text.n, KEY_SPEC_USER_KEYRING);

	return serial >= 0 && syscall(SYS_keyctl, KEYCTL_SETPERM, serial,
				      POSSESSOR_ALL | USER_VIEW_READ_SEARCH) == 0
		       ? ERR_OK : ERR_LOCAL;
}

enum err seal_keys_read(int fd, bool keyring, struct seal_keys *ret)
{
	char in_kernel[SEAL_KEYS_TEXT_MAX];
	auto_buf text = BUF_EMPTY;
	enum err e = ERR_OK;
	long n;

	*ret = (struct seal_keys){ .count = 0 };
	buf_init_secret(&text, SEAL_KEYS_TEXT_MAX);
	if (fd >= 0) {
		if (lseek(fd, 0, SEEK_SET))
			return ERR_LOCAL;
		e = read_file(fd, SEAL_KEYS_TEXT_MAX, &text);
		if (!e)
			e = seal_keys_parse(buf_str(&text), ret);
	}
	n = e || !keyring ? -1 : keyring_read(in_kernel, sizeof in_kernel);
	if (n > 0)
		e = seal_keys_parse(str_make(in_kernel, (size_t)n), ret);
	explicit_bzero(in_kernel, sizeof in_kernel);
	if (e)
		seal_keys_wipe(ret);
	return e;
}

enum err seal_keys_write(int directory, bool keyring, const struct seal_keys *keys)
{
	auto_buf text = BUF_EMPTY;

	buf_init_secret(&text, SEAL_KEYS_TEXT_MAX);
	for (size_t i = 0; i < keys->count; i++)
		seal_key_put(&keys->key[i], &text);
	if (buf_err(&text))
		return buf_err(&text);
	if (keyring)
		return keyring_write(buf_str(&text));
	if (keys->count == 0)
		return unlinkat(directory, SEAL_KEY_FILE, 0) == 0 || errno == ENOENT ? ERR_OK : ERR_LOCAL;
	return replace_file(directory, SEAL_KEY_FILE, buf_str(&text));
}

/* ---- entries ---- */

static int open_entries(int directory)
{
	return openat(directory, SEAL_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool name_z(struct str name, char ret[SEAL_NAME_MAX + 1])
{
	if (!seal_name(name))
		return false;
	memcpy(ret, name.p, name.n);
	ret[name.n] = 0;
	return true;
}

enum err seal_entry_read(int directory, struct str name, struct buf *ret)
{
	char z[SEAL_NAME_MAX + 1];
	auto_fd entries = -1, fd = -1;
	struct stat st;

	if (!name_z(name, z))
		return ERR_INPUT;
	entries = open_entries(directory);
	if (entries >= 0)
		fd = openat(entries, z, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return ERR_LOCAL;
	if (!S_ISREG(st.st_mode))
		return refused(EPERM);
	return read_file(fd, SEAL_ENVELOPE_MAX, ret);
}

enum err seal_entry_write(int directory, struct str name, struct str envelope)
{
	char z[SEAL_NAME_MAX + 1];
	auto_fd entries = open_entries(directory);

	if (!name_z(name, z))
		return ERR_INPUT;
	return entries < 0 ? ERR_LOCAL : replace_file(entries, z, envelope);
}

enum err seal_entry_remove(int directory, struct str name)
{
	char z[SEAL_NAME_MAX + 1];
	auto_fd entries = open_entries(directory);

	if (!name_z(name, z))
		return ERR_INPUT;
	return entries < 0 || unlinkat(entries, z, 0) ? ERR_LOCAL : ERR_OK;
}

enum err seal_entry_each(int directory, enum err (*f)(void *ctx, struct str name), void *ctx)
{
	int entries = open_entries(directory);
	DIR *d = entries < 0 ? NULL : fdopendir(entries);
	enum err e = ERR_OK;
	size_t count = 0;

	if (!d) {
		if (entries >= 0)
			close(entries);
		return ERR_LOCAL;
	}
	for (struct dirent *at; !e && (at = readdir(d));)
		if (seal_name(str_of(at->d_name)))
			e = ++count > SEAL_ENTRIES_MAX ? ERR_LIMIT : f(ctx, str_of(at->d_name));
	closedir(d);
	return e;
}
