/* audit_fault_test.c - the spool when the disk is full, broken, or not writable
 *
 * The system calls of the spool are replaced here by ones that fail on demand: the program's own
 * symbols come before the C library's. After every failure the trail must verify, what was called
 * stored must be there, and nothing else. Then a real full disk, and how long an append takes.
 */
#include "audit_world.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct fault {
	int calls;		/* made so far */
	int fail_at;		/* which one fails (from 1), 0: none; all after it too if `stays` */
	int error;
	bool stays;
};
static struct fault write_fault, fallocate_fault, fdatasync_fault, ftruncate_fault;
static size_t short_bytes;	/* a failing write writes that much first */
static size_t chunk_bytes;	/* every write writes at most that much */
static int spool_fd_min = -1;	/* faults are for the spool's descriptors only */

static bool fails(struct fault *f)
{
	f->calls++;
	if (!f->fail_at || f->calls < f->fail_at || (f->calls > f->fail_at && !f->stays))
		return false;
	errno = f->error;
	return true;
}

ssize_t write(int fd, const void *p, size_t n)
{
	if (fd < spool_fd_min || spool_fd_min < 0)
		return (ssize_t)syscall(SYS_write, fd, p, n);
	if (fails(&write_fault)) {
		if (short_bytes == 0)
			return -1;
		n = short_bytes < n ? short_bytes : n;
		short_bytes = 0;
		write_fault.fail_at++;	/* then the rest fails */
	}
	if (chunk_bytes && n > chunk_bytes)
		n = chunk_bytes;
	return (ssize_t)syscall(SYS_write, fd, p, n);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	return fails(&fallocate_fault) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int fdatasync(int fd) { return fails(&fdatasync_fault) ? -1 : (int)syscall(SYS_fdatasync, fd); }

int ftruncate(int fd, off_t length)
{
	return fails(&ftruncate_fault) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_make(&w, "/tmp");
	write_fault = fallocate_fault = fdatasync_fault = ftruncate_fault = (struct fault){ 0 };
	short_bytes = chunk_bytes = 0;
	spool_fd_min = w.directory + 1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	spool_fd_min = -1;
	world_unmake(&w);
	return 0;
}

static void fail_from_now(struct fault *f, int error, bool stays)
{
	*f = (struct fault){ .fail_at = 1, .error = error, .stays = stays };
}

static struct spool *open_spool(void)
{
	struct spool *s;

	assert_int_equal(spool_open(&w.options, &s), ERR_OK);
	assert_int_equal(world_put(s, "start", NULL), ERR_OK);
	return s;
}

static struct audit_report verified(void)
{
	struct audit_report report;
	enum err e = world_verify(&w, &report);

	if (e)
		fail_msg("%s", report.text);
	return report;
}

static void a_full_disk_refuses_intents_and_keeps_outcomes(void **state)
{
	(void)state;
	struct spool *s = open_spool();
	struct audit_report report;
	char id[16];
	int open = 0;

	fail_from_now(&fallocate_fault, ENOSPC, true);
	for (;; open++) {
		(void)snprintf(id, sizeof id, "r%d", open);
		errno = 0;
		if (world_put(s, "intent", id))
			break;
		assert_true(open < 1000);
	}
	assert_int_equal(errno, ENOSPC);
	assert_true(open > 8);		/* what was bought ahead */
	fallocate_fault.calls = 0;
	for (int i = 0; i < open; i++) {
		(void)snprintf(id, sizeof id, "r%d", i);
		assert_int_equal(world_put(s, "outcome", id), ERR_OK);
	}
	assert_int_equal(fallocate_fault.calls, 0);	/* outcomes ask for nothing */
	assert_int_equal(world_stop(s), ERR_OK);
	report = verified();
	assert_int_equal(report.intents, open);
	assert_int_equal(report.outcomes, open);
	assert_true(report.stopped);
	assert_string_equal(report.text, "");
}

static void the_largest_outcomes_fit_their_room(void **state)
{
	(void)state;
	static char big[9000];
	struct spool *s = open_spool();
	int open = 0;
	char id[16];

	memset(big, '"', sizeof big);
	fail_from_now(&fallocate_fault, ENOSPC, true);
	for (;; open++) {
		(void)snprintf(id, sizeof id, "r%d", open);
		if (world_put(s, "intent", id))
			break;
	}
	for (int i = 0; i < open; i++) {
		auto_record r = record_new(STR("outcome"), STR("courier"));
		auto_buf text = BUF_EMPTY;

		buf_init(&text, 16);
		buf_printf(&text, "r%d", i);
		record_text(r, "request", buf_str(&text), 64);
		record_text(r, "text", str_make(big, sizeof big), sizeof big);
		assert_int_equal(spool_outcome(s, r), ERR_OK);
	}
	fallocate_fault.calls = 0;
	assert_int_equal(world_stop(s), ERR_OK);
	assert_int_equal(fallocate_fault.calls, 0);
	assert_string_equal(verified().text, "");
}

static void a_line_written_in_parts_is_whole(void **state)
{
	(void)state;
	struct spool *s;

	chunk_bytes = 7;
	s = open_spool();
	assert_int_equal(world_put(s, "intent", "r1"), ERR_OK);
	assert_int_equal(world_put(s, "outcome", "r1"), ERR_OK);
	assert_int_equal(world_stop(s), ERR_OK);
	assert_string_equal(verified().text, "");
}

static void a_line_cut_short_is_taken_back(void **state)
{
	(void)state;
	static const int errors[] = { ENOSPC, EIO, EDQUOT };

	for (size_t part = 0; part < 100; part += 33) {
		for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
			struct spool *s = open_spool();

			fail_from_now(&write_fault, errors[i], false);
			short_bytes = part;
			assert_int_equal(world_put(s, "intent", "lost"), ERR_AUDIT);
			assert_int_equal(errno, errors[i]);
			assert_int_equal(world_put(s, "intent", "kept"), ERR_OK);
			assert_int_equal(world_put(s, "outcome", "kept"), ERR_OK);
			assert_int_equal(world_stop(s), ERR_OK);
			assert_int_equal(verified().intents, 1);
			assert_string_equal(verified().text, "");
			assert_int_equal(unlinkat(w.directory, "000001.jsonl", 0), 0);
		}
	}
}

static void when_cutting_back_fails_the_spool_has_failed(void **state)
{
	(void)state;
	struct spool *s = open_spool();
	struct audit_report report;

	assert_int_equal(world_put(s, "intent", "r1"), ERR_OK);
	fail_from_now(&write_fault, EIO, false);
	short_bytes = 20;
	fail_from_now(&ftruncate_fault, EIO, true);
	assert_int_equal(world_put(s, "intent", "r2"), ERR_AUDIT);
	assert_int_equal(world_put(s, "outcome", "r1"), ERR_AUDIT);
	assert_int_equal(world_put(s, "limit", NULL), ERR_AUDIT);
	assert_int_equal(world_stop(s), ERR_AUDIT);
	report = verified();
	assert_true(report.torn_tail);
	assert_int_equal(report.open_intents, 1);
	assert_false(report.stopped);
}

static void room_lost_by_cutting_back_is_bought_again_before_intents(void **state)
{
	(void)state;
	struct spool *s = open_spool();

	assert_int_equal(world_put(s, "intent", "r1"), ERR_OK);
	fail_from_now(&write_fault, EIO, false);
	short_bytes = 20;
	fail_from_now(&fallocate_fault, ENOSPC, true);
	assert_int_equal(world_put(s, "intent", "r2"), ERR_AUDIT);
	assert_int_equal(world_put(s, "intent", "r3"), ERR_AUDIT);	/* still no room */
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(world_put(s, "outcome", "r1"), ERR_OK);	/* tries, and here it works */
	fallocate_fault.fail_at = 0;
	assert_int_equal(world_put(s, "intent", "r4"), ERR_OK);
	assert_int_equal(world_put(s, "outcome", "r4"), ERR_OK);
	assert_int_equal(world_stop(s), ERR_OK);
	assert_string_equal(verified().text, "");
}

static void durable_means_synced(void **state)
{
	(void)state;
	struct spool *s;

	w.options.durable = true;
	s = open_spool();
	assert_int_equal(fdatasync_fault.calls, 2);	/* start, checkpoint */
	assert_int_equal(world_put(s, "intent", "r1"), ERR_OK);
	fail_from_now(&fdatasync_fault, EIO, false);
	assert_int_equal(world_put(s, "outcome", "r1"), ERR_AUDIT);
	assert_int_equal(world_put(s, "intent", "r2"), ERR_AUDIT);	/* nobody knows what is on disk */
	assert_int_equal(world_stop(s), ERR_AUDIT);
	(void)verified();
}

/* Turned on while it runs, what is there already comes to disk too; turned off, nothing is waited for. */
static void durable_from_now_on(void **state)
{
	(void)state;
	struct spool *s = open_spool();

	assert_int_equal(fdatasync_fault.calls, 0);
	assert_int_equal(spool_durable(s, true), ERR_OK);
	assert_int_equal(fdatasync_fault.calls, 1);
	assert_int_equal(spool_durable(s, true), ERR_OK);
	assert_int_equal(world_put(s, "intent", "r1"), ERR_OK);
	assert_int_equal(fdatasync_fault.calls, 2);
	assert_int_equal(spool_durable(s, false), ERR_OK);
	assert_int_equal(world_put(s, "intent", "r2"), ERR_OK);
	assert_int_equal(fdatasync_fault.calls, 2);
	fail_from_now(&fdatasync_fault, EIO, false);
	assert_int_equal(spool_durable(s, true), ERR_AUDIT);
	assert_int_equal(world_put(s, "intent", "r3"), ERR_AUDIT);
	assert_int_equal(world_stop(s), ERR_AUDIT);
	(void)verified();
}

static void without_room_or_place_nothing_opens(void **state)
{
	(void)state;
	struct spool *s;

	fail_from_now(&fallocate_fault, ENOSPC, true);
	assert_int_equal(spool_open(&w.options, &s), ERR_AUDIT);
	assert_int_equal(errno, ENOSPC);
	fallocate_fault.fail_at = 0;
	assert_int_equal(spool_open(&w.options, &s), ERR_AUDIT);	/* a chain is never continued */
	assert_int_equal(errno, EEXIST);
	w.options.sandbox = STR("../x");
	assert_int_equal(spool_open(&w.options, &s), ERR_AUDIT);
	assert_int_equal(errno, EINVAL);
	w.options.sandbox = (struct str)WORLD_SANDBOX;
}

static void without_signatures_nothing_leaves_for_long(void **state)
{
	(void)state;
	struct spool *s;
	int stored = 0;

	w.options.checkpoint_every = 10;
	s = open_spool();
	w.signer_fails = true;
	while (world_put(s, "intent", "r") == ERR_OK) {
		assert_int_equal(world_put(s, "outcome", "r"), ERR_OK);
		assert_true(++stored < 20);
	}
	assert_int_equal(stored, 10);
	w.signer_fails = false;
	assert_int_equal(world_put(s, "intent", "r"), ERR_OK);
	w.signer_fails = true;
	assert_int_equal(world_stop(s), ERR_AUDIT);
	assert_true(verified().stopped);
	assert_non_null(strstr(verified().text, "not signed"));
}

/* Outcomes wait for the next record, or for a flush, and are then one write. */
static void outcomes_that_wait_cost_one_write(void **state)
{
	(void)state;
	struct spool *s = open_spool();

	for (int i = 0; i < 6; i++)
		assert_int_equal(world_put(s, "intent", "r"), ERR_OK);
	write_fault.calls = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(write_fault.calls, 0);
	assert_int_equal(verified().outcomes, 0);
	assert_int_equal(spool_flush(s), ERR_OK);
	assert_int_equal(spool_flush(s), ERR_OK);
	assert_int_equal(write_fault.calls, 1);
	assert_int_equal(verified().outcomes, 3);
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(world_put(s, "intent", "r"), ERR_OK);
	assert_int_equal(write_fault.calls, 2);
	assert_int_equal(verified().outcomes, 5);
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(spool_close(s, NULL), ERR_OK);
	assert_int_equal(verified().outcomes, 6);
}

/* What could not be written waits on, whole and in order; until it is written, nothing is promised. */
static void outcomes_that_cannot_be_written_stop_intents(void **state)
{
	(void)state;
	struct spool *s = open_spool();

	for (int i = 0; i < 4; i++)
		assert_int_equal(world_put(s, "intent", "r"), ERR_OK);
	fail_from_now(&write_fault, EIO, true);
	short_bytes = 40;
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(spool_flush(s), ERR_AUDIT);
	assert_int_equal(world_put(s, "intent", "r"), ERR_AUDIT);
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(spool_flush(s), ERR_AUDIT);
	assert_int_equal(verified().outcomes, 0);
	write_fault = (struct fault){ 0 };
	assert_int_equal(spool_flush(s), ERR_OK);
	assert_int_equal(verified().outcomes, 3);
	assert_int_equal(world_put(s, "intent", "r"), ERR_OK);
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(world_stop(s), ERR_OK);
	assert_int_equal(verified().outcomes, 4);
	assert_int_equal(verified().intents, 5);
}

/* More than fits in memory is written on the way, and what is refused then is not half there. */
static void waiting_outcomes_are_bounded(void **state)
{
	(void)state;
	struct spool *s = open_spool();
	int stored = 0;

	for (int i = 0; i < 2000; i++)
		assert_int_equal(world_put(s, "intent", "r"), ERR_OK);
	fail_from_now(&write_fault, EIO, true);
	while (stored < 1999 && world_put(s, "late outcome", "r") == ERR_OK)
		stored++;
	assert_in_range(stored, 100, 1000);
	write_fault = (struct fault){ 0 };
	assert_int_equal(world_put(s, "late outcome", "r"), ERR_OK);
	assert_int_equal(world_stop(s), ERR_OK);
	assert_int_equal(verified().outcomes, stored + 1);
}

static void outcomes_need_an_intent(void **state)
{
	(void)state;
	struct spool *s = open_spool();

	assert_int_equal(world_put(s, "outcome", "r1"), ERR_STATE);
	assert_int_equal(world_stop(s), ERR_OK);
}

static void a_directory_that_is_not_ours_to_write_is_refused(void **state)
{
	(void)state;
	struct spool *s;

	if (geteuid() == 0) {	/* root writes everywhere but in /proc */
		close(w.options.directory);
		w.options.directory = open("/proc/self", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	} else {
		assert_int_equal(fchmod(w.directory, 0500), 0);
	}
	assert_int_equal(spool_open(&w.options, &s), ERR_AUDIT);
	if (geteuid() != 0) {
		assert_int_equal(errno, EACCES);
		assert_int_equal(fchmod(w.directory, 0700), 0);
		return;
	}
	assert_true(errno == ENOENT || errno == EACCES || errno == EPERM);
	close(w.options.directory);
	w.directory = open(w.path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
}

/* A disk of 1 MiB, filled by somebody else to the last byte. */
static void a_really_full_disk(void **state)
{
	(void)state;
	struct audit_report report;
	struct spool *s;
	char page[4096] = { 0 };
	int hog;

	if (mount("paddock-test", w.path, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m")) {
		print_message("skipped: a tmpfs cannot be mounted here (%s)\n", strerror(errno));
		skip();
	}
	close(w.directory);
	w.directory = w.options.directory = open(w.path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	spool_fd_min = w.directory + 1;
	s = open_spool();
	assert_int_equal(world_put(s, "intent", "r1"), ERR_OK);
	assert_int_equal(world_put(s, "intent", "r2"), ERR_OK);
	hog = openat(w.directory, "hog", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(hog, page, sizeof page) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	for (int i = 0; world_put(s, "limit", NULL) == ERR_OK; i++)
		assert_true(i < 10000);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(world_put(s, "intent", "r3"), ERR_AUDIT);
	assert_int_equal(world_put(s, "outcome", "r1"), ERR_OK);
	assert_int_equal(world_put(s, "outcome", "r2"), ERR_OK);
	assert_int_equal(world_stop(s), ERR_OK);
	report = verified();
	assert_true(report.stopped);
	assert_int_equal(report.intents, 2);
	assert_string_equal(report.text, "");
	close(hog);
	close(w.directory);
	assert_int_equal(umount2(w.path, MNT_DETACH), 0);
	w.directory = open(w.path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
}

static void how_long_an_append_takes(void **state)
{
	(void)state;
	static const struct msg_process who = { .pid = 123, .uid = 1000, .exe = STR_INIT("/usr/bin/curl"),
		.ancestor_count = 2, .ancestors = { STR_INIT("/usr/bin/bash"), STR_INIT("/usr/bin/node") } };
	struct spool *s = open_spool();
	uint64_t begin = clock_unix_ns(), each;
	enum { REQUESTS = 10000 };

	for (int i = 0; i < REQUESTS; i++) {
		auto_record intent = record_new(STR("intent"), STR("courier"));
		auto_record outcome = record_new(STR("outcome"), STR("courier"));

		record_text(intent, "request", STR("0123456789abcdef"), 64);
		record_text(intent, "method", STR("POST"), 16);
		record_text(intent, "url", STR("https://api.anthropic.com/v1/messages?beta=true"), 2048);
		record_text(intent, "rule", STR("messages"), 64);
		record_process(intent, &who);
		assert_int_equal(spool_intent(s, intent, NULL), ERR_OK);
		record_text(outcome, "request", STR("0123456789abcdef"), 64);
		record_integer(outcome, "status", 200);
		record_integer(outcome, "bytes_in", 123456);
		assert_int_equal(spool_outcome(s, outcome), ERR_OK);
	}
	each = (clock_unix_ns() - begin) / (2 * REQUESTS);
	print_message("%llu ns for each record\n", (unsigned long long)each);
	assert_true(each < 1000000); /* far above what is expected: only says that something is very wrong */
	assert_int_equal(world_stop(s), ERR_OK);
	assert_string_equal(verified().text, "");
}

int main(void)
{
#define FAULT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		FAULT_TEST(a_full_disk_refuses_intents_and_keeps_outcomes),
		FAULT_TEST(the_largest_outcomes_fit_their_room), FAULT_TEST(a_line_written_in_parts_is_whole),
		FAULT_TEST(a_line_cut_short_is_taken_back),
		FAULT_TEST(when_cutting_back_fails_the_spool_has_failed),
		FAULT_TEST(room_lost_by_cutting_back_is_bought_again_before_intents),
		FAULT_TEST(durable_means_synced), FAULT_TEST(durable_from_now_on),
		FAULT_TEST(without_room_or_place_nothing_opens),
		FAULT_TEST(without_signatures_nothing_leaves_for_long), FAULT_TEST(outcomes_need_an_intent),
		FAULT_TEST(outcomes_that_wait_cost_one_write),
		FAULT_TEST(outcomes_that_cannot_be_written_stop_intents),
		FAULT_TEST(waiting_outcomes_are_bounded),
		FAULT_TEST(a_directory_that_is_not_ours_to_write_is_refused), FAULT_TEST(a_really_full_disk),
		FAULT_TEST(how_long_an_append_takes),
	};

	return cmocka_run_group_tests_name("audit_fault", tests, NULL, NULL);
}
