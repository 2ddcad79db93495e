/* asker.h - which process owns a socket of this network namespace */
#pragma once

#include "wire/msg.h"

#include <netinet/in.h>

#define ASKER_PATH_MAX 4096

/** struct asker - a finding and the bytes behind it; large: one per process is enough */
struct asker {
	struct msg_process process;	/* its views point into the arrays below */
	char exe[ASKER_PATH_MAX];
	char ancestors[MSG_ANCESTORS_MAX][ASKER_PATH_MAX];
	uint32_t last_pid;		/* found last: looked at first */
};

/** asker_find() - the process whose socket has the local address @local; "not known" (all zero)
 *  when there is none or the search took over ASKER_SEARCH_MS. A claim for the record and
 *  for narrowing, never authority: the agent's processes may share and pass sockets.
 * @proc:     the proc file system, "/proc"
 * @protocol: IPPROTO_TCP or IPPROTO_UDP
 * @remote:   where that socket is connected to, as it believes, or NULL if that is not known
 * @uid_base: outer id of the agent's root: uids are told as the agent sees them */
#define ASKER_SEARCH_MS 250
void asker_find(struct asker *k, const char *proc, int protocol, const struct sockaddr_storage *local,
		const struct sockaddr_storage *remote, uint32_t uid_base);

/** asker_line() - one line of /proc/net/{tcp,udp}{,6}: its local address, uid, and inode
 * Return: false if it is not such a line */
struct asker_line {
	uint8_t address[16];
	size_t address_len;		/* 4 or 16 */
	uint16_t port;
	uint32_t uid;
	uint64_t inode;
};
must_use bool asker_line(struct str line, struct asker_line *ret);
