/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish refresh: new times for metadata that says the same. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/utc.h"
#include "cmd/bsi-publish.h"
#include "publish/commit.h"

/* The keys of root, then of every role in the repository's order; all of them before any is used. */
struct renewal {
	struct keyring *offline;
	size_t n_offline;
	struct keyring snapshot, timestamp;
	struct publish_secret secret;
	struct repository *repository;
	int64_t now_utc_s;
};

static void renewal_done(struct renewal *w)
{
	for (size_t i = 0; i < w->n_offline; i++)
		keyring_done(&w->offline[i]);
	free(w->offline);
	keyring_done(&w->snapshot);
	keyring_done(&w->timestamp);
	publish_secret_done(&w->secret);
	repository_free(w->repository);
}
#define AUTO_RENEWAL __attribute__((cleanup(renewal_done)))

static const char *role_at(const struct repository *r, size_t i)
{
	return i == 0 ? "root" : r->roles[i - 1].name;
}

/* What is asked for before the lock is taken. */
static int load_offline(const struct verb_call *call, struct renewal *w, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	int r;

	r = repository_open(call_argument(call, 0), 0, &repository, reterr);
	if (r == 0)
		r = publish_issue_time(call, repository, &w->now_utc_s, reterr);
	if (r < 0)
		return r;
	w->offline = calloc(repository->n_roles + 1, sizeof *w->offline);
	if (!w->offline)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i <= repository->n_roles; i++) {
		r = publish_load_offline(call, call_argument(call, 0), role_at(repository, i),
			&w->secret, &w->offline[i], reterr);
		w->n_offline += r == 0;
	}
	return r;
}

static int check_keys(const struct renewal *w, struct error *reterr)
{
	int r = 0;

	if (w->n_offline > 0 && w->n_offline != w->repository->n_roles + 1)
		return error_set(reterr, -BSI_E_BUSY,
			"%s got another base meanwhile: run it again", w->repository->path);
	for (size_t i = 0; r == 0 && i < w->n_offline; i++)
		r = commit_check_keys(w->repository, role_at(w->repository, i), &w->offline[i],
			reterr);
	if (r == 0)
		r = commit_check_keys(w->repository, "snapshot", &w->snapshot, reterr);
	return r < 0 ? r
		     : commit_check_keys(w->repository, "timestamp", &w->timestamp, reterr);
}

/* Offline roles first; the online ones, which list them, follow. */
static int renew(struct renewal *w, struct error *reterr)
{
	struct repository *repository = w->repository;
	int r = 0;

	if (w->n_offline > 0)
		r = commit_root(repository, &w->offline[0], w->now_utc_s, reterr);
	if (r == 0 && w->n_offline > 0)
		r = commit_targets(repository, NULL, &w->offline[1], w->now_utc_s, reterr);
	for (size_t i = 2; r == 0 && i < w->n_offline; i++)
		r = commit_base(repository, &repository->roles[i - 1], &w->offline[i], w->now_utc_s,
			reterr);
	return r < 0 ? r
		     : commit_online(repository, &w->snapshot, &w->timestamp, w->now_utc_s, reterr);
}

int publish_refresh(struct verb_call *call, struct error *reterr)
{
	const char *path = call_argument(call, 0);
	AUTO_RENEWAL struct renewal w = {};
	struct utc_text until;
	int r = 0;

	if (call_has(call, "lost") && !call_has(call, "all"))
		return error_set(reterr, -BSI_E_USAGE,
			"--lost needs --all: every role has to be signed anew");
	if (call_has(call, "all"))
		r = load_offline(call, &w, reterr);
	if (r == 0)
		r = publish_load_online(call, path, &w.snapshot, &w.timestamp, reterr);
	if (r == 0)
		r = publish_open_locked(call, &w.repository, &w.now_utc_s, reterr);
	if (r == 0)
		r = check_keys(&w, reterr);
	if (r == 0)
		r = renew(&w, reterr);
	if (r < 0)
		return r;
	until = utc_format(w.now_utc_s + REPOSITORY_TIMESTAMP_EXPIRES_S);
	if (call_has(call, "json")) {
		AUTO_JSON json_t *document =
			json_pack("{s:s, s:s}", "repository", path, "expires", until.text);

		call_print_json(document);
	} else {
		printf("%s: fresh until %s\n", path, until.text);
	}
	return 0;
}
