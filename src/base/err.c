/* err.c - the table of err.h, readable by value */
#include "base/err.h"

#include <stddef.h>

static const struct {
	const char *name, *text;
	int http;
	enum err_fault fault;
} table[ERR_COUNT] = {
#define ERR_ROW(n, h, f, t) [ERR_##n] = { #n, t, h, f },
	ERR_TABLE(ERR_ROW)
#undef ERR_ROW
};

static size_t row(enum err e)
{
	return (unsigned)e < ERR_COUNT ? (size_t)e : (size_t)ERR_LOCAL;
}

const char *err_name(enum err e) { return table[row(e)].name; }
const char *err_text(enum err e) { return table[row(e)].text; }
int err_http_status(enum err e) { return table[row(e)].http; }
enum err_fault err_fault(enum err e) { return table[row(e)].fault; }
