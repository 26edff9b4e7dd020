/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The owner's verbs that leave an improvement: remove and rollback. */
#include <errno.h>

#include "agent/change.h"
#include "agent/context.h"
#include "agent/images.h"
#include "agent/switch.h"
#include "store/denied.h"
#include "store/generation.h"
#include "store/load.h"

#define REMOVED_MEANWHILE "removed by the owner while it was loaded"

/* The publisher's minimum, by the index last seen; the owner may insist. */
static int check_minimum(struct agent *a, const char *letter, enum agent_remove_flags flags,
	struct error *reterr)
{
	AUTO(remote) struct remote *remote = NULL;
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	struct withdrawn withdrawn = {.action = WITHDRAW_NONE};
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
	if (installed.manifest)
		r = context_withdrawn(a, installed.manifest, index, &withdrawn, reterr);
	if (r < 0 || !policy_is_below_minimum(index, letter) ||
		withdrawn.action != WITHDRAW_NONE)
		return r;
	return error_set(reterr, -BSI_E_HELD,
		"the publisher's minimum is (%s), and this would go below it; --below-minimum does it "
		"all the same",
		index->minimum);
}

static int deny(struct agent *a, const char *base, const char *letter, uint64_t build,
	const char *reason, struct error *reterr)
{
	int r;

	r = store_denied_add(
		a->store, base, letter, build, reason, a->settings.now_utc_s, reterr);
	if (r != -ENOSPC)
		return r;
	switch_free_space(a);
	r = store_denied_add(
		a->store, base, letter, build, reason, a->settings.now_utc_s, reterr);
	if (r != -ENOSPC)
		return r;
	/* a full disk must not keep code on a device that its owner wants off */
	context_note(a, "(%s) may come back by itself: %s", letter, error_text(r));
	return 0;
}

/* Leave the installed letter for another generation (or the base), and do not take it again. */
static int leave_for(struct agent *a, const struct installed *installed, uint64_t number,
	struct fit *fit, const char *reason, struct graft_report *graft, struct error *reterr)
{
	const struct manifest *m = installed->manifest;
	int r;

	/* denied first: a cut after `current` must not let the next run take the letter again */
	r = deny(a, m->base, m->letter, m->build, reason, reterr);
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

/*
 * What is on its way to this device was not seen by its owner yet, and is to be left as well. It is
 * denied here, for who loads it may end without having heard.
 */
static void stop_loading(struct agent *a, const char *reason)
{
	struct load_name name;
	struct error who = {0}, e = {0};
	int r = store_load_look(a->store, &name, &who), denied = r;

	if (r == 0)
		return;
	if (r > 0)
		denied = deny(a, name.base, name.letter, name.build, reason, &e);
	r = store_load_stop(a->store, denied < 0 ? NULL : &e);
	if (denied >= 0 && r >= 0)
		context_note(a, "%s; that is not taken", who.text);
	else
		context_note(a, "%s; it may come by itself: %s", who.text,
			e.text[0] ? e.text : error_text(denied < 0 ? denied : r));
}

/*
 * Nobody can read what is installed, so nothing can be said to be denied: everything goes, and
 * nothing comes by itself until the owner says so.
 */
static int remove_unknown(struct agent *a, struct error *damaged, json_t **ret,
	struct error *reterr)
{
	AUTO_JSON json_t *config = NULL;
	struct graft_report graft = {0};
	int r;

	context_note(a, "%s", damaged->text);
	if (agent_config(a, "auto", "off", &config, NULL) == 0)
		context_note(a, "automatic installation is off now; 'bsi install' begins anew");
	r = switch_to(a, 0, SWITCH_BACK, NULL, &graft, reterr);
	if (r < 0)
		return r;
	stop_loading(a, REMOVED_MEANWHILE);
	context_history(a, "removed", NULL, damaged->text);
	return change_report(a, "removed", NULL, "what was installed cannot be read", &graft, ret,
		reterr);
}

int agent_remove(struct agent *a, enum agent_remove_flags flags, json_t **ret,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	struct graft_report graft = {0};
	struct error damaged = {0};
	const char *letter;
	int r;

	r = store_lock(a->store, reterr);
	if (r < 0)
		return r;
	r = context_installed(a, &installed, &damaged);
	if (r < 0 && r != -ENOMEM)
		return remove_unknown(a, &damaged, ret, reterr);
	if (r < 0)
		return r;
	if (!installed.manifest) {
		r = switch_to(a, 0, SWITCH_BACK, NULL, &graft, reterr);
		if (r < 0)
			return r;
		stop_loading(a, REMOVED_MEANWHILE);
		return change_report(a, change_was_made(&graft) ? "removed" : "nothing", NULL,
			"nothing was installed", &graft, ret, reterr);
	}
	r = check_minimum(a, NULL, flags, reterr);
	if (r == 0)
		r = leave_for(a, &installed, 0, NULL, "removed by the owner", &graft, reterr);
	if (r < 0)
		return r;
	stop_loading(a, REMOVED_MEANWHILE);
	letter = installed.manifest->letter;
	context_history(a, "removed", letter, "by the owner");
	return change_report(a, "removed", letter, "by the owner", &graft, ret, reterr);
}

/* Where a rollback leads: the generation before, or the base (manifest NULL, number 0). */
struct way_back {
	uint64_t number;
	struct generation *generation;
	struct manifest *manifest;
	struct fit *fit;
};

static void way_back_done(struct way_back *w)
{
	fit_free(w->fit);
	manifest_free(w->manifest);
	generation_free(w->generation);
}

/* To what was withdrawn, or to the same letter (it would be denied and kept at once): to the base. */
static int choose_way(struct agent *a, const struct installed *installed, struct way_back *w,
	struct error *reterr)
{
	struct withdrawn withdrawn = {.action = WITHDRAW_NONE};
	int r;

	r = store_previous_get(a->store, &w->number, reterr);
	if (r < 0 || w->number == 0)
		return r;
	r = store_generation_load(a->store, w->number, &w->generation, reterr);
	if (r == 0)
		r = manifest_decode(w->generation->manifest, w->generation->manifest_len,
			&w->manifest, reterr);
	if (r == 0)
		r = context_withdrawn(a, w->manifest, NULL, &withdrawn, reterr);
	if (r < 0)
		return r;
	if (withdrawn.action != WITHDRAW_NONE)
		context_note(a, "%s; going to the base", withdrawn.reason);
	if (withdrawn.action != WITHDRAW_NONE || w->manifest->build == installed->manifest->build) {
		manifest_free(take_ptr(w->manifest));
		w->number = 0;
	}
	return 0;
}

/* What is gone back to must be here whole: nobody asked for the base. */
static int prepare_way(struct agent *a, struct way_back *w, struct error *reterr)
{
	int r;

	if (!w->manifest)
		return 0;
	r = fit_measure(a->root_fd, w->manifest, &w->fit, reterr);
	for (size_t i = 0; r == 0 && i < w->fit->n_components; i++)
		r = images_measure(a, &w->fit->components[i], reterr);
	if (r == 0 && !images_are_whole(w->fit))
		return error_set(reterr, -ENOENT,
			"an image of (%s) is gone; 'bsi install %s' brings it, 'bsi remove' goes to "
			"the base",
			w->manifest->letter, w->manifest->letter);
	return r;
}

int agent_rollback(struct agent *a, enum agent_remove_flags flags, json_t **ret,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	__attribute__((cleanup(way_back_done))) struct way_back way = {0};
	struct graft_report graft = {0};
	const char *letter;
	int r;

	r = store_lock(a->store, reterr);
	if (r == 0)
		r = context_installed(a, &installed, reterr);
	if (r < 0)
		return r;
	if (!installed.manifest)
		return error_set(reterr, -ENOENT,
			"the device is on its base; there is nothing to go back from");
	r = choose_way(a, &installed, &way, reterr);
	letter = way.manifest ? way.manifest->letter : NULL;
	if (r == 0)
		r = check_minimum(a, letter, flags, reterr);
	if (r == 0)
		r = prepare_way(a, &way, reterr);
	if (r == 0)
		r = leave_for(a, &installed, way.number, way.fit, "rolled back by the owner", &graft,
			reterr);
	if (r < 0)
		return r;
	stop_loading(a, "rolled back by the owner while it was loaded");
	context_history(a, "rolled-back", installed.manifest->letter, "by the owner");
	return change_report(a, "rolled-back", letter, "by the owner", &graft, ret, reterr);
}
