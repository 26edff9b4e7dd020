/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "fetch/libcurl.h"

static void curlu_freep(CURLU **u)
{
	if (*u)
		libcurl.url_cleanup(*u);
	*u = NULL;
}
#define AUTO_CURLU __attribute__((cleanup(curlu_freep)))

static void curl_textp(char **text)
{
	if (*text)
		libcurl.free(*text);
	*text = NULL;
}
#define AUTO_CURL_TEXT __attribute__((cleanup(curl_textp)))

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes at most len bytes of text into out (len + 1 bytes); false at a bad escape or a NUL. */
static bool percent_decode(const char *text, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] != '%') {
			*out++ = text[i];
			continue;
		}
		if (len - i < 3)
			return false;
		high = hex_value(text[i + 1]);
		low = hex_value(text[i + 2]);
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return false;
		*out++ = (char)(high * 16 + low);
		i += 2;
	}
	*out = '\0';
	return true;
}

static bool has_dot_segment(const char *path)
{
	for (const char *at = path; at; at = strchr(at, '/')) {
		size_t n;

		at += *at == '/';
		n = strcspn(at, "/");
		if ((n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
			return true;
	}
	return false;
}

/* Bytes that RFC 3986 has no place for; some of them split requests or fool terminals. */
static bool has_foreign_byte(const char *url)
{
	for (const char *c = url; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f || strchr("\"<>\\^`{|}", *c))
			return true;
	return false;
}

struct fetch_url_shown fetch_url_shown(const char *url)
{
	struct fetch_url_shown shown;
	const char *authority = strstr(url, "://");
	const char *user_from = NULL, *user_end = NULL;
	size_t n = 0;

	if (authority) {
		authority += 3;
		/* The last '@' before the path: a password may hold one, and "?" as well. */
		for (const char *c = authority; *c && *c != '/'; c++)
			if (*c == '@')
				user_end = c;
		user_from = user_end ? authority : NULL;
	}

	for (const char *c = url; *c; c++) {
		char piece[4] = {*c, '\0'};

		if (c == user_from) {
			(void)snprintf(piece, sizeof piece, "...");
			c = user_end - 1;
		} else if (*c <= 0x20 || *c >= 0x7f) {
			(void)snprintf(piece, sizeof piece, "%%%02X", (unsigned)(uint8_t)*c);
		}
		if (n + strlen(piece) + sizeof "?..." > sizeof shown.text || *c == '?') {
			n += (size_t)snprintf(
				shown.text + n, sizeof shown.text - n, *c == '?' ? "?..." : "...");
			break;
		}
		n += (size_t)snprintf(shown.text + n, sizeof shown.text - n, "%s", piece);
	}
	shown.text[n < sizeof shown.text ? n : sizeof shown.text - 1] = '\0';
	return shown;
}

static int refuse(struct error *reterr, int code, const char *url, const char *why)
{
	return error_set(reterr, code, "%s: %s", fetch_url_shown(url).text, why);
}

static const char *user_words =
	"an address may not carry a user name or password: it is stored and "
	"shown; serve the repository without one, it is public and signed";

static int check_scheme(const char *url, int code, enum fetch_url_scheme *ret, struct error *reterr)
{
	static const struct {
		const char *prefix;
		enum fetch_url_scheme scheme;
	} known[] = {
		{"http://", FETCH_URL_HTTP},
		{"https://", FETCH_URL_HTTPS},
		{"file:///", FETCH_URL_FILE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		/* libcurl would overlook a third slash behind http: and take the path for a host.
		 */
		if (strncasecmp(url, known[i].prefix, strlen(known[i].prefix)) == 0 &&
			(known[i].scheme == FETCH_URL_FILE ||
				url[strlen(known[i].prefix)] != '/')) {
			*ret = known[i].scheme;
			return 0;
		}
	}
	return refuse(reterr, code, url,
		"not an address that is known here; write http://HOST/PATH, https://HOST/PATH "
		"or file:///PATH");
}

static int check_path(const char *url, int code, struct error *reterr)
{
	const char *from = strchr(strstr(url, "://") + 3, '/');
	char decoded[FETCH_URL_MAX_BYTES + 1];
	size_t len = from ? strcspn(from, "?#") : 0;

	if (!percent_decode(url, strlen(url), decoded) ||
		(from && !percent_decode(from, len, decoded)))
		return refuse(reterr, code, url, "a percent sign that is no escape of a byte");
	if (from && has_dot_segment(decoded))
		return refuse(reterr, code, url, "\".\" or \"..\" in the path; write it resolved");
	return 0;
}

static int check_common(const char *url, int code, enum fetch_url_scheme *ret, struct error *reterr)
{
	enum fetch_url_scheme scheme = FETCH_URL_HTTP;
	AUTO_CURLU CURLU *parsed = NULL;
	CURLUcode c;
	int r;

	if (strlen(url) > FETCH_URL_MAX_BYTES)
		return refuse(reterr, code, url, "the address is longer than 2048 bytes");
	if (has_foreign_byte(url))
		return refuse(reterr, code, url,
			"a byte that has no place in an address; write it as a percent escape");
	r = check_scheme(url, code, &scheme, reterr);
	if (r < 0)
		return r;
	if (strchr(url, '#'))
		return refuse(
			reterr, code, url, "a fragment (\"#\") means nothing here; leave it out");
	r = check_path(url, code, reterr);
	if (r < 0)
		return r;

	r = libcurl_load(reterr);
	if (r < 0)
		return r;
	parsed = libcurl.url();
	if (!parsed)
		return -ENOMEM;
	c = libcurl.url_set(parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
	if (c == CURLUE_OUT_OF_MEMORY)
		return -ENOMEM;
	if (c == CURLUE_USER_NOT_ALLOWED)
		return refuse(reterr, code, url, user_words);
	if (c == CURLUE_BAD_PORT_NUMBER)
		return refuse(reterr, code, url, "the port is no number from 1 to 65535");
	if (c != CURLUE_OK)
		return refuse(reterr, code, url, "the host part cannot be read");
	*ret = scheme;
	return 0;
}

int fetch_url_check(const char *url, struct error *reterr)
{
	enum fetch_url_scheme scheme;
	int r = check_common(url, -BSI_E_USAGE, &scheme, reterr);

	if (r < 0)
		return r;
	if (strchr(url, '?'))
		return refuse(reterr, -BSI_E_USAGE, url,
			"a query (\"?\") cannot be the address of a folder; leave it out");
	return 0;
}

int fetch_url_check_request(const char *url, enum fetch_url_scheme *ret, struct error *reterr)
{
	return check_common(url, -BSI_E_TRANSFER, ret, reterr);
}

char *fetch_url_join(const char *base, const char *path)
{
	size_t base_len = strlen(base);
	char *joined;

	while (base_len && base[base_len - 1] == '/')
		base_len--;
	while (*path == '/')
		path++;
	if (base_len > FETCH_URL_MAX_BYTES ||
		asprintf(&joined, "%.*s/%s", (int)base_len, base, path) < 0)
		return NULL;
	return joined;
}

/* Whether two parsed addresses have this part in common; a default port counts as written out. */
static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	AUTO_CURL_TEXT char *in_a = NULL;
	AUTO_CURL_TEXT char *in_b = NULL;

	return libcurl.url_get(a, part, &in_a, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	       libcurl.url_get(b, part, &in_b, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	       strcasecmp(in_a, in_b) == 0;
}

int fetch_url_redirect(const char *url, const char *location, char **ret, struct error *reterr)
{
	AUTO_CURLU CURLU *from = NULL, *to = NULL;
	AUTO_CURL_TEXT char *resolved = NULL;
	enum fetch_url_scheme scheme;
	char *copy;
	int r = libcurl_load(reterr);

	if (r < 0)
		return r;
	from = libcurl.url();
	if (!from || libcurl.url_set(from, CURLUPART_URL, url, CURLU_PATH_AS_IS) != CURLUE_OK)
		return error_set(reterr, -ENOMEM, "%s: no memory", fetch_url_shown(url).text);
	to = libcurl.url_dup(from);
	if (!to)
		return -ENOMEM;
	/* Set on an address that is there already, a relative one is resolved against it. */
	if (has_foreign_byte(location) ||
		libcurl.url_set(to, CURLUPART_URL, location, 0) != CURLUE_OK ||
		libcurl.url_set(to, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
		libcurl.url_get(to, CURLUPART_URL, &resolved, 0) != CURLUE_OK)
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: redirected to what is no http address: %s", fetch_url_shown(url).text,
			fetch_url_shown(location).text);
	if (!same_part(from, to, CURLUPART_SCHEME) || !same_part(from, to, CURLUPART_HOST) ||
		!same_part(from, to, CURLUPART_PORT))
		return error_set(reterr, -BSI_E_TRANSFER,
			"%s: redirected to another server, %s, which is not followed; if the "
			"repository has moved there, enrol that address",
			fetch_url_shown(url).text, fetch_url_shown(resolved).text);
	r = fetch_url_check_request(resolved, &scheme, reterr);
	if (r < 0) {
		error_prefix(reterr, "%s: redirected", fetch_url_shown(url).text);
		return r;
	}
	copy = strdup(resolved);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int fetch_url_local_path(const char *url, char **ret, struct error *reterr)
{
	AUTO_FREE char *path = NULL;
	enum fetch_url_scheme scheme;
	const char *from;
	int r = fetch_url_check_request(url, &scheme, reterr);

	if (r < 0)
		return r;
	if (scheme != FETCH_URL_FILE || strchr(url, '?'))
		return refuse(reterr, -BSI_E_TRANSFER, url, "not the address of a local file");
	from = strchr(url, ':') + strlen("://");
	path = malloc(strlen(from) + 1);
	if (!path)
		return -ENOMEM;
	if (!percent_decode(from, strlen(from), path))
		return refuse(reterr, -BSI_E_TRANSFER, url, "a percent sign that is no escape");
	*ret = take_ptr(path);
	return 0;
}
