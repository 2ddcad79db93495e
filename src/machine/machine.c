/* machine.c - the drivers by name, and where their parts are; see machine.h */
#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct machine_ops *registered;

void machine_register(const struct machine_ops *ops) { registered = ops; }

const struct machine_ops *machine_find(struct str name)
{
	if (str_eq(name, str_of(machine_qemu.name)))
		return &machine_qemu;
	if (registered && str_eq(name, str_of(registered->name)))
		return registered;
	return NULL;
}

enum err machine_init_path(char *path, size_t cap)
{
	static const char *const places[] = { "", "/src/guest", "/../src/guest", "/../../src/guest",
					      "/../libexec/paddock" };
	const char *given = getenv("PADDOCK_INIT");
	char self[4096], *slash;
	ssize_t n;

	if (given) {
		if ((size_t)snprintf(path, cap, "%s", given) >= cap)
			return ERR_LIMIT;
		return access(path, X_OK) ? ERR_INPUT : ERR_OK;
	}
	n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return ERR_LOCAL;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		if ((size_t)snprintf(path, cap, "%s%s/paddock-init", self, places[i]) >= cap)
			return ERR_LIMIT;
		if (!access(path, X_OK))
			return ERR_OK;
	}
	return ERR_INPUT;
}
