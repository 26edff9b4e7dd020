/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Up to the first newline an address, behind it a Location. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fetch/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shown(const char *text)
{
	struct fetch_url_shown shown = fetch_url_shown(text);

	for (const char *c = shown.text; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f)
			abort();
}

static void check_local(const char *url)
{
	AUTO_FREE char *path = NULL;

	if (fetch_url_local_path(url, &path, NULL) == 0 && (path[0] != '/' || strstr(path, "/../")))
		abort();
}

static void check_redirect(const char *url, const char *location)
{
	AUTO_FREE char *to = NULL;
	enum fetch_url_scheme before, after;

	if (fetch_url_check_request(url, &before, NULL) < 0 ||
		fetch_url_redirect(url, location, &to, NULL) < 0)
		return;
	if (fetch_url_check_request(to, &after, NULL) < 0 || before != after)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = malloc(size + 1);
	char *location;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	location = strchr(text, '\n');
	if (location)
		*location++ = '\0';
	check_shown(text);
	check_local(text);
	if (fetch_url_check(text, NULL) == 0 && strchr(text, '?'))
		abort();
	if (location) {
		check_shown(location);
		check_redirect(text, location);
	}
	return 0;
}
