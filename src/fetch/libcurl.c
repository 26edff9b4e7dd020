/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch/libcurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The same since 2006. No linker records that it is needed: debian/control names its package. */
#define LIBCURL_SONAME "libcurl.so.4"

struct libcurl libcurl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_loaded;
static char reason[256];

static void load(void)
{
	const struct {
		const char *name;
		void *to; /* a pointer to a function, in libcurl */
	} symbols[] = {
		{"curl_easy_cleanup", &libcurl.easy_cleanup},
		{"curl_easy_getinfo", &libcurl.easy_getinfo},
		{"curl_easy_init", &libcurl.easy_init},
		{"curl_easy_perform", &libcurl.easy_perform},
		{"curl_easy_setopt", &libcurl.easy_setopt},
		{"curl_easy_strerror", &libcurl.easy_strerror},
		{"curl_free", &libcurl.free},
		{"curl_global_cleanup", &libcurl.global_cleanup},
		{"curl_global_init", &libcurl.global_init},
		{"curl_slist_append", &libcurl.slist_append},
		{"curl_slist_free_all", &libcurl.slist_free_all},
		{"curl_url", &libcurl.url},
		{"curl_url_cleanup", &libcurl.url_cleanup},
		{"curl_url_dup", &libcurl.url_dup},
		{"curl_url_get", &libcurl.url_get},
		{"curl_url_set", &libcurl.url_set},
	};
	/* never closed: its libraries leave handlers for the end of the process */
	void *library = dlopen(LIBCURL_SONAME, RTLD_NOW | RTLD_LOCAL), *found = library;
	const char *words;

	_Static_assert(sizeof symbols / sizeof *symbols == sizeof libcurl / sizeof(void *), "each one");
	for (size_t i = 0; found && i < ARRAY_SIZE(symbols); i++) {
		found = dlsym(library, symbols[i].name);
		memcpy(symbols[i].to, &found, sizeof found);
	}
	is_loaded = found != NULL;
	words = is_loaded ? NULL : dlerror();
	(void)snprintf(reason, sizeof reason, "%s", words ? words : LIBCURL_SONAME);
}

int libcurl_load(struct error *reterr)
{
	(void)pthread_once(&once, load);
	return is_loaded ? 0
			 : error_set(reterr, -BSI_E_UNSUPPORTED,
				   "nothing can be brought without libcurl, and it cannot be loaded: %s",
				   reason);
}

/* The number of an option says of which type its value is: CURLOPTTYPE_... of <curl/curl.h>. */
CURLcode(curl_easy_setopt)(CURL *easy, CURLoption option, ...)
{
	CURLcode c;
	va_list args;

	va_start(args, option);
	if ((int)option >= CURLOPTTYPE_OFF_T && (int)option < CURLOPTTYPE_BLOB)
		c = libcurl.easy_setopt(easy, option, va_arg(args, curl_off_t));
	else if ((int)option >= CURLOPTTYPE_OBJECTPOINT)
		c = libcurl.easy_setopt(easy, option, va_arg(args, void *));
	else
		c = libcurl.easy_setopt(easy, option, va_arg(args, long));
	va_end(args);
	return c;
}

/* Always a pointer to what is told. */
CURLcode(curl_easy_getinfo)(CURL *easy, CURLINFO info, ...)
{
	CURLcode c;
	va_list args;

	va_start(args, info);
	c = libcurl.easy_getinfo(easy, info, va_arg(args, void *));
	va_end(args);
	return c;
}
