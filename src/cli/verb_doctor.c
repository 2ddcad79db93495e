/* verb_doctor.c - `paddock doctor`: each need of the host, whether it is met, and the mend
 *
 * Every check tries the thing itself instead of reading a version: a namespace is made, a
 * ruleset is asked for, a guest is booted by the driver's own probe.
 */
#include "cli/cli.h"

#include "base/auto.h"
#include "base/log.h"
#include "machine/machine.h"
#include "os/confine.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_WANTED (4ull << 30)

enum health { HEALTH_OK, HEALTH_WARN, HEALTH_BAD };

struct finding {
	enum health health;
	struct buf text, mend;
};

static int in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(body());
	return pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ? 255 : WEXITSTATUS(status);
}

static int try_namespaces(void)
{
	if (confine_namespaces(CONFINE_NET_EMPTY) || confine_root(NULL, 0, false) || confine_drop())
		return errno > 0 && errno < 255 ? errno : 254;
	return 0;
}

static void check_namespaces(struct finding *f)
{
	int code = in_child(try_namespaces);

	if (!code) {
		buf_put_z(&f->text, "unprivileged user namespaces work");
		return;
	}
	f->health = HEALTH_BAD;
	buf_printf(&f->text, "user namespaces cannot be made (%s), so no process can be confined",
		   strerror(code));
	buf_put_z(&f->mend, "sysctl user.max_user_namespaces=10000; on Debian also kernel.unprivileged_userns_clone=1, on "
			    "Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; in a container, run it with its own");
}

/* Not confine_drop(): what that gives up, only the root of a namespace of its own has. */
static int try_seccomp(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || confine_seccomp(CONFINE_BASE) ? 1 : 0;
}

static void check_seccomp(struct finding *f)
{
	if (!in_child(try_seccomp)) {
		buf_put_z(&f->text, "system call filters work");
		return;
	}
	f->health = HEALTH_BAD;
	buf_put_z(&f->text, "system call filters cannot be installed");
	buf_put_z(&f->mend, "use a kernel with CONFIG_SECCOMP_FILTER=y");
}

static void check_landlock(struct finding *f)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi > 0) {
		buf_printf(&f->text, "Landlock ABI %ld", abi);
		return;
	}
	f->health = HEALTH_WARN;
	buf_put_z(&f->text,
		  "no Landlock: file access is confined by namespaces and system call filters alone");
	buf_put_z(&f->mend,
		  "add landlock to the lsm= list on the kernel's command line (Linux 5.13 or later)");
}

static void check_program(struct finding *f, const char *program, const char *package, const char *what)
{
	const char *path = getenv("PATH");
	struct str rest = str_of(path ? path : "/usr/bin:/bin");

	while (rest.n) {
		size_t end = str_find(rest, ':');
		auto_buf file = BUF_EMPTY;

		buf_init(&file, PATHS_MAX);
		buf_put(&file, str_head(rest, end));
		buf_put_byte(&file, '/');
		buf_put_z(&file, program);
		if (buf_z(&file) && access(buf_z(&file), X_OK) == 0) {
			buf_put(&f->text, buf_str(&file));
			return;
		}
		rest = str_from(rest, end + 1);
	}
	f->health = HEALTH_BAD;
	buf_printf(&f->text, "%s is not installed: %s", program, what);
	buf_printf(&f->mend, "apt install %s", package);
}

static void check_erofs(struct finding *f)
{
	check_program(f, "mkfs.erofs", "erofs-utils", "images cannot be built");
}

static void check_qemu(struct finding *f)
{
	check_program(f, "qemu-system-x86_64", "qemu-system-x86", "there is no machine to run an agent in");
}

static void check_machine(struct finding *f)
{
	const struct machine_ops *ops = machine_find(STR("qemu"));

	if (!ops || ops->probe(&f->text)) {
		f->health = HEALTH_BAD;
		if (!f->text.len)
			buf_put_z(&f->text, "the qemu driver cannot run a guest");
		buf_put_z(&f->mend, "see the line above; a Debian kernel for the guest comes with `./try`, "
				    "or name one in $PADDOCK_KERNEL");
		return;
	}
	if (memmem(f->text.p, f->text.len, "software", 8)) {
		f->health = HEALTH_WARN;
		buf_put_z(&f->mend, "for speed and a hardware boundary: enable virtualization, and join the "
				    "group kvm (usermod -aG kvm $USER)");
	}
}

static void check_directory(struct finding *f, enum paths_kind kind, const char *what)
{
	auto_buf path = BUF_EMPTY;
	struct statvfs v;

	buf_init(&path, PATHS_MAX);
	if (paths_directory(kind, &path) || access(buf_z(&path), R_OK | W_OK | X_OK)) {
		f->health = HEALTH_BAD;
		buf_printf(&f->text, "%s: %.300s: %s", what, buf_z(&path) ? buf_z(&path) : "?",
			   strerror(errno));
		buf_put_z(&f->mend,
			  "make that directory yours and writable, or point its XDG variable elsewhere");
		return;
	}
	buf_printf(&f->text, "%.400s", buf_z(&path));
	if (kind == PATHS_CACHE && statvfs(buf_z(&path), &v) == 0 &&
	    (unsigned long long)v.f_bavail * v.f_frsize < DISK_WANTED) {
		f->health = HEALTH_WARN;
		buf_printf(&f->text, ": only %llu MiB free",
			   (unsigned long long)v.f_bavail * v.f_frsize >> 20);
		buf_put_z(&f->mend,
			  "an image of the host's tools takes some GiB: free space, or set XDG_CACHE_HOME");
	}
}

static void check_state(struct finding *f) { check_directory(f, PATHS_STATE, "audit trails"); }
static void check_cache(struct finding *f) { check_directory(f, PATHS_CACHE, "images"); }
static void check_runtime(struct finding *f) { check_directory(f, PATHS_RUNTIME, "live runs"); }

static const struct {
	const char *name;
	void (*check)(struct finding *f);
} checks[] = {
	{ "namespaces", check_namespaces }, { "seccomp", check_seccomp }, { "landlock", check_landlock },
	{ "qemu", check_qemu }, { "erofs", check_erofs }, { "machine", check_machine },
	{ "state", check_state }, { "cache", check_cache }, { "runtime", check_runtime },
};

static const char *const health_names[] = { "ok", "warn", "BAD" };

static void report(const char *name, struct finding *f, json_t *list)
{
	const char *text = buf_z(&f->text), *mend = buf_z(&f->mend);

	if (list) {
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "check", name, "health",
						      health_names[f->health], "text", text ? text : "",
						      "mend", mend ? mend : ""));
		return;
	}
	printf("%-5s %-11s %s\n", health_names[f->health], name, text ? text : "");
	if (mend && *mend)
		printf("      %-11s mend: %s\n", "", mend);
}

int verb_doctor(int argc, char **argv)
{
	bool as_json = argc == 2 && !strcmp(argv[1], "--json");
	json_t *list = as_json ? json_array() : NULL;
	unsigned bad = 0;

	if (argc > 1 && !as_json) {
		log_error("doctor: unknown argument %s; expected nothing, or --json", argv[1]);
		return CLI_EXIT_USAGE;
	}
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		struct finding f = { .health = HEALTH_OK };

		buf_init(&f.text, 1024);
		buf_init(&f.mend, 1024);
		checks[i].check(&f);
		report(checks[i].name, &f, list);
		bad += f.health == HEALTH_BAD;
		buf_free(&f.text);
		buf_free(&f.mend);
	}
	if (as_json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(list);
	} else {
		printf(bad ? "\n%u need%s not met: mend what is BAD above\n" : "\nPaddock can run here\n",
		       bad, bad == 1 ? " is" : "s are");
	}
	return bad ? CLI_EXIT_FAILURE : 0;
}
