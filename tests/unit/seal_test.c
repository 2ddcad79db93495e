/* seal_test.c - what is sealed opens for its name and its key, and for nothing else */
#include "base/auto.h"
#include "credential/seal_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define VALUE STR("sk-0123456789abcdef")

static struct seal_keys keys;
static struct buf envelope, value;
static const char *reason;

static int set_up(void **state)
{
	(void)state;
	keys = (struct seal_keys){ .count = 1 };
	buf_init(&envelope, SEAL_ENVELOPE_MAX);
	buf_init_secret(&value, SECRET_MAX_BYTES);
	return seal_key_new(&keys.key[0]) || seal_value(&keys.key[0], STR("api-key"), VALUE, &envelope);
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&envelope);
	buf_free(&value);
	return 0;
}

static enum err open_it(const struct seal_keys *with, struct str name, struct str text)
{
	buf_clear(&value);
	reason = NULL;
	return seal_open(with, name, text, &value, &reason);
}

static void what_is_sealed_opens(void **state)
{
	(void)state;
	static char big[SECRET_MAX_BYTES + 1];
	auto_buf again = BUF_EMPTY;

	assert_null(memmem(envelope.p, envelope.len, VALUE.p, VALUE.n));
	assert_int_equal(open_it(&keys, STR("api-key"), buf_str(&envelope)), ERR_OK);
	assert_true(str_eq(buf_str(&value), VALUE));
	assert_true(str_eq(seal_envelope_id(buf_str(&envelope)), str_of(keys.key[0].id)));

	/* the same value twice is not the same envelope */
	buf_init(&again, SEAL_ENVELOPE_MAX);
	assert_int_equal(seal_value(&keys.key[0], STR("api-key"), VALUE, &again), ERR_OK);
	assert_false(str_eq(buf_str(&again), buf_str(&envelope)));
	memset(big, 'x', sizeof big);
	buf_clear(&again);
	assert_int_equal(seal_value(&keys.key[0], STR("big"), str_make(big, SECRET_MAX_BYTES), &again),
			 ERR_OK);
	assert_int_equal(open_it(&keys, STR("big"), buf_str(&again)), ERR_OK);
	assert_int_equal(value.len, SECRET_MAX_BYTES);
	assert_int_equal(seal_value(&keys.key[0], STR("big"), str_make(big, sizeof big), &again), ERR_INPUT);
	assert_int_equal(seal_value(&keys.key[0], STR("empty"), STR(""), &again), ERR_INPUT);
}

static void a_changed_envelope_does_not_open(void **state)
{
	(void)state;
	for (size_t i = 0; i < envelope.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			envelope.p[i] = (char)(envelope.p[i] ^ 1 << bit);
			if (open_it(&keys, STR("api-key"), buf_str(&envelope)) != ERR_CREDENTIAL)
				fail_msg("byte %zu, bit %d", i, bit);
			assert_non_null(reason);
			assert_int_equal(value.len, 0);
			envelope.p[i] = (char)(envelope.p[i] ^ 1 << bit);
		}
	for (size_t n = 0; n < envelope.len; n++)
		assert_int_equal(open_it(&keys, STR("api-key"), str_head(buf_str(&envelope), n)),
				 ERR_CREDENTIAL);
	buf_put_byte(&envelope, '\n');
	assert_int_equal(open_it(&keys, STR("api-key"), buf_str(&envelope)), ERR_CREDENTIAL);
}

static void another_name_or_key_does_not_open_it(void **state)
{
	(void)state;
	struct seal_keys other = { .count = 1 };

	assert_int_equal(open_it(&keys, STR("api-kez"), buf_str(&envelope)), ERR_CREDENTIAL);
	assert_non_null(strstr(reason, "another"));
	assert_int_equal(open_it(&keys, STR(""), buf_str(&envelope)), ERR_CREDENTIAL);
	assert_int_equal(seal_key_new(&other.key[0]), ERR_OK);
	assert_int_equal(open_it(&other, STR("api-key"), buf_str(&envelope)), ERR_CREDENTIAL);
	assert_non_null(strstr(reason, "not here"));
	/* another key under this one's id */
	memcpy(other.key[0].id, keys.key[0].id, sizeof other.key[0].id);
	assert_int_equal(open_it(&other, STR("api-key"), buf_str(&envelope)), ERR_CREDENTIAL);
	other.count = 0;
	assert_int_equal(open_it(&other, STR("api-key"), buf_str(&envelope)), ERR_CREDENTIAL);
}

static void names_are_plain(void **state)
{
	(void)state;
	static const char *const bad[] = { "", ".", "..", ".x", "a/b", "a b", "a\n", "\xc3\xa9", "a:b" };

	assert_true(seal_name(STR("A-b_c.9")));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(seal_name(str_of(bad[i])));
	assert_false(seal_name(STR("0123456789012345678901234567890123456789012345678901234567890123x")));
}

static void keys_have_one_spelling(void **state)
{
	(void)state;
	struct seal_keys read = { .count = 0 };
	auto_buf text = BUF_EMPTY;

	buf_init(&text, SEAL_KEYS_TEXT_MAX);
	seal_key_put(&keys.key[0], &text);
	assert_int_equal(seal_keys_parse(buf_str(&text), &read), ERR_OK);
	assert_int_equal(seal_keys_parse(buf_str(&text), &read), ERR_OK);
	assert_int_equal(read.count, 1);
	assert_memory_equal(read.key[0].key, keys.key[0].key, SEAL_KEY_BYTES);
	for (size_t i = 0; i < text.len; i++) {
		text.p[i] ^= 1;
		read.count = 0;
		assert_int_equal(seal_keys_parse(buf_str(&text), &read), ERR_INPUT);
		text.p[i] ^= 1;
	}
	assert_int_equal(seal_keys_parse(str_head(buf_str(&text), text.len - 1), &read), ERR_INPUT);
	assert_int_equal(seal_keys_parse(STR("\n"), &read), ERR_INPUT);
	read.count = 0;
	buf_clear(&text);
	for (int i = 0; i <= SEAL_KEYS_MAX; i++) {
		struct seal_key key;

		assert_int_equal(seal_key_new(&key), ERR_OK);
		seal_key_put(&key, &text);
	}
	assert_int_equal(seal_keys_parse(buf_str(&text), &read), ERR_LIMIT);
}

/* ---- the store ---- */

static char path[64];

static enum err count_one(void *ctx, struct str name)
{
	assert_true(seal_name(name));
	++*(int *)ctx;
	return ERR_OK;
}

static void entries_are_files_of_ones_own(void **state)
{
	(void)state;
	int count = 0;
	auto_fd store = -1;
	auto_buf read = BUF_EMPTY;
	struct stat st;
	char command[128];

	snprintf(path, sizeof path, "/tmp/seal-test-XXXXXX");
	assert_non_null(mkdtemp(path));
	assert_int_equal(seal_store_open(path, &store), ERR_OK);
	assert_int_equal(seal_entry_write(store, STR("api-key"), buf_str(&envelope)), ERR_OK);
	assert_int_equal(seal_entry_write(store, STR("other"), buf_str(&envelope)), ERR_OK);
	assert_int_equal(seal_entry_write(store, STR("other"), buf_str(&envelope)), ERR_OK);
	assert_int_equal(seal_entry_write(store, STR("../x"), buf_str(&envelope)), ERR_INPUT);
	assert_int_equal(fstatat(store, SEAL_DIRECTORY "/other", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	buf_init(&read, SEAL_ENVELOPE_MAX);
	assert_int_equal(seal_entry_read(store, STR("other"), &read), ERR_OK);
	assert_true(str_eq(buf_str(&read), buf_str(&envelope)));
	assert_int_equal(seal_entry_each(store, count_one, &count), ERR_OK);
	assert_int_equal(count, 2);
	assert_int_equal(seal_entry_remove(store, STR("other")), ERR_OK);
	assert_int_equal(seal_entry_remove(store, STR("other")), ERR_LOCAL);
	assert_int_equal(symlinkat("api-key", store, SEAL_DIRECTORY "/link"), 0);
	buf_clear(&read);
	assert_int_equal(seal_entry_read(store, STR("link"), &read), ERR_LOCAL);
	snprintf(command, sizeof command, "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

static void a_key_file_that_others_can_read_is_refused(void **state)
{
	(void)state;
	struct seal_keys read;
	char command[128];
	auto_fd store = -1, fd = -1;

	snprintf(path, sizeof path, "/tmp/seal-test-XXXXXX");
	assert_non_null(mkdtemp(path));
	assert_int_equal(seal_store_open(path, &store), ERR_OK);
	assert_int_equal(seal_key_file(store, &fd), ERR_LOCAL);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(seal_keys_read(-1, false, &read), ERR_OK);
	assert_int_equal(read.count, 0);
	assert_int_equal(seal_keys_write(store, false, &keys), ERR_OK);
	assert_int_equal(seal_key_file(store, &fd), ERR_OK);
	assert_int_equal(seal_keys_read(fd, false, &read), ERR_OK);
	assert_int_equal(read.count, 1);
	auto_fd_close(&fd);
	assert_int_equal(fchmodat(store, SEAL_KEY_FILE, 0640, 0), 0);
	assert_int_equal(seal_key_file(store, &fd), ERR_LOCAL);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fchmodat(store, SEAL_KEY_FILE, 0600, 0), 0);
	assert_int_equal(renameat(store, SEAL_KEY_FILE, store, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", store, SEAL_KEY_FILE), 0);
	assert_int_equal(seal_key_file(store, &fd), ERR_LOCAL);
	assert_int_equal(errno, EPERM);
	/* what others can write is no store */
	assert_int_equal(fchmod(store, 0777), 0);
	auto_fd_close(&store);
	assert_int_equal(seal_store_open(path, &store), ERR_LOCAL);
	assert_int_equal(errno, EPERM);
	snprintf(command, sizeof command, "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_is_sealed_opens), T(a_changed_envelope_does_not_open),
		T(another_name_or_key_does_not_open_it), T(names_are_plain), T(keys_have_one_spelling),
		T(entries_are_files_of_ones_own), T(a_key_file_that_others_can_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
