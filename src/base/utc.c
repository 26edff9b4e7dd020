/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/utc.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

struct utc_text utc_format(int64_t utc_s)
{
	time_t t = (time_t)utc_s;
	struct utc_text text = {"1970-01-01T00:00:00Z"};
	struct tm tm;

	if (gmtime_r(&t, &tm))
		(void)strftime(text.text, sizeof text.text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

static bool digits(const char *text, unsigned n, int *ret)
{
	int v = 0;

	for (unsigned i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (text[i] - '0');
	}
	*ret = v;
	return true;
}

int utc_parse(const char *text, int64_t *ret_utc_s)
{
	struct tm tm = {0};
	struct utc_text again;
	int64_t utc_s;

	if (strlen(text) != strlen("YYYY-MM-DDTHH:MM:SSZ") || text[4] != '-' || text[7] != '-' ||
		text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z')
		return -BSI_E_FORMAT;
	if (!digits(text, 4, &tm.tm_year) || !digits(text + 5, 2, &tm.tm_mon) ||
		!digits(text + 8, 2, &tm.tm_mday) || !digits(text + 11, 2, &tm.tm_hour) ||
		!digits(text + 14, 2, &tm.tm_min) || !digits(text + 17, 2, &tm.tm_sec))
		return -BSI_E_FORMAT;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	utc_s = timegm(&tm);

	/* timegm() accepts 31 February; the text that it stands for tells */
	again = utc_format(utc_s);
	if (strcmp(again.text, text) != 0)
		return -BSI_E_FORMAT;
	*ret_utc_s = utc_s;
	return 0;
}
