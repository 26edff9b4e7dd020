/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the verbs of bsi-publish share: options into requests, keys, output. */
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "cmd/progress.h"
#include "cmd/verb.h"
#include "improvement/manifest.h"
#include "publish/draft.h"
#include "publish/fixes.h"
#include "publish/issue.h"
#include "publish/keyring.h"
#include "publish/plan.h"

/* The verbs, one for each row of the table. */
int publish_init(struct verb_call *call, struct error *reterr);
int publish_extend(struct verb_call *call, struct error *reterr);
int publish_plan(struct verb_call *call, struct error *reterr);
int publish_add(struct verb_call *call, struct error *reterr);
int publish_withdraw(struct verb_call *call, struct error *reterr);
int publish_minimum(struct verb_call *call, struct error *reterr);
int publish_list(struct verb_call *call, struct error *reterr);
int publish_refresh(struct verb_call *call, struct error *reterr);
int publish_sign(struct verb_call *call, struct error *reterr);
int publish_commit(struct verb_call *call, struct error *reterr);
int publish_rotate(struct verb_call *call, struct error *reterr);
int publish_clean(struct verb_call *call, struct error *reterr);
int publish_verify(struct verb_call *call, struct error *reterr);

/* --time, or the clock. */
int publish_now(const struct verb_call *call, int64_t *ret_utc_s, struct error *reterr) MUST_CHECK;
/* The same for those who sign: passed repository_check_time(). Asked before anything is written. */
int publish_issue_time(const struct verb_call *call, const struct repository *r,
	int64_t *ret_utc_s, struct error *reterr) MUST_CHECK;

/* Where the keys of a repository lie: --keys and --online-keys, or beside it. free() ends it. */
int publish_keys_path(const struct verb_call *call, const char *repository, const char *option,
	const char *suffix, char **ret) MUST_CHECK;

/* A passphrase in memory that is wiped by publish_secret_done(). */
struct publish_secret {
	char *text; /* NULL: none, the keys are plain */
	size_t len;
};
enum publish_secret_flags {
	PUBLISH_SECRET_NEW = 1 << 0, /* ask twice; "none" must be said with --no-passphrase */
};
int publish_ask_secret(const struct verb_call *call, enum publish_secret_flags flags,
	const char *what, struct publish_secret *ret, struct error *reterr) MUST_CHECK;
void publish_secret_done(struct publish_secret *s);

/* The keys of one offline role, the passphrase asked for where it is needed. */
int publish_load_offline(const struct verb_call *call, const char *repository, const char *role,
	struct publish_secret *secret, struct keyring *ret, struct error *reterr) MUST_CHECK;
int publish_load_online(const struct verb_call *call, const char *repository,
	struct keyring *ret_snapshot, struct keyring *ret_timestamp, struct error *reterr)
	MUST_CHECK;

/*
 * The repository of a command line, locked and not behind what was signed last, and the time of
 * issue. Whatever has to be asked was asked before.
 */
int publish_open_locked(const struct verb_call *call, struct repository **ret,
	int64_t *ret_now_utc_s, struct error *reterr) MUST_CHECK;

/* What a change of one base needs; publish_session_done() ends it in any case. */
struct publish_session {
	struct repository *repository;
	struct keyring base_keys, snapshot_keys, timestamp_keys;
	struct publish_secret secret;
	struct issue issue;
};
int publish_session_open(const struct verb_call *call, struct publish_session *s,
	struct error *reterr) MUST_CHECK;
/* The draft that the change was written to, where --draft asked for one. */
int publish_show_begun(const struct verb_call *call, const struct publish_session *s,
	struct error *reterr) MUST_CHECK;
void publish_session_done(struct publish_session *s);

/* The states and the plan that a command line asks for; the plan borrows the states. */
struct publish_input {
	struct state *from[COMPARE_FROM_MAX];
	size_t n_from;
	struct state *to;
	struct plan_request request;
	struct plan *plan;
	struct plan_activation *activations;
	struct grouping_rule *rules;
	char **texts; /* owned pieces of options */
	size_t n_texts;
	const char **leave_out;
};
int publish_read_input(const struct verb_call *call, struct publish_input *ret,
	struct error *reterr) MUST_CHECK;
void publish_input_done(struct publish_input *in);
/* --cve, --no-cve, --cve-file, --cve-named over a plan. */
int publish_confirm(const struct verb_call *call, struct plan *p, struct error *reterr) MUST_CHECK;

void publish_show_plan(const struct plan *p);
json_t *publish_plan_json(const struct plan *p);
void publish_show_manifest(const struct manifest *m);
json_t *publish_manifest_json(const struct manifest *m);
void publish_show_index(const struct repository_role *base, const struct index *index);
/* How far a draft is, and what comes next. */
void publish_show_draft(const struct verb_call *call, const char *path, const char *base,
	uint64_t version, const struct draft_count *count);
/* "12.3 MB". */
void publish_format_bytes(uint64_t bytes, char *out, size_t out_len);
