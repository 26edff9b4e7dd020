/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/boot.h"

#include <errno.h>

#include "store/durable.h"
#include "store/layout.h"
#include "store/state_file.h"

int store_boot_get(struct store *s, struct boot_count *ret, struct error *reterr)
{
	AUTO_JSON json_t *content = NULL;
	struct boot_count count = {0};
	struct error reason = {0};
	int r;

	r = state_load(s, LAYOUT_BOOT, &state_boot, &content, reterr);
	if (r == -ENOENT) {
		*ret = count;
		return 0;
	}
	if (r < 0)
		return r;
	r = json_get_u64(content, "generation", INT64_MAX, &count.generation, &reason);
	if (r == 0)
		r = json_get_u64(content, "attempts", BOOT_ATTEMPTS_MAX, &count.attempts, &reason);
	if (r < 0)
		return state_damaged(LAYOUT_BOOT, &state_boot, reason.text, reterr);
	*ret = count;
	return 0;
}

int store_boot_set(struct store *s, const struct boot_count *count, struct error *reterr)
{
	AUTO_JSON json_t *content = json_pack("{s:I, s:I}", "attempts",
		(json_int_t)(count->attempts < BOOT_ATTEMPTS_MAX ? count->attempts
								 : BOOT_ATTEMPTS_MAX),
		"generation", (json_int_t)count->generation);
	int r;

	if (!content)
		return -ENOMEM;
	r = store_check_locked(s, reterr);
	return r < 0 ? r : state_save(s, LAYOUT_BOOT, &state_boot, content, reterr);
}

int store_boot_clear(struct store *s, struct error *reterr)
{
	int r;

	r = store_check_locked(s, reterr);
	if (r < 0)
		return r;
	r = durable_remove(s->dir_fd, LAYOUT_BOOT);
	if (r < 0)
		return error_set(reterr, r, "the count of boots cannot be removed: %s", error_text(r));
	return 0;
}
