/* mounts_test.c - what is opened is what was named, whoever put a link in its place meanwhile */
#include "supervisor/mounts.h"

#include "base/auto.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char root[] = "/tmp/paddock-mounts-XXXXXX";

static const char *in_root(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof path[0], "%s/%s", root, name);
	return p;
}

static struct policy *policy_with(const char *visible)
{
	struct policy *p = NULL;
	struct policy_error error;
	char text[512];

	(void)snprintf(text, sizeof text, "version: 1\n%s%s%s", visible ? "filesystem: {visible: [{mode: read, path: " : "", visible ? visible : "",
		       visible ? "}]}\n" : "");
	assert_int_equal(policy_load(str_of(text), "p", in_root("home"), &p, &error), ERR_OK);
	return p;
}

/* How opening goes, and for a refusal what it says. */
static enum err opened(const char *workspace, const char *visible, char *said, size_t cap)
{
	struct spec spec = { .workspace = workspace, .policy = policy_with(visible) };
	struct mounts mounts;
	auto_buf why = BUF_EMPTY;
	enum err e;

	buf_init(&why, 1024);
	e = mounts_open(&spec, &mounts, &why);
	(void)snprintf(said, cap, "%s", e && buf_z(&why) ? buf_z(&why) : "");
	if (!e)
		mounts_close(&mounts);
	policy_free(spec.policy);
	return e;
}

static void a_directory_is_served(void **state)
{
	char said[512];

	(void)state;
	assert_int_equal(opened(in_root("project"), in_root("other"), said, sizeof said), ERR_OK);
}

static void a_workspace_that_became_a_link_is_not(void **state)
{
	char said[512];

	(void)state;
	assert_int_equal(opened(in_root("swapped"), NULL, said, sizeof said), ERR_INPUT);
	assert_non_null(strstr(said, "a link leads it elsewhere"));
	assert_int_equal(opened(in_root("up/project"), NULL, said, sizeof said), ERR_INPUT);
}

static void what_a_policy_names_may_lead_through_links_but_not_home(void **state)
{
	char said[512];

	(void)state;
	assert_int_equal(opened(in_root("project"), in_root("swapped"), said, sizeof said), ERR_OK);
	assert_int_equal(opened(in_root("project"), in_root("to-home"), said, sizeof said), ERR_INPUT);
	assert_non_null(strstr(said, "home directory"));
	assert_int_equal(opened(in_root("project"), in_root("to-state"), said, sizeof said), ERR_INPUT);
}

static int make_root(void **state)
{
	(void)state;
	if (!mkdtemp(root) || mkdir(in_root("project"), 0700) || mkdir(in_root("other"), 0700) ||
	    mkdir(in_root("home"), 0700) || mkdir(in_root("state"), 0700) || mkdir(in_root("state/paddock"), 0700) ||
	    symlink("other", in_root("swapped")) || symlink(".", in_root("up")) ||
	    symlink("home", in_root("to-home")) || symlink("state/paddock", in_root("to-state")))
		return -1;
	setenv("HOME", in_root("home"), 1);
	setenv("XDG_STATE_HOME", in_root("state"), 1);
	setenv("XDG_CACHE_HOME", in_root("state/cache"), 1);
	setenv("XDG_CONFIG_HOME", in_root("state/config"), 1);
	setenv("XDG_RUNTIME_DIR", in_root("state/run"), 1);
	return 0;
}

static int remove_root(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		execlp("rm", "rm", "-rf", root, NULL);
		_exit(127);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_is_served),
		cmocka_unit_test(a_workspace_that_became_a_link_is_not),
		cmocka_unit_test(what_a_policy_names_may_lead_through_links_but_not_home),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
