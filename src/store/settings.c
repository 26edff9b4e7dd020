/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/settings.h"

#include <errno.h>

#include "base/utc.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/state_file.h"

static int save_object(struct store *s, const char *path, const struct state_kind *kind,
	const json_t *content, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(SETTINGS_MAX_BYTES);
	int r;

	r = store_check_locked(s, reterr);
	if (r < 0)
		return r;
	if (!json_is_object(content))
		return error_set(reterr, -EINVAL, "\"%s\" has to be an object", path);
	if (json_canonical(content, &bytes) == -BSI_E_LIMIT)
		return error_set(reterr, -BSI_E_LIMIT, "\"%s\" would be larger than %u bytes", path,
			SETTINGS_MAX_BYTES);
	return state_save(s, path, kind, content, reterr);
}

int store_config_load(struct store *s, json_t **ret, struct error *reterr)
{
	int r = state_load(s, LAYOUT_CONFIG, &state_config, ret, reterr);

	if (r != -ENOENT)
		return r;
	*ret = json_object();
	return *ret ? 0 : -ENOMEM;
}

int store_config_save(struct store *s, const json_t *config, struct error *reterr)
{
	return save_object(s, LAYOUT_CONFIG, &state_config, config, reterr);
}

int store_enrolment_load(struct store *s, json_t **ret, struct error *reterr)
{
	int r = state_load(s, LAYOUT_ENROLMENT, &state_enrolment, ret, reterr);

	if (r == -ENOENT)
		return error_set(reterr, -BSI_E_ENROL, "this device is not enrolled");
	return r;
}

int store_enrolment_save(struct store *s, const json_t *enrolment, struct error *reterr)
{
	return save_object(s, LAYOUT_ENROLMENT, &state_enrolment, enrolment, reterr);
}

int store_enrolment_drop(struct store *s, struct error *reterr)
{
	int r;

	r = store_check_locked(s, reterr);
	if (r < 0)
		return r;
	r = durable_remove(s->dir_fd, LAYOUT_ENROLMENT);
	if (r < 0)
		return error_set(reterr, r, "the enrolment cannot be removed: %s", error_text(r));
	return 0;
}

int store_floor_get(struct store *s, int64_t *ret_utc_s, struct error *reterr)
{
	AUTO_JSON json_t *content = NULL;
	struct error reason = {0};
	uint64_t utc_s;
	int r;

	r = state_load(s, LAYOUT_FLOOR, &state_floor, &content, reterr);
	if (r == -ENOENT) {
		*ret_utc_s = 0;
		return 0;
	}
	if (r < 0)
		return r;
	r = json_get_u64(content, "utc_s", INT64_MAX, &utc_s, &reason);
	if (r < 0)
		return state_damaged(LAYOUT_FLOOR, &state_floor, reason.text, reterr);
	*ret_utc_s = (int64_t)utc_s;
	return 0;
}

static int save_floor(struct store *s, int64_t utc_s, struct error *reterr)
{
	AUTO_JSON json_t *content = json_pack("{s:I}", "utc_s", (json_int_t)utc_s);

	return content ? state_save(s, LAYOUT_FLOOR, &state_floor, content, reterr) : -ENOMEM;
}

int store_floor_reset(struct store *s, struct error *reterr)
{
	int r = store_check_locked(s, reterr);

	return r < 0 ? r : save_floor(s, 0, reterr);
}

int store_floor_set(struct store *s, int64_t utc_s, struct error *reterr)
{
	int64_t floor_utc_s;
	int r;

	r = store_check_locked(s, reterr);
	if (r == 0)
		r = store_floor_get(s, &floor_utc_s, reterr);
	if (r < 0)
		return r;
	if (utc_s < floor_utc_s)
		return 0;
	if (utc_s == floor_utc_s) {
		/* the run that raised it may have been killed before its last fsync */
		r = durable_sync_folder(s->dir_fd, ".");
		return r < 0 ? error_set(reterr, r, "the state cannot be made durable: %s",
				       error_text(r))
			     : 0;
	}
	return save_floor(s, utc_s, reterr);
}
