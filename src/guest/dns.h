/* dns.h - DNS queries of the agent, each a stream to the inspector */
#pragma once

#include "guest/relay.h"

#define DNS_QUERIES_MAX 256
#define DNS_MESSAGE_MAX 4096
#define DNS_TIMEOUT_MS 5000

/** dns_listen() - UDP and TCP on port 53 of loopback. ERR_OK; ERR_LOCAL with errno */
must_use enum err dns_listen(struct guest_net *net);
/** dns_adopt() - takes @fd: a TCP connection that was meant for some DNS server */
void dns_adopt(struct guest_net *net, int fd, const struct sockaddr_storage *peer);
