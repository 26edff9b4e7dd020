/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/restart_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_STEP SIZE_MAX
#define NO_UNIT SIZE_MAX

const char *restart_end_text(enum restart_end end)
{
	static const char *const texts[] = {
		[RESTART_UNIT] = "restart",
		[RESTART_ALONG] = "along",
		[RESTART_INIT] = "reexecute",
		[RESTART_HOOK] = "hook",
		[RESTART_WAIT] = "wait",
		[RESTART_ASK] = "ask",
		[RESTART_RELAUNCH] = "relaunch",
		[RESTART_REBOOT] = "reboot",
	};

	return texts[end];
}

void restart_plan_free(struct restart_plan *plan)
{
	if (!plan)
		return;
	free(plan->steps);
	free(plan->step_of);
	free(plan);
}

/* What becomes of a unit, before the order is known. */
struct verdict {
	enum restart_end end;
	size_t first;   /* its first process; NO_STEP if none of its processes runs old code */
	size_t step;    /* NO_STEP until it has one */
	size_t leader;  /* RESTART_ALONG: the unit that takes it along */
	enum activation activation; /* the strictest of its processes */
	size_t helped;  /* its first process that a restart helps; NO_STEP if there is none */
	char reason[RESTART_REASON_MAX];
};

struct planning {
	const struct restart_facts *facts;
	struct restart_plan *plan;
	struct verdict *verdicts; /* one for each unit of the facts */
};

static void give(struct verdict *v, enum restart_end end, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void give(struct verdict *v, enum restart_end end, const char *fmt, ...)
{
	va_list args;

	v->end = end;
	va_start(args, fmt);
	(void)vsnprintf(v->reason, sizeof v->reason, fmt, args);
	va_end(args);
}

/* Why a restart does not end it; false if it does. */
static bool say_beyond(const struct restart_process *p, char reason[static RESTART_REASON_MAX])
{
	if (p->trouble == RESTART_COPY)
		(void)snprintf(reason, RESTART_REASON_MAX, "it runs a copy of its own, which no "
			"improvement reaches: renew that, then start it again");
	else if (p->trouble == RESTART_UNTOLD)
		(void)snprintf(reason, RESTART_REASON_MAX, "it cannot be told whether it runs old code"
			"%s%s", p->detail ? ": " : "", p->detail ? p->detail : "");
	else
		return false;
	return true;
}

static size_t find_unit(const struct restart_facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->n_units; i++)
		if (strcmp(facts->units[i].facts.name, name) == 0)
			return i;
	return NO_UNIT;
}

static bool has_name(const struct unit_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->names[i], name) == 0)
			return true;
	return false;
}

/* The unit of the facts that a process lives in, if bsi may decide about it. */
static size_t unit_of(const struct restart_facts *facts, const struct restart_process *p)
{
	if (p->place.kind != PLACE_SERVICE || !p->place.is_confirmed)
		return NO_UNIT;
	return find_unit(facts, p->place.unit);
}

/* Mark in seen what this unit takes along; units that do not run are not started by it. */
static bool follow_one(const struct restart_facts *facts, size_t unit, bool *seen)
{
	const struct unit_names *along = &facts->units[unit].facts.takes_along;
	bool is_new = false;

	for (size_t i = 0; i < along->n; i++) {
		size_t other = find_unit(facts, along->names[i]);

		if (other == NO_UNIT || seen[other] ||
			strcmp(facts->units[other].facts.state, "active") != 0)
			continue;
		seen[other] = true;
		is_new = true;
	}
	return is_new;
}

/* The unit, and everything that a restart of it takes along. */
static void follow(const struct restart_facts *facts, size_t unit, bool *seen)
{
	bool is_new = true;

	memset(seen, 0, facts->n_units * sizeof *seen);
	seen[unit] = true;
	while (is_new) {
		is_new = false;
		for (size_t i = 0; i < facts->n_units; i++)
			if (seen[i] && follow_one(facts, i, seen))
				is_new = true;
	}
}

static bool is_forbidden(const struct restart_facts *facts, const struct restart_unit *u)
{
	enum reserved_kind reserved = reserved_find(facts->reserved, u->facts.name);

	if (u->is_own || u->facts.machine_action[0])
		return true;
	if (facts->is_boot && reserved == RESERVED_BOOT)
		return false;
	return u->facts.is_oneshot || reserved != RESERVED_NO;
}

/* A unit that is taken along, and that must not be restarted; NULL if there is none. */
static const char *find_forbidden(const struct restart_facts *facts, size_t unit, const bool *seen)
{
	for (size_t i = 0; i < facts->n_units; i++) {
		const struct restart_unit *u = &facts->units[i];

		if (i != unit && seen[i] && is_forbidden(facts, u))
			return u->facts.name;
	}
	return NULL;
}

/* What the unit itself says; RESTART_UNIT if nothing speaks against it. */
static void judge(const struct restart_facts *facts, const struct restart_unit *u, struct verdict *v)
{
	const char *name = u->facts.name;
	enum reserved_kind reserved = reserved_find(facts->reserved, name);

	if (v->activation == ACTIVATION_BOOT)
		give(v, RESTART_REBOOT, "it changes at the next boot");
	else if (v->activation == ACTIVATION_IDLE)
		give(v, RESTART_ASK, "it changes only while nobody uses it: stop %s, then 'bsi run', "
			"then start it again", name);
	else if (reserved == RESERVED_REBOOT)
		give(v, RESTART_REBOOT, "%s is not restarted in a running system", name);
	else if (reserved == RESERVED_ASK || (reserved == RESERVED_BOOT && !facts->is_boot))
		give(v, RESTART_ASK, "%s is never restarted by itself; restart it when it suits", name);
	else if (u->is_own)
		give(v, RESTART_WAIT, "bsi itself was started by it");
	else if (u->facts.is_oneshot)
		give(v, RESTART_WAIT, "it works once, and ends by itself");
	else if (!u->facts.may_restart)
		give(v, RESTART_REBOOT, "%s refuses to be restarted", name);
	else if (strcmp(u->facts.state, "active") != 0)
		give(v, RESTART_ASK, "%s is %s now", name, u->facts.state);
	else if (u->was_restarted)
		give(v, RESTART_ASK, "%s was restarted already since the change, and is not restarted "
			"again", name);
	else if (u->facts.machine_action[0])
		give(v, RESTART_ASK, "%s has %s, which its restart could bring about; restart it when it "
			"suits", name, u->facts.machine_action);
	else if (u->facts.is_near_limit)
		give(v, RESTART_ASK, "%s was started so often that systemd could refuse one start more",
			name);
	else
		give(v, RESTART_UNIT, "%s is restarted once", name);
}

static void judge_unit(const struct restart_facts *facts, size_t unit, struct verdict *v)
{
	if (v->first == NO_STEP)
		return;
	if (v->helped == NO_STEP && say_beyond(&facts->processes[v->first], v->reason)) {
		v->end = RESTART_ASK;
		return;
	}
	v->first = v->helped;
	judge(facts, &facts->units[unit], v);
}

/* Units with processes get a verdict each, before they are compared with each other. */
static void judge_all(struct planning *x)
{
	const struct restart_facts *facts = x->facts;

	for (size_t i = 0; i < facts->n_units; i++)
		x->verdicts[i] = (struct verdict){
			.first = NO_STEP,
			.step = NO_STEP,
			.leader = NO_UNIT,
			.helped = NO_STEP,
			.end = RESTART_END_MAX};
	for (size_t i = 0; i < facts->n_processes; i++) {
		size_t unit = unit_of(facts, &facts->processes[i]);
		struct verdict *v;

		if (unit == NO_UNIT)
			continue;
		v = &x->verdicts[unit];
		if (v->first == NO_STEP)
			v->first = i;
		if (v->helped == NO_STEP && facts->processes[i].trouble < RESTART_COPY)
			v->helped = i;
		if (facts->processes[i].activation > v->activation)
			v->activation = facts->processes[i].activation;
	}
	for (size_t i = 0; i < facts->n_units; i++)
		judge_unit(facts, i, &x->verdicts[i]);
}

static bool is_taken_by(const struct planning *x, size_t leader, size_t unit)
{
	for (size_t i = unit; i != NO_UNIT; i = x->verdicts[i].leader)
		if (i == leader)
			return true;
	return false;
}

/* Restarts that would bring others with them: not allowed, or one restart for all of them. */
static int judge_together(struct planning *x)
{
	const struct restart_facts *facts = x->facts;
	bool *seen = calloc(facts->n_units + 1, sizeof *seen);

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < facts->n_units; i++) {
		struct verdict *v = &x->verdicts[i];
		const char *forbidden;

		if (v->end != RESTART_UNIT)
			continue;
		follow(facts, i, seen);
		forbidden = find_forbidden(facts, i, seen);
		if (forbidden)
			give(v, RESTART_ASK, "its restart would take %s along, which is not restarted by "
				"itself", forbidden);
	}
	for (size_t i = 0; i < facts->n_units; i++) {
		if (x->verdicts[i].end != RESTART_UNIT)
			continue;
		follow(facts, i, seen);
		for (size_t k = 0; k < facts->n_units; k++) {
			struct verdict *v = &x->verdicts[k];

			if (k == i || !seen[k] || v->end != RESTART_UNIT || is_taken_by(x, k, i))
				continue;
			v->leader = i;
			give(v, RESTART_ALONG, "systemd restarts it with %s", facts->units[i].facts.name);
		}
	}
	free(seen);
	return 0;
}

static void add_step(struct planning *x, enum restart_end end, const char *unit,
	size_t first, const char *reason)
{
	struct restart_step *step = &x->plan->steps[x->plan->n_steps++];

	*step = (struct restart_step){.end = end, .unit = unit, .first = first};
	(void)snprintf(step->reason, sizeof step->reason, "%s", reason);
}

static void add_unit_step(struct planning *x, size_t unit)
{
	struct verdict *v = &x->verdicts[unit];

	v->step = x->plan->n_steps;
	add_step(x, v->end, x->facts->units[unit].facts.name, v->first, v->reason);
}

/* Whether a unit that still waits for its restart is ordered after this one. */
static bool is_needed(const struct planning *x, size_t unit)
{
	const struct restart_facts *facts = x->facts;

	for (size_t i = 0; i < facts->n_units; i++)
		if (i != unit && x->verdicts[i].end == RESTART_UNIT && x->verdicts[i].step == NO_STEP &&
			has_name(&facts->units[i].facts.after, facts->units[unit].facts.name))
			return true;
	return false;
}

/* The next one: by name among those that nobody needs; in a ring of units by name alone. */
static size_t next_restart(const struct planning *x)
{
	const struct restart_unit *units = x->facts->units;
	size_t leaf = NO_UNIT, any = NO_UNIT;

	for (size_t i = 0; i < x->facts->n_units; i++) {
		if (x->verdicts[i].end != RESTART_UNIT || x->verdicts[i].step != NO_STEP)
			continue;
		if (any == NO_UNIT || strcmp(units[i].facts.name, units[any].facts.name) < 0)
			any = i;
		if (is_needed(x, i))
			continue;
		if (leaf == NO_UNIT || strcmp(units[i].facts.name, units[leaf].facts.name) < 0)
			leaf = i;
	}
	return leaf != NO_UNIT ? leaf : any;
}

static void order_units(struct planning *x)
{
	for (size_t unit; (unit = next_restart(x)) != NO_UNIT;)
		add_unit_step(x, unit);
	for (size_t i = 0; i < x->facts->n_units; i++)
		if (x->verdicts[i].end != RESTART_END_MAX && x->verdicts[i].end != RESTART_UNIT)
			add_unit_step(x, i);
}

/* The process that started this one, where it is listed too and lives in the same place. */
static size_t parent_of(const struct restart_facts *facts, size_t process)
{
	const struct restart_process *p = &facts->processes[process];

	for (size_t i = 0; i < facts->n_processes; i++) {
		const struct restart_process *other = &facts->processes[i];

		/* a user's systemd starts programs of all kinds, and is none of them */
		if (other->pid == p->place.parent && other->trouble == p->trouble &&
			!other->place.is_manager &&
			other->place.kind == p->place.kind &&
			strcmp(other->place.unit, p->place.unit) == 0)
			return i;
	}
	return process;
}

static size_t oldest_of(const struct restart_facts *facts, size_t process)
{
	size_t oldest = process;

	/* parents make no ring, but these are facts from outside */
	for (size_t i = 0; i < facts->n_processes; i++) {
		size_t parent = parent_of(facts, oldest);

		if (parent == oldest)
			break;
		oldest = parent;
	}
	return oldest;
}

/* The owner may reserve process 1, as any unit. */
static bool is_init_reserved(const struct restart_facts *facts)
{
	enum reserved_kind reserved = reserved_find(facts->reserved, CGROUP_INIT_UNIT);

	return reserved != RESERVED_NO && !(reserved == RESERVED_BOOT && facts->is_boot);
}

static enum restart_end judge_program(const struct restart_facts *facts,
	const struct restart_process *p, char reason[static RESTART_REASON_MAX])
{
	enum restart_end end = RESTART_ASK;
	const char *why = "it belongs to no unit: restart it as it was started";

	if (say_beyond(p, reason))
		return RESTART_ASK;
	if (p->activation == ACTIVATION_BOOT) {
		end = RESTART_REBOOT;
		why = "it changes at the next boot";
	} else if (p->place.kind == PLACE_INIT && is_init_reserved(facts)) {
		why = "systemd does not start itself anew by itself here: 'systemctl daemon-reexec' "
		      "when it suits";
	} else if (p->place.kind == PLACE_INIT && facts->was_reexecuted) {
		end = RESTART_REBOOT;
		why = "systemd started itself anew already since the change, and keeps old code";
	} else if (p->place.kind == PLACE_INIT) {
		end = facts->has_systemd ? RESTART_INIT : RESTART_REBOOT;
		why = facts->has_systemd ? "systemd starts itself anew and keeps what it knows" :
					   "process 1 is no systemd that can be asked to start itself anew";
	} else if (p->place.kind == PLACE_SESSION && p->place.is_manager) {
		end = RESTART_RELAUNCH;
		why = "its user logs out and in again, or runs 'systemctl --user daemon-reexec'";
	} else if (p->place.kind == PLACE_SESSION) {
		end = RESTART_RELAUNCH;
		why = p->activation == ACTIVATION_IDLE ?
			"it changes only while nobody uses it: its user closes it" :
			"its user closes it and starts it again";
	} else if (!facts->has_systemd && facts->has_hooks &&
		   (p->place.kind == PLACE_PROGRAM || p->place.kind == PLACE_SERVICE)) {
		end = RESTART_HOOK;
		why = "the programs in /etc/bsi/restart.d are told about it";
	} else if (p->place.kind == PLACE_SERVICE) {
		why = facts->has_systemd ? "systemd does not tell about its unit" :
					   "no systemd can be asked to restart it";
	} else if (p->place.kind == PLACE_CONTAINER) {
		why = "it runs in a container: restart that";
	} else if (p->place.kind == PLACE_CHROOT) {
		why = "it runs below another root, and belongs to no service: restart it as it was started";
	} else if (p->place.kind == PLACE_UNIT) {
		why = "its unit is no service: restart what made it";
	} else if (p->place.kind == PLACE_UNKNOWN) {
		why = "which unit it belongs to is not certain";
	}
	(void)snprintf(reason, RESTART_REASON_MAX, "%s", why);
	return end;
}

/* Whether process 1 comes now, or everything else: it is the last one that something is done to. */
static void add_programs(struct planning *x, bool is_init)
{
	const struct restart_facts *facts = x->facts;

	for (size_t i = 0; i < facts->n_processes; i++) {
		const struct restart_process *p = &facts->processes[i];
		char reason[RESTART_REASON_MAX];
		enum restart_end end;
		size_t oldest;

		if (unit_of(facts, p) != NO_UNIT || (p->place.kind == PLACE_INIT) != is_init)
			continue;
		oldest = oldest_of(facts, i);
		if (x->plan->step_of[oldest] == NO_STEP) {
			p = &facts->processes[oldest];
			end = judge_program(facts, p, reason);
			x->plan->step_of[oldest] = x->plan->n_steps;
			add_step(x, end, p->place.unit[0] ? p->place.unit : NULL, oldest, reason);
		}
		x->plan->step_of[i] = x->plan->step_of[oldest];
	}
}

/* Restarts first, in their order, then process 1, then what nobody does but people. */
static int sort_steps(struct restart_plan *plan, size_t n_processes)
{
	size_t *moved = calloc(plan->n_steps + 1, sizeof *moved);
	struct restart_step *steps = calloc(plan->n_steps + 1, sizeof *steps);
	size_t n = 0;

	if (!moved || !steps) {
		free(moved);
		free(steps);
		return -ENOMEM;
	}
	for (int end = 0; end < RESTART_END_MAX; end++)
		for (size_t i = 0; i < plan->n_steps; i++)
			if (plan->steps[i].end == (enum restart_end)end) {
				moved[i] = n;
				steps[n++] = plan->steps[i];
			}
	free(plan->steps);
	plan->steps = steps;
	for (size_t i = 0; i < n_processes; i++)
		plan->step_of[i] = moved[plan->step_of[i]];
	free(moved);
	return 0;
}

int restart_plan_make(const struct restart_facts *facts, struct restart_plan **ret)
{
	AUTO(restart_plan) struct restart_plan *plan = calloc(1, sizeof *plan);
	struct planning x = {.facts = facts, .plan = plan};
	int r = -ENOMEM;

	if (!plan)
		return -ENOMEM;
	plan->steps = calloc(facts->n_units + facts->n_processes + 1, sizeof *plan->steps);
	plan->step_of = calloc(facts->n_processes + 1, sizeof *plan->step_of);
	x.verdicts = calloc(facts->n_units + 1, sizeof *x.verdicts);
	if (plan->steps && plan->step_of && x.verdicts) {
		for (size_t i = 0; i < facts->n_processes; i++)
			plan->step_of[i] = NO_STEP;
		judge_all(&x);
		r = judge_together(&x);
	}
	if (r == 0) {
		order_units(&x);
		for (size_t i = 0; i < facts->n_processes; i++) {
			size_t unit = unit_of(facts, &facts->processes[i]);

			if (unit != NO_UNIT)
				plan->step_of[i] = x.verdicts[unit].step;
		}
		add_programs(&x, true);
		add_programs(&x, false);
		r = sort_steps(plan, facts->n_processes);
	}
	free(x.verdicts);
	if (r < 0)
		return r;
	*ret = take_ptr(plan);
	return 0;
}

bool restart_is_of_boot(const struct restart_facts *facts, const struct restart_step *step)
{
	if (step->end == RESTART_INIT)
		return true;
	return step->end == RESTART_UNIT &&
	       reserved_find(facts->reserved, step->unit) == RESERVED_BOOT;
}

void restart_mark_along(const struct restart_facts *facts, const char *unit, bool *seen)
{
	size_t index = find_unit(facts, unit);

	memset(seen, 0, facts->n_units * sizeof *seen);
	if (index == NO_UNIT)
		return;
	follow(facts, index, seen);
	seen[index] = false;
}
