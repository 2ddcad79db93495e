/* machine_test.c - kernel image, initrd, the drivers by name */
#include "machine/initrd.h"
#include "machine/machine.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* A bzImage with one LZ4 block: literals, then a run by an overlapping match. */
static void make_image(struct buf *b, const char *block, size_t n)
{
	buf_init(b, 8192);
	for (size_t i = 0; i < 1024; i++)
		buf_put_byte(b, 0);
	memcpy(b->p + 0x202, "HdrS", 4);
	b->p[0x1f1] = 0;		/* set-up: one sector beside the first half */
	b->p[0x249] = 2;		/* payload offset 512: byte 1024 */
	buf_put_u32le(b, 0x184c2102);
	buf_put_u32le(b, (uint32_t)n);
	buf_put(b, str_make(block, n));
	buf_put_u32le(b, 0);		/* the unpacked size, which is not looked at */
	b->p[0x24c] = (char)(b->len - 1024);
	b->p[0x24d] = (char)((b->len - 1024) >> 8);
}

static void an_image_is_unpacked(void **state)
{
	static const char block[] = "\x51\177ELFx\x01\x00\x30" "end";
	auto_buf image = BUF_EMPTY, out = BUF_EMPTY;

	(void)state;
	make_image(&image, block, sizeof block - 1);
	buf_init(&out, 4096);
	assert_int_equal(kernel_unpack(buf_str(&image), &out), ERR_OK);
	assert_true(str_eq(buf_str(&out), STR("\177ELFxxxxxxend")));
}

static void a_broken_image_is_refused(void **state)
{
	static const char *const blocks[] = { "\x51\177ELFx\x02", "\x51\177ELFx\x00\x00\x30" "end",
					      "\x51\177ELFx\x09\x00\x30" "end",
					      "\xf0\xff", "\x50\177ELFy", "\x30zzz" };
	static const size_t lengths[] = { 7, 11, 11, 2, 6, 4 };
	auto_buf out = BUF_EMPTY;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < 4; i++) {
		auto_buf image = BUF_EMPTY;

		make_image(&image, blocks[i], lengths[i]);
		buf_clear(&out);
		assert_int_equal(kernel_unpack(buf_str(&image), &out), ERR_INPUT);
	}
	for (size_t n = 0; n < 1040; n += 13) {
		auto_buf image = BUF_EMPTY;

		make_image(&image, blocks[4], lengths[4]);
		buf_clear(&out);
		assert_int_equal(kernel_unpack(str_head(buf_str(&image), n), &out), ERR_INPUT);
	}
}

static void an_archive_has_its_members(void **state)
{
	auto_buf b = BUF_EMPTY;
	FILE *f;
	char path[] = "/tmp/paddock-cpio-XXXXXX", command[256], text[256] = "";
	int fd = mkstemp(path);

	(void)state;
	buf_init(&b, 65536);
	initrd_entry(&b, "modules", S_IFDIR | 0755, 0, 0, (struct str){ 0 });
	initrd_entry(&b, "modules/odd", S_IFREG | 0644, 0, 0, STR("12345"));
	initrd_end(&b);
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_int_equal(b.len % 4, 0);
	assert_int_equal(write(fd, b.p, b.len), b.len);
	close(fd);
	snprintf(command, sizeof command, "cpio -t --quiet < %s 2>/dev/null | tr '\\n' ' '", path);
	f = popen(command, "r");
	assert_non_null(f);
	if (fgets(text, sizeof text, f)) /* no cpio on this host: the kernel's own is tried by every boot */
		assert_string_equal(text, "modules modules/odd ");
	pclose(f);
	unlink(path);
}

/* ---- the cache ---- */

static char order[16];		/* of the calls that matter: 'd' fdatasync, 'r' rename, 's' fsync */
static bool sync_fails;

static void called(char c)
{
	size_t n = strlen(order);

	if (n < sizeof order - 1)
		order[n] = c;
}

int fdatasync(int fd)
{
	called('d');
	if (!sync_fails)
		return (int)syscall(SYS_fdatasync, fd);
	errno = EIO;
	return -1;
}

int fsync(int fd)
{
	called('s');
	return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	called('r');
	return (int)syscall(SYS_rename, from, to);
}

static char cache[] = "/tmp/paddock-machine-XXXXXX";

static int make_cache(void **state)
{
	(void)state;
	return mkdtemp(cache) ? setenv("XDG_CACHE_HOME", cache, 1) : -1;
}

static int remove_cache(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", cache);
	return system(command);
}

static size_t entries(const char *directory)
{
	DIR *d = opendir(directory);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* A name that is on the disk before its bytes is an empty file after a power cut. */
static void a_cached_file_has_its_bytes_before_its_name(void **state)
{
	char path[KERNEL_PATH_MAX];
	auto_buf text = BUF_EMPTY;

	(void)state;
	snprintf(path, sizeof path, "%s/file", cache);
	memset(order, 0, sizeof order);
	assert_int_equal(kernel_write_file(path, STR("bytes")), ERR_OK);
	assert_string_equal(order, "drs");
	memset(order, 0, sizeof order);
	sync_fails = true;
	assert_int_equal(kernel_write_file(path, STR("others")), ERR_LOCAL);
	assert_int_equal(errno, EIO);
	sync_fails = false;
	assert_string_equal(order, "d");
	buf_init(&text, 100);
	assert_int_equal(kernel_read_file(path, &text), ERR_OK);
	assert_true(str_eq(buf_str(&text), STR("bytes")));
	assert_int_equal(entries(cache), 1);
	assert_int_equal(unlink(path), 0);
}

static void an_empty_file_in_the_cache_is_made_again(void **state)
{
	static const char block[] = "\x51\177ELFx\x01\x00\x30" "end";
	static struct kernel k = { .version = "0", .modules = "/nowhere" };
	static char kernel[KERNEL_PATH_MAX], initrd[KERNEL_PATH_MAX];
	auto_buf image = BUF_EMPTY, text = BUF_EMPTY;

	(void)state;
	make_image(&image, block, sizeof block - 1);
	snprintf(k.image, sizeof k.image, "%s/vmlinuz", cache);
	assert_int_equal(kernel_write_file(k.image, buf_str(&image)), ERR_OK);
	buf_init(&text, 4096);
	for (unsigned i = 0; i < 2; i++) {
		auto_buf made = BUF_EMPTY;

		assert_int_not_equal(kernel_prepare(&k, "/nowhere", kernel, initrd, &text), ERR_OK);
		buf_init(&made, 4096);
		assert_int_equal(kernel_read_file(kernel, &made), ERR_OK);
		assert_true(str_eq(buf_str(&made), STR("\177ELFxxxxxxend")));
		assert_int_equal(truncate(kernel, 0), 0);
	}
}

static void drivers_by_name(void **state)
{
	static const struct machine_ops other = { .name = "other" };

	(void)state;
	assert_ptr_equal(machine_find(STR("qemu")), &machine_qemu);
	assert_null(machine_find(STR("other")));
	assert_null(machine_find(STR("")));
	machine_register(&other);
	assert_ptr_equal(machine_find(STR("other")), &other);
}

static void no_kernel_is_said_plainly(void **state)
{
	struct kernel k;
	auto_buf text = BUF_EMPTY;

	(void)state;
	buf_init(&text, 512);
	setenv("PADDOCK_KERNEL", "/nonexistent", 1);
	assert_int_equal(kernel_find(&k, &text), ERR_INPUT);
	assert_true(text.len > 20);
	unsetenv("PADDOCK_KERNEL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_is_unpacked),
		cmocka_unit_test(a_broken_image_is_refused),
		cmocka_unit_test(an_archive_has_its_members),
		cmocka_unit_test(a_cached_file_has_its_bytes_before_its_name),
		cmocka_unit_test(an_empty_file_in_the_cache_is_made_again),
		cmocka_unit_test(drivers_by_name),
		cmocka_unit_test(no_kernel_is_said_plainly),
	};

	return cmocka_run_group_tests(tests, make_cache, remove_cache);
}
