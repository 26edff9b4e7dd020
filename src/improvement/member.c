/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/member.h"

#include <errno.h>
#include <string.h>

#include "base/utc.h"

int member_copy_nullable_text(const json_t *o, const char *key, char **ret, struct error *reterr)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_null(v))
		return 0;
	return json_copy_text(o, key, ret, reterr);
}

int member_get_time(const json_t *o, const char *key, int64_t *ret, struct error *reterr)
{
	const char *text;
	int r;

	r = json_get_text(o, key, &text, reterr);
	if (r < 0)
		return r;
	if (utc_parse(text, ret) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is not a time", key);
	return 0;
}

int member_check_canonical(const json_t *o, const void *data, size_t len, struct error *reterr)
{
	/* canonical text is never longer than another text of the same value */
	AUTO_DONE(buffer) struct buffer again = buffer_of(len);
	int r;

	r = json_canonical(o, &again);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || again.len != len || memcmp(again.data, data, len) != 0)
		return error_set(reterr, -BSI_E_FORMAT, "it is not canonical JSON");
	return 0;
}
