/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * libcurl, loaded when something is to be transferred. It brings some thirty libraries (LDAP, SSH,
 * Kerberos), and loading them would cost each boot more than all that is attached in it; and what
 * attaches, takes off and tells about it must not depend on them.
 *
 * Its functions are called as `libcurl.easy_perform(...)`, after libcurl_load(). Only the two that
 * take any type of value keep their names, and with them the checks of <curl/curl.h>.
 */
#include <curl/curl.h>

#include "base/compiler.h"
#include "base/error.h"

struct libcurl {
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_getinfo) *easy_getinfo;
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_perform) *easy_perform;
	__typeof__(curl_easy_setopt) *easy_setopt;
	__typeof__(curl_easy_strerror) *easy_strerror;
	__typeof__(curl_free) *free;
	__typeof__(curl_global_cleanup) *global_cleanup;
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free_all;
	__typeof__(curl_url) *url;
	__typeof__(curl_url_cleanup) *url_cleanup;
	__typeof__(curl_url_dup) *url_dup;
	__typeof__(curl_url_get) *url_get;
	__typeof__(curl_url_set) *url_set;
};

/* Filled by libcurl_load(), and by nobody else. */
extern struct libcurl libcurl;

/*
 * Once for the process; later calls are free. -BSI_E_UNSUPPORTED with what the loader says, where the
 * library or a function of it is missing: then nothing of it may be called.
 */
int libcurl_load(struct error *reterr) MUST_CHECK;
