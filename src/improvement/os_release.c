/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/os_release.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

/* The value's text between at and end, which is one line without its end; out is as long. */
static int unquote(const char *at, const char *end, char *out)
{
	char quote = '\0';

	while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	if (at < end && (*at == '"' || *at == '\''))
		quote = *at++;
	for (; at < end; at++) {
		char c = *at;

		if ((unsigned char)c < 0x20 || c == 0x7f)
			return -BSI_E_FORMAT;
		if (quote && c == quote) {
			*out = '\0';
			return at + 1 == end ? 0 : -BSI_E_FORMAT;
		}
		if (c == '\\' && quote != '\'') {
			if (++at == end)
				return -BSI_E_FORMAT;
			c = *at;
		} else if (!quote && strchr(" \t\"'$`;&|<>()", c)) {
			/* a shell would do something else with it than take it as text */
			return -BSI_E_FORMAT;
		}
		*out++ = c;
	}
	*out = '\0';
	return quote ? -BSI_E_FORMAT : 0;
}

int os_release_get(const void *text, size_t len, const char *key, char **ret)
{
	const char *at = text, *end = at + len, *found = NULL, *found_end = NULL;
	size_t key_len = strlen(key);
	AUTO_FREE char *value = NULL;
	int r;

	if (len > OS_RELEASE_MAX_BYTES)
		return -BSI_E_LIMIT;
	if (len == 0)
		return -ENOENT;
	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));

		if (!line_end)
			line_end = end;
		while (at < line_end && (*at == ' ' || *at == '\t'))
			at++;
		if ((size_t)(line_end - at) > key_len && memcmp(at, key, key_len) == 0 &&
			at[key_len] == '=') {
			found = at + key_len + 1;
			found_end = line_end;
		}
		at = line_end + 1;
	}
	if (!found)
		return -ENOENT;

	value = malloc((size_t)(found_end - found) + 1);
	if (!value)
		return -ENOMEM;
	r = unquote(found, found_end, value);
	if (r < 0)
		return r;
	*ret = take_ptr(value);
	return 0;
}
