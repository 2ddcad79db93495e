/* fuse_fuzz.c - a conversation of raw FUSE messages against a tree on a small directory
 *
 * Input: messages back to back, each with its length; where a message is too short for its
 * header, or its length lies, the length is mended so that the fuzzer gets to the handlers. A node
 * or handle number close to 2^64 stands for one that a reply gave (see mend()). The tree
 * is made anew for each input; the directory is emptied of what earlier inputs made when it grows.
 * Whatever comes, nothing outside of the directory changes: a canary beside it is looked at.
 */
#include "files/tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBERS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char base[64];
static struct config config;
static struct buf out;
static uint64_t nodes[NUMBERS], handles[NUMBERS];
static unsigned node_count, handle_count;

static void file(const char *name, const char *text)
{
	char path[200];
	int fd;

	snprintf(path, sizeof path, "%s/root/%s", base, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

static void directory(const char *name)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", base, name);
	if (mkdir(path, 0755))
		abort();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	(void)ftw;
	if (S_ISDIR(st->st_mode))
		chmod(path, 0755);
	return remove(path);
}

static void populate(void)
{
	char path[200];

	snprintf(path, sizeof path, "%s/root", base);
	nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH);
	directory("root");
	directory("root/d");
	directory("root/.git");
	directory("root/.git/hooks");
	file(".git/config", "x");
	file("a", "some text");
	file("d/b", "more");
	file(".env", "SECRET");
	file("paddock.yaml", "version: 1\n");
	snprintf(path, sizeof path, "%s/root/l", base);
	if (symlink("../canary", path))
		abort();
}

static void clean_up(void)
{
	config_free(&config);
	buf_free(&out);
	nftw(base, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

static void begin(void)
{
	static const struct str json = STR_INIT("{\"mounts\":[{\"path\":\"/w\",\"hidden\":[\".env*\"],"
						"\"read_only_globs\":[\"fixed/**\"]}],"
						"\"protected_files\":[\"paddock.yaml\"]}");
	struct rlimit small = { 1 << 20, 1 << 20 };
	char text[160];

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);	/* no input fills the disk */
	snprintf(base, sizeof base, "/tmp/paddock-fuzz-XXXXXX");
	if (!mkdtemp(base) || config_parse(json, &config, text))
		abort();
	buf_init(&out, FUSE_REPLY_MAX);
	directory("canary");
	populate();
	atexit(clean_up);
}

/* Numbers that replies gave are offered to later messages. */
static void learn(uint32_t opcode)
{
	struct str body = str_from(buf_str(&out), sizeof(struct fuse_out_header));
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	bool has_entry = opcode == FUSE_LOOKUP || opcode == FUSE_CREATE || opcode == FUSE_MKDIR ||
			 opcode == FUSE_MKNOD || opcode == FUSE_SYMLINK || opcode == FUSE_LINK;

	if (has_entry && body.n >= sizeof entry) {
		memcpy(&entry, body.p, sizeof entry);
		if (entry.nodeid)
			nodes[node_count++ % NUMBERS] = entry.nodeid;
		body = str_from(body, sizeof entry);
	}
	if ((opcode == FUSE_CREATE || opcode == FUSE_OPEN || opcode == FUSE_OPENDIR) &&
	    body.n == sizeof opened) {
		memcpy(&opened, body.p, sizeof opened);
		handles[handle_count++ % NUMBERS] = opened.fh;
	}
}

/* 0xffff...ffNN: the NN-th number that was learnt. Most structures begin with a node or a handle. */
static void mend(char *message, size_t n)
{
	struct fuse_in_header h;
	uint64_t first;

	memcpy(&h, message, sizeof h);
	h.len = (uint32_t)n;
	if (h.nodeid >= UINT64_MAX - NUMBERS)
		h.nodeid = nodes[UINT64_MAX - h.nodeid < NUMBERS ? UINT64_MAX - h.nodeid : 0];
	memcpy(message, &h, sizeof h);
	if (n >= sizeof h + sizeof first) {
		memcpy(&first, message + sizeof h, sizeof first);
		if (first >= UINT64_MAX - NUMBERS) {
			bool is_node =
				h.opcode == FUSE_RENAME || h.opcode == FUSE_RENAME2 || h.opcode == FUSE_LINK;
			uint64_t k = UINT64_MAX - first < NUMBERS ? UINT64_MAX - first : 0;

			first = is_node ? nodes[k] : handles[k];
			memcpy(message + sizeof h, &first, sizeof first);
		}
	}
}

static bool slow(uint32_t opcode) { return opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR; }

static void converse(struct tree *t, const uint8_t *data, size_t size)
{
	while (size >= sizeof(struct fuse_in_header)) {
		struct fuse_in_header h;
		size_t n;
		char *message;

		memcpy(&h, data, sizeof h);
		n = h.len < sizeof h || h.len > size ? size : h.len;
		if (n > FUSE_MESSAGE_MAX)
			return;
		message = malloc(n);	/* exactly as long, for the sanitizer */
		if (!message)
			abort();
		memcpy(message, data, n);
		mend(message, n);
		if (!slow(h.opcode) && tree_request(t, str_make(message, n), &out) == ERR_OK && out.len)
			learn(h.opcode);
		free(message);
		data += n;
		size -= n;
	}
}

static void start(struct tree *t)
{
	struct { struct fuse_in_header h; struct fuse_init_in in; } init = { { .len = sizeof init,
									       .opcode = FUSE_INIT },
									     { .major = 7, .minor = 38 } };
	struct { struct fuse_in_header h; char name[2]; } lookup = { { .len = 42, .opcode = FUSE_LOOKUP,
								       .nodeid = 1 },
								     "0" };

	if (tree_request(t, str_make(&init, sizeof init), &out) ||
	    tree_request(t, str_make(&lookup, 42), &out))
		abort();
	learn(FUSE_LOOKUP);
}

static void check(void)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof path, "%s/canary", base);
	if (stat(path, &st) || st.st_nlink != 2 || st.st_mode != (S_IFDIR | 0755))
		abort();
	snprintf(path, sizeof path, "%s/root/paddock.yaml", base);
	if (stat(path, &st) || st.st_size != 11)
		abort();
	snprintf(path, sizeof path, "%s/root/.git/config", base);
	if (stat(path, &st) || st.st_size != 1)
		abort();
	snprintf(path, sizeof path, "%s/root/.env", base);
	if (stat(path, &st) || st.st_size != 6)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct inode_limits limits = { .inodes_max = 64, .handles_max = 16,
						    .directories_max = 4 };
	static unsigned runs;
	struct tree *t;
	char path[200];
	int root;

	if (!base[0])
		begin();
	else if (runs % 200 == 0)
		populate();
	runs++;
	snprintf(path, sizeof path, "%s/root", base);
	chmod(path, 0755);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	node_count = handle_count = 0;
	memset(nodes, 0, sizeof nodes);
	memset(handles, 0, sizeof handles);
	if (root < 0 || tree_new(&config, &root, &limits, NULL, NULL, &t))
		abort();
	start(t);
	converse(t, data, size);
	tree_free(t);
	check();
	return 0;
}
