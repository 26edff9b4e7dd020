/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish sign, commit: a change whose keys are in different hands. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/utc.h"
#include "cmd/bsi-publish.h"
#include "publish/commit.h"
#include "publish/draft.h"

#define AUTO_SECRET __attribute__((cleanup(publish_secret_done)))
#define AUTO_KEYRING __attribute__((cleanup(keyring_done)))

void publish_show_draft(const struct verb_call *call, const char *path, const char *base,
	uint64_t version, const struct draft_count *count)
{
	AUTO_JSON json_t *document = NULL;

	if (!call_has(call, "json")) {
		printf("%s: version %" PRIu64 " of %s, signed by %" PRIu64 " of %" PRIu64 "\n", path,
			version, base, count->n_signed, count->threshold);
		printf("%s\n", count->n_signed < count->threshold
				? "'sign' adds the signature of another holder"
				: "'commit' publishes it");
		return;
	}
	document = json_pack("{s:s, s:s, s:I, s:I, s:I}", "draft", path, "base", base, "version",
		(json_int_t)version, "signed", (json_int_t)count->n_signed, "threshold",
		(json_int_t)count->threshold);
	call_print_json(document);
}

/* What the holder is about to sign, beside what is published now. */
static int show_news(const struct repository *now, const struct repository *next,
	const struct repository_role *base, struct error *reterr)
{
	AUTO(index) struct index *before = NULL, *after = NULL;
	struct repository_role *published = NULL;
	int r;

	r = repository_base(now, base->name, &published, reterr);
	if (r == 0)
		r = repository_load_index(now, published, &before, reterr);
	if (r == 0)
		r = repository_load_index(next, base, &after, reterr);
	if (r < 0)
		return r;
	publish_show_index(base, after);
	for (size_t i = 0; r == 0 && i < after->n_entries; i++) {
		AUTO(manifest) struct manifest *m = NULL;

		if (index_find_build(before, after->entries[i].build))
			continue;
		r = repository_load_manifest(next, base, &after->entries[i], &m, reterr);
		if (r == 0)
			publish_show_manifest(m);
	}
	return r;
}

int publish_sign(struct verb_call *call, struct error *reterr)
{
	const char *path = call_argument(call, 0), *draft = call_argument(call, 1);
	AUTO(repository) struct repository *now = NULL, *next = NULL;
	AUTO_SECRET struct publish_secret secret = {};
	AUTO_KEYRING struct keyring keys = {};
	struct repository_role *base = NULL;
	struct draft_count count = {};
	int r;

	r = repository_open(path, 0, &now, reterr);
	if (r == 0)
		r = repository_open(path, 0, &next, reterr);
	if (r == 0)
		r = draft_load(next, draft, &base, reterr);
	if (r == 0 && !call_has(call, "json"))
		r = show_news(now, next, base, reterr);
	if (r == 0)
		r = publish_load_offline(call, path, base->name, &secret, &keys, reterr);
	if (r == 0)
		r = draft_sign(next, base, &keys, draft, reterr);
	if (r == 0)
		r = draft_progress(next, base, &count, reterr);
	if (r == 0)
		publish_show_draft(call, draft, base->name, base->file.version, &count);
	return r;
}

int publish_commit(struct verb_call *call, struct error *reterr)
{
	const char *path = call_argument(call, 0), *draft = call_argument(call, 1);
	AUTO(repository) struct repository *repository = NULL;
	AUTO_KEYRING struct keyring snapshot = {}, timestamp = {};
	struct repository_role *base = NULL;
	int64_t now_utc_s;
	int r;

	r = publish_load_online(call, path, &snapshot, &timestamp, reterr);
	if (r == 0)
		r = publish_open_locked(call, &repository, &now_utc_s, reterr);
	if (r == 0)
		r = commit_check_keys(repository, "snapshot", &snapshot, reterr);
	if (r == 0)
		r = commit_check_keys(repository, "timestamp", &timestamp, reterr);
	if (r == 0)
		r = draft_load(repository, draft, &base, reterr);
	if (r == 0)
		r = commit_signed_base(repository, base, reterr);
	if (r == 0)
		r = commit_online(repository, &snapshot, &timestamp, now_utc_s, reterr);
	if (r < 0)
		return r;
	if (call_has(call, "json")) {
		AUTO_JSON json_t *document = json_pack("{s:s, s:s, s:I}", "repository", path, "base",
			base->name, "version", (json_int_t)base->file.version);

		call_print_json(document);
	} else {
		printf("%s: version %" PRIu64 " of %s is published\n", path, base->file.version,
			base->name);
	}
	return 0;
}
