/* policy_file.h - a policy as a file that the user names */
#pragma once

#include "policy/policy.h"

#define POLICY_FILE_DEFAULT "paddock.yaml"

/** policy_file_read() - the file's bytes into @text (made here, freed by the caller); false
 *  and a line on standard error */
bool policy_file_read(const char *path, struct buf *text);
/** policy_file_load() - reads and compiles; NULL and a line on standard error. @text as above */
struct policy *policy_file_load(const char *path, struct buf *text);
