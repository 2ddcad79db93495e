/* version_fuzz.c - "<scheme 0..3><range>\n<a>\n<b>": orders
 * are orders, and a range holds for equal versions alike */
#include "policy/version.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_make(data + 1, size ? size - 1 : 0), range, a, b;
	enum version_scheme scheme;
	int order, reverse;

	if (size == 0 || data[0] < '0' || data[0] > '3')
		return 0;
	scheme = (enum version_scheme)(data[0] - '0');
	range = str_head(rest, str_find(rest, '\n'));
	rest = str_from(rest, range.n + 1);
	a = str_head(rest, str_find(rest, '\n'));
	b = str_from(rest, a.n + 1);
	check(version_compare(scheme, a, b, &order) ==
	      (version_valid(scheme, a) && version_valid(scheme, b)));
	if (version_valid(scheme, a))
		check(version_compare(scheme, a, a, &order) && order == 0);
	if (version_compare(scheme, a, b, &order)) {
		check(version_compare(scheme, b, a, &reverse) && (order < 0) == (reverse > 0) &&
		      (order > 0) == (reverse < 0));
		if (order == 0 && scheme != VERSION_PYPI)	/* "===" is about the text */
			check(version_in_range(scheme, range, a) == version_in_range(scheme, range, b));
	}
	(void)version_in_range(scheme, range, a);
	(void)version_prerelease(scheme, a);
	return 0;
}
