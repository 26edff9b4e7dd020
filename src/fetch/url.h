/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Addresses of repositories and of the files below them. Only http, https and file are known; an
 * address never carries a user name or password, since it is stored, shown and sent as it is.
 */
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"

#define FETCH_URL_MAX_BYTES 2048

enum fetch_url_scheme {
	FETCH_URL_HTTP,
	FETCH_URL_HTTPS,
	FETCH_URL_FILE,
};

/*
 * Whether url may be the address of a repository: http://HOST[:PORT]/PATH, https://… or
 * file:///PATH, in printable ASCII with well-formed percent escapes; no user or password, no query,
 * no fragment, no "." or ".." in the path, escaped or not.
 * -BSI_E_USAGE with words that say what is wrong and what to write instead.
 */
int fetch_url_check(const char *url, struct error *reterr) MUST_CHECK;

/* The same rules for the address of one request, where a query is allowed; -BSI_E_TRANSFER. */
int fetch_url_check_request(
	const char *url, enum fetch_url_scheme *ret, struct error *reterr) MUST_CHECK;

/*
 * base, exactly one "/", then path (relative and percent-encoded already). free() ends it; NULL if
 * memory is short.
 */
char *fetch_url_join(const char *base, const char *path);

/*
 * Where the answer to url points with the header field "Location: LOCATION": absolute, dot segments
 * resolved, without its fragment. -BSI_E_TRANSFER if that is no address, or if scheme, host or port
 * are not those of url: the words name where it would have led.
 */
int fetch_url_redirect(
	const char *url, const char *location, char **ret, struct error *reterr) MUST_CHECK;

/* The path that a file address names, percent escapes resolved. free() ends it. */
int fetch_url_local_path(const char *url, char **ret, struct error *reterr) MUST_CHECK;

/*
 * An address fit for a message: user, password and query are replaced by "...", spaces and bytes
 * that are not printable ASCII by %XX, and what exceeds the room is cut. Takes any text.
 */
#define FETCH_URL_SHOWN_BYTES 320
struct fetch_url_shown {
	char text[FETCH_URL_SHOWN_BYTES];
};
struct fetch_url_shown fetch_url_shown(const char *url);
