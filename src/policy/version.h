/* version.h - versions of software, in the order and with the ranges of each ecosystem
 *
 *   npm     Semantic Versioning 2.0; ranges of node-semver: ^1.2 ~1.2 1.x >=1 <2, "1.2 - 2.3", "||"
 *   cargo   Semantic Versioning 2.0; ranges of Cargo: 1.2 is ^1.2; comma between
 *   pypi    PEP 440; specifiers: ~= == != <= >= < > ===, comma between
 *   debian  deb-version(7); << <= = >= >> (and < >), comma between
 * A pre-release satisfies a range only as it would there (npm and Cargo: if a bound names
 * a pre-release of the same version; PEP 440: if a bound other than != < > is one).
 */
#pragma once

#include "base/str.h"

#define VERSION_MAX 128			/* bytes of a version */
#define VERSION_RANGE_MAX 512		/* bytes of a range */

enum version_scheme { VERSION_NPM, VERSION_CARGO, VERSION_PYPI, VERSION_DEBIAN };

bool version_valid(enum version_scheme scheme, struct str v);
/** version_compare() - false if either is no version; else *ret is <0, 0, >0 */
bool version_compare(enum version_scheme scheme, struct str a, struct str b, int *ret);
/** version_prerelease() - of a valid version; Debian has none */
bool version_prerelease(enum version_scheme scheme, struct str v);
bool version_range_valid(enum version_scheme scheme, struct str range);
/** version_in_range() - false also if either is malformed */
bool version_in_range(enum version_scheme scheme, struct str range, struct str v);
