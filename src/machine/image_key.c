/* image_key.c - a cheap fingerprint of what an image would be made of
 *
 * The contents of gigabytes are not read to see whether they changed: what a package manager
 * or a person does to a toolchain shows in the package database and in the times of the upper
 * directories. What does not show there (a file edited in place, deep down) does not make a
 * new image.
 */
#include "machine/image_parts.h"

#include "base/auto.h"

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#undef ERR_STATE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ENTRIES_MAX 4096

struct image_key {
	EVP_MD_CTX *digest;
	bool failed;
};

struct image_key *image_key_new(void)
{
	struct image_key *k = calloc(1, sizeof *k);

	if (!k)
		return NULL;
	k->digest = EVP_MD_CTX_new();
	k->failed = !k->digest || EVP_DigestInit_ex(k->digest, EVP_sha256(), NULL) != 1;
	return k;
}

void image_key_free(struct image_key *k)
{
	if (!k)
		return;
	EVP_MD_CTX_free(k->digest);
	free(k);
}

void image_key_put(struct image_key *k, struct str s)
{
	uint64_t n = s.n;

	k->failed = k->failed || EVP_DigestUpdate(k->digest, &n, sizeof n) != 1 ||
		    EVP_DigestUpdate(k->digest, s.p, s.n) != 1;
}

void image_key_stat(struct image_key *k, const char *path)
{
	struct stat st = { 0 };
	int64_t facts[4];

	if (lstat(path, &st))
		st = (struct stat){ 0 };
	facts[0] = st.st_mode;
	facts[1] = S_ISDIR(st.st_mode) ? 0 : st.st_size;
	facts[2] = st.st_mtim.tv_sec;
	facts[3] = st.st_mtim.tv_nsec;
	image_key_put(k, str_of(path));
	image_key_put(k, str_make(facts, sizeof facts));
}

void image_key_file(struct image_key *k, const char *path)
{
	auto_fd fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char block[65536];
	ssize_t n;

	image_key_put(k, str_of(path));
	while (fd >= 0 && (n = read(fd, block, sizeof block)) > 0)
		image_key_put(k, str_make(block, (size_t)n));
}

static int only_directories(const struct dirent *e)
{
	return e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than @depth */
void image_key_tree(struct image_key *k, const char *path, unsigned depth)
{
	struct dirent **entries = NULL;
	int n;

	image_key_stat(k, path);
	n = depth ? scandir(path, &entries, only_directories, alphasort) : 0;
	for (int i = 0; i < n; i++) {
		char below[IMAGE_PATH_MAX];

		if (i < ENTRIES_MAX &&
		    snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name) < (int)sizeof below)
			image_key_tree(k, below, depth - 1);
		free(entries[i]);
	}
	free(entries);
}

enum err image_key_end(struct image_key *k, char ret[IMAGE_KEY_BYTES])
{
	uint8_t digest[32];
	auto_buf hex = BUF_EMPTY;

	buf_init(&hex, IMAGE_KEY_BYTES);
	if (k->failed || EVP_DigestFinal_ex(k->digest, digest, NULL) != 1)
		return ERR_MEMORY;
	buf_put_hex(&hex, str_make(digest, (IMAGE_KEY_BYTES - 1) / 2));
	if (!buf_z(&hex))
		return ERR_MEMORY;
	memcpy(ret, hex.p, IMAGE_KEY_BYTES);
	return ERR_OK;
}
