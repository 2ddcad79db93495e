/* netlink.h - the sandbox's network: one loopback interface that takes every packet */
#pragma once

#include "base/buf.h"

#define NETLINK_RELAY_PORT 15001	/* where every TCP connect ends */
#define NETLINK_DNS_PORT 53

/** netlink_rules() - the nftables transaction (NETLINK_NETFILTER messages) that redirects TCP
 *  and DNS to PID 1 and refuses the rest; @ret_messages: how many ask for an acknowledgement
 * Return: ERR_OK; ERR_LIMIT or ERR_MEMORY from @b */
must_use enum err netlink_rules(struct buf *b, uint32_t *ret_messages);

/** netlink_setup() - lo up, all addresses local, the rules. Needs CAP_NET_ADMIN over the
 *  network namespace. Return: ERR_OK; ERR_LOCAL with errno: nothing may run then */
must_use enum err netlink_setup(void);
