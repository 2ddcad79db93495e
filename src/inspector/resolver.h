/* resolver.h - the guest's DNS: synthetic addresses for names that the courier says yes to */
#pragma once

#include "inspector/inspector.h"

/** resolver_open() - the guest opened DNS stream @number; @fields is its OPEN */
void resolver_open(struct inspector *i, uint32_t number, struct str fields);
/** resolver_stop() - forgets every lookup, before the links go */
void resolver_stop(struct inspector *i);
