/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs that bring an improvement, or make the mounts agree with what should be there. */
#include "agent/change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/ask.h"
#include "agent/restart.h"
#include "agent/settled.h"
#include "agent/status.h"
#include "agent/switch.h"
#include "agent/take.h"
#include "base/utc.h"
#include "store/denied.h"

#define HELD "held: " /* before the reason, as the gate says it */
#define CHANGE_HELD "held"
#define CHANGE_RESTARTED "restarted"

/*
 * How often a verb decides: once more when a manifest or payloads were loaded, or cannot be had, and
 * for each time that it was another thing which was wanted then.
 */
#define ROUNDS_MAX 8

/* What waits, with the reason and by when; false if nothing does, or (is_overdue) is not over yet. */
static bool say_held(const struct agent *a, const json_t *status, bool is_overdue, char *out,
	size_t out_len)
{
	const json_t *components = json_object_get(status, "components");
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < json_array_size(components) && at < out_len; i++) {
		const json_t *c = json_array_get(components, i);
		const char *state = json_string_value(json_object_get(c, "state"));
		const char *reason = json_string_value(json_object_get(c, "reason"));
		const char *name = json_string_value(json_object_get(c, "name"));
		const char *due = json_string_value(json_object_get(c, "due"));
		int64_t due_utc_s = INT64_MAX;
		int n;

		if (!state || strcmp(state, "held") != 0 || !reason || !name)
			continue;
		if (due && utc_parse(due, &due_utc_s) < 0)
			due_utc_s = INT64_MAX;
		if (is_overdue && due_utc_s > a->settings.now_utc_s)
			continue;
		if (strncmp(reason, HELD, sizeof HELD - 1) == 0)
			reason += sizeof HELD - 1;
		n = snprintf(out + at, out_len - at, "%s%s: %s%s%s", at > 0 ? "; " : "", name, reason,
			due	     ? due_utc_s <= a->settings.now_utc_s ? "; overdue since " :
								    "; due " :
				       "",
			due ? due : "");
		at += n > 0 ? (size_t)n : 0;
	}
	return at > 0;
}

int change_report(struct agent *a, const char *action, const char *letter, const char *reason,
	const struct graft_report *graft, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *status = NULL;
	struct error unseen = {0};
	char held[ERROR_TEXT_MAX];

	/* it was done, whether or not it can be shown */
	if (status_compose(a, &status, &unseen) < 0) {
		context_note(a, "it was done; the status cannot be shown: %s", unseen.text);
		status = json_object();
	}
	/* what was decided, and could not change anything yet, is not done */
	if (!change_was_made(graft) && strcmp(action, CHANGE_RESTARTED) != 0 &&
		say_held(a, status, false, held, sizeof held)) {
		action = CHANGE_HELD;
		reason = held;
	}
	*ret = json_pack("{s:s, s:s?, s:s?, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:O}", "action", action,
		"letter", letter, "reason", reason, "files", "attached",
		(json_int_t)graft->n_attached, "exchanged", (json_int_t)graft->n_exchanged, "off",
		(json_int_t)graft->n_off, "kept", (json_int_t)graft->n_kept, "prepare_us",
		(json_int_t)graft->prepare_us, "push_us", (json_int_t)graft->push_us, "work_us", (json_int_t)graft->work_us, "status", status);
	return *ret ? 0 : error_set(reterr, -ENOMEM, "it was done; no memory to tell about it");
}

bool change_was_made(const struct graft_report *report)
{
	return report->n_attached + report->n_exchanged + report->n_off > 0;
}

const char *change_word(const struct graft_report *report)
{
	if (!change_was_made(report))
		return "nothing";
	return report->n_attached + report->n_exchanged > 0 ? "attached" : "detached";
}

static int changed_each_time(struct error *reterr)
{
	return error_set(reterr, -BSI_E_BUSY,
		"each time that something was loaded, something else was wanted meanwhile");
}

/* What the decision says, and what that did; CONTEXT_AGAIN if another one has to be made first. */
static int follow(struct agent *a, struct remote *remote, const struct decision *decision,
	struct graft_report *graft, const char **ret_action, struct error *reterr)
{
	int r = 0;

	if (decision->action == DECISION_REFUSE)
		return error_set(reterr, decision->code, "%s", decision->reason);
	if (decision->action == DECISION_INSTALL) {
		r = take_entry(a, remote, decision->entry, graft, reterr);
		if (r == 0)
			*ret_action = "installed";
	} else if (decision->entry) {
		r = take_current(a, remote, graft, reterr);
		if (r == 0)
			*ret_action = change_word(graft);
	}
	return r;
}

int agent_install(struct agent *a, const char *letter, json_t **ret, struct error *reterr)
{
	AUTO(remote) struct remote *remote = NULL;
	AUTO_JSON json_t *restarts = NULL;
	struct graft_report graft = {0};
	struct decision decision;
	const struct asking asking = {.is_asked = true, .letter = letter};
	const char *action = "nothing", *taken = NULL;
	unsigned rounds = 0;
	int r;

	a->settings.flags |= AGENT_ASKED;
	r = ask_publisher(a, &asking, &remote, &decision, reterr);
	if (r == 0)
		r = follow(a, remote, &decision, &graft, &action, reterr);
	while (r == CONTEXT_AGAIN) {
		if (++rounds == ROUNDS_MAX)
			return changed_each_time(reterr);
		r = ask_again(a, &asking, &remote, &decision, reterr);
		if (r == 0)
			r = follow(a, remote, &decision, &graft, &action, reterr);
	}
	if (r < 0)
		return r;
	if (decision.entry) {
		taken = decision.entry->letter;
		status_take_in(a, decision.entry->build);
		r = store_denied_drop(a->store, a->device->base, decision.entry->build, reterr);
		if (r < 0)
			return r;
	}
	if (strcmp(action, "nothing") != 0)
		context_history_change(a, action, taken, decision.reason, &graft);
	if (a->settings.flags & AGENT_RESTART)
		restarts = restart_after(a);
	r = change_report(a, action, taken, decision.reason, &graft, ret, reterr);
	if (r == 0 && restarts && json_object_set(*ret, "restarts", restarts) < 0)
		context_note(a, "units were restarted; no memory to tell about it");
	return r;
}

/* What is known of the repository in a timer's run. */
struct news {
	struct remote *remote; /* with an index, if one was ever seen; NULL if nothing can be read */
	bool is_fresh;         /* the repository said so now */
	int code;              /* what asking gave */
	struct error why;
};

static void news_done(struct news *n)
{
	remote_free(n->remote);
}

/* Ask for news; where that fails, what was seen before still holds, withdrawals first of all. */
static void ask_or_offline(struct agent *a, struct news *n)
{
	struct error offline = {0};

	n->why = (struct error){0};
	n->code = remote_refresh(n->remote, &n->why);
	n->is_fresh = n->code == 0;
	if (n->is_fresh)
		return;
	status_keep_failure(a, &n->why);
	remote_free(take_ptr(n->remote));
	if (context_remote(a, &n->remote, &offline) < 0 ||
		remote_offline(n->remote, &offline) < 0)
		context_note(a, "what was seen before cannot be read either: %s", offline.text);
}

/* An improvement that could not be had in this run. */
struct failure {
	uint64_t build; /* 0: none */
	int code;
	struct error why;
};

/* An improvement that does not fit is no failure of a timer's run: it is held, and the status says why. */
static void hold_misfit(struct agent *a, struct remote *remote, struct decision *decision,
	const struct error *why)
{
	decision->action = DECISION_HOLD;
	decision->id = "mismatch";
	(void)snprintf(decision->reason, sizeof decision->reason, "%s", why->text);
	status_keep_decision(a, decision, remote_expires_utc_s(remote));
}

/* What was withdrawn goes, whether or not something can take its place. */
static int take_off_withdrawn(struct agent *a, struct decision *decision,
	struct graft_report *graft, const char **ret_action, struct error *reterr)
{
	decision->entry = decision->withdrawn;
	*ret_action = "withdrawn";
	return switch_to(a, 0, SWITCH_BACK, NULL, graft, reterr);
}

/* The mounts as `current` says. What cannot be had of a new letter must not keep them off. */
static int settle(struct agent *a, struct remote *remote, struct graft_report *graft,
	const char **ret_action, struct error *reterr)
{
	int r;

	if (settled_is(a))
		return 0;
	r = take_current(a, remote, graft, reterr);
	if (change_was_made(graft))
		*ret_action = change_word(graft);
	return r;
}

/* Take what is offered. CONTEXT_AGAIN if the state was not locked meanwhile, or it cannot be had. */
static int take_offered(struct agent *a, struct remote *remote, const struct decision *decision,
	struct failure *failed, struct graft_report *graft, const char **ret_action,
	struct error *reterr)
{
	int r = take_entry(a, remote, decision->entry, graft, &failed->why);

	if (r == 0)
		*ret_action = "installed";
	if (r >= 0)
		return r;
	if (failed->why.code != r || failed->why.text[0] == '\0')
		(void)error_set(&failed->why, r, "%s", error_text(r));
	failed->code = r;
	failed->build = decision->entry->build;
	if (store_is_locked(a->store))
		return CONTEXT_AGAIN;
	return error_set(reterr, r, "%s", failed->why.text);
}

static int obey(struct agent *a, const struct news *news, struct decision *decision,
	struct failure *failed, struct graft_report *graft, const char **ret_action,
	struct error *reterr)
{
	bool is_offered = decision->action == DECISION_INSTALL && news->is_fresh;
	int r;

	/* what is no longer wanted need not be had */
	if (!is_offered || decision->entry->build != failed->build)
		*failed = (struct failure){0};
	if (is_offered && failed->build == 0)
		return take_offered(a, news->remote, decision, failed, graft, ret_action, reterr);
	if (decision->withdrawn)
		return take_off_withdrawn(a, decision, graft, ret_action, reterr);
	if (failed->code == -BSI_E_MISMATCH) {
		hold_misfit(a, news->remote, decision, &failed->why);
		*failed = (struct failure){0};
	}
	r = settle(a, news->is_fresh && failed->code == 0 ? news->remote : NULL, graft, ret_action,
		reterr);
	/* the owner left what should have been made whole */
	if (r == -BSI_E_DENIED)
		return CONTEXT_AGAIN;
	return failed->code < 0 ? error_set(reterr, failed->code, "%s", failed->why.text) : r;
}

static int decide_and_obey(struct agent *a, const struct news *news, struct decision *decision,
	struct failure *failed, struct graft_report *graft, const char **ret_action,
	struct error *reterr)
{
	const struct asking asking = {0};
	int r;

	*decision = (struct decision){0};
	if (!news->remote || !remote_index(news->remote))
		return settle(a, NULL, graft, ret_action, reterr);
	r = context_decide(a, remote_index(news->remote), &asking, decision, reterr);
	if (r < 0)
		return r;
	if (news->is_fresh)
		status_keep_decision(a, decision, remote_expires_utc_s(news->remote));
	r = obey(a, news, decision, failed, graft, ret_action, reterr);
	/* what waited was attached just now, and waits no more */
	if (r == 0 && news->is_fresh && strcmp(decision->id, "relaunch-wanted") == 0 &&
		change_was_made(graft)) {
		r = context_decide(a, remote_index(news->remote), &asking, decision, reterr);
		if (r == 0)
			status_keep_decision(a, decision, remote_expires_utc_s(news->remote));
	}
	return r;
}

static int run(struct agent *a, struct news *news, struct decision *decision,
	struct graft_report *graft, const char **ret_action, struct error *reterr)
{
	struct failure failed = {0};
	unsigned rounds = 0;
	int r;

	for (;;) {
		r = decide_and_obey(a, news, decision, &failed, graft, ret_action, reterr);
		if (r != CONTEXT_AGAIN)
			return r;
		if (++rounds == ROUNDS_MAX)
			return changed_each_time(reterr);
		*decision = (struct decision){0};
		r = ask_anew(a, &news->remote, reterr);
		if (r < 0)
			return r;
		if (r > 0)
			ask_or_offline(a, news);
	}
}

int agent_run(struct agent *a, json_t **ret, struct error *reterr)
{
	__attribute__((cleanup(news_done))) struct news news = {0};
	AUTO_JSON json_t *status = NULL, *restarts = NULL;
	struct graft_report graft = {0};
	struct decision decision = {0};
	const char *action = NULL, *letter;
	char overdue[ERROR_TEXT_MAX];
	int r;

	*ret = NULL;
	r = context_begin(a, reterr);
	if (r == 0)
		r = context_remote(a, &news.remote, reterr);
	if (r < 0)
		return r;
	ask_or_offline(a, &news);
	r = run(a, &news, &decision, &graft, &action, reterr);
	/* another process did not let go of the state again: the rest is its matter */
	if (r < 0 && !store_is_locked(a->store))
		return r;
	letter = decision.entry ? decision.entry->letter : NULL;
	if (action)
		context_history_change(a, action, letter,
			decision.reason[0] ? decision.reason : NULL, &graft);
	if (restart_is_automatic(a))
		restarts = restart_after(a);
	if (restarts && !action)
		action = CHANGE_RESTARTED;
	if (action) {
		if (change_report(a, action, letter, decision.reason, &graft, ret, NULL) < 0)
			context_note(a, "%s: it was done; no memory to tell about it", action);
		else if (restarts && json_object_set(*ret, "restarts", restarts) < 0)
			context_note(a, "units were restarted; no memory to tell about it");
	} else if (status_compose(a, &status, r < 0 ? NULL : reterr) < 0) {
		if (r == 0)
			context_note(a, "the status could not be renewed");
	} else if (say_held(a, status, true, overdue, sizeof overdue)) {
		/* said once when it began; when its time is over, each time */
		if (change_report(a, CHANGE_HELD, letter, overdue, &graft, ret, NULL) < 0)
			context_note(a, "%s", overdue);
	}
	if (r == 0 && news.code < 0)
		r = error_set(reterr, news.code, "%s",
			news.why.text[0] ? news.why.text : error_text(news.code));
	return r;
}

int agent_attach(struct agent *a, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *status = NULL;
	struct graft_report graft = {0};
	int r;

	*ret = NULL;
	/* before the lock: the hook that runs when dpkg is done should find it free */
	r = attach_check_packages(a, reterr);
	if (r == 0)
		r = store_lock(a->store, reterr);
	if (r < 0 || settled_is(a))
		return r;
	r = take_current(a, NULL, &graft, reterr);
	if (r < 0)
		return r;
	if (change_was_made(&graft))
		return change_report(a, change_word(&graft), NULL, NULL, &graft, ret, reterr);
	/* the kernel took off what a package replaced: the status for everybody has to say so */
	return status_compose(a, &status, reterr);
}
