/* render.c - files of several credentials: AWS, netrc, gh, npm, Docker, Kubernetes; see render.h
 *
 * A file speaks of hosts one by one, a policy in patterns: of "*.example.com" only what is written out can
 * stand in it. The policy has seen to it that placeholders and users stand in each of these formats
 * unescaped.
 */
#include "credential/render.h"

#include <stdio.h>

#define KINDS (POLICY_RENDER_CODEX + 1)
#define HOSTS_MAX 64

static bool is_exact(struct str host) { return str_find(host, '*') == host.n; }

/* Calls @put for each host of each item that is not a pattern; false if there is none. */
static bool each_host(const struct render_item *items, uint32_t count, struct buf *out,
		      void (*put)(const struct render_item *item, struct str host, bool first,
				  struct buf *out))
{
	bool first = true;

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < items[i].credential->host_count; k++) {
			struct str host = items[i].credential->hosts[k];

			if (!is_exact(host))
				continue;
			put(&items[i], host, first, out);
			first = false;
		}
	return !first;
}

static struct str or_else(struct str s, struct str other) { return s.n ? s : other; }

static void put_line(struct buf *out, const char *before, struct str value)
{
	buf_put_z(out, before);
	buf_put(out, value);
	buf_put_byte(out, '\n');
}

/* ---- AWS: the shared credentials file ---- */

static struct str profile_of(const struct render_item *items, uint32_t i)
{
	struct str profile = or_else(items[i].credential->aws_profile, STR("default"));

	for (uint32_t k = 0; k < i; k++)
		if (str_eq(profile, or_else(items[k].credential->aws_profile, STR("default"))))
			return items[i].credential->name;
	return profile;
}

static bool put_aws(const struct render_item *items, uint32_t count, struct buf *out)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct policy_credential *c = items[i].credential;

		buf_put_z(out, "[");
		buf_put(out, profile_of(items, i));
		put_line(out, "]", STR(""));
		put_line(out, "aws_access_key_id = ", items[i].placeholder);
		put_line(out, "aws_secret_access_key = ", items[i].second);
		if (c->aws_region_count == 1 && is_exact(c->aws_regions[0]))
			put_line(out, "region = ", c->aws_regions[0]);
	}
	return true;
}

/* ---- netrc, npm ---- */

static void put_machine(const struct render_item *item, struct str host, bool first, struct buf *out)
{
	(void)first;
	put_line(out, "machine ", host);
	put_line(out, "  login ", or_else(item->file->user, STR("x-access-token")));
	put_line(out, "  password ", item->placeholder);
}

static bool put_netrc(const struct render_item *items, uint32_t count, struct buf *out)
{
	return each_host(items, count, out, put_machine);
}

static void put_registry(const struct render_item *item, struct str host, bool first, struct buf *out)
{
	(void)first;
	buf_put_z(out, "//");
	buf_put(out, host);
	put_line(out, "/:_authToken=", item->placeholder);
}

static bool put_npmrc(const struct render_item *items, uint32_t count, struct buf *out)
{
	return each_host(items, count, out, put_registry);
}

/* ---- gh: hosts.yml names the site, not its API's host ---- */

static struct str site_of(struct str host)
{
	return str_starts(host, STR("api.")) ? str_from(host, 4) : host;
}

static bool put_gh(const struct render_item *items, uint32_t count, struct buf *out)
{
	struct str sites[HOSTS_MAX];
	size_t known = 0;

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < items[i].credential->host_count && known < HOSTS_MAX; k++) {
			struct str site = site_of(items[i].credential->hosts[k]);
			bool seen = !is_exact(site);

			for (size_t j = 0; j < known; j++)
				seen |= str_eq(sites[j], site);
			if (seen)
				continue;
			sites[known++] = site;
			buf_put(out, site);
			put_line(out, ":", STR(""));
			buf_put_z(out, "    oauth_token: \"");
			buf_put(out, items[i].placeholder);
			buf_put_z(out, "\"\n    user: \"");
			buf_put(out, or_else(items[i].file->user, STR("x-access-token")));
			put_line(out, "\"\n    git_protocol: https", STR(""));
		}
	return known > 0;
}

/* ---- Docker ---- */

static struct str docker_key(struct str host)
{
	static const struct str hub[] = { STR_INIT("registry-1.docker.io"), STR_INIT("auth.docker.io"),
					  STR_INIT("index.docker.io"), STR_INIT("docker.io") };

	for (size_t i = 0; i < sizeof hub / sizeof *hub; i++)
		if (str_eq(host, hub[i]))
			return STR("https://index.docker.io/v1/");
	return host;
}

static bool put_docker(const struct render_item *items, uint32_t count, struct buf *out)
{
	struct str keys[HOSTS_MAX];
	size_t known = 0;

	buf_put_z(out, "{\n\t\"auths\": {");
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < items[i].credential->host_count && known < HOSTS_MAX; k++) {
			struct str key = docker_key(items[i].credential->hosts[k]);
			auto_buf both = BUF_EMPTY;
			bool seen = !is_exact(key);

			for (size_t j = 0; j < known; j++)
				seen |= str_eq(keys[j], key);
			if (seen)
				continue;
			buf_init(&both, RENDER_PLACEHOLDER_MAX);
			buf_put(&both, or_else(items[i].file->user, STR("x-access-token")));
			buf_put_byte(&both, ':');
			buf_put(&both, items[i].placeholder);
			buf_put_z(out, known++ ? ",\n\t\t\"" : "\n\t\t\"");
			keys[known - 1] = key;
			buf_put(out, key);
			buf_put_z(out, "\": {\n\t\t\t\"auth\": \"");
			buf_put_base64(out, buf_str(&both));
			buf_put_z(out, "\"\n\t\t}");
		}
	buf_put_z(out, "\n\t}\n}\n");
	return known > 0;
}

/* ---- Kubernetes: one cluster ---- */

static bool put_kubeconfig(const struct render_item *items, uint32_t count, struct buf *out)
{
	const struct policy_credential *c = items[0].credential;
	struct str user = or_else(items[0].file->user, STR("paddock"));
	uint32_t k = 0;

	(void)count;
	while (k < c->host_count && !is_exact(c->hosts[k]))
		k++;
	if (k == c->host_count)
		return false;
	buf_put_z(out, "apiVersion: v1\nkind: Config\nclusters:\n- name: paddock\n  cluster:\n");
	buf_put_z(out, "    server: \"https://");
	buf_put(out, c->hosts[k]);
	buf_put_z(out, "\"\nusers:\n- name: \"");
	buf_put(out, user);
	buf_put_z(out, "\"\n  user:\n    token: \"");
	buf_put(out, items[0].placeholder);
	buf_put_z(out, "\"\ncontexts:\n- name: paddock\n  context:\n    cluster: paddock\n    user: \"");
	buf_put(out, user);
	buf_put_z(out, "\"\ncurrent-context: paddock\n");
	return true;
}

enum err render_file(const struct render_item *items, uint32_t count, struct buf *out,
		     const char **ret_problem)
{
	static bool (*const puts[KINDS])(const struct render_item *items, uint32_t count, struct buf *out) = {
		[POLICY_RENDER_AWS] = put_aws, [POLICY_RENDER_NETRC] = put_netrc, [POLICY_RENDER_GH] = put_gh,
		[POLICY_RENDER_NPMRC] = put_npmrc, [POLICY_RENDER_DOCKER] = put_docker,
		[POLICY_RENDER_KUBECONFIG] = put_kubeconfig,
	};
	enum policy_render kind = items[0].file->kind;

	if (kind == POLICY_RENDER_CLAUDE || kind == POLICY_RENDER_CODEX)
		return render_login(&items[0], out);
	if (kind == POLICY_RENDER_SERVICE_ACCOUNT)
		return render_account(&items[0], out);
	if (!puts[kind](items, count, out)) {
		*ret_problem =
			"names hosts one by one, and this credential has patterns alone: list a host in "
			"its 'hosts'";
		return ERR_INPUT;
	}
	return buf_err(out);
}
