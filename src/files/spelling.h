/* spelling.h - does a file system know a file by its name alone, byte for byte?
 *
 * Rules are asked for the name that the guest says. A file system that finds a file by another spelling
 * too (8.3 names, letters of either case beyond those that rules_fold() knows, dots at the end that it
 * drops) leads around them.
 */
#pragma once

/** spelling_loose() - the kind of file system that @fd (O_PATH is enough) is on, in static memory, if it is
 *  one of those that find files by other names, or cannot be told; NULL if not */
const char *spelling_loose(int fd);
/** spelling_loose_root() - the same, and whether the directory @fd folds case, as it declares or its entries
 *  show. To be called before confinement, which has no ioctl(2) for it. */
const char *spelling_loose_root(int fd);
