/* asker.c - see asker.h
 *
 * Theory of operation: a connection's far address, as PID 1 sees it, is the local address of
 * the asking socket. With both ends known the kernel's socket diagnosis names its inode at
 * once, however many sockets there are; else the tables /proc/net/{tcp,udp}{,6} are read.
 * /proc/PID/fd shows the process that holds it: the one found last is tried first, then the
 * youngest, since an agent makes many connections from few processes, and of a process the
 * descriptors with the highest numbers, since they are the newest. Everything is bounded by
 * a deadline, and a finding that fails is "not known", which a rule that names executables
 * does not match.
 *
 * Trust: /proc is the kernel's, names and paths in it are the agent's; they are copied as
 * bytes. Sources: proc(5), sock_diag(7).
 */
#include "guest/asker.h"

#include "base/auto.h"
#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TABLE_MAX_BYTES (4u * 1024 * 1024)
#define PIDS_MAX 4096
#define DESCRIPTORS_MAX 8192

struct search {
	const char *proc;
	uint64_t deadline_ms;
	char want[32];		/* "socket:[inode]" */
	uint32_t uid;
};

static bool hex(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 16)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int digit = ascii_hex(s.p[i]);

		if (digit < 0)
			return false;
		v = v << 4 | (uint64_t)digit;
	}
	*ret = v;
	return true;
}

/* Addresses are printed as 32-bit words in the machine's order. */
static bool line_address(struct str s, struct asker_line *l)
{
	size_t n = str_find(s, ':');
	uint64_t v;

	if (n != 8 && n != 32)
		return false;
	for (size_t i = 0; i < n / 8; i++) {
		uint32_t word;

		if (!hex(str_head(str_from(s, i * 8), 8), &v))
			return false;
		word = (uint32_t)v;
		memcpy(l->address + i * 4, &word, 4);
	}
	l->address_len = n / 2;
	if (!hex(str_from(s, n + 1), &v) || v > 65535)
		return false;
	l->port = (uint16_t)v;
	return true;
}

static struct str next_word(struct str *s)
{
	struct str word;

	while (s->n && s->p[0] == ' ')
		*s = str_from(*s, 1);
	word = str_head(*s, str_find(*s, ' '));
	*s = str_from(*s, word.n);
	return word;
}

bool asker_line(struct str line, struct asker_line *ret)
{
	struct asker_line l = { 0 };
	uint64_t uid;

	next_word(&line);			/* "0:" */
	if (!line_address(next_word(&line), &l))
		return false;
	for (int i = 0; i < 5; i++)
		next_word(&line);		/* remote, state, queues, timer, retransmits */
	if (!str_decimal(next_word(&line), UINT32_MAX, &uid))
		return false;
	l.uid = (uint32_t)uid;
	next_word(&line);			/* timeout */
	if (!str_decimal(next_word(&line), UINT64_MAX, &l.inode))
		return false;
	*ret = l;
	return true;
}

static bool read_all(const char *path, struct buf *b)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	for (;;) {
		ssize_t n;

		if (buf_reserve(b, 16384))
			return false;
		n = read(fd, buf_tail(b), 16384);
		if (n < 0)
			return false;
		if (n == 0)
			return true;
		b->len += (size_t)n;
	}
}

static bool find_inode(const char *path, const void *address, size_t n, uint16_t port, struct asker_line *ret)
{
	struct reader r;
	struct str line;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, TABLE_MAX_BYTES);
	if (!read_all(path, &b))
		return false;
	r = reader_of(buf_str(&b));
	while (reader_until(&r, '\n', &line)) {
		struct asker_line l;

		if (asker_line(line, &l) && l.port == port && l.address_len == n && l.inode &&
		    !memcmp(l.address, address, n)) {
			*ret = l;
			return true;
		}
	}
	return false;
}

/* Address and port for a diagnosis request; the family. */
static uint8_t diagnosis_end(const struct sockaddr_storage *a, __be32 *address, __be16 *port)
{
	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a;

		memcpy(address, &in->sin_addr, 4);
		*port = in->sin_port;
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

		memcpy(address, &in6->sin6_addr, 16);
		*port = in6->sin6_port;
	}
	return (uint8_t)a->ss_family;
}

/* One TCP socket by its two ends. False too where the kernel has no diagnosis. */
static bool diagnose(const struct sockaddr_storage *local, const struct sockaddr_storage *remote,
		     struct asker_line *ret)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 q;
	} request = { .h = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			     .nlmsg_flags = NLM_F_REQUEST },
		      .q = { .sdiag_protocol = IPPROTO_TCP, .idiag_states = UINT32_MAX,
			     .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } };
	struct {
		struct nlmsghdr h;
		struct inet_diag_msg m;
		char attributes[4096];
	} reply;
	auto_fd fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0 || local->ss_family != remote->ss_family)
		return false;
	request.q.sdiag_family = diagnosis_end(local, request.q.id.idiag_src, &request.q.id.idiag_sport);
	diagnosis_end(remote, request.q.id.idiag_dst, &request.q.id.idiag_dport);
	if (send(fd, &request, sizeof request, 0) != (ssize_t)sizeof request ||
	    recv(fd, &reply, sizeof reply, MSG_DONTWAIT) < (ssize_t)(sizeof reply.h + sizeof reply.m) ||
	    reply.h.nlmsg_type != SOCK_DIAG_BY_FAMILY || !reply.m.idiag_inode)
		return false;
	*ret = (struct asker_line){ .uid = reply.m.idiag_uid, .inode = reply.m.idiag_inode };
	return true;
}

static bool find_socket(const struct search *s, int protocol, const struct sockaddr_storage *a,
			struct asker_line *ret)
{
	const char *name = protocol == IPPROTO_TCP ? "tcp" : "udp";
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
	char path[128];

	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a;

		snprintf(path, sizeof path, "%s/net/%s", s->proc, name);
		if (find_inode(path, &in->sin_addr, 4, ntohs(in->sin_port), ret))
			return true;
		snprintf(path, sizeof path, "%s/net/%s6", s->proc, name);
		memcpy(mapped + 12, &in->sin_addr, 4);
		return find_inode(path, mapped, 16, ntohs(in->sin_port), ret);
	}
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

		snprintf(path, sizeof path, "%s/net/%s6", s->proc, name);
		return find_inode(path, &in6->sin6_addr, 16, ntohs(in6->sin6_port), ret);
	}
	return false;
}

static int highest_first(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* The numbers that are the names in @d, highest first. */
static size_t numbers_in(DIR *d, uint32_t *numbers, size_t max)
{
	struct dirent *entry;
	size_t count = 0;
	uint64_t n;

	while (count < max && (entry = readdir(d)))
		if (str_decimal(str_of(entry->d_name), UINT32_MAX, &n))
			numbers[count++] = (uint32_t)n;
	qsort(numbers, count, sizeof numbers[0], highest_first);
	return count;
}

static bool holds_socket(const struct search *s, uint32_t pid)
{
	static uint32_t descriptors[DESCRIPTORS_MAX];
	char path[160], link[64], name[16];
	bool found = false;
	size_t count;
	DIR *d;

	snprintf(path, sizeof path, "%s/%u/fd", s->proc, (unsigned)pid);
	d = opendir(path);
	if (!d)
		return false;
	count = numbers_in(d, descriptors, DESCRIPTORS_MAX);
	for (size_t i = 0; !found && i < count && clock_ms() < s->deadline_ms; i++) {
		ssize_t n;

		snprintf(name, sizeof name, "%u", (unsigned)descriptors[i]);
		n = readlinkat(dirfd(d), name, link, sizeof link);
		found = n > 0 && str_eq(str_make(link, (size_t)n), str_of(s->want));
	}
	closedir(d);
	return found;
}

static uint32_t find_holder(const struct search *s, uint32_t last_pid)
{
	static uint32_t pids[PIDS_MAX];
	size_t count;
	DIR *d;

	if (last_pid && holds_socket(s, last_pid))
		return last_pid;
	d = opendir(s->proc);
	if (!d)
		return 0;
	count = numbers_in(d, pids, PIDS_MAX);
	closedir(d);
	for (size_t i = 0; i < count && clock_ms() < s->deadline_ms; i++)
		if (pids[i] > 1 && holds_socket(s, pids[i]))
			return pids[i];
	return 0;
}

static struct str executable(const struct search *s, uint32_t pid, char *space)
{
	char path[128];
	ssize_t n;

	snprintf(path, sizeof path, "%s/%u/exe", s->proc, (unsigned)pid);
	n = readlink(path, space, ASKER_PATH_MAX);
	return n > 0 ? str_make(space, (size_t)n) : (struct str){ 0 };
}

/* The parent, from /proc/PID/stat: "pid (any bytes) state ppid ..." */
static uint32_t parent_of(const struct search *s, uint32_t pid)
{
	char path[128];
	struct str text;
	uint64_t parent;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	snprintf(path, sizeof path, "%s/%u/stat", s->proc, (unsigned)pid);
	if (!read_all(path, &b))
		return 0;
	text = buf_str(&b);
	for (size_t i = text.n; i > 0; i--)
		if (text.p[i - 1] == ')') {
			text = str_from(text, i);
			next_word(&text);
			return str_decimal(next_word(&text), UINT32_MAX, &parent) ? (uint32_t)parent : 0;
		}
	return 0;
}

static void describe(struct asker *k, const struct search *s, uint32_t pid, uint32_t uid_base)
{
	struct msg_process *p = &k->process;

	p->exe = executable(s, pid, k->exe);
	if (!p->exe.n)
		return;		/* it went away meanwhile: nothing is known */
	p->pid = k->last_pid = pid;
	p->uid = s->uid >= uid_base ? s->uid - uid_base : s->uid;
	while (p->ancestor_count < MSG_ANCESTORS_MAX && clock_ms() < s->deadline_ms) {
		pid = parent_of(s, pid);
		if (pid <= 1)
			return;
		p->ancestors[p->ancestor_count] = executable(s, pid, k->ancestors[p->ancestor_count]);
		if (!p->ancestors[p->ancestor_count].n)
			return;
		p->ancestor_count++;
	}
}

void asker_find(struct asker *k, const char *proc, int protocol, const struct sockaddr_storage *local,
		const struct sockaddr_storage *remote, uint32_t uid_base)
{
	struct search s = { .proc = proc, .deadline_ms = clock_ms() + ASKER_SEARCH_MS };
	struct asker_line found;
	uint32_t pid;

	k->process = (struct msg_process){ 0 };
	if (!(remote && protocol == IPPROTO_TCP && diagnose(local, remote, &found)) &&
	    !find_socket(&s, protocol, local, &found))
		return;
	s.uid = found.uid;
	snprintf(s.want, sizeof s.want, "socket:[%llu]", (unsigned long long)found.inode);
	pid = find_holder(&s, k->last_pid);
	if (pid)
		describe(k, &s, pid, uid_base);
}
