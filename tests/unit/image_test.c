/* image_test.c - references, installation trees, and a real image of a small tree
 *
 * The whole host takes half a minute and gigabytes, so the build is shown with a job whose
 * stage is made here; it needs mkfs.erofs and user namespaces, as Paddock does.
 */
#include "base/auto.h"
#include "machine/image_parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char top[64];
static char home[128];

static const char *at(const char *path)
{
	static char full[64][IMAGE_PATH_MAX];
	static unsigned next;
	char *p = full[next++ % 64];

	snprintf(p, IMAGE_PATH_MAX, "%s%s", top, path);
	return p;
}

static void run(const char *command)
{
	char line[8192];

	snprintf(line, sizeof line, "cd %s && %s", top, command);
	assert_int_equal(system(line), 0);
}

static int set_up(void **state)
{
	char made[] = "/tmp/image-test-XXXXXX";

	(void)state;
	if (!mkdtemp(made))
		return 1;
	memcpy(top, made, sizeof made);
	snprintf(home, sizeof home, "%s/home/me", top);
	run("mkdir -p home/me/.local/bin home/me/.local/share/tool/versions cache home/me/.ssh");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	image_remove_tree(top);
	return access(top, F_OK) == 0;
}

/* ---- references ---- */

static enum err ensure(const char *reference, struct buf *text, char path[IMAGE_PATH_MAX])
{
	struct image_options o = { .cache = at("/cache") };

	buf_init(text, 2 * IMAGE_TEXT_MAX);
	return image_ensure(reference, &o, path, text);
}

static void references_are_checked(void **state)
{
	(void)state;
	static const struct { const char *reference, *text; } bad[] = {
		{ "ubuntu", "expected host, debian, debian:PACKAGES, or the path" },
		{ "", "expected host" },
		{ "/nowhere/image.erofs", "No such file" },
		{ "/dev/null", "not a regular file" },
		{ "/bin/sh", "not an erofs image" },
		{ "debian:", "package names" },
		{ "debian:a,--evil", "package names" },
		{ "debian:curl;id", "package names" },
		{ "debian:curl,,git", "package names" },
	};
	char path[IMAGE_PATH_MAX] = "untouched";

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		auto_buf text = BUF_EMPTY;

		assert_int_equal(ensure(bad[i].reference, &text, path), ERR_INPUT);
		if (!buf_z(&text) || !strstr(buf_z(&text), bad[i].text))
			fail_msg("%s: %.*s", bad[i].reference, STR_FMT(buf_str(&text)));
		assert_true(str_find(buf_str(&text), '\n') == text.len);
	}
	assert_string_equal(path, "untouched");
	assert_true(image_packages_check("curl,python3,g++,libc6-dev"));
}

static void an_own_image_is_used_as_it_is(void **state)
{
	(void)state;
	char path[IMAGE_PATH_MAX];
	auto_buf text = BUF_EMPTY;

	run("mkdir -p small && echo hello > small/file && mkfs.erofs --quiet own.erofs small >/dev/null "
	    "&& ln -s own.erofs link.erofs");
	assert_int_equal(ensure(at("/link.erofs"), &text, path), ERR_OK);
	assert_string_equal(path, at("/own.erofs"));
}

static bool is_public(const char *head, size_t padding, const char *tail)
{
	FILE *f = fopen(at("/source"), "w");

	assert_non_null(f);
	assert_true(fputs(head, f) >= 0);
	for (size_t i = 0; i < padding; i++)
		assert_true(fputc(i % 64 ? '#' : '\n', f) >= 0);
	assert_true(fputs(tail, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return image_source_is_public(at("/source"));
}

/* They go into the image as they are. */
static void sources_with_a_password_are_refused(void **state)
{
	(void)state;
	assert_true(is_public("deb http://deb.debian.org/debian bookworm main\n", 0, ""));
	assert_true(is_public("Types: deb\nURIs: https://a.example/debian/ http://b.example/a@b\n", 0, ""));
	assert_true(is_public("", 0, ""));
	assert_false(is_public("deb http://user:word@mirror/debian bookworm main\n", 0, ""));
	assert_false(is_public("deb http://user@mirror", 0, ""));
	assert_false(is_public("URIs: http://a.example/debian/ http://user:word@b.example/debian/\n", 0, ""));
	assert_false(is_public("URIs: http://a.example https://user:word@b.example\n", 0, ""));
	assert_false(is_public("URIs: http://a.example/\n http://b.example/\n https://u:w@c.example/\n", 0, ""));
	assert_false(is_public("# deb http://user:word@mirror/debian bookworm main\n", 0, ""));
	assert_true(is_public("", 65536, ""));
	assert_false(is_public("", 65536, "\ndeb http://user:word@mirror/debian bookworm main\n"));
	assert_false(is_public("", 65536, "\n"));
	assert_false(image_source_is_public(at("/no-source")));
}

/* ---- the host's image: what is in it ---- */

static void the_host_image_has_no_homes_and_no_secrets(void **state)
{
	(void)state;
	struct image_options none = { 0 }, more = { .exclude = "/usr/share/man:/usr/lib/big*" };
	struct image_job j = { .options = &none };

	assert_true(image_host_contains("/usr/bin/env"));
	assert_true(image_host_contains("/bin/sh"));
	assert_false(image_host_contains("/usr/local/cuda-13.0/bin/nvcc"));
	assert_false(image_host_contains("/home/me/tool"));
	assert_false(image_host_contains("/etc/shadow"));
	assert_false(image_host_contains("/usrlocal"));
	assert_false(image_host_contains("/opt/x"));
	assert_false(image_host_contains("/root/x"));
	assert_true(image_host_left_out(&j, "usr/share/doc"));
	/* registry tokens of programs that were built for another prefix */
	static const char *const tokens[] = { "usr/local/etc", "usr/etc", "usr/pip.conf", "usr/local/pip.conf",
					      "usr/local/apache-maven-3.9/conf/settings.xml",
					      "usr/share/maven/conf/settings.xml",
					      "usr/local/cargo/credentials.toml",
					      "usr/local/cargo/credentials" };
	for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
		assert_true(image_host_left_out(&j, tokens[i]));
	assert_false(image_host_contains("/usr/local/etc/npmrc"));
	assert_false(image_host_contains("/usr/etc/gitconfig"));
	assert_true(image_host_contains("/usr/local/bin/etc"));
	assert_false(image_host_left_out(&j, "usr/local/lib/etc"));
	assert_false(image_host_left_out(&j, "usr/share/man"));
	j.options = &more;
	assert_true(image_host_left_out(&j, "usr/share/man"));
	assert_true(image_host_left_out(&j, "usr/lib/bigger"));
	assert_false(image_host_left_out(&j, "usr/lib/git-core"));
}

static void key_text(const struct image_options *o, char key[IMAGE_KEY_BYTES])
{
	struct image_key *k = image_key_new();

	assert_non_null(k);
	image_host_key(k, o);
	assert_int_equal(image_key_end(k, key), ERR_OK);
	image_key_free(k);
}

static void the_key_follows_what_goes_in(void **state)
{
	(void)state;
	struct image_options plain = { 0 }, exclude = { .exclude = "/usr/x" };
	struct image_options more = { .directories = at("/small") };
	char one[IMAGE_KEY_BYTES], two[IMAGE_KEY_BYTES], three[IMAGE_KEY_BYTES];

	key_text(&plain, one);
	key_text(&plain, two);
	assert_string_equal(one, two);
	assert_int_equal(strlen(one), 16);
	key_text(&exclude, two);
	assert_string_not_equal(one, two);
	key_text(&more, two);
	run("mkdir -p small/new && touch -d 2001-01-01 small");
	key_text(&more, three);
	assert_string_not_equal(two, three);
}

/* ---- a build ---- */

static bool stage_small(const struct image_job *j, const char *stage)
{
	return image_make_base(j, stage) && image_make_file(stage, "/usr/bin/tool", STR("#!/bin/sh\n")) &&
	       image_make_file(stage, "/usr/share/doc/tool", STR("long\n")) &&
	       image_make_file(stage, "/etc/only-this", STR("text\n")) && image_bind(stage, at("/bound"));
}

static bool stage_failing(const struct image_job *j, const char *stage)
{
	(void)j;
	(void)stage;
	image_complain("first");
	image_complain("there is a reason");
	return false;
}

static void count_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	unsigned *calls = ctx;

	assert_non_null(what);
	assert_true(total == 0 || done <= total + 1024 * 1024);
	++*calls;
}

static bool is_in(const char *image, const char *path)
{
	char line[8192];

	snprintf(line, sizeof line, "dump.erofs --path=%s %s/images/%s.erofs 2>/dev/null | grep -q NID", path, top,
		 image);
	return system(line) == 0;
}

static void a_tree_becomes_an_image(void **state)
{
	(void)state;
	static const char *const closed[] = { "/bound/mode-0", "/bound/mode-600", "/bound/mode-640",
					      "/bound/mode-660", "/bound/group", "/bound/group/x",
					      "/bound/through", "/bound/through/x" };
	unsigned calls = 0;
	struct image_options o = { .progress = count_progress, .ctx = &calls };
	struct image_job j = { .what = "small", .stage = stage_small, .left_out = image_host_left_out,
			       .options = &o };
	uint64_t skipped = 99;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 2 * IMAGE_TEXT_MAX);
	run("mkdir -p bound/group bound/through images && echo open > bound/open && mkfifo bound/fifo && "
	    "head -c 3000000 /dev/zero > bound/big && cd bound && "
	    "for mode in 0 600 640 660 604; do echo x > mode-$mode && chmod $mode mode-$mode; done && "
	    "echo x > group/x && echo x > through/x && ln -s mode-600 link && chmod 750 group && chmod 711 through");
	assert_int_equal(image_build(&j, at("/images"), at("/images/small.erofs"), &skipped, &text), ERR_OK);
	assert_true(calls > 0);
	/* whoever runs this: what is not everybody's is nobody's inside */
	assert_int_equal(skipped, 6);
	for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
		assert_false(is_in("small", at(closed[i])));
	assert_true(is_in("small", at("/bound/open")) && is_in("small", at("/bound/mode-604")));
	run("dump.erofs --path=/usr/bin/tool images/small.erofs >/dev/null");
	run("dump.erofs --path=/etc/only-this images/small.erofs >/dev/null");
	run("dump.erofs --path=/etc/passwd images/small.erofs >/dev/null");
	assert_false(is_in("small", "/usr/share/doc"));
	run("test $(ls -A images | wc -l) = 1");	/* no stage, no temporary file */
	run("fsck.erofs images/small.erofs >/dev/null");
	run("test $(stat -c %a images/small.erofs) = 444");
	j.closed_too = true;	/* a system of its own: who may read what is for the guest to say */
	assert_int_equal(image_build(&j, at("/images"), at("/images/own.erofs"), &skipped, &text), ERR_OK);
	assert_int_equal(skipped, 0);
	for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
		assert_true(is_in("own", at(closed[i])));
	run("rm -f images/own.erofs");
}

static bool all_but_etc(const struct image_job *j, const char *path)
{
	return strcmp(path, "etc") != 0 && (strncmp(path, "etc/", 4) != 0 || image_host_left_out(j, path));
}

/* Of the host's own /etc; where administrators put proxies with their passwords is not of it. */
static void etc_has_what_programs_need_to_run(void **state)
{
	(void)state;
	static const char *const no[] = { "profile", "profile.d", "bash.bashrc", "zsh", "environment", "shadow",
					  "ssh", "apt", "npmrc", "gitconfig", "pip.conf" };
	struct image_options o = { 0 };
	struct image_job j = { .what = "etc", .stage = image_host_stage, .left_out = all_but_etc, .options = &o };
	uint64_t skipped;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 2 * IMAGE_TEXT_MAX);
	run("mkdir -p images");
	if (image_build(&j, at("/images"), at("/images/etc.erofs"), &skipped, &text))
		fail_msg("%.*s", STR_FMT(buf_str(&text)));
	for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
		char path[64];

		snprintf(path, sizeof path, "/etc/%s", no[i]);
		assert_false(is_in("etc", path));
	}
	assert_true(is_in("etc", "/etc/passwd"));
	assert_int_equal(is_in("etc", "/etc/ssl/certs"), access("/etc/ssl/certs", F_OK) == 0);
	run("rm images/etc.erofs");
}

static void a_failed_build_leaves_nothing_but_its_reason(void **state)
{
	(void)state;
	struct image_options o = { 0 };
	struct image_job j = { .what = "bad", .stage = stage_failing, .left_out = image_host_left_out,
			       .options = &o };
	uint64_t skipped;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 2 * IMAGE_TEXT_MAX);
	assert_int_equal(image_build(&j, at("/images"), at("/images/bad.erofs"), &skipped, &text), ERR_LOCAL);
	assert_true(str_eq(buf_str(&text), STR("bad failed: there is a reason")));
	run("test $(ls -A images | wc -l) = 1");
}

/* ---- installation trees ---- */

static struct image_trees t;
static const char *const no_agents[] = { NULL };

static void expect_trees_of(const char *command, const char *search, const char *const *agents,
			    const char *executable, const char *const *wanted)
{
	auto_buf text = BUF_EMPTY;
	uint32_t n = 0;

	buf_init(&text, 2 * IMAGE_TEXT_MAX);
	if (image_command_trees(command, search, home, agents, &t, &text))
		fail_msg("%s: %.*s", command, STR_FMT(buf_str(&text)));
	assert_string_equal(t.executable, executable);
	for (; wanted[n]; n++) {
		if (n >= t.count)
			fail_msg("%s: no tree %s", command, wanted[n]);
		assert_string_equal(t.trees[n].path, wanted[n]);
		struct stat st;

		assert_int_equal(stat(wanted[n], &st), 0);
		assert_int_equal(t.trees[n].directory, S_ISDIR(st.st_mode));
	}
	assert_int_equal(t.count, n);
}

static void expect_trees(const char *command, const char *search, const char *executable,
			 const char *const *wanted)
{
	expect_trees_of(command, search, no_agents, executable, wanted);
	assert_string_equal(t.withheld, "");
}

#define TREES(...) (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL }
#define SYSTEM "/usr/local/bin:/usr/bin:/bin"

static void the_system_needs_no_tree(void **state)
{
	(void)state;
	expect_trees("ls", SYSTEM, "/usr/bin/ls", TREES());
	expect_trees("/usr/bin/env", "", "/usr/bin/env", TREES());
}

static void a_native_program_is_alone(void **state)
{
	(void)state;
	run("cp /bin/true home/me/.local/share/tool/versions/1.2 && "
	    "ln -s ../share/tool/versions/1.2 home/me/.local/bin/tool && cp /bin/true home/me/mine");
	expect_trees("tool", at("/home/me/.local/bin"), at("/home/me/.local/share/tool/versions/1.2"),
		     TREES(at("/home/me/.local/share/tool/versions/1.2")));
	expect_trees(at("/home/me/mine"), "", at("/home/me/mine"), TREES(at("/home/me/mine")));
}

static void an_npm_program_brings_its_modules_and_its_node(void **state)
{
	(void)state;
	auto_buf search = BUF_EMPTY;

	run("mkdir -p home/me/.npm/lib/node_modules/@x/agent/node_modules/dep home/me/.npm/bin "
	    "home/me/.nvm/v20/bin home/me/.nvm/v20/lib");
	run("printf '#!/usr/bin/env -S node --flag\\n' > home/me/.npm/lib/node_modules/@x/agent/cli.js && "
	    "chmod +x home/me/.npm/lib/node_modules/@x/agent/cli.js && "
	    "ln -s ../lib/node_modules/@x/agent/cli.js home/me/.npm/bin/agent && "
	    "cp /bin/true home/me/.nvm/v20/bin/node");
	buf_init(&search, 4096);
	buf_printf(&search, "%s:%s", at("/home/me/.npm/bin"), at("/home/me/.nvm/v20/bin"));
	expect_trees("agent", buf_z(&search), at("/home/me/.npm/lib/node_modules/@x/agent/cli.js"),
		     TREES(at("/home/me/.npm/lib/node_modules"), at("/home/me/.nvm/v20")));
}

static void a_python_environment_is_whole(void **state)
{
	(void)state;
	run("mkdir -p home/me/venv/bin home/me/venv/lib && touch home/me/venv/pyvenv.cfg && "
	    "ln -s /usr/bin/env home/me/venv/bin/python && "
	    "printf \"#!$PWD/home/me/venv/bin/python\\n\" > home/me/venv/bin/aider && "
	    "chmod +x home/me/venv/bin/aider && ln -s ../../venv/bin/aider home/me/.local/bin/aider");
	expect_trees(at("/home/me/.local/bin/aider"), "", at("/home/me/venv/bin/aider"),
		     TREES(at("/home/me/venv")));
	expect_trees("python", at("/home/me/venv/bin"), at("/home/me/venv/bin/python"),
		     TREES(at("/home/me/venv")));
}

static void a_shim_brings_its_manager(void **state)
{
	(void)state;
	run("mkdir -p home/me/.pyenv/shims && printf '#!/bin/sh\\n' > home/me/.pyenv/shims/python9 && "
	    "chmod +x home/me/.pyenv/shims/python9");
	expect_trees("python9", at("/home/me/.pyenv/shims"), at("/home/me/.pyenv/shims/python9"),
		     TREES(at("/home/me/.pyenv")));
}

static void a_home_is_never_a_tree(void **state)
{
	(void)state;
	run("touch home/me/package.json home/me/pyvenv.cfg && mkdir -p home/me/bin home/me/lib "
	    "home/me/.local/lib && "
	    "cp /bin/true home/me/bin/a && cp /bin/true home/me/.local/bin/b");
	expect_trees("a", at("/home/me/bin"), at("/home/me/bin/a"), TREES(at("/home/me/bin/a")));
	expect_trees("b", at("/home/me/.local/bin"), at("/home/me/.local/bin/b"),
		     TREES(at("/home/me/.local/bin/b")));
	run("rm home/me/package.json home/me/pyvenv.cfg && rmdir home/me/lib");
}

/* Whoever writes the workspace would else choose what is shown of the rest: by a script's first line, by a
 * link, by a link of a directory on the way, by what a virtual environment says of its python. */
static void what_an_agent_wrote_decides_nothing(void **state)
{
	(void)state;
	const char *workspace[] = { at("/home/me/work"), at("/home/me/shown"), NULL };
	const char *tool = at("/home/me/private/bin/tool"), *private = at("/home/me/private");
	auto_buf text = BUF_EMPTY;

	run("mkdir -p home/me/private/bin home/me/private/lib home/me/work/.venv/bin home/me/work/sub "
	    "home/me/work/node_modules/.bin home/me/shown home/me/workmate && "
	    "cp /bin/true home/me/private/bin/tool && touch home/me/work/.venv/pyvenv.cfg home/me/private/key");
	run("cd home/me/work && ln -s ../private/bin/tool tool && ln -s ../private/bin bin && "
	    "printf \"#!$PWD/../private/bin/tool\\n\" > test.sh && printf '#!/usr/bin/env tool\\n' > env.sh && "
	    "ln -s ../../../private/bin/tool .venv/bin/python && "
	    "printf \"#!$PWD/.venv/bin/python\\n\" > .venv/bin/pip && cp /bin/true own && "
	    "printf '#!/bin/sh\\n' > sub/plain && chmod +x test.sh env.sh .venv/bin/pip sub/plain && "
	    "cp own node_modules/.bin/cli && ln -s ../private/bin/tool ../shown/tool");
	run("cd home/me && printf \"#!$PWD/work/tool\\n\" > by-way && chmod +x by-way && "
	    "ln -s private/bin/tool workmate-tool && ln -s ../private/bin/tool workmate/tool && ln -s work/sub/up up "
	    "&& ln -s ../../private work/sub/up");
	static const char *const hostile[] = { "/home/me/work/tool", "/home/me/work/bin/tool",
					       "/home/me/shown/tool", "/home/me/up/bin/tool" };

	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		expect_trees_of(at(hostile[i]), "", workspace, tool, TREES());
		assert_string_equal(t.withheld, private);
	}
	/* what lies there itself is seen anyway, and is named */
	expect_trees_of(at("/home/me/work/test.sh"), "", workspace, at("/home/me/work/test.sh"),
			TREES(at("/home/me/work/test.sh")));
	assert_string_equal(t.withheld, private);
	expect_trees_of(at("/home/me/work/env.sh"), at("/home/me/private/bin"), workspace,
			at("/home/me/work/env.sh"), TREES(at("/home/me/work/env.sh")));
	assert_string_equal(t.withheld, private);
	expect_trees_of(at("/home/me/by-way"), "", workspace, at("/home/me/by-way"), TREES(at("/home/me/by-way")));
	assert_string_equal(t.withheld, private);
	expect_trees_of(at("/home/me/work/.venv/bin/pip"), "", workspace, at("/home/me/work/.venv/bin/pip"),
			TREES(at("/home/me/work/.venv")));
	assert_string_equal(t.withheld, private);
	expect_trees_of(at("/home/me/work/own"), "", workspace, at("/home/me/work/own"),
			TREES(at("/home/me/work/own")));
	assert_string_equal(t.withheld, "");
	expect_trees_of(at("/home/me/work/sub/plain"), "", workspace, at("/home/me/work/sub/plain"),
			TREES(at("/home/me/work/sub/plain")));
	assert_string_equal(t.withheld, "");
	expect_trees_of("cli", at("/home/me/work/node_modules/.bin"), workspace,
			at("/home/me/work/node_modules/.bin/cli"), TREES(at("/home/me/work/node_modules")));
	/* a tree around the workspace, by a file in it */
	run("touch home/me/work/pyvenv.cfg");
	expect_trees_of(at("/home/me/work/sub/plain"), "", (const char *const[]){ at("/home/me/work/sub"), NULL },
			at("/home/me/work/sub/plain"), TREES(at("/home/me/work/sub/plain")));
	run("rm home/me/work/pyvenv.cfg");
	/* what merely looks alike is the user's own */
	expect_trees_of(at("/home/me/workmate/tool"), "", workspace, tool, TREES(private));
	expect_trees_of(at("/home/me/workmate-tool"), "", workspace, tool, TREES(private));
	assert_string_equal(t.withheld, "");
	/* a link that leads nowhere, and one in a circle */
	run("cd home/me/work && ln -s circle circle && ln -s nowhere lost");
	buf_init(&text, 4 * IMAGE_TEXT_MAX);
	assert_int_equal(image_command_trees(at("/home/me/work/circle"), "", home, workspace, &t, &text), ERR_INPUT);
	assert_int_equal(image_command_trees(at("/home/me/work/lost"), "", home, workspace, &t, &text), ERR_INPUT);
}

/* By the name that the user types there */
static void a_name_is_looked_up_where_the_user_stands(void **state)
{
	(void)state;
	const char *workspace[] = { at("/home/me/work"), NULL };
	char before[IMAGE_PATH_MAX];

	assert_non_null(getcwd(before, sizeof before));
	assert_int_equal(chdir(at("/home/me/work/sub")), 0);
	expect_trees_of("../tool", "", workspace, at("/home/me/private/bin/tool"), TREES());
	assert_string_equal(t.withheld, at("/home/me/private"));
	expect_trees_of("../../private//bin/./tool", "", workspace, at("/home/me/private/bin/tool"),
			TREES(at("/home/me/private")));
	assert_int_equal(chdir("/"), 0);
	expect_trees_of("bin/sh", "", workspace, "/usr/bin/sh", TREES());
	assert_int_equal(chdir(before), 0);
}

static void what_cannot_run_is_an_error(void **state)
{
	(void)state;
	static const char *const bad[] = { "no-such-thing", "./no-such-thing", "", "/etc/passwd", "/tmp" };

	run("printf '#!/no/such/interpreter\\n' > home/me/broken && chmod +x home/me/broken && "
	    "printf \"#!$PWD/home/me/loop\\n\" > home/me/loop && chmod +x home/me/loop");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		auto_buf text = BUF_EMPTY;

		buf_init(&text, 2 * IMAGE_TEXT_MAX);
		assert_int_equal(image_command_trees(bad[i], SYSTEM, home, no_agents, &t, &text), ERR_INPUT);
		assert_true(text.len > 0);
	}
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 4 * IMAGE_TEXT_MAX);
	assert_int_equal(image_command_trees(at("/home/me/broken"), SYSTEM, home, no_agents, &t, &text), ERR_INPUT);
	assert_int_equal(image_command_trees(at("/home/me/loop"), SYSTEM, home, no_agents, &t, &text), ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_checked),
		cmocka_unit_test(sources_with_a_password_are_refused),
		cmocka_unit_test(an_own_image_is_used_as_it_is),
		cmocka_unit_test(the_host_image_has_no_homes_and_no_secrets),
		cmocka_unit_test(the_key_follows_what_goes_in),
		cmocka_unit_test(a_tree_becomes_an_image),
		cmocka_unit_test(etc_has_what_programs_need_to_run),
		cmocka_unit_test(a_failed_build_leaves_nothing_but_its_reason),
		cmocka_unit_test(the_system_needs_no_tree),
		cmocka_unit_test(a_native_program_is_alone),
		cmocka_unit_test(an_npm_program_brings_its_modules_and_its_node),
		cmocka_unit_test(a_python_environment_is_whole),
		cmocka_unit_test(a_shim_brings_its_manager),
		cmocka_unit_test(a_home_is_never_a_tree),
		cmocka_unit_test(what_an_agent_wrote_decides_nothing),
		cmocka_unit_test(a_name_is_looked_up_where_the_user_stands),
		cmocka_unit_test(what_cannot_run_is_an_error),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
