/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust/pattern.h"

#include <stddef.h>
#include <stdint.h>

/* bytes that are no UTF-8 stand for themselves, outside of Unicode */
#define STRAY_BYTE 0x110000u

/* The code point at *at, which is not the end; moves *at behind it, never beyond the NUL. */
static uint32_t next_point(const char **at)
{
	const uint8_t *b = (const uint8_t *)*at;
	unsigned n = b[0] < 0x80 ? 0 : b[0] < 0xc0 ? 4 : b[0] < 0xe0 ? 1 : b[0] < 0xf0 ? 2 : 3;
	uint32_t point = n == 0 ? b[0] : b[0] & (0x3fu >> n);

	for (unsigned i = 1; i <= n; i++) {
		if (n == 4 || (b[i] & 0xc0) != 0x80) {
			*at += 1;
			return STRAY_BYTE + b[0];
		}
		point = point << 6 | (b[i] & 0x3fu);
	}
	*at += n + 1;
	return point;
}

/* The ']' that closes the '[' at open, or NULL; a ']' that comes first is a member. */
static const char *bracket_end(const char *open)
{
	const char *at = open + 1;

	if (*at == '!')
		at++;
	if (*at == ']')
		at++;
	while (*at != '\0' && *at != ']' && *at != '/')
		at++;
	return *at == ']' ? at : NULL;
}

/* Whether the set between open and end holds the point. */
static bool bracket_holds(const char *open, const char *end, uint32_t point)
{
	const char *at = open + 1, *high;
	bool negated = *at == '!', holds = false;
	uint32_t low, top;

	if (negated)
		at++;
	while (at < end) {
		low = top = next_point(&at);
		/* a '-' that is last stands for itself */
		if (*at == '-' && at + 1 < end) {
			high = at + 1;
			top = next_point(&high);
			at = high;
		}
		holds = holds || (low <= point && point <= top);
	}
	return holds != negated;
}

/* One element of the pattern, which is no '*', against one code point of the path. */
static bool element_matches(const char **pattern, const char **path)
{
	const char *p = *pattern, *t = *path, *end;
	uint32_t point;
	bool matches;

	if (*p == '\0' || *t == '\0')
		return false;
	point = next_point(&t);
	end = *p == '[' ? bracket_end(p) : NULL;
	if (end) {
		matches = point != '/' && bracket_holds(p, end, point);
		p = end + 1;
	} else if (*p == '?') {
		matches = point != '/';
		p++;
	} else {
		matches = next_point(&p) == point;
	}
	if (!matches)
		return false;
	*pattern = p;
	*path = t;
	return true;
}

/*
 * Only the last star is ever taken back to: an earlier one that took more could only move the last
 * one's start further on, and none of them can pass a '/'.
 */
bool trust_pattern_match(const char *pattern, const char *path)
{
	const char *star = NULL; /* behind the last '*' */
	const char *resume = NULL; /* what that star has not taken yet */

	while (*pattern != '\0' || *path != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			resume = path;
		} else if (!element_matches(&pattern, &path)) {
			if (!star || *resume == '\0' || *resume == '/')
				return false;
			(void)next_point(&resume);
			path = resume;
			pattern = star;
		}
	}
	return true;
}
