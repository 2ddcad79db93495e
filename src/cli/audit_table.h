/* audit_table.h - a trail as a table for people */
#pragma once

#include "base/buf.h"

#include <stdio.h>

struct audit_table;

/** audit_table_new() - writes rows to @out; @everything: also names that were answered,
 *  connections, checkpoints. NULL without memory. */
struct audit_table *audit_table_new(FILE *out, bool everything);
void audit_table_free(struct audit_table *t);
/** audit_table_line() - one record's line. A request's row comes with its outcome. */
void audit_table_line(struct audit_table *t, struct str line);
/** audit_table_end() - rows of the requests whose outcome has not come */
void audit_table_end(struct audit_table *t);
