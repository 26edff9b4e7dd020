/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/utf8.h"

#include <string.h>

static size_t announced_len(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

size_t utf8_sequence(const char *text, size_t left)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t len = announced_len(*at);

	if (len == 0 || len > left || *at < 0x20 || *at == 0x7f)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, beyond Unicode, and the controls U+0080 to U+009F */
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] >= 0xa0) ||
		(*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] >= 0x90) ||
		(*at == 0xc2 && at[1] < 0xa0))
		return 0;
	return len;
}

bool utf8_is_plain(const char *text)
{
	for (size_t left = strlen(text); left > 0;) {
		size_t len = utf8_sequence(text, left);

		if (len == 0)
			return false;
		text += len;
		left -= len;
	}
	return true;
}
