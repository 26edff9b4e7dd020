/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish verify: the whole repository, offline. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/utc.h"
#include "cmd/bsi-publish.h"
#include "publish/verify.h"

static void show_progress(void *ctx, const char *component, uint64_t done_bytes,
	uint64_t total_bytes)
{
	char what[192];

	(void)snprintf(what, sizeof what, "%s: checking", component);
	progress_show(ctx, what, done_bytes, total_bytes);
}

static void show_report(const struct verb_call *call, const struct verify_report *r)
{
	char targets[32], images[32];

	if (call_has(call, "json")) {
		AUTO_JSON json_t *document = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
			"good", 1, "bases", (json_int_t)r->n_bases, "letters",
			(json_int_t)r->n_letters, "images", (json_int_t)r->n_images, "targets",
			(json_int_t)r->n_targets, "target_bytes", (json_int_t)r->target_bytes,
			"image_bytes", (json_int_t)r->image_bytes, "deltas_by_digest",
			(json_int_t)r->n_undecoded, "unlisted", (json_int_t)r->n_unlisted,
			"unlisted_bytes", (json_int_t)r->unlisted_bytes, "expires",
			utc_format(r->expires_utc_s).text);

		call_print_json(document);
		return;
	}
	publish_format_bytes(r->target_bytes, targets, sizeof targets);
	publish_format_bytes(r->image_bytes, images, sizeof images);
	printf("good: %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " %s (%s), %" PRIu64
	       " %s (%s); next expiry %s\n",
		r->n_bases, r->n_bases == 1 ? "base" : "bases", r->n_letters,
		r->n_letters == 1 ? "letter" : "letters", r->n_targets,
		r->n_targets == 1 ? "file" : "files", targets, r->n_images,
		r->n_images == 1 ? "image" : "images", images, utc_format(r->expires_utc_s).text);
	if (r->n_undecoded > 0)
		printf("%" PRIu64 " %s by digest alone: decoding needs the files of a base\n",
			r->n_undecoded, r->n_undecoded == 1 ? "delta" : "deltas");
	publish_format_bytes(r->unlisted_bytes, targets, sizeof targets);
	if (r->n_unlisted > 0)
		printf("%" PRIu64 " %s (%s) that no list names any more: 'clean' removes the old ones\n",
			r->n_unlisted, r->n_unlisted == 1 ? "file" : "files", targets);
}

int publish_verify(struct verb_call *call, struct error *reterr)
{
	struct progress bar = progress_start();
	const struct build_progress progress = {.ctx = &bar, .show = show_progress};
	struct verify_report report;
	int64_t now_utc_s;
	int r;

	r = publish_now(call, &now_utc_s, reterr);
	if (r < 0)
		return r;
	r = verify_repository(call_argument(call, 0), now_utc_s, &progress, &report, reterr);
	progress_end(&bar);
	if (r == 0)
		show_report(call, &report);
	return r;
}
