/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a dpkg that calls its pre-invoke hook is about to do, as far as its command line tells.
 * Needs libc alone, and dpkg-deb, which dpkg needs as well.
 */
#include <sys/types.h>

#include "base/compiler.h"

enum package_request {
	PACKAGE_REQUEST_ELSEWHERE, /* no package that it names has that file */
	PACKAGE_REQUEST_HERE,      /* one of them has */
	PACKAGE_REQUEST_UNTOLD, /* it names no packages (folders, all that is pending), or in a way
				   that is not understood */
};

/*
 * Whether the dpkg above the caller will replace or remove the file at this absolute path. By
 * DPKG_HOOK_ACTION, its arguments, and the lists of files in its database: a package that takes a
 * file over from another one is not foreseen.
 */
enum package_request package_request_of(const char *path);
