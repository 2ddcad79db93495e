/* spec.h - what a run is to be: the options of `paddock run`, checked but not yet acted on */
#pragma once

#include "base/buf.h"
#include "machine/machine.h"
#include "policy/policy.h"

#define SPEC_ENVIRONMENT_MAX 256
#define SPEC_RESOLVE_MAX 64
#define SPEC_TOOLS_MAX 16

/** struct spec_resolve - --resolve HOST:PORT:ADDRESS[:PORT]; an IPv6 ADDRESS is bracketed */
struct spec_resolve {
	struct str host;	/* canonical */
	uint16_t port;
	struct str address;	/* canonical literal */
	uint16_t address_port;	/* the same as port if none was given */
};

/** struct spec_client - a client of `paddock gate` */
struct spec_client {
	struct str name;
	char digest[65];	/* SHA-256 of its token, 64 hex digits and NUL */
};

struct spec {
	const char *policy_path;	/* canonical, UTF-8; NULL: no policy: everything is denied */
	struct buf policy_text;
	struct policy *policy;		/* compiled, never NULL */
	/** asked of each change of a policy that was found in the workspace, and not named: what nobody
	 *  trusted does not come into force; NULL: it was named */
	bool (*policy_trusted)(struct str text);
	const char *policy_note;	/* why there is no policy, for people; or NULL */
	const char *workspace;		/* absolute, canonical, a directory */
	const char *image;		/* reference as given: "host", "debian", a path */
	const char *image_path;		/* erofs file, once it was built; or NULL (a driver without images) */
	const char *machine;		/* driver */
	const char *name;		/* or NULL */
	uint64_t memory_bytes, timeout_ms;	/* timeout 0: none */
	uint32_t cpus;
	bool quiet;
	bool gate;			/* no machine: an explicit proxy, listening */
	const char *listen;		/* ADDRESS:PORT or [ADDRESS]:PORT; numeric */
	const char *environment_file;	/* or NULL */
	uint32_t client_count;
	struct spec_client *clients;
	uint32_t environment_count;
	struct str environment[SPEC_ENVIRONMENT_MAX];	/* NAME=VALUE, for the guest */
	uint32_t resolve_count;
	struct spec_resolve resolve[SPEC_RESOLVE_MAX];
	const char *upstream_ca_path;	/* or NULL */
	struct buf upstream_ca;		/* its PEM text */
	char *const *command;		/* argv, NULL-terminated; [0] as it is looked up in the guest */
	uint32_t tool_count;		/* directories of the host that COMMAND needs, shown read-only */
	struct str tools[SPEC_TOOLS_MAX];
	struct arena *arena;		/* owns the strings above that were made */
};
