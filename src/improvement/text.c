/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/text.h"

#include <string.h>

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"

bool text_is_plain(const char *text, size_t max_bytes)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t len = 0;

	for (; at[len] != '\0'; len++) {
		if (len == max_bytes || at[len] < 0x20 || at[len] == 0x7f)
			return false;
		/* U+0080 to U+009F, which some terminals obey */
		if (at[len] == 0xc2 && at[len + 1] >= 0x80 && at[len + 1] < 0xa0)
			return false;
	}
	return true;
}

bool text_is_name(const char *text, size_t max_bytes)
{
	size_t len = strspn(text, LOWER DIGITS ".+-");

	return len > 0 && len <= max_bytes && text[len] == '\0' && strchr(LOWER DIGITS, text[0]);
}

bool text_is_word(const char *text, size_t max_bytes)
{
	size_t len = 0;

	for (; text[len] != '\0'; len++)
		if (len == max_bytes || text[len] <= 0x20 || text[len] >= 0x7f ||
			text[len] == '"' || text[len] == '\\')
			return false;
	return len > 0;
}

bool text_is_cve(const char *text)
{
	size_t len;

	if (strncmp(text, "CVE-", 4) != 0)
		return false;
	text += 4;
	if (strspn(text, DIGITS) != 4 || text[4] != '-')
		return false;
	len = strspn(text + 5, DIGITS);
	return len >= 4 && len <= 10 && text[5 + len] == '\0';
}
