/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every change of a repository needs: keys, the lock, what was signed last, the time. Keys come
 * first, since opening them may wait for somebody who types.
 */
#include <errno.h>
#include <string.h>

#include "cmd/bsi-publish.h"
#include "publish/commit.h"
#include "publish/record.h"

int publish_open_locked(const struct verb_call *call, struct repository **ret,
	int64_t *ret_now_utc_s, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	AUTO_FREE char *online = NULL;
	bool is_lost = call_has(call, "lost");
	int r;

	r = repository_open(call_argument(call, 0), REPOSITORY_LOCK, &repository, reterr);
	if (r == 0)
		r = publish_issue_time(call, repository, ret_now_utc_s, reterr);
	if (r == 0)
		r = publish_keys_path(call, call_argument(call, 0), "online-keys", "-online",
			&online);
	if (r == 0)
		r = record_load(online, &repository->record, reterr);
	if (r == 0)
		r = is_lost ? record_skip(repository->record, repository, reterr)
			    : record_check(repository->record, repository, reterr);
	/* a killed run may have signed what it did not come to record */
	if (r == 0)
		r = record_keep(repository->record, repository, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(repository);
	return 0;
}

void publish_session_done(struct publish_session *s)
{
	keyring_done(&s->base_keys);
	keyring_done(&s->snapshot_keys);
	keyring_done(&s->timestamp_keys);
	publish_secret_done(&s->secret);
	repository_free(s->repository);
}

/* Without the lock: whether there is a reason to ask for a passphrase at all. */
static int look(const struct verb_call *call, const char *base, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	struct repository_role *unused;
	int64_t unused_utc_s;
	int r;

	r = repository_open(call_argument(call, 0), 0, &repository, reterr);
	if (r == 0)
		r = repository_base(repository, base, &unused, reterr);
	return r < 0 ? r : publish_issue_time(call, repository, &unused_utc_s, reterr);
}

int publish_session_open(const struct verb_call *call, struct publish_session *s,
	struct error *reterr)
{
	const char *path = call_argument(call, 0), *base = call_value(call, "base");
	int r;

	if (!base)
		return error_set(reterr, -BSI_E_USAGE, "--base is needed");
	r = look(call, base, reterr);
	if (r == 0)
		r = publish_load_offline(call, path, base, &s->secret, &s->base_keys, reterr);
	if (r == 0)
		r = publish_load_online(call, path, &s->snapshot_keys, &s->timestamp_keys, reterr);
	if (r == 0)
		r = publish_open_locked(call, &s->repository, &s->issue.now_utc_s, reterr);
	if (r == 0)
		r = repository_base(s->repository, base, &s->issue.base, reterr);
	s->issue.draft = call_value(call, "draft");
	if (r == 0 && !s->issue.draft)
		r = commit_check_keys(s->repository, base, &s->base_keys, reterr);
	if (r == 0)
		r = commit_check_keys(s->repository, "snapshot", &s->snapshot_keys, reterr);
	if (r == 0)
		r = commit_check_keys(s->repository, "timestamp", &s->timestamp_keys, reterr);
	s->issue.repository = s->repository;
	s->issue.base_keys = &s->base_keys;
	s->issue.snapshot_keys = &s->snapshot_keys;
	s->issue.timestamp_keys = &s->timestamp_keys;
	return r;
}

int publish_show_begun(const struct verb_call *call, const struct publish_session *s,
	struct error *reterr)
{
	struct draft_count count;
	int r;

	r = draft_progress(s->repository, s->issue.base, &count, reterr);
	if (r == 0)
		publish_show_draft(call, s->issue.draft, s->issue.base->name,
			s->issue.base->file.version, &count);
	return r;
}
