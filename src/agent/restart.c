/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/restart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/exposed.h"
#include "agent/restart_gather.h"
#include "agent/restart_hook.h"
#include "agent/restarted.h"
#include "agent/since.h"
#include "base/utc.h"
#include "graft/state.h"
#include "store/settings.h"

#define UNIT_TIMEOUT_S 180
#define INIT_TIMEOUT_S 30

/* what a document says */

static int add_texts(json_t *to, const json_t *from)
{
	for (size_t i = 0; i < json_array_size(from); i++) {
		json_t *text = json_array_get(from, i);
		bool is_there = false;

		for (size_t k = 0; k < json_array_size(to); k++)
			is_there |= json_equal(json_array_get(to, k), text);
		if (!is_there && json_array_append(to, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

static json_t *since_json(const struct since *since, const json_t *row)
{
	uint64_t ticks = (uint64_t)json_integer_value(json_object_get(row, "start_ticks"));

	return json_string(
		utc_format(since_utc_s(since, json_object_get(row, "components"), ticks)).text);
}

static int describe_row(const struct since *since, json_t *row, const struct restart_process *p,
	const struct restart_step *step)
{
	AUTO_JSON json_t *more = json_pack("{s:s, s:s?, s:o, s:s, s:s}", "place",
		place_text(p->place.kind), "unit", p->place.unit[0] ? p->place.unit : NULL, "since",
		since_json(since, row), "end", restart_end_text(step->end), "reason", step->reason);

	return more && json_object_update(row, more) == 0 ? 0 : -ENOMEM;
}

static int describe_step(json_t *list, const struct restart_gathered *g,
	const struct restart_plan *plan, size_t index, json_t *steps)
{
	const struct restart_step *step = &plan->steps[index];
	const struct restart_process *first = &g->processes[step->first];
	json_t *row = json_pack("{s:s, s:s?, s:i, s:s?, s:[], s:[], s:[], s:s}", "end",
		restart_end_text(step->end), "unit", step->unit, "pid", (int)first->pid, "command",
		first->command, "processes", "components", "cves", "reason", step->reason);
	int r = 0;

	if (!row || json_array_append_new(steps, row) < 0)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < g->facts.n_processes; i++) {
		const json_t *process = json_array_get(list, i);

		if (plan->step_of[i] != index)
			continue;
		r = json_array_append(json_object_get(row, "processes"),
			json_object_get(process, "pid"));
		if (r == 0)
			r = add_texts(json_object_get(row, "components"),
				json_object_get(process, "components"));
		if (r == 0)
			r = add_texts(json_object_get(row, "cves"), json_object_get(process, "cves"));
	}
	return r < 0 ? -ENOMEM : 0;
}

static int describe(const struct since *since, json_t *exposure, const struct restart_gathered *g,
	const struct restart_plan *plan)
{
	AUTO_JSON json_t *steps = json_array();
	json_t *list = json_object_get(exposure, "list");
	int r = steps ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < g->facts.n_processes; i++)
		r = describe_row(since, json_array_get(list, i), &g->processes[i],
			&plan->steps[plan->step_of[i]]);
	for (size_t i = 0; r == 0 && i < plan->n_steps; i++)
		r = describe_step(list, g, plan, i, steps);
	if (r == 0 && json_object_set(exposure, "plan", steps) < 0)
		r = -ENOMEM;
	return r;
}

/* Facts and plan of one moment. */
struct moment {
	json_t *exposure;
	struct restart_gathered gathered;
	struct restart_plan *plan;
	bool is_boot; /* only what a boot leaves behind is to be done */
};

static void moment_done(struct moment *m)
{
	restart_plan_free(m->plan);
	restart_gathered_done(&m->gathered);
	json_decref(m->exposure);
	*m = (struct moment){0};
}

/* The exposure of m is there already. */
static int plan_moment(struct agent *a, struct moment *m, const struct manifest *coming,
	struct error *reterr)
{
	AUTO_DONE(since) struct since since = {.now_utc_s = a->settings.now_utc_s};
	int r = restart_gather(a, json_object_get(m->exposure, "list"), coming, &m->gathered, reterr);

	m->gathered.facts.is_boot = m->is_boot;
	if (r == 0)
		r = restart_plan_make(&m->gathered.facts, &m->plan);
	/* of a change to come: since the process started */
	if (r == 0 && !coming)
		r = since_load(a, &since);
	if (r == 0)
		r = describe(&since, m->exposure, &m->gathered, m->plan);
	return r == -ENOMEM ? error_set(reterr, r, "no memory for the plan of restarts") : r;
}

int restart_describe(struct agent *a, json_t *exposure, const struct manifest *coming,
	struct error *reterr)
{
	AUTO_DONE(moment) struct moment m = {.exposure = json_incref(exposure)};

	return plan_moment(a, &m, coming, reterr);
}

/* is_boot is set, and nothing else. */
static int look(struct agent *a, struct moment *ret, struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(graft_state) struct graft_state *state = NULL;
	struct graft_host host;
	int r;

	r = context_installed_or_none(a, &installed);
	if (r == 0)
		r = context_host(a, &host, reterr);
	if (r == 0)
		r = graft_state_read(&host, &state, reterr);
	if (r == 0)
		r = exposed_scan(a, &installed, state, &ret->exposure, reterr);
	if (r == 0)
		r = plan_moment(a, ret, NULL, reterr);
	return r;
}

/* what is done */

/* why says what is remarkable; empty where nothing is. */
static int add_result(json_t *results, const char *unit, int r, const struct error *why)
{
	const char *result = r == 0 ? "restarted" : r == -ETIMEDOUT ? "unfinished" : "failed";

	return json_array_append_new(results, json_pack("{s:s, s:s, s:s?}", "unit", unit, "result",
						      result, "reason", why->text[0] ? why->text : NULL)) < 0 ?
		       -ENOMEM :
		       0;
}

/*
 * Starts that nobody but systemd counted (an administrator's, a package's, those for an earlier letter)
 * can make ours one too many, after the stop: what bsi stopped must come back. Whether it had to be
 * started; *r and *why are then what came of that.
 */
static bool bring_back(struct agent *a, struct systemd *systemd, const char *unit, int *r,
	struct error *why)
{
	struct unit_end end;

	if (systemd_settle(systemd, unit, UNIT_TIMEOUT_S, &end, NULL) < 0 || !end.is_refused)
		return false;
	context_note(a, "starts %s again: it was beyond its start limit", unit);
	*r = systemd_start(systemd, unit, UNIT_TIMEOUT_S, why);
	if (*r == 0)
		(void)error_set(why, 0, "it was beyond its start limit: systemd did not start it, so its "
					"count was reset and it was started once more");
	return true;
}

/* The others that its restart stopped: beyond their own limits, or because its start was refused. */
static int bring_back_others(struct agent *a, const struct restart_gathered *g, const char *unit,
	bool was_refused, json_t *results)
{
	bool *along = calloc(g->facts.n_units + 1, sizeof *along);
	int r = along ? 0 : -ENOMEM;

	if (along)
		restart_mark_along(&g->facts, unit, along);
	for (size_t i = 0; r == 0 && i < g->facts.n_units; i++) {
		const char *name = g->facts.units[i].facts.name;
		struct error why = {0};
		struct unit_end end;
		int came = 0;

		if (!along[i])
			continue;
		if (bring_back(a, g->systemd, name, &came, &why)) {
			r = add_result(results, name, came, &why);
		} else if (was_refused &&
			   systemd_settle(g->systemd, name, UNIT_TIMEOUT_S, &end, NULL) == 0 &&
			   (strcmp(end.state, "inactive") == 0 || strcmp(end.state, "failed") == 0)) {
			context_note(a, "starts %s again: it needs %s", name, unit);
			came = systemd_start(g->systemd, name, UNIT_TIMEOUT_S, &why);
			if (came == 0)
				(void)error_set(&why, 0, "it was down with %s, and was started again", unit);
			r = add_result(results, name, came, &why);
		}
	}
	free(along);
	return r;
}

static int restart_unit(struct agent *a, const struct restart_gathered *g, const char *unit,
	json_t *results)
{
	struct error why = {0};
	bool was_refused = false;
	int came, r;

	context_note(a, "restarts %s", unit);
	restarted_add(a, unit);
	came = systemd_restart(g->systemd, unit, UNIT_TIMEOUT_S, &why);
	if (came < 0 && came != -ETIMEDOUT)
		was_refused = bring_back(a, g->systemd, unit, &came, &why);
	r = add_result(results, unit, came, &why);
	/* systemd is still at it: nobody knows yet who comes back */
	return r < 0 || came == -ETIMEDOUT ? r : bring_back_others(a, g, unit, was_refused, results);
}

static int reexecute(struct agent *a, struct systemd *systemd, json_t *results)
{
	struct error why = {0};
	int r;

	context_note(a, "lets systemd start itself anew");
	restarted_add(a, RESTARTED_INIT);
	r = systemd_reexecute(systemd, INIT_TIMEOUT_S, &why);
	return add_result(results, RESTARTED_INIT, r, &why);
}

static bool is_asked(const struct agent *a)
{
	return (a->settings.flags & AGENT_RESTART) != 0;
}

/* Told once for each change, or whenever somebody asks. */
static int tell_hooks(struct agent *a, const json_t *exposure, json_t *results, struct error *reterr)
{
	AUTO_JSON json_t *restarted = restarted_load(a);

	if (restarted_has(restarted, RESTARTED_HOOK) && !is_asked(a))
		return 0;
	restarted_add(a, RESTARTED_HOOK);
	return restart_hook_run(a, exposure, results, reterr);
}

static int take_steps(struct agent *a, const struct moment *m, json_t *results, struct error *reterr)
{
	bool is_told = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->plan->n_steps; i++) {
		const struct restart_step *step = &m->plan->steps[i];

		if (m->is_boot && !restart_is_of_boot(&m->gathered.facts, step))
			continue;
		if (step->end == RESTART_UNIT) {
			r = restart_unit(a, &m->gathered, step->unit, results);
		} else if (step->end == RESTART_ALONG) {
			restarted_add(a, step->unit);
		} else if (step->end == RESTART_INIT) {
			r = reexecute(a, m->gathered.systemd, results);
		} else if (step->end == RESTART_HOOK && !is_told) {
			r = tell_hooks(a, m->exposure, results, reterr);
			is_told = true;
		}
	}
	return r;
}

static const char *unit_of(const json_t *row)
{
	const char *unit = json_string_value(json_object_get(row, "unit"));

	return unit ? unit : "";
}

/* Who of a unit still runs old code: {"pid", "command"}. */
static json_t *still_exposed(const json_t *list, const char *unit)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows && i < json_array_size(list); i++) {
		const json_t *row = json_array_get(list, i);
		const char *state = json_string_value(json_object_get(row, "state"));

		if (strcmp(unit_of(row), unit) == 0 && state && strcmp(state, "exposed") == 0)
			(void)json_array_append_new(rows,
				json_pack("{s:O, s:O}", "pid", json_object_get(row, "pid"),
					"command", json_object_get(row, "command")));
	}
	return rows;
}

/* A service of the simple kind counts as started before its program runs: look again. */
static void look_at_unit(struct systemd *systemd, json_t *row)
{
	AUTO_DONE(unit_facts) struct unit_facts f = {0};
	const char *unit = unit_of(row);
	char text[CGROUP_UNIT_MAX + 64];

	if (!systemd || strcmp(unit, RESTARTED_INIT) == 0 ||
		strcmp(json_string_value(json_object_get(row, "result")), "restarted") != 0 ||
		systemd_unit_facts(systemd, unit, &f, NULL) < 0 || strcmp(f.state, "failed") != 0)
		return;
	(void)snprintf(text, sizeof text, "%s was restarted, and failed since", unit);
	(void)json_object_set_new(row, "result", json_string("failed"));
	(void)json_object_set_new(row, "reason", json_string(text));
}

static void look_again(struct agent *a, json_t *results)
{
	AUTO_DONE(moment) struct moment m = {0};
	struct error e = {0};

	if (look(a, &m, &e) < 0) {
		context_note(a, "whether the restarts were enough is not known: %s", e.text);
		return;
	}
	for (size_t i = 0; i < json_array_size(results); i++) {
		json_t *row = json_array_get(results, i);

		if (!json_object_get(row, "unit"))
			continue;
		look_at_unit(m.gathered.systemd, row);
		(void)json_object_set_new(row, "exposed",
			still_exposed(json_object_get(m.exposure, "list"), unit_of(row)));
	}
}

static void remember(struct agent *a, const json_t *results)
{
	char text[512] = "";
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(results) && at < sizeof text; i++) {
		const json_t *row = json_array_get(results, i);
		const char *name = json_string_value(json_object_get(row, "hook"));
		const char *result = json_string_value(json_object_get(row, "result"));
		int n = snprintf(text + at, sizeof text - at, "%s%s %s", i > 0 ? ", " : "",
			name ? name : unit_of(row), result ? result : "");

		at += n > 0 ? (size_t)n : 0;
	}
	context_history(a, "restarted", NULL, text);
}

static int carry_out(struct agent *a, bool is_boot, json_t **ret, struct error *reterr)
{
	AUTO_DONE(moment) struct moment m = {.is_boot = is_boot};
	AUTO_JSON json_t *results = json_array();
	int r;

	*ret = NULL;
	if (!results)
		return -ENOMEM;
	r = look(a, &m, reterr);
	if (r == 0)
		r = take_steps(a, &m, results, reterr);
	if (json_array_size(results) > 0) {
		look_again(a, results);
		remember(a, results);
	}
	/* what was done is told, also when something else went wrong */
	*ret = take_ptr(results);
	return r;
}

int restart_carry_out(struct agent *a, json_t **ret, struct error *reterr)
{
	return carry_out(a, false, ret, reterr);
}

static json_t *restart_part(struct agent *a, bool is_boot)
{
	json_t *results = NULL;
	struct error e = {0};

	if (carry_out(a, is_boot, &results, &e) < 0)
		context_note(a, "restarts: %s", e.text[0] ? e.text : "no memory");
	if (json_array_size(results) > 0)
		return results;
	json_decref(results);
	return NULL;
}

json_t *restart_after(struct agent *a)
{
	return restart_part(a, false);
}

json_t *restart_after_boot(struct agent *a)
{
	return restart_part(a, true);
}

bool restart_is_automatic(struct agent *a)
{
	AUTO_JSON json_t *config = NULL;
	const char *value;

	if (store_config_load(a->store, &config, NULL) < 0)
		return false;
	value = json_string_value(json_object_get(config, "restart"));
	return value && strcmp(value, "auto") == 0;
}
