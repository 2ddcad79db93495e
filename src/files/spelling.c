/* spelling.c - file systems that take one name for another               (see spelling.h)
 *
 * Theory of operation: kinds that are known to are listed. For the others, FUSE and network file systems
 * above all, a directory is asked: if an entry is found by its name in the other case, and the two cannot be
 * two links to one file, then it folds case. An empty directory cannot be told this way, nor one of which
 * only a subdirectory folds.
 * Sources: magic.h and the file systems' own headers of Linux; Documentation/filesystems/ext4/overview.rst
 * (casefold).
 */
#include "files/spelling.h"

#include "base/auto.h"
#include "base/str.h"
#include "files/inode.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

#ifndef FS_CASEFOLD_FL
#define FS_CASEFOLD_FL 0x40000000
#endif
#define ENTRIES_ASKED 64

const char *spelling_loose(int fd)
{
	static const struct { uint32_t type; const char *kind; } kinds[] = {
		{ 0x4d44, "FAT" },	   { 0x2011bab0, "exFAT" }, { 0x5346544e, "NTFS" },
		{ 0x7366746e, "NTFS" },	   { 0x01021997, "9p" },    { 0x517b, "SMB" },
		{ 0xff534d42, "SMB" },	   { 0xfe534d42, "SMB" },   { 0x4244, "HFS" },
		{ 0x482b, "HFS+" },	   { 0xf995e849, "HPFS" },  { 0x786f4256, "a VirtualBox folder" },
		{ 0xbacbacbc, "a VMware folder" },
	};
	struct statfs s;

	if (fstatfs(fd, &s))
		return "an unknown file system";
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if ((uint32_t)s.f_type == kinds[i].type)
			return kinds[i].kind;
	return NULL;
}

/* Is the entry @name also there with its letters in the other case, as the same object? */
static bool found_otherwise(int directory, const char *name)
{
	char other[NAME_MAX + 1];
	size_t n = strlen(name);
	struct stat st, found;

	if (n > NAME_MAX)
		return false;
	memcpy(other, name, n + 1);
	for (size_t i = 0; i < n; i++)
		if (ascii_alpha(name[i]))
			other[i] = (char)(name[i] ^ 0x20);
	return strcmp(name, other) != 0 && fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (S_ISDIR(st.st_mode) || st.st_nlink == 1) &&
	       fstatat(directory, other, &found, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == found.st_dev &&
	       st.st_ino == found.st_ino;
}

static bool folds_case(int directory)
{
	DIR *d = fdopendir(directory);
	const struct dirent *e;
	bool folds = false;

	if (!d) {
		close(directory);
		return true;
	}
	for (int n = 0; !folds && n < ENTRIES_ASKED && (e = readdir(d)); n++)
		folds = found_otherwise(directory, e->d_name);
	closedir(d);
	return folds;
}

const char *spelling_loose_root(int fd)
{
	const char *kind = spelling_loose(fd);
	int directory, flags = 0;

	if (kind)
		return kind;
	if (open_beneath(fd, ".", O_RDONLY | O_DIRECTORY, 0, &directory))
		return "a file system that cannot be asked";
	if (ioctl(directory, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_CASEFOLD_FL)) {
		close(directory);
		return "a file system that folds case";
	}
	return folds_case(directory) ? "a file system that folds case" : NULL;
}
