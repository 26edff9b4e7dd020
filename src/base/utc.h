/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Times as text, exactly "YYYY-MM-DDTHH:MM:SSZ". Seconds since 1970 in UTC. Reads no clock. */
#include <stdint.h>

#include "base/compiler.h"

struct utc_text {
	char text[32];
};

struct utc_text utc_format(int64_t utc_s);
/* -BSI_E_FORMAT for anything else, days that do not exist included. */
int utc_parse(const char *text, int64_t *ret_utc_s) MUST_CHECK;
