/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of a boot. Whatever goes wrong in them, the boot goes on with the base. */
#include "agent/boot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/change.h"
#include "agent/restart.h"
#include "agent/run_dir.h"
#include "agent/status.h"
#include "agent/systemd.h"
#include "agent/take.h"
#include "base/utc.h"
#include "store/denied.h"

#define BEGUN_NAME "begun.json" /* in the run directory */

/*
 * Whether nothing runs yet that could be disturbed: this is the first attempt since process 1 began,
 * and it, where it can be asked, has not come as far as services.
 */
static bool is_early(const struct agent *a, const struct systemd_progress *progress)
{
	AUTO_JSON json_t *begun = NULL;
	uint64_t begun_us = 0;
	int r;

	if (progress->is_up)
		return false;
	r = run_dir_load(a->settings.run, BEGUN_NAME, &begun);
	if (r < 0)
		return r == -ENOENT;
	/* where it did not answer, then or now, nothing shows that it is another one */
	return json_get_u64(begun, "process-1-us", UINT64_MAX, &begun_us, NULL) == 0 &&
	       begun_us != 0 && progress->begun_us != 0 && begun_us != progress->begun_us;
}

/* From now on it is no boot any more. */
static void mark_begun(const struct agent *a, const struct systemd_progress *progress)
{
	AUTO_JSON json_t *begun = json_pack("{s:s, s:I}", "utc",
		utc_format(a->settings.now_utc_s).text, "process-1-us", (json_int_t)progress->begun_us);

	if (begun)
		run_dir_save(a->settings.run, BEGUN_NAME, begun, 0600);
}

static int read_facts(struct agent *a, struct boot_facts *ret, struct error *reterr)
{
	struct error damaged = {0};
	int r;

	*ret = (struct boot_facts){0};
	r = store_current_get(a->store, &ret->current, reterr);
	if (r == 0)
		r = store_good_get(a->store, &ret->good, reterr);
	if (r < 0)
		return r;
	r = store_boot_get(a->store, &ret->count, &damaged);
	if (r == -BSI_E_STATE) {
		context_note(a, "%s", damaged.text);
		return 0; /* a count, and nothing else, begins anew */
	}
	return r < 0 ? error_set(reterr, r, "%s", damaged.text) : 0;
}

/*
 * A count that cannot be written does not stop a generation that completed a boot before; another
 * one could hang every boot.
 */
static int count_attempt(struct agent *a, const struct boot_facts *facts,
	const struct boot_plan *plan, struct error *reterr)
{
	struct error why = {0};
	int r;

	if (plan->count.generation == 0)
		return 0;
	r = store_boot_set(a->store, &plan->count, &why);
	if (r == 0 || facts->current == facts->good)
		return 0;
	return error_set(reterr, r,
		"the boot cannot be counted, and this generation has not completed one yet: %s",
		why.text);
}

/* Current never completed a boot: leave it, and do not take that letter again. */
static int fall_back(struct agent *a, uint64_t generation, char *ret_reason, size_t reason_len,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed left = {0};
	const struct manifest *m;
	int r;

	r = context_installed(a, &left, reterr);
	if (r < 0)
		return r;
	m = left.manifest;
	(void)snprintf(ret_reason, reason_len, "two boots with (%s) did not complete",
		m ? m->letter : "?");
	if (m)
		r = store_denied_add(a->store, m->base, m->letter, m->build, ret_reason,
			a->settings.now_utc_s, reterr);
	if (r == 0)
		r = store_current_revert(a->store, generation, 0, reterr);
	if (r == 0)
		context_history(a, "fell-back", m ? m->letter : NULL, ret_reason);
	return r;
}

/* What became of a boot, for the status. */
struct outcome {
	const char *action;
	char reason[ERROR_TEXT_MAX];
	uint64_t left_out; /* the build that it gave up; 0: none */
	struct graft_report graft;
};

/* Current completed a boot once, so it stays: nothing but its owner attaches it in this boot. */
static void give_up(struct agent *a, const struct boot_plan *plan, struct outcome *o)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	const struct manifest *m;
	struct error why = {0};

	o->action = "gave-up";
	(void)!store_boot_set(a->store, &plan->count, NULL);
	/* what cannot be read is attached by nobody */
	if (context_installed(a, &installed, &why) < 0) {
		(void)snprintf(o->reason, sizeof o->reason, "%s", why.text);
		return;
	}
	m = installed.manifest;
	(void)snprintf(o->reason, sizeof o->reason, AGENT_GAVE_UP_FORMAT, m->letter);
	o->left_out = m->build;
}

static int attach_planned(struct agent *a, const struct boot_facts *facts,
	const struct boot_plan *plan, struct outcome *o, struct error *reterr)
{
	uint64_t current = 0;
	int r = count_attempt(a, facts, plan, reterr);

	if (r == 0)
		r = take_current(a, NULL, &o->graft, reterr);
	if (r == 0)
		r = store_current_get(a->store, &current, reterr);
	/* after a fallback that is what there is to tell */
	if (r < 0 || strcmp(o->action, "attached") != 0 || graft_report_covered(&o->graft) > 0)
		return r;
	/* what was withdrawn, and what is for another base, is left instead of attached */
	o->action = "nothing";
	if (current != 0 && status_why_off(a, current, o->reason, sizeof o->reason))
		o->action = "failed";
	return 0;
}

static int boot(struct agent *a, const struct systemd_progress *progress, struct outcome *o,
	struct error *reterr)
{
	struct boot_facts facts;
	struct boot_plan plan;
	int r;

	/* the way out needs no state: it may be what is wrong */
	if (a->settings.why_off) {
		mark_begun(a, progress);
		o->action = "skipped";
		(void)snprintf(o->reason, sizeof o->reason, "%s", a->settings.why_off);
		return 0;
	}
	r = store_lock(a->store, reterr);
	if (r == 0)
		mark_begun(a, progress);
	if (r == 0)
		r = read_facts(a, &facts, reterr);
	if (r < 0)
		return r;
	plan = boot_plan_make(&facts);
	o->action = "attached";
	switch (plan.action) {
	case BOOT_ATTACH:
		return attach_planned(a, &facts, &plan, o, reterr);
	case BOOT_FALL_BACK:
		o->action = "fell-back";
		r = fall_back(a, plan.generation, o->reason, sizeof o->reason, reterr);
		if (r < 0)
			return r;
		facts.current = plan.generation;
		plan = boot_plan_make(&facts);
		return facts.current == 0 ? take_current(a, NULL, &o->graft, reterr)
					  : attach_planned(a, &facts, &plan, o, reterr);
	case BOOT_GIVE_UP:
		give_up(a, &plan, o);
		return 0;
	case BOOT_NOTHING:
	default:
		o->action = "nothing";
		return 0;
	}
}

int agent_boot(struct agent *a, json_t **ret, struct error *reterr)
{
	AUTO_JSON json_t *status = NULL;
	struct systemd_progress progress;
	struct outcome o = {0};
	struct error why = {0};
	const char *reason;
	int r;

	*ret = NULL;
	(void)!systemd_progress(&progress, NULL);
	if (!is_early(a, &progress)) {
		context_note(a, "the system is up already, so this is no boot");
		a->settings.flags = (enum agent_flags)(a->settings.flags & ~(unsigned)AGENT_BOOT);
		return agent_attach(a, ret, reterr);
	}
	run_dir_forget(a->settings.run);
	r = boot(a, &progress, &o, &why);
	if (r < 0) {
		reason = why.text[0] ? why.text : error_text(r);
		status_keep_boot(a, "failed", reason, 0);
		context_history(a, "boot-failed", NULL, reason);
		/* so that everybody can read why, before a timer's run renews it */
		(void)!status_compose(a, &status, NULL);
		return error_set(reterr, r, "%s", reason);
	}
	reason = o.reason[0] ? o.reason : NULL;
	status_keep_boot(a, o.action, reason, o.left_out);
	if (strcmp(o.action, "failed") == 0)
		context_history(a, "boot-failed", NULL, reason);
	/* renews the status for everybody; a boot has nothing to tell where nothing is installed */
	r = change_report(a, o.action, NULL, reason, &o.graft, ret, reterr);
	if (r == 0 && strcmp(o.action, "nothing") == 0 && !reason) {
		json_decref(*ret);
		*ret = NULL;
	}
	return r;
}

/* What a boot that is complete was complete with. */
struct proof {
	bool is_attached; /* something of the installed generation is */
	bool is_whole;    /* all of it that may ever be here: what comes later was not tried */
};

static int read_proof(struct agent *a, struct proof *ret, struct error *reterr)
{
	AUTO_JSON json_t *status = NULL;
	const json_t *components, *row;
	size_t i;
	int r = status_compose(a, &status, reterr);

	*ret = (struct proof){.is_whole = true};
	if (r < 0)
		return r;
	components = json_object_get(status, "components");
	json_array_foreach(components, i, row) {
		const char *state = json_string_value(json_object_get(row, "state"));

		ret->is_attached |= json_integer_value(json_object_get(row, "attached_files")) > 0;
		ret->is_whole &= strcmp(state, "attached") == 0 || strcmp(state, "absent") == 0 ||
				 strcmp(state, "superseded") == 0;
	}
	return 0;
}

static void say_restarts(struct agent *a, const json_t *restarts)
{
	for (size_t i = 0; i < json_array_size(restarts); i++) {
		const json_t *row = json_array_get(restarts, i);
		const char *reason = json_string_value(json_object_get(row, "reason"));

		if (reason)
			context_note(a, "%s", reason);
	}
}

/*
 * Process 1 and a few services started before anything could be attached, so they run the base's
 * code in every boot. What goes wrong is told, and changes nothing about the boot.
 */
static void renew_early(struct agent *a)
{
	AUTO_JSON json_t *restarts = restart_after_boot(a), *status = NULL;

	if (!restarts)
		return;
	say_restarts(a, restarts);
	if (status_compose(a, &status, NULL) < 0)
		context_note(a, "the status could not be renewed");
}

int agent_boot_complete(struct agent *a, struct error *reterr)
{
	struct boot_facts facts;
	struct proof proof = {0};
	int r;

	/* nothing was counted: this boot says nothing about it */
	if (a->settings.why_off)
		return 0;
	r = store_lock(a->store, reterr);
	if (r == 0)
		r = read_facts(a, &facts, reterr);
	if (r < 0)
		return r;
	if (boot_is_proof(&facts))
		r = read_proof(a, &proof, reterr);
	/* First, because on a full disk the count's own block is what the rest has room in. */
	if (r == 0)
		r = store_boot_clear(a->store, reterr);
	if (r == 0 && proof.is_attached && proof.is_whole && facts.good != facts.current)
		r = store_good_set(a->store, facts.current, reterr);
	if (proof.is_attached)
		renew_early(a);
	return r;
}
