/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verbs that change what is attached. Each one first makes durable what should be (a
 * generation, and `current` that points at it) and then makes the mounts agree; when the mounts
 * cannot be changed, `current` goes back to where it was.
 */
#include "agent/change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/attach.h"
#include "agent/context.h"
#include "agent/obtain.h"
#include "agent/settled.h"
#include "agent/status.h"
#include "store/denied.h"
#include "store/generation.h"

#define MEGABYTE 1e6

static void note_need(const struct agent *a, const struct fit *fit)
{
	struct obtain_need need;

	obtain_need(a, fit, &need);
	if (need.n_images > 0)
		context_note(a, "brings %zu image%s: %.1f MB to load, %.1f MB of disk", need.n_images,
			need.n_images == 1 ? "" : "s", (double)need.download_bytes / MEGABYTE,
			(double)(need.image_bytes + need.download_bytes) / MEGABYTE);
}

int change_report(struct agent *a, const char *action, const char *letter, const char *reason,
	const struct graft_report *graft, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *status = NULL;
	struct error unseen = {0};

	/* it was done, whether or not it can be shown */
	if (status_compose(a, &status, &unseen) < 0) {
		context_note(a, "it was done; the status cannot be shown: %s", unseen.text);
		status = json_object();
	}
	*ret = json_pack("{s:s, s:s?, s:s?, s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:O}", "action", action,
		"letter", letter, "reason", reason, "files", "attached",
		(json_int_t)graft->n_attached, "exchanged", (json_int_t)graft->n_exchanged, "off",
		(json_int_t)graft->n_off, "kept", (json_int_t)graft->n_kept, "push_us",
		(json_int_t)graft->push_us, "work_us", (json_int_t)graft->work_us, "status", status);
	return *ret ? 0 : error_set(reterr, -ENOMEM, "it was done; no memory to tell about it");
}

/* Where `current` points, and what may be gone back to from there. */
struct place {
	uint64_t current, previous;
};

static int read_place(struct agent *a, struct place *ret, struct error *reterr)
{
	int r = store_current_get(a->store, &ret->current, reterr);

	return r < 0 ? r : store_previous_get(a->store, &ret->previous, reterr);
}

enum switch_direction {
	SWITCH_ON,   /* what was current may be gone back to */
	SWITCH_BACK, /* what was current is left for good */
};

static int point_to(struct agent *a, uint64_t number, enum switch_direction direction,
	const struct place *before, struct error *reterr)
{
	if (before->current == number)
		return 0;
	if (direction == SWITCH_BACK)
		return store_current_revert(a->store, number, 0, reterr);
	return store_current_set(a->store, number, reterr);
}

/* Make `current` say number, then the mounts; or leave both as they were. */
static int switch_to(struct agent *a, uint64_t number, enum switch_direction direction,
	struct fit *fit, struct graft_report *ret, struct error *reterr)
{
	AUTO_DONE(attach_outcome) struct attach_outcome outcome = {0};
	struct place before;
	int r;

	r = read_place(a, &before, reterr);
	if (r == 0)
		r = point_to(a, number, direction, &before, reterr);
	if (r < 0)
		return r;
	r = attach_fit(a, fit, a->settings.flags & AGENT_BOOT ? GATE_BOOT : 0, &outcome,
		reterr);
	*ret = outcome.graft;
	if (r < 0) {
		struct error again;

		if (before.current != number &&
			store_current_revert(a->store, before.current, before.previous, &again) < 0)
			context_note(a, "current could not be set back: %s", again.text);
		return r;
	}
	status_keep_attach(a, number, fit, &outcome);
	/* what is held is looked at again by the next run, with the generation that it came from */
	if (outcome.gate.n_holds > 0)
		return 0;
	settled_mark(a, number);
	return store_collect(a->store, reterr);
}

/* The components that are attached: they fit, and their image is in the store. */
static int write_generation(struct agent *a, const struct manifest *m, const struct buffer *bytes,
	const struct fit *fit, uint64_t *ret_number, struct error *reterr)
{
	AUTO_FREE struct generation_component *components =
		calloc(fit->n_components + 1, sizeof *components);
	struct generation g = {.base = m->base,
		.letter = m->letter,
		.build = m->build,
		.created_utc_s = a->settings.now_utc_s,
		.components = components,
		.manifest = bytes->data,
		.manifest_len = bytes->len};

	if (!components)
		return -ENOMEM;
	for (size_t i = 0; i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		if (c->match.verdict == MATCH_SET)
			components[g.n_components++] = (struct generation_component){
				.name = c->component->name,
				.image = c->component->image.digest,
				.set = c->component->sets[c->match.set].name};
	}
	return store_generation_write(a->store, &g, ret_number, reterr);
}

static bool is_same_component(const struct generation_component *g, const struct fit_component *c)
{
	return strcmp(g->name, c->component->name) == 0 &&
	       digest_equal(&g->image, &c->component->image.digest) && g->set &&
	       strcmp(g->set, c->component->sets[c->match.set].name) == 0;
}

/* Whether a generation already says what write_generation() would write. */
static bool is_same_generation(const struct generation *g, const struct buffer *bytes,
	const struct fit *fit)
{
	size_t n = 0;

	if (!g || g->manifest_len != bytes->len ||
		memcmp(g->manifest, bytes->data, bytes->len) != 0)
		return false;
	for (size_t i = 0; i < fit->n_components; i++) {
		if (fit->components[i].match.verdict != MATCH_SET)
			continue;
		if (n >= g->n_components ||
			!is_same_component(&g->components[n], &fit->components[i]))
			return false;
		n++;
	}
	return n == g->n_components;
}

/* Nothing of the improvement fits, and something of it should: nothing is taken. */
static int refuse_mismatch(const struct manifest *m, const struct fit *fit, struct error *reterr)
{
	const struct fit_component *open = NULL;

	for (size_t i = 0; i < fit->n_components; i++) {
		if (fit->components[i].match.verdict == MATCH_SET)
			return 0;
		if (fit->components[i].match.verdict == MATCH_MISMATCH && !open)
			open = &fit->components[i];
	}
	if (!open)
		return 0;
	return error_set(reterr, -BSI_E_MISMATCH, "(%s) does not fit this device: %s: %s", m->letter,
		open->component->name, open->match.reason);
}

/* Bring what is missing, and make this manifest what the device has. */
static int take_manifest(struct agent *a, struct remote *remote, const struct manifest *m,
	const struct buffer *bytes, struct graft_report *ret, struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(fit) struct fit *fit = NULL;
	uint64_t number;
	int r;

	r = fit_measure(a->root_fd, m, &fit, reterr);
	if (r == 0)
		r = refuse_mismatch(m, fit, reterr);
	if (r < 0)
		return r;
	note_need(a, fit);
	r = obtain_images(a, remote, fit, reterr);
	if (r == 0)
		r = context_installed(a, &installed, reterr);
	if (r < 0)
		return r;
	if (is_same_generation(installed.generation, bytes, fit))
		number = installed.generation->number;
	else
		r = write_generation(a, m, bytes, fit, &number, reterr);
	return r < 0 ? r : switch_to(a, number, SWITCH_ON, fit, ret, reterr);
}

static int take_entry(struct agent *a, struct remote *remote,
	const struct index_entry *entry, struct graft_report *ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = NULL;
	int r;

	r = remote_manifest(remote, entry, &bytes, &m, reterr);
	return r < 0 ? r : take_manifest(a, remote, m, &bytes, ret, reterr);
}

int change_take_current(struct agent *a, struct remote *remote, struct graft_report *ret,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(fit) struct fit *fit = NULL;
	struct buffer bytes;
	int r;

	r = context_installed(a, &installed, reterr);
	if (r < 0)
		return r;
	if (!installed.manifest)
		return switch_to(a, 0, SWITCH_BACK, NULL, ret, reterr);
	if (remote) {
		bytes = (struct buffer){.data = installed.generation->manifest,
			.len = installed.generation->manifest_len};
		r = take_manifest(a, remote, installed.manifest, &bytes, ret, reterr);
		/* what no longer fits goes off; that is no failure of this run */
		if (r != -BSI_E_MISMATCH)
			return r;
	}
	r = fit_measure(a->root_fd, installed.manifest, &fit, reterr);
	if (r < 0)
		return r;
	return switch_to(a, installed.generation->number, SWITCH_ON, fit, ret, reterr);
}

bool change_was_made(const struct graft_report *report)
{
	return report->n_attached + report->n_exchanged + report->n_off > 0;
}

int agent_install(struct agent *a, const char *letter, json_t **ret, struct error *reterr)
{
	AUTO(remote) struct remote *remote = NULL;
	struct graft_report graft = {0};
	struct decision decision;
	const struct asking asking = {.is_asked = true, .letter = letter};
	const char *action = "nothing", *taken = NULL;
	int r;

	r = context_ask(a, &asking, &remote, &decision, reterr);
	if (r < 0)
		return r;
	if (decision.action == DECISION_REFUSE)
		return error_set(reterr, decision.code, "%s", decision.reason);
	if (decision.action == DECISION_INSTALL) {
		r = take_entry(a, remote, decision.entry, &graft, reterr);
		action = "installed";
	} else if (decision.entry) {
		r = change_take_current(a, remote, &graft, reterr);
		action = change_was_made(&graft) ? "attached" : "nothing";
	}
	if (r < 0)
		return r;
	if (decision.entry) {
		taken = decision.entry->letter;
		r = store_denied_drop(a->store, a->device->base, decision.entry->build, reterr);
		if (r < 0)
			return r;
	}
	if (strcmp(action, "nothing") != 0)
		context_history(a, action, taken, decision.reason);
	return change_report(a, action, taken, decision.reason, &graft, ret, reterr);
}

/* Ask for news; where that fails, what was seen before still holds, withdrawals first of all. */
static int refresh_or_offline(struct remote *remote, struct error *reterr)
{
	int r;

	r = remote_refresh(remote, reterr);
	if (r < 0)
		(void)!remote_offline(remote, NULL);
	return r;
}

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

static int obey(struct agent *a, struct remote *remote, bool is_fresh,
	struct decision *decision, struct graft_report *graft, const char **ret_action,
	struct error *reterr)
{
	struct error failed = {0};
	int r = -BSI_E_HELD;

	if (decision->action == DECISION_INSTALL && is_fresh) {
		r = take_entry(a, remote, decision->entry, graft, &failed);
		*ret_action = "installed";
	}
	if (r == 0)
		return 0;
	if (decision->withdrawn)
		return take_off_withdrawn(a, decision, graft, ret_action, reterr);
	if (r == -BSI_E_MISMATCH)
		hold_misfit(a, remote, decision, &failed);
	else if (decision->action == DECISION_INSTALL && is_fresh)
		return error_set(reterr, r, "%s", failed.text[0] ? failed.text : error_text(r));

	*ret_action = NULL;
	if (settled_is(a))
		return 0;
	r = change_take_current(a, is_fresh ? remote : NULL, graft, reterr);
	*ret_action = change_was_made(graft) ? "attached" : NULL;
	return r;
}

int agent_run(struct agent *a, json_t **ret, struct error *reterr)
{
	AUTO(remote) struct remote *remote = NULL;
	struct graft_report graft = {0};
	struct decision decision = {0};
	const struct asking asking = {0};
	struct error refresh_error = {0};
	const char *action = NULL;
	int r, refreshed;

	*ret = NULL;
	r = context_begin(a, reterr);
	if (r == 0)
		r = context_remote(a, &remote, reterr);
	if (r < 0)
		return r;
	refreshed = refresh_or_offline(remote, &refresh_error);
	if (remote_index(remote)) {
		r = context_decide(a, remote_index(remote), &asking, &decision, reterr);
		if (r < 0)
			return r;
		status_keep_decision(a, &decision, remote_expires_utc_s(remote));
		r = obey(a, remote, refreshed == 0, &decision, &graft, &action, reterr);
	} else {
		r = settled_is(a) ? 0 : change_take_current(a, NULL, &graft, reterr);
		action = change_was_made(&graft) ? "attached" : NULL;
	}
	if (r < 0)
		return r;
	if (action) {
		const char *letter = decision.entry ? decision.entry->letter : NULL;

		context_history(a, action, letter, decision.reason[0] ? decision.reason : NULL);
		r = change_report(a, action, letter, decision.reason, &graft, ret, reterr);
		if (r < 0)
			return r;
	}
	if (refreshed < 0 && reterr)
		*reterr = refresh_error;
	return refreshed;
}

int agent_attach(struct agent *a, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *status = NULL;
	struct graft_report graft = {0};
	int r;

	*ret = NULL;
	r = store_lock(a->store, reterr);
	if (r < 0 || settled_is(a))
		return r;
	r = change_take_current(a, NULL, &graft, reterr);
	if (r < 0)
		return r;
	if (change_was_made(&graft))
		return change_report(a, "attached", NULL, NULL, &graft, ret, reterr);
	/* the kernel took off what a package replaced: the status for everybody has to say so */
	return status_compose(a, &status, reterr);
}

/* The publisher's minimum, by the index last seen; the owner may insist. */
static int check_minimum(struct agent *a, const char *letter, enum agent_remove_flags flags,
	struct error *reterr)
{
	AUTO(remote) struct remote *remote = NULL;
	const struct index_entry *current;
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	const struct index *index;
	int r;

	if (flags & AGENT_BELOW_MINIMUM)
		return 0;
	r = context_remote(a, &remote, NULL);
	if (r == 0)
		r = remote_offline(remote, NULL);
	if (r < 0)
		return 0; /* no index, no minimum */
	r = context_installed(a, &installed, reterr);
	if (r < 0)
		return r;
	index = remote_index(remote);
	current = installed.manifest ? index_find(index, installed.manifest->letter) : NULL;
	if (!policy_is_below_minimum(index, letter) ||
		(current && current->withdrawn != WITHDRAW_NONE))
		return 0;
	return error_set(reterr, -BSI_E_HELD,
		"the publisher's minimum is (%s), and this would go below it; --below-minimum does it "
		"all the same",
		index->minimum);
}

/* Leave the installed letter for another generation (or the base), and do not take it again. */
static int leave_for(struct agent *a, const struct installed *installed, uint64_t number,
	struct fit *fit, const char *reason, struct graft_report *graft, struct error *reterr)
{
	const struct manifest *m = installed->manifest;
	int r;

	/* denied first: a cut after `current` must not let the next run take the letter again */
	r = store_denied_add(a->store, m->base, m->letter, m->build, reason, a->settings.now_utc_s,
		reterr);
	if (r < 0)
		return r;
	r = switch_to(a, number, SWITCH_BACK, fit, graft, reterr);
	if (r < 0) {
		struct error again;

		if (store_denied_drop(a->store, m->base, m->build, &again) < 0)
			context_note(a, "(%s) stays denied: %s", m->letter, again.text);
	}
	return r;
}

int agent_remove(struct agent *a, enum agent_remove_flags flags, json_t **ret,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	struct graft_report graft = {0};
	const char *letter;
	int r;

	r = store_lock(a->store, reterr);
	if (r == 0)
		r = context_installed(a, &installed, reterr);
	if (r < 0)
		return r;
	if (!installed.manifest) {
		r = switch_to(a, 0, SWITCH_BACK, NULL, &graft, reterr);
		return r < 0 ? r
			     : change_report(a, change_was_made(&graft) ? "removed" : "nothing", NULL,
				       "nothing was installed", &graft, ret, reterr);
	}
	r = check_minimum(a, NULL, flags, reterr);
	if (r == 0)
		r = leave_for(a, &installed, 0, NULL, "removed by the owner", &graft, reterr);
	if (r < 0)
		return r;
	letter = installed.manifest->letter;
	context_history(a, "removed", letter, "by the owner");
	return change_report(a, "removed", letter, "by the owner", &graft, ret, reterr);
}

int agent_rollback(struct agent *a, enum agent_remove_flags flags, json_t **ret,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(generation) struct generation *g = NULL;
	AUTO(manifest) struct manifest *m = NULL;
	AUTO(fit) struct fit *fit = NULL;
	struct graft_report graft = {0};
	uint64_t previous = 0;
	int r;

	r = store_lock(a->store, reterr);
	if (r == 0)
		r = context_installed(a, &installed, reterr);
	if (r < 0)
		return r;
	if (!installed.manifest)
		return error_set(reterr, -ENOENT,
			"the device is on its base; there is nothing to go back from");
	r = store_previous_get(a->store, &previous, reterr);
	if (r == 0 && previous != 0)
		r = store_generation_load(a->store, previous, &g, reterr);
	if (r == 0 && g)
		r = manifest_decode(g->manifest, g->manifest_len, &m, reterr);
	/* the same letter again would be denied and kept at once: go to the base then */
	if (r == 0 && m && m->build == installed.manifest->build) {
		previous = 0;
		manifest_free(take_ptr(m));
	}
	if (r == 0)
		r = check_minimum(a, m ? m->letter : NULL, flags, reterr);
	if (r == 0 && m)
		r = fit_measure(a->root_fd, m, &fit, reterr);
	if (r == 0)
		r = leave_for(a, &installed, previous, fit, "rolled back by the owner", &graft,
			reterr);
	if (r < 0)
		return r;
	context_history(a, "rolled-back", installed.manifest->letter, "by the owner");
	return change_report(a, "rolled-back", m ? m->letter : NULL, "by the owner", &graft, ret,
		reterr);
}
