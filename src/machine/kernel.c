/* kernel.c - the guest's kernel, found and made ready
 *
 * Theory of operation: a kernel is a directory in the layout of Debian's package, as
 * dpkg-deb -x leaves it. Booting the ELF file inside of the bzImage spares the guest its own
 * decompression (0.8 s under emulation), so that is unpacked once here: the boot protocol
 * says where the payload is, which the cloud kernel compresses as an LZ4 "legacy" stream. The
 * result and the initrd are cached under a name made of what they were made from.
 *
 * Trust: the package comes from the distribution; nevertheless every length is checked.
 * Sources: Documentation/x86/boot.rst; LZ4 block and legacy frame formats.
 */
#include "machine/kernel.h"

#include "base/auto.h"
#include "base/reader.h"
#include "machine/initrd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#undef ERR_STATE
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define IMAGE_MAX_BYTES (128u * 1024 * 1024)
#define UNPACKED_MAX_BYTES (512u * 1024 * 1024)
#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_BLOCK_MAX (8u * 1024 * 1024)

/* -- files -------------------------------------------------------------------------------- */

enum err kernel_read_file(const char *path, struct buf *b)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return ERR_LOCAL;
	for (;;) {
		size_t step = st.st_size > 65536 ? (size_t)st.st_size + 1 : 65536;
		enum err e;
		ssize_t n;

		step = step > buf_room(b) ? buf_room(b) : step;
		e = buf_reserve(b, step ? step : 1);
		if (e)
			return e;
		n = read(fd, buf_tail(b), step);
		if (n < 0)
			return ERR_LOCAL;
		if (n == 0)
			return ERR_OK;
		b->len += (size_t)n;
		st.st_size = 0;
	}
}

static bool write_all(int fd, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n <= 0)
			return false;
		bytes = str_from(bytes, (size_t)n);
	}
	return true;
}

/* So that the new name outlives a power cut too. Where it does not, the file is made again. */
static void sync_directory_of(const char *path)
{
	char directory[KERNEL_PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n == 0 || n >= sizeof directory)
		return;
	memcpy(directory, path, n);
	directory[n] = 0;
	auto_fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)fsync(fd);
}

enum err kernel_write_file(const char *path, struct str bytes)
{
	char temporary[KERNEL_PATH_MAX];
	auto_fd fd = -1;

	if ((size_t)snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid()) >= sizeof temporary)
		return ERR_LIMIT;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return ERR_LOCAL;
	/* the name must not reach the disk before the bytes do: who has it is never looked into again */
	if (!write_all(fd, bytes) || fdatasync(fd) || rename(temporary, path)) {
		int error = errno;

		unlink(temporary);
		errno = error;
		return ERR_LOCAL;
	}
	sync_directory_of(path);
	return ERR_OK;
}

enum err kernel_cache(const char *name, char *path, size_t cap)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	if (cache && cache[0] == '/')
		n = snprintf(path, cap, "%s/paddock/%s", cache, name);
	else if (home && home[0] == '/')
		n = snprintf(path, cap, "%s/.cache/paddock/%s", home, name);
	else
		return ERR_INPUT;
	if (n < 0 || (size_t)n >= cap)
		return ERR_LIMIT;
	for (char *p = path + 1;; p++) {
		char before = *p;

		if (*p && *p != '/')
			continue;
		*p = 0;
		if (mkdir(path, 0700) && errno != EEXIST)
			return ERR_LOCAL;
		*p = before;
		if (!before)
			return ERR_OK;
	}
}

/* -- finding --------------------------------------------------------------------------------- */

/* The newest cloud kernel below @root; false if there is none. */
static bool find_in(const char *root, struct kernel *ret)
{
	static const char prefix[] = "vmlinuz-";
	struct kernel k = { 0 };
	char boot[KERNEL_PATH_MAX];
	struct dirent *entry;
	DIR *d;

	if ((size_t)snprintf(boot, sizeof boot, "%s/boot", root) >= sizeof boot)
		return false;
	d = opendir(boot);
	if (!d)
		return false;
	while ((entry = readdir(d))) {
		const char *version = entry->d_name + sizeof prefix - 1;

		if (strncmp(entry->d_name, prefix, sizeof prefix - 1) ||
		    strlen(version) >= sizeof k.version || !str_ends(str_of(version), STR("-cloud-amd64")) ||
		    strverscmp(version, k.version) <= 0)
			continue;
		memcpy(k.version, version, strlen(version) + 1);
	}
	closedir(d);
	if (!k.version[0] ||
	    (size_t)snprintf(k.image, sizeof k.image, "%s/vmlinuz-%s", boot, k.version) >= sizeof k.image ||
	    (size_t)snprintf(k.modules, sizeof k.modules, "%s/lib/modules/%s", root, k.version) >=
		    sizeof k.modules ||
	    access(k.image, R_OK) || access(k.modules, R_OK))
		return false;
	*ret = k;
	return true;
}

static bool find_in_cache(struct kernel *ret)
{
	char cache[KERNEL_PATH_MAX], root[KERNEL_PATH_MAX];
	struct kernel k, best = { 0 };
	struct dirent *entry;
	DIR *d;

	if (kernel_cache("kernel", cache, sizeof cache))
		return false;
	d = opendir(cache);
	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.' &&
		    (size_t)snprintf(root, sizeof root, "%s/%s", cache, entry->d_name) < sizeof root &&
		    find_in(root, &k) && strverscmp(k.version, best.version) > 0)
			best = k;
	if (d)
		closedir(d);
	if (best.version[0])
		*ret = best;
	return best.version[0] != 0;
}

enum err kernel_find(struct kernel *ret, struct buf *ret_text)
{
	const char *given = getenv("PADDOCK_KERNEL");

	if (given) {
		if (find_in(given, ret))
			return ERR_OK;
		buf_put_z(ret_text,
			  "PADDOCK_KERNEL does not name an extracted linux-image-*-cloud-amd64 package");
		return ERR_INPUT;
	}
	if (find_in_cache(ret) || find_in("/usr/lib/paddock/kernel", ret) || find_in("", ret))
		return ERR_OK;
	buf_put_z(ret_text, "no guest kernel: extract Debian's linux-image-cloud-amd64 with dpkg-deb -x into "
		  "~/.cache/paddock/kernel/VERSION");
	return ERR_INPUT;
}

/* -- unpacking ------------------------------------------------------------------------------- */

/* A length of LZ4: 15 in the token's nibble is continued by bytes until one is below 255. */
static bool lz4_length(struct reader *r, size_t *n)
{
	uint8_t more;

	if (*n != 15)
		return true;
	do {
		if (!reader_u8(r, &more) || *n > LZ4_BLOCK_MAX)
			return false;
		*n += more;
	} while (more == 255);
	return true;
}

static bool lz4_copy(struct buf *b, size_t start, size_t offset, size_t n)
{
	if (offset == 0 || offset > b->len - start || buf_reserve(b, n))
		return false;
	for (char *to = buf_tail(b), *from = to - offset; n > 0; n--, b->len++)
		*to++ = *from++;	/* may overlap: that is how runs are written */
	return true;
}

static bool lz4_block(struct str block, struct buf *b)
{
	struct reader r = reader_of(block);
	size_t start = b->len;
	uint8_t token;

	while (reader_u8(&r, &token)) {
		size_t literals = token >> 4, match = token & 15;
		struct str bytes;
		uint16_t offset;

		if (!lz4_length(&r, &literals) || !reader_take(&r, literals, &bytes))
			return false;
		buf_put(b, bytes);
		if (reader_done(&r))
			return !buf_err(b);	/* the last sequence has literals only */
		if (!reader_u16le(&r, &offset) || !lz4_length(&r, &match) || match > LZ4_BLOCK_MAX ||
		    !lz4_copy(b, start, offset, match + 4) || b->len - start > LZ4_BLOCK_MAX)
			return false;
	}
	return false;
}

static bool payload_of(struct str image, struct str *ret)
{
	struct reader r = reader_of(image), fields;
	struct str part;
	uint32_t offset, length;
	uint64_t at;

	if (image.n < 0x260 || memcmp(image.p + 0x202, "HdrS", 4))
		return false;
	fields = reader_of(str_from(image, 0x248));
	if (!reader_u32le(&fields, &offset) || !reader_u32le(&fields, &length))
		return false;
	at = ((uint64_t)(uint8_t)image.p[0x1f1] + 1) * 512 + offset;
	if (at > image.n || !reader_take(&r, (size_t)at, &part) || !reader_take(&r, length, ret))
		return false;
	return ret->n > 8;
}

enum err kernel_unpack(struct str image, struct buf *b)
{
	struct reader r;
	struct str payload, block;
	uint32_t n;

	if (!payload_of(image, &payload))
		return ERR_INPUT;
	payload.n -= 4;		/* the unpacked size, for the kernel's own loader */
	r = reader_of(payload);
	if (!reader_u32le(&r, &n) || n != LZ4_LEGACY_MAGIC)
		return ERR_INPUT;
	while (reader_u32le(&r, &n)) {
		if (n == LZ4_LEGACY_MAGIC)
			continue;
		if (!reader_take(&r, n, &block) || !lz4_block(block, b))
			return buf_err(b) ? buf_err(b) : ERR_INPUT;
	}
	return b->len > 4 && !memcmp(b->p, "\177ELF", 4) ? ERR_OK : ERR_INPUT;
}

/* -- the cache ------------------------------------------------------------------------------- */

static enum err cache_name(const char *kind, struct str a, struct str b, char *path, size_t cap)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	char directory[KERNEL_PATH_MAX];
	auto_buf text = BUF_EMPTY;
	enum err e;
	bool ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) && EVP_DigestUpdate(c, a.p, a.n) &&
		  EVP_DigestUpdate(c, b.p, b.n) && EVP_DigestFinal_ex(c, digest, NULL);

	EVP_MD_CTX_free(c);
	if (!ok)
		return ERR_MEMORY;
	e = kernel_cache("machine", directory, sizeof directory);
	if (e)
		return e;
	buf_init(&text, KERNEL_PATH_MAX);
	buf_printf(&text, "%s/%s-", directory, kind);
	buf_put_hex(&text, str_make(digest, 16));
	if (!buf_z(&text) || text.len >= cap)
		return ERR_LIMIT;
	memcpy(path, buf_z(&text), text.len + 1);
	return ERR_OK;
}

/* An empty file is what a power cut left of one. */
static bool is_cached(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size > 0 && access(path, R_OK) == 0;
}

static enum err prepare_kernel(const struct kernel *k, char *ret_path)
{
	auto_buf image = BUF_EMPTY, unpacked = BUF_EMPTY;
	enum err e;

	buf_init(&image, IMAGE_MAX_BYTES);
	buf_init(&unpacked, UNPACKED_MAX_BYTES);
	e = kernel_read_file(k->image, &image);
	if (!e)
		e = cache_name("vmlinux", buf_str(&image), (struct str){ 0 }, ret_path, KERNEL_PATH_MAX);
	if (e || is_cached(ret_path))
		return e;
	e = kernel_unpack(buf_str(&image), &unpacked);
	if (e == ERR_INPUT)	/* another compression: QEMU boots the bzImage as well, only later */
		return (size_t)snprintf(ret_path, KERNEL_PATH_MAX, "%s", k->image) < KERNEL_PATH_MAX
			       ? ERR_OK
			       : ERR_LIMIT;
	return e ? e : kernel_write_file(ret_path, buf_str(&unpacked));
}

static enum err prepare_initrd(const struct kernel *k, const char *init, char *ret_path, struct buf *ret_text)
{
	auto_buf archive = BUF_EMPTY;
	enum err e;

	buf_init(&archive, IMAGE_MAX_BYTES);
	e = initrd_build(k, init, &archive, ret_text);
	if (!e)
		e = cache_name("initrd", str_of(k->version), buf_str(&archive), ret_path, KERNEL_PATH_MAX);
	if (e || is_cached(ret_path))
		return e;
	return kernel_write_file(ret_path, buf_str(&archive));
}

enum err kernel_prepare(const struct kernel *k, const char *init, char *ret_kernel, char *ret_initrd,
			struct buf *ret_text)
{
	enum err e = prepare_kernel(k, ret_kernel);

	if (e) {
		buf_printf(ret_text, "the guest kernel %s cannot be read or its cache cannot be written",
			   k->version);
		return e;
	}
	return prepare_initrd(k, init, ret_initrd, ret_text);
}
