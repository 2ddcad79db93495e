/* registry.c - what the ecosystems share: the table of them, and how their paths are read
 *
 * Paths are hostile. A segment is decoded once, and only into bytes that a name, a version or a file can
 * have; what decodes into a '/' or a control byte is no segment. A query is recognised where a client has a
 * use for one.
 */
#include "policy/registry.h"

static const struct registry_ecosystem *const ecosystems[REGISTRY_TYPES] = {
	[REGISTRY_NPM] = &registry_npm, [REGISTRY_PYPI] = &registry_pypi,
	[REGISTRY_CRATES] = &registry_crates, [REGISTRY_APT] = &registry_apt,
};

const struct registry_ecosystem *registry_ecosystem(enum registry_type type) { return ecosystems[type]; }

bool registry_decode(struct str s, bool slash, char *out, size_t cap, size_t *ret_bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			if (s.n - i < 3 || ascii_hex(s.p[i + 1]) < 0 || ascii_hex(s.p[i + 2]) < 0)
				return false;
			c = (char)(ascii_hex(s.p[i + 1]) * 16 + ascii_hex(s.p[i + 2]));
			i += 2;
		}
		if ((uint8_t)c <= 0x20 || (uint8_t)c >= 0x7f || (c == '/' && !slash) || c == '\\' ||
		    c == '%' || n == cap)
			return false;
		out[n++] = c;
	}
	*ret_bytes = n;
	return true;
}

bool registry_segment(struct str *rest, char *out, size_t cap, struct str *ret)
{
	struct str raw = str_head(*rest, str_find(*rest, '/'));
	size_t n;

	if (rest->n == 0 || !registry_decode(raw, true, out, cap, &n) || n == 0)
		return false;
	*rest = str_from(*rest, raw.n + 1);
	*ret = str_make(out, n);
	return true;
}

bool registry_set(struct str s, char *out, size_t cap, size_t *ret_bytes)
{
	if (s.n == 0 || s.n > cap)
		return false;
	memcpy(out, s.p, s.n);
	*ret_bytes = s.n;
	return true;
}

struct str registry_last(struct str path)
{
	size_t at = path.n;

	while (at && path.p[at - 1] != '/')
		at--;
	return str_from(path, at);
}

bool registry_within_file(struct str path, bool (*is_file)(struct str path))
{
	char bytes[HEAD_PATH_MAX];
	size_t n;

	if (!registry_decode(path, true, bytes, sizeof bytes, &n))
		return true;
	for (size_t i = 0; i < n; i++)
		if (bytes[i] == '/' && is_file(str_make(bytes, i)))
			return true;
	return false;
}

bool registry_request(const struct registry_rule *rule, const struct head *head, struct registry_request *ret)
{
	struct str path = head->path;

	if (head->websocket)
		return false;
	/* npm's names stand at the base; the words of the others
	 * are found wherever they stand, "simple/" at its end too */
	if (rule->type == REGISTRY_NPM && str_starts(path, rule->base))
		path = str_from(path, rule->base.n);
	else
		path = str_from(path, 1);
	*ret = (struct registry_request){ .action = REGISTRY_INDEX };
	return rule->ecosystem->request(path, head, ret);
}
