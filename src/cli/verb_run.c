/* verb_run.c - `paddock run`: options, image, the command's own tools, then the supervisor
 *
 * What can fail for want of something (a policy, an image, a tool) fails here, before any
 * process is started, with one line that says what to do.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/options.h"
#include "machine/image.h"
#include "supervisor/paths.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRESS_AFTER_MS 1000

struct build {
	uint64_t began_ms;
	bool show, shown;
};

static void on_build(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	struct build *b = ctx;
	uint64_t ms = clock_ms() - b->began_ms;

	if (!b->show || ms < PROGRESS_AFTER_MS)
		return;
	b->shown = true;
	(void)fprintf(stderr, "\r\033[Kpaddock: %s", what);
	if (done)
		(void)fprintf(stderr, ", %llu MiB", (unsigned long long)(done >> 20));
	if (total)
		(void)fprintf(stderr, " of %llu MiB", (unsigned long long)(total >> 20));
	(void)fprintf(stderr, " (%llu s)", (unsigned long long)(ms / 1000));
	(void)fflush(stderr);
}

static enum err ensure_image(struct spec *s, char path[IMAGE_PATH_MAX], struct buf *why)
{
	struct build build = { .began_ms = clock_ms(), .show = !s->quiet && isatty(STDERR_FILENO) };
	struct image_options o = { .progress = on_build, .ctx = &build };
	auto_buf cache = BUF_EMPTY;
	enum err e;

	buf_init(&cache, PATHS_MAX);
	if (strcmp(s->machine, machine_qemu.name)) {
		s->image_path = s->image;	/* a driver that takes no image file */
		return ERR_OK;
	}
	if (paths_directory(PATHS_CACHE, &cache)) {
		buf_printf(why, "the image cache cannot be used: %.300s: %s",
			   buf_z(&cache) ? buf_z(&cache) : "?", strerror(errno));
		return ERR_LOCAL;
	}
	o.cache = buf_z(&cache);
	o.exclude = getenv("PADDOCK_IMAGE_EXCLUDE");
	o.directories = getenv("PADDOCK_IMAGE_DIRECTORIES");
	e = image_ensure(s->image, &o, path, why);
	if (build.shown)
		(void)fputs("\r\033[K", stderr);
	s->image_path = path;
	return e;
}

/* Where agents write, in this run or an earlier one: NULL ends them. NULL: no memory */
static const char *const *agents_directories(const struct spec *s)
{
	const struct policy_filesystem *f = policy_filesystem(s->policy);
	const char **ret = arena_array(s->arena, f->visible_count + 2, sizeof *ret);
	size_t n = 0;

	if (!ret)
		return NULL;
	ret[n++] = s->workspace;
	for (uint32_t i = 0; i < f->visible_count; i++) {
		char real[PATH_MAX];

		if (f->visible[i].mode != POLICY_MODE_WRITE || !realpath(f->visible[i].path.p, real))
			continue;
		ret[n] = arena_copy(s->arena, str_of(real)).p;
		if (!ret[n++])
			return NULL;
	}
	ret[n] = NULL;
	return ret;
}

/* @tree is not shown unless the policy does, because of what lies where agents write. */
static void tell_withheld(const struct spec *s, const char *tree)
{
	const struct policy_filesystem *f = policy_filesystem(s->policy);

	for (uint32_t i = 0; i < f->visible_count; i++)
		if (paths_is_below(str_of(tree), f->visible[i].path))
			return;
	log_note("%s is not visible inside: %s needs it, but so says a file or link that an agent could have "
		 "written; to allow it, put \"visible: [{path: %s, mode: read}]\" under \"filesystem:\" in the "
		 "policy", tree, s->command[0], tree);
}

/* The command as the guest will find it, with the installation that it needs. The command may
 * also live in the image alone: then it is looked up there, and 127 is the guest's to say. */
static enum err find_tools(struct spec *s, struct buf *why)
{
	const char *home = getenv("HOME"), *path = getenv("PATH");
	const char *const *agents;
	struct image_trees *trees;
	enum err e = ERR_OK;

	if (strcmp(s->image, "host"))
		return ERR_OK;
	agents = agents_directories(s);
	trees = agents ? calloc(1, sizeof *trees) : NULL;
	if (!trees)
		return ERR_MEMORY;
	if (image_command_trees(s->command[0], path ? path : "/usr/bin:/bin", home, agents, trees, why)) {
		buf_clear(why);
		free(trees);
		return ERR_OK;
	}
	for (uint32_t i = 0; !e && i < trees->count && i < SPEC_TOOLS_MAX; i++) {
		struct str tree = arena_copy(s->arena, str_of(trees->trees[i].path));

		if (!tree.p)
			e = ERR_MEMORY;
		else
			s->tools[s->tool_count++] = tree;
		if (!e && !s->quiet && !paths_is_below(tree, str_of(s->workspace)))
			log_note("%s is visible inside, read-only, because %s needs it", tree.p,
				 s->command[0]);
	}
	bool elsewhere = s->tool_count || trees->withheld[0];

	if (trees->withheld[0] && !s->quiet)
		tell_withheld(s, trees->withheld);
	struct str executable = arena_copy(s->arena, str_of(trees->executable));

	free(trees);
	if (e || !executable.p)
		return ERR_MEMORY;
	if (elsewhere) {	/* found outside of the image: named by its path there */
		size_t count = 0;

		while (s->command[count])
			count++;
		char **argv = arena_array(s->arena, count + 1, sizeof *argv);

		if (!argv)
			return ERR_MEMORY;
		memcpy(argv, s->command, (count + 1) * sizeof *argv);
		argv[0] = (char *)(uintptr_t)executable.p;
		s->command = argv;
	}
	return ERR_OK;
}

int verb_run(int argc, char **argv)
{
	char path[IMAGE_PATH_MAX];
	struct spec spec;
	auto_buf why = BUF_EMPTY;
	int code = SUPERVISOR_EXIT_FAILURE;
	enum err e;

	buf_init(&why, 8192);
	e = options_parse(argc, argv, &spec, &why);
	if (e == ERR_STATE) {
		options_free(&spec);
		return cli_help("run");
	}
	if (!e && !machine_find(str_of(spec.machine))) {
		buf_printf(&why, "--machine %.60s: no such driver; expected qemu", spec.machine);
		e = ERR_INPUT;
	}
	if (!e)
		e = ensure_image(&spec, path, &why);
	if (!e && why.len && !spec.quiet)
		log_note("%s", buf_z(&why));
	if (!e) {
		buf_clear(&why);
		e = find_tools(&spec, &why);
	}
	if (e) {
		log_error("%s", why.len && buf_z(&why) ? buf_z(&why) : err_text(e));
	} else {
		if (spec.policy_note)
			log_note("%s", spec.policy_note);
		code = supervisor_run(&spec);
	}
	options_free(&spec);
	return code;
}
