/* tunnel.h - connections that pass unopened; the phases route and tunnel of connection.h */
#pragma once

struct tunnel;

/** tunnel_free() - a stream that is still open is reset; NULL is fine */
void tunnel_free(struct tunnel *t);
