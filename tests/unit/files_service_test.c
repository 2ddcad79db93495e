/* files_service_test.c - the service on its two links, with peers that keep the rules and that do not */
#include "files_kit.h"

#include "files/service.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <sys/socket.h>

struct peers {
	struct kit k;		/* only its directory and configuration are used */
	uv_loop_t loop;
	struct service *service;
	int guest, claims;
	struct link *guest_link, *claims_link;
	uint32_t stream;
	struct buf replies;
	unsigned claims_count;
	bool takes;		/* the guest reads its replies */
};

static void pass(int fd, struct link *l, struct peers *p)
{
	static char bytes[65536];
	struct str out, input;
	struct link_frame f;
	ssize_t n;

	while ((out = link_output(l)).n && (n = send(fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
		link_sent(l, (size_t)n);
	if (l == p->guest_link && !p->takes)
		return;
	n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	input = str_make(bytes, n > 0 ? (size_t)n : 0);
	while (link_receive(l, &input, &f) == ERR_OK) {
		if (f.type == LINK_DATA) {
			buf_put(&p->replies, f.payload);
			link_consumed(l, f.stream, f.payload.n);
		} else if (f.type == LINK_HEAD) {
			struct msg_claim claim;

			assert_int_equal(msg_get_claim(f.payload, &claim), ERR_OK);
			assert_int_equal(claim.kind, CLAIM_FILE);
			p->claims_count++;
			link_consumed(l, f.stream, f.payload.n);
		}
	}
}

static void turns(struct peers *p, int n)
{
	while (n-- > 0) {
		pass(p->guest, p->guest_link, p);
		pass(p->claims, p->claims_link, p);
		uv_run(&p->loop, UV_RUN_NOWAIT);
	}
}

static void begin(struct peers *p)
{
	static const char json[] = "{\"mounts\":[{\"path\":\"/w\"}],\"protected_files\":[\"paddock.yaml\"]}";
	struct inode_limits limits = INODE_LIMITS_DEFAULT;
	int guest[2], claims[2], root;
	char text[160];

	*p = (struct peers){ .takes = true };
	kit_root(&p->k);
	assert_int_equal(config_parse(str_of(json), &p->k.config, text), ERR_OK);
	root = open(p->k.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, guest), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, claims), 0);
	assert_int_equal(uv_loop_init(&p->loop), 0);
	assert_int_equal(service_new(&p->loop, guest[0], claims[0], &p->k.config, &root, &limits,
				     &p->service), ERR_OK);
	p->guest = guest[1];
	p->claims = claims[1];
	p->guest_link = link_new(LINK_LOWER, &LINK_LIMITS_DEFAULT);
	p->claims_link = link_new(LINK_UPPER, &LINK_LIMITS_DEFAULT);
	buf_init(&p->replies, 4 << 20);
	turns(p, 5);
	assert_int_equal(link_open(p->guest_link, LINK_KIND_FUSE, STR(""), &p->stream), ERR_OK);
}

static void end(struct peers *p)
{
	service_free(p->service);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&p->loop), 0);
	close(p->guest);
	close(p->claims);
	link_free(p->guest_link);
	link_free(p->claims_link);
	buf_free(&p->replies);
	config_free(&p->k.config);
	nftw(p->k.root, kit_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_message(struct buf *b, uint32_t opcode, uint64_t node, const void *fixed, size_t n,
			struct str tail)
{
	struct fuse_in_header header = { .len = (uint32_t)(sizeof header + n + tail.n), .opcode = opcode,
					 .unique = 5, .nodeid = node };

	buf_put(b, str_make(&header, sizeof header));
	buf_put(b, str_make(fixed, n));
	buf_put(b, tail);
}

/* INIT, the lookup of mount 0, and then in @b nothing. Return: the node of the mount. */
static uint64_t introduce(struct peers *p, struct buf *b)
{
	struct fuse_init_in init = { .major = 7, .minor = 38 };
	struct fuse_entry_out entry;

	put_message(b, FUSE_INIT, 0, &init, sizeof init, STR(""));
	put_message(b, FUSE_LOOKUP, 1, NULL, 0, STR("0\0"));
	for (size_t i = 0; i < b->len; i++)	/* cut everywhere */
		assert_int_equal(link_data(p->guest_link, p->stream, 0, str_make(b->p + i, 1)), ERR_OK);
	turns(p, 20);
	assert_int_equal(p->replies.len, 16 + sizeof(struct fuse_init_out) + 16 + sizeof entry);
	memcpy(&entry, p->replies.p + p->replies.len - sizeof entry, sizeof entry);
	buf_clear(&p->replies);
	buf_clear(b);
	return entry.nodeid;
}

static void messages_and_claims(void **state)
{
	(void)state;
	struct peers p;
	struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	struct fuse_out_header reply;
	auto_buf b = BUF_EMPTY;
	uint64_t top;

	buf_init(&b, 65536);
	begin(&p);
	top = introduce(&p, &b);
	put_message(&b, FUSE_MKDIR, top, &mkdir_in, sizeof mkdir_in, STR("paddock.yaml\0"));
	assert_int_equal(link_data(p.guest_link, p.stream, 0, buf_str(&b)), ERR_OK);
	turns(&p, 10);
	assert_int_equal(p.replies.len, 16);
	memcpy(&reply, p.replies.p, 16);
	assert_int_equal(reply.error, -EACCES);
	assert_int_equal(p.claims_count, 1);
	end(&p);
}

/* A guest that asks and does not read: it stops itself, and nothing is lost. */
static void a_guest_that_does_not_read(void **state)
{
	(void)state;
	struct peers p;
	struct fuse_read_in in = { .size = 128 * 1024 };
	struct fuse_open_in open_in = { 0 };
	struct fuse_open_out opened;
	struct fuse_entry_out entry;
	char *big = calloc(1, 128 * 1024 + 1);
	auto_buf b = BUF_EMPTY;
	uint64_t top;
	unsigned asked = 0;

	buf_init(&b, 65536);
	begin(&p);
	memset(big, 'x', 128 * 1024);
	kit_host_file(&p.k, "big", big);
	top = introduce(&p, &b);
	put_message(&b, FUSE_LOOKUP, top, NULL, 0, STR("big\0"));
	assert_int_equal(link_data(p.guest_link, p.stream, 0, buf_str(&b)), ERR_OK);
	turns(&p, 5);
	memcpy(&entry, p.replies.p + 16, sizeof entry);
	buf_clear(&b);
	buf_clear(&p.replies);
	put_message(&b, FUSE_OPEN, entry.nodeid, &open_in, sizeof open_in, STR(""));
	assert_int_equal(link_data(p.guest_link, p.stream, 0, buf_str(&b)), ERR_OK);
	turns(&p, 5);
	memcpy(&opened, p.replies.p + 16, sizeof opened);
	buf_clear(&p.replies);
	in.fh = opened.fh;
	buf_clear(&b);
	put_message(&b, FUSE_READ, entry.nodeid, &in, sizeof in, STR(""));
	p.takes = false;
	for (int i = 0; i < 100000 && link_sendable(p.guest_link, p.stream) >= b.len; i++) {
		assert_int_equal(link_data(p.guest_link, p.stream, 0, buf_str(&b)), ERR_OK);
		asked++;
		turns(&p, 1);
	}
	assert_true(asked > 100 && asked < 10000);	/* the window's worth, then no more */
	assert_int_equal(service_ended(p.service), ERR_OK);
	p.takes = true;
	buf_free(&p.replies);
	buf_init(&p.replies, (size_t)asked * (16 + 128 * 1024));
	for (int i = 0; i < 100000 && p.replies.len < p.replies.max; i++)
		turns(&p, 1);
	assert_int_equal(buf_err(&p.replies), ERR_OK);
	assert_int_equal(p.replies.len, p.replies.max);
	free(big);
	end(&p);
}

static void rules_of_the_link(void **state)
{
	(void)state;
	struct peers p;
	struct fuse_in_header bad = { .len = 12 };
	uint32_t second;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	begin(&p);		/* a second stream */
	(void)introduce(&p, &b);
	assert_int_equal(link_open(p.guest_link, LINK_KIND_FUSE, STR(""), &second), ERR_OK);
	turns(&p, 5);
	assert_int_equal(service_ended(p.service), ERR_LINK_STATE);
	end(&p);

	begin(&p);		/* a length that no message has */
	assert_int_equal(link_data(p.guest_link, p.stream, 0, str_make(&bad, sizeof bad)), ERR_OK);
	turns(&p, 5);
	assert_int_equal(service_ended(p.service), ERR_LINK_MALFORMED);
	end(&p);

	begin(&p);		/* anything before INIT */
	put_message(&b, FUSE_STATFS, 1, NULL, 0, STR(""));
	assert_int_equal(link_data(p.guest_link, p.stream, 0, buf_str(&b)), ERR_OK);
	turns(&p, 5);
	assert_int_equal(service_ended(p.service), ERR_LINK_STATE);
	end(&p);

	begin(&p);		/* the guest goes */
	shutdown(p.guest, SHUT_RDWR);
	turns(&p, 5);
	assert_int_equal(service_ended(p.service), ERR_CLOSED);
	end(&p);

	begin(&p);		/* the courier goes: that closes the gate */
	shutdown(p.claims, SHUT_RDWR);
	turns(&p, 5);
	assert_int_equal(service_ended(p.service), ERR_STATE);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_and_claims),
		cmocka_unit_test(a_guest_that_does_not_read),
		cmocka_unit_test(rules_of_the_link),
	};

	umask(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
