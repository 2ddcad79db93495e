/* relay.h - TCP connections of the agent, carried to the inspector */
#pragma once

#include "guest/asker.h"
#include "guest/port.h"

#define RELAY_CONNECTIONS_MAX 1024

/** struct guest_net - what the network side shares; one per process */
struct guest_net {
	struct loop *loop;
	struct port *port;	/* net */
	struct asker asker;
	uint32_t uid_base;
};

/** relay_listen() - the listeners that netlink.h's rules redirect to
 * Return: ERR_OK; ERR_LOCAL with errno */
must_use enum err relay_listen(struct guest_net *net);
