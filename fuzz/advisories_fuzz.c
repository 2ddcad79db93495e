/* advisories_fuzz.c - any bytes as a file of OSV records, for an ecosystem ('0'..'3')
 *
 * What is read is asked for some packages and versions, and so is the filter of metadata that the same
 * records make for paddock-decoder: both name the same versions. (Debian's index is not filtered: there the
 * answer alone is asked for.) The first input comes by way of a file too, and what is no file does not.
 */
#include "policy/registry_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str packages[] = {
	STR_INIT("hay"), STR_INIT("@acme/hay"), STR_INIT("openssl"), STR_INIT("serde"), STR_INIT("none"),
};
static const struct str versions[] = {
	STR_INIT("0.0.0"), STR_INIT("1.0.0"), STR_INIT("1.2.3"), STR_INIT("1.2.3-rc.1"), STR_INIT("2"),
	STR_INIT("2.0"),   STR_INIT("1.0-1"), STR_INIT("1.0-1+b2"), STR_INIT("3.0.11-1~deb12u2"),
};

static void ask(const struct registry_advisories *s, const struct registry_ecosystem *ecosystem,
		struct str package)
{
	struct arena *a = arena_new(1u << 26);
	struct registry_filter *f;
	auto_buf text = BUF_EMPTY;
	enum err e;

	buf_init(&text, 1u << 25);
	buf_printf(&text, "type %s\n", ecosystem->name);
	registry_advisories_put(s, package, &text);
	e = !a || buf_err(&text) ? ERR_MEMORY : registry_filter_read(a, buf_str(&text), &f);
	if (e == ERR_INPUT && text.len < 4096)
		abort();	/* a filter of ours that is none; a long one may have too many items */
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		bool named = registry_advisory(s, package, versions[i]).n > 0;

		if (e == ERR_OK && !ecosystem->sources && version_valid(ecosystem->scheme, versions[i]) &&
		    registry_filter_passes(f, versions[i], versions[i]) == named)
			abort();
	}
	arena_free(a);
}

static enum err read_path(struct arena *a, const char *path, const struct registry_ecosystem *ecosystem)
{
	const struct registry_advisories *s = NULL;
	const char *reason = NULL;
	enum err e = registry_advisories_read(a, str_of(path), ecosystem, &s, &reason);

	if (e == ERR_OK ? !s : !reason)
		abort();
	return e;
}

/* Once: what was read of a file is kept. */
static void read_files(struct str text, const struct registry_ecosystem *ecosystem, enum err expected)
{
	static bool done;
	struct arena *a = done ? NULL : arena_new(65536);
	char path[64], odd[64];
	int fd = a ? memfd_create("advisories", MFD_CLOEXEC) : -1;

	if (fd < 0)
		return;
	done = true;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	(void)snprintf(odd, sizeof odd, "/proc/self/fd/%d/none", fd);
	if (write(fd, text.p, text.n) != (ssize_t)text.n || read_path(a, path, ecosystem) != expected ||
	    read_path(a, path, ecosystem) != expected || read_path(a, "/dev/null", ecosystem) != ERR_INPUT ||
	    read_path(a, odd, ecosystem) != ERR_INPUT)
		abort();
	close(fd);
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct registry_ecosystem *ecosystem;
	struct registry_advisories *s;
	const char *reason = NULL;
	enum err e;

	if (size == 0 || data[0] < '0' || data[0] >= '0' + REGISTRY_TYPES)
		return 0;
	ecosystem = registry_ecosystem((enum registry_type)(data[0] - '0'));
	e = registry_advisories_parse(str_make(data + 1, size - 1), ecosystem, &s, &reason);
	if (e == ERR_INPUT && !reason)
		abort();
	read_files(str_make(data + 1, size - 1), ecosystem, e);
	if (e != ERR_OK)
		return 0;
	for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
		ask(s, ecosystem, packages[i]);
	registry_advisories_free(s);
	return 0;
}
