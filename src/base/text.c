/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

/* The length of the UTF-8 sequence at s, 0 if it is none (RFC 3629: no overlong, no surrogate). */
static size_t sequence_len(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
	uint32_t point = len > 1 ? s[0] & (0x7fU >> len) : s[0];

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0; /* the final NUL ends it, too */
		point = point << 6 | (s[i] & 0x3f);
	}
	if (len > 1 && (point < least[len] || point > 0x10ffff || (point >> 11) == 0x1b))
		return 0;
	return len;
}

static bool is_control(const unsigned char *s, size_t len)
{
	if (len == 1)
		return s[0] < 0x20 || s[0] == 0x7f;
	return len == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

void text_clean(char *text)
{
	unsigned char *s = (unsigned char *)text;

	while (*s) {
		size_t len = sequence_len(s);

		if (len > 0 && !is_control(s, len)) {
			s += len;
			continue;
		}
		for (size_t i = 0; i < (len ? len : 1); i++)
			*s++ = '?';
	}
}
