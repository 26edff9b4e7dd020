/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/switch.h"

#include <errno.h>

#include "agent/attach.h"
#include "agent/images.h"
#include "agent/restarted.h"
#include "agent/settled.h"
#include "agent/status.h"
#include "graft/inventory.h"
#include "store/download.h"
#include "store/generation.h"

/* Where `current` points, and what may be gone back to from there. */
struct place {
	uint64_t current, previous;
};

static int read_place(struct agent *a, struct place *ret, struct error *reterr)
{
	int r = store_current_get(a->store, &ret->current, reterr);

	return r < 0 ? r : store_previous_get(a->store, &ret->previous, reterr);
}

static int point_to(struct agent *a, uint64_t number, enum switch_direction direction,
	const struct place *before, struct error *reterr)
{
	if (before->current == number)
		return 0;
	if (direction == SWITCH_BACK)
		return store_current_revert(a->store, number, 0, reterr);
	return store_current_set(a->store, number, reterr);
}

void switch_free_space(struct agent *a)
{
	struct error e = {0};

	if (store_download_collect(a->store, NULL, 0, &e) < 0 || store_collect(a->store, &e) < 0)
		context_note(a, "what is no longer needed could not be removed: %s", e.text);
}

static enum gate_flags gate_flags_of(const struct agent *a)
{
	return a->settings.flags & AGENT_BOOT ? GATE_BOOT : 0;
}

/* By the mount table alone; then a state that says so, if it can be written. */
static int take_off_anyway(struct agent *a, const struct error *why, struct graft_report *ret,
	struct error *reterr)
{
	AUTO_DONE(attach_outcome) struct attach_outcome outcome = {0};
	struct error e = {0};
	int r;

	context_note(a, "%s; everything is taken off", why->text);
	r = attach_fit(a, NULL, gate_flags_of(a), &outcome, reterr);
	*ret = outcome.graft;
	if (r < 0)
		return r;
	r = store_current_reset(a->store, &e);
	if (r < 0)
		return error_set(reterr, r, "everything is off, but the state cannot say so: %s", e.text);
	status_keep_attach(a, 0, NULL, &outcome);
	return 0;
}

/* The step was made; what follows is tidying up, and no result of it. */
static void finish(struct agent *a, uint64_t number, const struct fit *fit,
	const struct attach_outcome *outcome)
{
	const struct packages_stamp now = packages_stamp(a->root_fd);

	status_keep_attach(a, number, fit, outcome);
	restarted_forget_others(a, number);
	/* what is held, or lacks its image, is looked at again by the next run; what it came from stays */
	if (outcome->gate.n_holds > 0 || !images_are_whole(fit) || fit_is_barred(fit))
		return;
	settled_mark(a, number, fit, &outcome->graft, fit ? &fit->packages : &now);
	switch_free_space(a);
}

int switch_to(struct agent *a, uint64_t number, enum switch_direction direction, struct fit *fit,
	struct graft_report *ret, struct error *reterr)
{
	AUTO_DONE(attach_outcome) struct attach_outcome outcome = {0};
	struct place before = {0};
	struct error why = {0}, again;
	int r;

	inventory_drop(a->settings.run);
	r = read_place(a, &before, &why);
	if (r == 0)
		r = point_to(a, number, direction, &before, &why);
	if (r == -ENOSPC) {
		switch_free_space(a);
		r = point_to(a, number, direction, &before, &why);
	}
	if (r < 0 && number == 0)
		return take_off_anyway(a, &why, ret, reterr);
	if (r < 0)
		return error_set(reterr, r, "%s", why.text[0] ? why.text : error_text(r));

	r = attach_fit(a, fit, gate_flags_of(a), &outcome, reterr);
	*ret = outcome.graft;
	if (r == 0)
		finish(a, number, fit, &outcome);
	else if (before.current != number &&
		 store_current_revert(a->store, before.current, before.previous, &again) < 0)
		context_note(a, "current could not be set back: %s", again.text);
	return r;
}
