/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish clean: files that no list names any more. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "cmd/bsi-publish.h"
#include "publish/leftover.h"

/* A mirror may be behind that long, and a timestamp is good for seven days. */
#define KEEP_DAYS 30
#define KEEP_DAYS_MAX 36500

int publish_clean(struct verb_call *call, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	struct leftover found;
	uint64_t days = KEEP_DAYS;
	int64_t now_utc_s;
	char bytes[32];
	int r;

	r = call_number(call, "older-than", KEEP_DAYS_MAX, &days, reterr);
	if (r == 0)
		r = publish_now(call, &now_utc_s, reterr);
	if (r == 0)
		r = repository_open(call_argument(call, 0), REPOSITORY_LOCK, &repository, reterr);
	if (r == 0)
		r = leftover_walk(repository, now_utc_s - (int64_t)days * REPOSITORY_DAY_S,
			call_has(call, "dry-run") ? 0 : LEFTOVER_REMOVE, &found, reterr);
	if (r < 0)
		return r;
	publish_format_bytes(found.bytes, bytes, sizeof bytes);
	if (call_has(call, "json")) {
		AUTO_JSON json_t *document = json_pack("{s:b, s:I, s:I}", "removed",
			!call_has(call, "dry-run"), "files", (json_int_t)found.n_files, "bytes",
			(json_int_t)found.bytes);

		call_print_json(document);
	} else {
		printf("%s: %s%" PRIu64 " %s (%s) that no list names any more\n",
			call_argument(call, 0), call_has(call, "dry-run") ? "has " : "removed ",
			found.n_files, found.n_files == 1 ? "file" : "files", bytes);
	}
	return 0;
}
