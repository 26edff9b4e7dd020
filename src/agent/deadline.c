/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/deadline.h"

#include "store/settings.h"

#define DAY_S ((int64_t)24 * 60 * 60)

/* A number that cannot be read is as if none was set. */
static int64_t days_of(struct agent *a)
{
	AUTO_JSON json_t *config = NULL;
	uint64_t days = DEADLINE_DAYS_DEFAULT;

	if (store_config_load(a->store, &config, NULL) == 0 &&
		json_object_get(config, DEADLINE_KEY))
		(void)!json_get_u64(config, DEADLINE_KEY, DEADLINE_DAYS_MAX, &days, NULL);
	return (int64_t)days;
}

static struct deadline deadline_after(struct agent *a, int64_t since_utc_s)
{
	const int64_t due = since_utc_s + days_of(a) * DAY_S;

	return (struct deadline){.due_utc_s = due, .is_over = a->settings.now_utc_s >= due};
}

struct deadline deadline_of(struct agent *a, const struct generation *generation)
{
	int64_t since = 0;

	if (generation)
		since = generation->created_utc_s;
	else if (store_current_changed(a->store, &since) < 0)
		return (struct deadline){0};
	return deadline_after(a, since);
}

struct deadline deadline_from_now(struct agent *a)
{
	return deadline_after(a, a->settings.now_utc_s);
}
