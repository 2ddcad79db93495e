/* value.h - the small notations inside of a policy's texts */
#pragma once

#include "policy/policy.h"

/** value_size() - "10MiB", "2 GiB", "1048576": bytes, units B KiB MiB GiB TiB */
must_use bool value_size(struct str s, uint64_t *ret_bytes);
/** value_duration() - "500ms", "10s", "5m", "1h", "2d": the unit is required */
must_use bool value_duration(struct str s, uint64_t *ret_ms);

struct value_ports {
	uint16_t low, high;
};
/** value_ports() - "443", "8000-8080", "*" */
must_use bool value_ports(struct str s, struct value_ports *ret);
/** value_cidr() - "10.0.0.0/8", "127.0.0.1", "fd00::/8"
 * Return: NULL and *ret written, or what was expected */
const char *value_cidr(struct str s, struct policy_cidr *ret);
/** value_name() - [A-Za-z0-9._-], 1..64 bytes: names of rules, credentials, policies */
bool value_name(struct str s);
/** value_variable() - a name for an environment variable: [A-Za-z_][A-Za-z0-9_]*, 1..128 bytes */
bool value_variable(struct str s);
