/* version.c - the ecosystems' orders behind one interface; see version.h. Pure. Texts come from policies,
 * registries and package names: each is bounded, wholly read, and either understood or no version at all. */
#include "policy/version.h"

#include "policy/version_parts.h"

static const struct version_ops *const schemes[] = {
	[VERSION_NPM] = &version_npm, [VERSION_CARGO] = &version_cargo, [VERSION_PYPI] = &version_pypi,
	[VERSION_DEBIAN] = &version_debian,
};

bool version_token(struct str *rest, char end, struct str *ret)
{
	struct str part;

	if (!rest->p)
		return false;
	part = str_head(*rest, str_find(*rest, end));
	*rest = part.n < rest->n ? str_from(*rest, part.n + 1) : (struct str){ NULL, 0 };
	*ret = str_trim(part);
	return true;
}

bool version_valid(enum version_scheme scheme, struct str v)
{
	return v.n > 0 && v.n <= VERSION_MAX && schemes[scheme]->valid(v);
}

bool version_compare(enum version_scheme scheme, struct str a, struct str b, int *ret)
{
	return version_valid(scheme, a) && version_valid(scheme, b) && schemes[scheme]->compare(a, b, ret);
}

bool version_prerelease(enum version_scheme scheme, struct str v)
{
	return version_valid(scheme, v) && schemes[scheme]->prerelease(v);
}

bool version_range_valid(enum version_scheme scheme, struct str range)
{
	return range.n <= VERSION_RANGE_MAX && range.p && schemes[scheme]->range(range, NULL);
}

bool version_in_range(enum version_scheme scheme, struct str range, struct str v)
{
	return version_range_valid(scheme, range) && version_valid(scheme, v) &&
	       schemes[scheme]->range(range, &v);
}
