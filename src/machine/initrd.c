/* initrd.c - see initrd.h
 *
 * Theory of operation: the modules are tables in the order of their dependencies; the cloud
 * kernel has neither virtio nor nftables built in. What a later kernel builds in is skipped
 * when modules.builtin names it; anything else that is missing is an error, since a guest
 * without its redirect must not start.
 * Source: Documentation/driver-api/early-userspace/buffer-format.rst (newc).
 */
#include "machine/initrd.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const shared_modules[] = {	/* of use to both of the others, so loaded first */
	"kernel/lib/libcrc32c.ko",
	NULL
};

static const char *const machine_modules[] = {
	"kernel/drivers/virtio/virtio_ring.ko",
	"kernel/drivers/virtio/virtio.ko",
	"kernel/drivers/virtio/virtio_mmio.ko",
	"kernel/drivers/char/virtio_console.ko",
	"kernel/drivers/block/virtio_blk.ko",
	"kernel/drivers/char/hw_random/virtio-rng.ko",
	"kernel/drivers/virtio/virtio_balloon.ko",
	"kernel/fs/erofs/erofs.ko",
	"kernel/fs/overlayfs/overlay.ko",
	"kernel/fs/fuse/fuse.ko",
	NULL
};

/* Loaded at the same time as those above, on the other processor: neither needs one of the other's. */
static const char *const network_modules[] = {
	"kernel/net/netfilter/nfnetlink.ko",
	"kernel/net/netfilter/nf_tables.ko",
	"kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko",
	"kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko",
	"kernel/net/netfilter/nf_conntrack.ko",
	"kernel/net/netfilter/nf_nat.ko",
	"kernel/net/netfilter/nft_chain_nat.ko",
	"kernel/net/netfilter/nft_redir.ko",
	"kernel/net/netfilter/nft_ct.ko",
	"kernel/net/ipv4/netfilter/nf_reject_ipv4.ko",
	"kernel/net/ipv6/netfilter/nf_reject_ipv6.ko",
	"kernel/net/netfilter/nft_reject.ko",
	"kernel/net/netfilter/nft_reject_inet.ko",
	"kernel/net/ipv4/inet_diag.ko",
	"kernel/net/ipv4/tcp_diag.ko",
	NULL
};

#define FILE_MAX_BYTES (16u * 1024 * 1024)

static void align(struct buf *b)
{
	while (!buf_err(b) && b->len % 4)
		buf_put_byte(b, 0);
}

void initrd_entry(struct buf *b, const char *name, uint32_t mode, uint32_t device_major,
		  uint32_t device_minor, struct str content)
{
	const uint32_t inode = (uint32_t)b->len + 1;	/* one of its own, and the same
							   in each archive like it */

	/* magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check */
	buf_printf(b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, mode, 0u, 0u, 1u,
		   0u, (unsigned)content.n, 0u, 0u, device_major, device_minor, (unsigned)strlen(name) + 1,
		   0u);
	buf_put(b, str_make(name, strlen(name) + 1));
	align(b);
	buf_put(b, content);
	align(b);
}

void initrd_end(struct buf *b) { initrd_entry(b, "TRAILER!!!", 0, 0, 0, (struct str){ 0 }); }

static bool is_builtin(const struct kernel *k, const char *module)
{
	char path[KERNEL_PATH_MAX];
	auto_buf list = BUF_EMPTY;

	buf_init(&list, FILE_MAX_BYTES);
	if ((size_t)snprintf(path, sizeof path, "%s/modules.builtin", k->modules) >= sizeof path ||
	    kernel_read_file(path, &list))
		return false;
	for (struct str s = buf_str(&list); s.n; s = str_from(s, str_find(s, '\n') + 1))
		if (str_eq(str_head(s, str_find(s, '\n')), str_of(module)))
			return true;
	return false;
}

/* A module without its appended signature. What is in the initrd is of our choosing, and
 * verifying their signatures takes the guest longer, under emulation, than all the rest of loading
 * them. Source: scripts/sign-file.c: content, signature, its description (12 bytes), magic. */
static struct str without_signature(struct str module)
{
	const struct str magic = STR("~Module signature appended~\n");
	size_t left;
	uint32_t n;

	if (!str_ends(module, magic) || module.n < magic.n + 12)
		return module;
	left = module.n - magic.n - 12;
	n = (uint32_t)(uint8_t)module.p[left + 8] << 24 | (uint32_t)(uint8_t)module.p[left + 9] << 16 |
	    (uint32_t)(uint8_t)module.p[left + 10] << 8 | (uint8_t)module.p[left + 11];
	return n <= left ? str_head(module, left - n) : module;
}

static enum err add_module(const struct kernel *k, const char *module, struct buf *b, struct buf *list)
{
	const char *name = strrchr(module, '/') + 1;
	char path[KERNEL_PATH_MAX], inside[256];
	auto_buf content = BUF_EMPTY;
	enum err e;

	buf_init(&content, FILE_MAX_BYTES);
	if ((size_t)snprintf(path, sizeof path, "%s/%s", k->modules, module) >= sizeof path)
		return ERR_LIMIT;
	e = kernel_read_file(path, &content);
	if (e && errno == ENOENT && is_builtin(k, module))
		return ERR_OK;
	if (e)
		return errno == ENOENT ? ERR_INPUT : e;
	snprintf(inside, sizeof inside, "modules/%s", name);
	initrd_entry(b, inside, S_IFREG | 0644, 0, 0, without_signature(buf_str(&content)));
	buf_printf(list, "%s\n", name);
	return ERR_OK;
}

/* The modules of one table that are not built in, and their list, by the name @list_name. */
static enum err add_modules(const struct kernel *k, const char *const *modules, const char *list_name,
			    struct buf *b, struct buf *ret_text)
{
	auto_buf list = BUF_EMPTY;

	buf_init(&list, 8192);
	for (; *modules; modules++) {
		enum err e = add_module(k, *modules, b, &list);

		if (e) {
			buf_printf(ret_text, "the guest kernel's %s cannot be read", *modules);
			return e;
		}
	}
	initrd_entry(b, list_name, S_IFREG | 0644, 0, 0, buf_str(&list));
	return buf_err(&list);
}

enum err initrd_build(const struct kernel *k, const char *init, struct buf *b, struct buf *ret_text)
{
	auto_buf program = BUF_EMPTY;
	enum err e;

	buf_init(&program, FILE_MAX_BYTES);
	e = kernel_read_file(init, &program);
	if (e)
		return e;
	initrd_entry(b, "dev", S_IFDIR | 0755, 0, 0, (struct str){ 0 });
	initrd_entry(b, "dev/console", S_IFCHR | 0600, 5, 1, (struct str){ 0 });
	initrd_entry(b, "modules", S_IFDIR | 0755, 0, 0, (struct str){ 0 });
	e = add_modules(k, shared_modules, "modules/list.shared", b, ret_text);
	if (!e)
		e = add_modules(k, machine_modules, "modules/list", b, ret_text);
	if (!e)
		e = add_modules(k, network_modules, "modules/list.network", b, ret_text);
	if (e)
		return e;
	initrd_entry(b, "init", S_IFREG | 0755, 0, 0, buf_str(&program));
	initrd_end(b);
	return buf_err(b);
}
