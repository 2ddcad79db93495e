/* files_fuse_test.c - the FUSE codec: what is taken, what is refused, how replies look */
#include "files/fuse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct fuse_request request;

/* Parses @opcode with @body. Return: the errno that would answer it. */
static int parse(uint32_t opcode, struct str body)
{
	struct fuse_in_header header = { .len = (uint32_t)(sizeof header + body.n), .opcode = opcode,
					 .nodeid = 1 };
	static struct buf message;
	int error = -1;

	buf_free(&message);
	buf_init(&message, FUSE_MESSAGE_MAX);
	buf_put(&message, str_make(&header, sizeof header));
	buf_put(&message, body);
	assert_int_equal(fuse_parse(buf_str(&message), &request, &error), ERR_OK);
	return error;
}

static void length_is_checked(void **state)
{
	(void)state;
	struct fuse_in_header header = { .len = sizeof header, .opcode = FUSE_STATFS };
	struct str bytes = str_make(&header, sizeof header);
	size_t n;
	int error;

	assert_int_equal(fuse_length(str_head(bytes, 3), &n), ERR_MORE);
	assert_int_equal(fuse_length(bytes, &n), ERR_OK);
	assert_int_equal(n, 40);
	assert_int_equal(fuse_parse(bytes, &request, &error), ERR_OK);
	assert_int_equal(error, 0);
	header.len = 41;
	assert_int_equal(fuse_parse(bytes, &request, &error), ERR_LINK_MALFORMED);
	header.len = 39;
	assert_int_equal(fuse_length(bytes, &n), ERR_LINK_MALFORMED);
	header.len = FUSE_MESSAGE_MAX + 1;
	assert_int_equal(fuse_length(bytes, &n), ERR_LINK_MALFORMED);
	header.len = UINT32_MAX;
	assert_int_equal(fuse_length(bytes, &n), ERR_LINK_MALFORMED);
}

static void names_are_checked(void **state)
{
	(void)state;
	char longest[256 + 1];

	memset(longest, 'a', sizeof longest);
	longest[256] = '\0';
	assert_int_equal(parse(FUSE_LOOKUP, STR("ok\0")), 0);
	assert_true(str_eq(request.name, STR("ok")));
	assert_int_equal(parse(FUSE_LOOKUP, STR("...\0")), 0);
	assert_int_equal(parse(FUSE_LOOKUP, STR("no NUL")), EINVAL);
	assert_int_equal(parse(FUSE_LOOKUP, STR("\0")), EINVAL);
	assert_int_equal(parse(FUSE_LOOKUP, STR("")), EINVAL);
	assert_int_equal(parse(FUSE_LOOKUP, STR("a\0b\0")), EINVAL);	/* bytes too many */
	assert_int_equal(parse(FUSE_LOOKUP, STR("..\0")), EINVAL);
	assert_int_equal(parse(FUSE_LOOKUP, STR(".\0")), EINVAL);
	assert_int_equal(parse(FUSE_LOOKUP, STR("a/b\0")), EINVAL);
	assert_int_equal(parse(FUSE_LOOKUP, STR("/\0")), EINVAL);
	assert_int_equal(parse(FUSE_LOOKUP, str_make(longest, 257)), ENAMETOOLONG);
	assert_int_equal(parse(FUSE_LOOKUP, str_make(longest + 1, 256)), 0);
	assert_int_equal(parse(FUSE_SYMLINK, STR("a\0../../etc\0")), 0);	/* a target is data */
	assert_true(str_eq(request.second, STR("../../etc")));
	assert_int_equal(parse(FUSE_SYMLINK, STR("a\0\0")), EINVAL);
	assert_int_equal(parse(FUSE_SYMLINK, STR("../a\0b\0")), EINVAL);
	assert_int_equal(parse(FUSE_RENAME, STR("12345678a\0b/c\0")), EINVAL);
	assert_int_equal(parse(FUSE_RENAME, STR("12345678a\0b\0")), 0);
}

static void bodies_are_checked(void **state)
{
	(void)state;
	char body[200] = { 0 };

	assert_int_equal(parse(FUSE_READ, str_make(body, sizeof(struct fuse_read_in))), 0);
	assert_int_equal(parse(FUSE_READ, str_make(body, sizeof(struct fuse_read_in) - 1)), EINVAL);
	assert_int_equal(parse(FUSE_READ, str_make(body, sizeof(struct fuse_read_in) + 1)), EINVAL);
	assert_int_equal(parse(FUSE_WRITE, str_make(body, sizeof(struct fuse_write_in) + 9)), 0);
	assert_int_equal(request.data.n, 9);
	assert_int_equal(parse(FUSE_DESTROY, STR("x")), EINVAL);
	assert_int_equal(parse(FUSE_IOCTL, str_make(body, 32)), ENOTTY);
	assert_int_equal(parse(FUSE_POLL, str_make(body, 24)), ENOSYS);
	assert_int_equal(parse(FUSE_SETLK, str_make(body, 48)), ENOSYS);
	assert_int_equal(parse(0, STR("")), ENOSYS);
	assert_int_equal(parse(4096, STR("")), ENOSYS);
	assert_int_equal(parse(UINT32_MAX, STR("")), ENOSYS);
}

static void every_length_of_every_operation(void **state)
{
	(void)state;
	char body[160] = { 0 };

	/* no length may read beyond the message: the sanitizer watches */
	for (uint32_t opcode = 0; opcode < 64; opcode++)
		for (size_t n = 0; n <= sizeof body; n++)
			(void)parse(opcode, str_make(body, n));
	memset(body, 'x', sizeof body);
	for (uint32_t opcode = 0; opcode < 64; opcode++)
		for (size_t n = 0; n <= sizeof body; n++)
			(void)parse(opcode, str_make(body, n));
}

static void replies(void **state)
{
	(void)state;
	struct fuse_out_header header;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 100);
	fuse_reply_begin(&out);
	buf_put(&out, STR("body"));
	fuse_reply_end(&out, 9, 0);
	memcpy(&header, out.p, sizeof header);
	assert_int_equal(header.len, 20);
	assert_int_equal(header.unique, 9);
	fuse_reply_begin(&out);
	buf_put(&out, STR("body"));
	fuse_reply_end(&out, 9, ENOENT);
	memcpy(&header, out.p, sizeof header);
	assert_int_equal(out.len, 16);
	assert_int_equal(header.error, -ENOENT);
	fuse_reply_begin(&out);
	fuse_reply_end(&out, 9, 524);		/* ENOTSUPP, which some file systems let out */
	memcpy(&header, out.p, sizeof header);
	assert_int_equal(header.error, -EIO);
}

static void directory_entries_fit_or_are_left_out(void **state)
{
	(void)state;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 1000);
	assert_true(fuse_direntry(&out, 0, 32, 1, 2, 4, STR("12345678")));
	assert_int_equal(out.len, 32);
	assert_false(fuse_direntry(&out, 0, 32, 1, 2, 4, STR("x")));
	assert_false(fuse_direntry(&out, 0, 63, 1, 2, 4, STR("x")) && out.len > 63);
	buf_clear(&out);
	assert_true(fuse_direntry(&out, 0, 40, 1, 2, 4, STR("123456789")));
	assert_int_equal(out.len, 40);		/* padded */
	assert_true(memcmp(out.p + 33, "\0\0\0\0\0\0\0", 7) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(length_is_checked),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(bodies_are_checked),
		cmocka_unit_test(every_length_of_every_operation),
		cmocka_unit_test(replies),
		cmocka_unit_test(directory_entries_fit_or_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
