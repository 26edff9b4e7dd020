/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Path patterns of delegations: '*', '?' and '[...]' as in glob(7), none of which matches '/'.
 * Case-sensitive, no escapes, independent of the locale. '?' and '[...]' take one code point.
 *
 * fnmatch(3) depends on the locale and is exponential in the number of stars in some libraries;
 * this takes at most len(pattern) * len(path) steps.
 */
#include <stdbool.h>

/* Both are UTF-8 and end with NUL. A '[' without its ']' stands for itself. */
bool trust_pattern_match(const char *pattern, const char *path);
