/* record.h - inside of the audit layer: a record's members, until they are one line */
#pragma once

#include "audit/audit.h"

/** record_line() - appends the canonical line (no newline) of @r with "seq", "prev" (hex) and
 *  "time" added; @r is as before, so that it can be tried again
 * Return: ERR_OK; what building @r met first; ERR_INPUT: two members of one name */
must_use enum err record_line(struct record *r, uint64_t seq, struct str prev_hex, uint64_t time_ns,
			      struct buf *line);
