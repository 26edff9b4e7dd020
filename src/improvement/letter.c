/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/letter.h"

#include <string.h>

#include "base/error.h"

int letter_check(const char *letter)
{
	size_t len = strspn(letter, "abcdefghijklmnopqrstuvwxyz");

	if (len == 0 || len > LETTER_MAX_LEN || letter[len] != '\0')
		return -BSI_E_FORMAT;
	return 0;
}

int letter_next(const char *letter, struct letter_text *ret)
{
	struct letter_text next = {"a"};
	size_t len, i;
	int r;

	if (!letter) {
		*ret = next;
		return 0;
	}
	r = letter_check(letter);
	if (r < 0)
		return r;

	len = strlen(letter);
	memcpy(next.text, letter, len + 1);
	for (i = len; i > 0 && next.text[i - 1] == 'z'; i--)
		next.text[i - 1] = 'a';
	if (i > 0) {
		next.text[i - 1]++;
	} else {
		if (len == LETTER_MAX_LEN)
			return -BSI_E_LIMIT;
		next.text[len] = 'a';
		next.text[len + 1] = '\0';
	}
	*ret = next;
	return 0;
}

int letter_compare(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return strcmp(a, b);
}
