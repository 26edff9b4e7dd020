/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/restart_plan.h"

#define N_MAX 8

/* Names of neighbours, separated by blanks. */
struct unit_row {
	const char *name, *state, *after, *along;
	bool refuses, is_oneshot, is_near_limit, was_restarted, is_own;
	const char *action;
};

struct process_row {
	pid_t pid, parent;
	enum place_kind place;
	const char *unit;
	bool is_manager, is_unconfirmed;
	enum activation activation;
	enum restart_trouble trouble;
	const char *detail;
};

/*
 * plan: one word for each step, "END:UNIT" or "END:PID", in order. says: words of the reason of the
 * last step.
 */
struct row {
	const char *what;
	struct unit_row units[N_MAX];
	struct process_row processes[N_MAX];
	const char *reserved;
	bool no_systemd, has_hooks;
	const char *plan, *says;
	const char *boot; /* the steps that a boot leaves, as in plan; NULL: no boot was completed */
};

static const struct row rows[] = {
	{.what = "nobody runs old code", .plan = ""},
	{.what = "one restart for a unit with many processes",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 10, PLACE_SERVICE, "a.service"},
			{12, 10, PLACE_SERVICE, "a.service"}},
		.plan = "restart:a.service", .says = "restarted once"},
	{.what = "leaves first, whatever their names",
		.units = {{.name = "a.service"}, {.name = "b.service", .after = "a.service"},
			{.name = "c.service", .after = "x.target b.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 1, PLACE_SERVICE, "b.service"},
			{12, 1, PLACE_SERVICE, "c.service"}},
		.plan = "restart:c.service restart:b.service restart:a.service"},
	{.what = "by name where nothing else decides",
		.units = {{.name = "b.service"}, {.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "b.service"}, {11, 1, PLACE_SERVICE, "a.service"}},
		.plan = "restart:a.service restart:b.service"},
	{.what = "a ring of units ends",
		.units = {{.name = "a.service", .after = "b.service"},
			{.name = "b.service", .after = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 1, PLACE_SERVICE, "b.service"}},
		.plan = "restart:a.service restart:b.service"},
	{.what = "order through a unit that is not restarted is no order",
		.units = {{.name = "a.service"}, {.name = "b.service", .after = "m.service"},
			{.name = "m.service", .after = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 1, PLACE_SERVICE, "b.service"}},
		.plan = "restart:a.service restart:b.service"},
	{.what = "what systemd restarts along is not restarted twice",
		.units = {{.name = "a.service", .along = "b.service"}, {.name = "b.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 1, PLACE_SERVICE, "b.service"}},
		.plan = "restart:a.service along:b.service", .says = "with a.service"},
	{.what = "also over a unit between them",
		.units = {{.name = "a.service", .along = "m.service"},
			{.name = "m.service", .along = "b.service"}, {.name = "b.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 1, PLACE_SERVICE, "b.service"}},
		.plan = "restart:a.service along:b.service"},
	{.what = "but not over one that does not run",
		.units = {{.name = "a.service", .along = "m.service"},
			{.name = "m.service", .state = "inactive", .along = "b.service"},
			{.name = "b.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 1, PLACE_SERVICE, "b.service"}},
		.plan = "restart:a.service restart:b.service"},
	{.what = "units that take each other along are restarted once",
		.units = {{.name = "a.service", .along = "b.service"},
			{.name = "b.service", .along = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}, {11, 1, PLACE_SERVICE, "b.service"}},
		.plan = "restart:a.service along:b.service"},
	{.what = "a restart that would take a reserved unit along is a person's",
		.units = {{.name = "a.service", .along = "dbus.service"}, {.name = "dbus.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}}, .reserved = "dbus.service reboot",
		.plan = "ask:a.service", .says = "take dbus.service along"},
	{.what = "a reserved unit that does not run is taken along by nobody",
		.units = {{.name = "a.service", .along = "dbus.service"},
			{.name = "dbus.service", .state = "inactive"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}}, .reserved = "dbus.service",
		.plan = "restart:a.service"},
	{.what = "reserved units wait for a person or the next boot",
		.units = {{.name = "getty@tty1.service"}, {.name = "dbus.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "getty@tty1.service"},
			{11, 1, PLACE_SERVICE, "dbus.service"}},
		.reserved = "getty@*.service\ndbus.service reboot\n",
		.plan = "ask:getty@tty1.service reboot:dbus.service", .says = "not restarted in a running"},
	{.what = "the owner's later rule wins",
		.units = {{.name = "networking.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "networking.service"}},
		.reserved = "networking.service\n!networking.service\n", .plan = "restart:networking.service"},
	{.what = "one restart for a unit and change",
		.units = {{.name = "a.service", .was_restarted = true}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}}, .plan = "ask:a.service",
		.says = "already"},
	{.what = "a start limit is respected",
		.units = {{.name = "a.service", .is_near_limit = true}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}}, .plan = "ask:a.service",
		.says = "refuse one start more"},
	{.what = "a unit whose start limit is the machine's end is a person's",
		.units = {{.name = "a.service", .action = "StartLimitAction=reboot"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}}, .plan = "ask:a.service",
		.says = "StartLimitAction=reboot"},
	{.what = "so is one that takes such a unit along",
		.units = {{.name = "a.service", .along = "b.service"},
			{.name = "b.service", .action = "FailureAction=reboot"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}}, .plan = "ask:a.service",
		.says = "take b.service along"},
	{.what = "what works once is let work",
		.units = {{.name = "apt-daily-upgrade.service", .is_oneshot = true, .state = "activating"}},
		.processes = {{10, 1, PLACE_SERVICE, "apt-daily-upgrade.service"}},
		.plan = "wait:apt-daily-upgrade.service"},
	{.what = "a unit that refuses it waits for the next boot",
		.units = {{.name = "auditd.service", .refuses = true}},
		.processes = {{10, 1, PLACE_SERVICE, "auditd.service"}}, .plan = "reboot:auditd.service"},
	{.what = "a unit in between is left alone",
		.units = {{.name = "a.service", .state = "deactivating"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"}}, .plan = "ask:a.service",
		.says = "deactivating"},
	{.what = "bsi does not restart itself",
		.units = {{.name = "bsi.service", .is_own = true}},
		.processes = {{10, 1, PLACE_SERVICE, "bsi.service"}}, .plan = "wait:bsi.service"},
	{.what = "process 1 last, and by itself",
		.units = {{.name = "z.service"}},
		.processes = {{1, 0, PLACE_INIT, "init.scope"}, {10, 1, PLACE_SERVICE, "z.service"}},
		.plan = "restart:z.service reexecute:1", .says = "anew"},
	{.what = "another process 1 waits for the next boot",
		.processes = {{1, 0, PLACE_INIT, ""}}, .no_systemd = true, .plan = "reboot:1"},
	{.what = "a unit that systemd did not confirm is not touched",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_UNKNOWN, "a.service"}}, .plan = "ask:10",
		.says = "not certain"},
	{.what = "nor one that nobody was asked about",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service", .is_unconfirmed = true}},
		.plan = "ask:10"},
	{.what = "a program's parent instead of its workers",
		.processes = {{12, 11, PLACE_SESSION, "session-1.scope"},
			{11, 10, PLACE_SESSION, "session-1.scope"}, {10, 5, PLACE_SESSION, "session-1.scope"},
			{20, 5, PLACE_SESSION, "session-1.scope"}},
		.plan = "relaunch:10 relaunch:20", .says = "its user closes it"},
	{.what = "a user's systemd is no parent of programs",
		.processes = {{10, 1, PLACE_SESSION, "user@5.service", .is_manager = true},
			{11, 10, PLACE_SESSION, "user@5.service"}},
		.plan = "relaunch:10 relaunch:11"},
	{.what = "a parent in another place is none",
		.processes = {{10, 1, PLACE_PROGRAM, ""}, {11, 10, PLACE_CONTAINER, ""}},
		.plan = "ask:10 ask:11", .says = "container"},
	{.what = "parents in a ring end",
		.processes = {{10, 11, PLACE_PROGRAM, ""}, {11, 10, PLACE_PROGRAM, ""}},
		.plan = "ask:10 ask:11"},
	{.what = "each place is called what it is",
		.processes = {{10, 1, PLACE_CHROOT, ""}, {11, 1, PLACE_UNIT, "x.scope"}},
		.plan = "ask:10 ask:11", .says = "no service"},
	{.what = "without systemd a hook is told",
		.processes = {{10, 1, PLACE_PROGRAM, ""}, {11, 1, PLACE_SESSION, "session-1.scope"}},
		.no_systemd = true, .has_hooks = true, .plan = "hook:10 relaunch:11"},
	{.what = "and without a hook a person",
		.processes = {{10, 1, PLACE_PROGRAM, ""}}, .no_systemd = true, .plan = "ask:10"},
	{.what = "what changes only while nobody uses it is not ended by a restart",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service", .activation = ACTIVATION_IDLE},
			{11, 1, PLACE_SESSION, "session-1.scope", .activation = ACTIVATION_IDLE}},
		.plan = "ask:a.service relaunch:11", .says = "only while nobody uses it"},
	{.what = "what changes at boot waits for it",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service"},
			{11, 1, PLACE_SERVICE, "a.service", .activation = ACTIVATION_BOOT},
			{12, 1, PLACE_SESSION, "", .activation = ACTIVATION_BOOT}},
		.plan = "reboot:a.service reboot:12", .says = "next boot"},
	{.what = "a copy of its own comes back with a restart",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service", .trouble = RESTART_COPY}},
		.plan = "ask:a.service", .says = "a copy of its own"},
	{.what = "what cannot be told is nobody's to restart but a person's",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service", .trouble = RESTART_UNTOLD, .detail = "no file"},
			{11, 1, PLACE_SESSION, "session-1.scope", .trouble = RESTART_UNTOLD, .detail = "no file"}},
		.plan = "ask:a.service ask:11", .says = "cannot be told whether it runs old code: no file"},
	{.what = "one process that a restart helps is enough for its unit",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service", .trouble = RESTART_UNTOLD},
			{11, 1, PLACE_SERVICE, "a.service"}},
		.plan = "restart:a.service", .says = "restarted once"},
	{.what = "a namespace that keeps old files ends with its unit",
		.units = {{.name = "a.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "a.service", .trouble = RESTART_KEEPS}},
		.plan = "restart:a.service"},
	{.what = "a worker that cannot be told is none of its parent's",
		.processes = {{10, 1, PLACE_PROGRAM, ""}, {11, 10, PLACE_PROGRAM, "", .trouble = RESTART_UNTOLD}},
		.plan = "ask:10 ask:11", .says = "cannot be told"},
	{.what = "what a boot leaves is a person's at any other time",
		.units = {{.name = "early.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "early.service"}}, .reserved = "early.service boot",
		.plan = "ask:early.service"},
	{.what = "a boot renews what it leaves, and process 1, and nothing else",
		.units = {{.name = "early.service"}, {.name = "a.service"}, {.name = "dbus.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "early.service"}, {11, 1, PLACE_SERVICE, "a.service"},
			{12, 1, PLACE_SERVICE, "dbus.service"}, {1, 0, PLACE_INIT, "init.scope"}},
		.reserved = "early.service boot\ndbus.service reboot",
		.plan = "restart:a.service restart:early.service reexecute:1 reboot:dbus.service",
		.boot = "restart:early.service reexecute:1"},
	{.what = "once",
		.units = {{.name = "early.service", .was_restarted = true}},
		.processes = {{10, 1, PLACE_SERVICE, "early.service"}}, .reserved = "early.service boot",
		.plan = "ask:early.service", .boot = ""},
	{.what = "with what works once, and is one of them itself",
		.units = {{.name = "early.service", .along = "flush.service"},
			{.name = "flush.service", .is_oneshot = true}},
		.processes = {{10, 1, PLACE_SERVICE, "early.service"}},
		.reserved = "early.service boot\nflush.service boot", .plan = "restart:early.service",
		.boot = "restart:early.service"},
	{.what = "and not with what is none of them",
		.units = {{.name = "early.service", .along = "settle.service"},
			{.name = "settle.service", .is_oneshot = true}},
		.processes = {{10, 1, PLACE_SERVICE, "early.service"}}, .reserved = "early.service boot",
		.plan = "ask:early.service", .boot = ""},
	{.what = "the owner keeps both as they are",
		.units = {{.name = "early.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "early.service"}, {1, 0, PLACE_INIT, "init.scope"}},
		.reserved = "early.service boot\nearly.service\ninit.scope\n",
		.plan = "ask:early.service ask:1", .boot = ""},
	{.what = "in a boot that is complete what only a reboot changes stays",
		.units = {{.name = "early.service"}},
		.processes = {{10, 1, PLACE_SERVICE, "early.service", .activation = ACTIVATION_BOOT}},
		.reserved = "early.service boot", .plan = "reboot:early.service", .boot = ""},
};

static void split(const char *names, struct unit_names *ret, char *storage[N_MAX])
{
	*ret = (struct unit_names){.names = storage};
	while (names && *names) {
		size_t len = strcspn(names, " ");

		storage[ret->n] = strndup(names, len);
		assert_non_null(storage[ret->n]);
		ret->n++;
		names += len + (names[len] == ' ');
	}
}

struct scene {
	struct restart_unit units[N_MAX];
	char *after[N_MAX][N_MAX], *along[N_MAX][N_MAX];
	struct restart_process processes[N_MAX];
	struct reserved reserved;
	struct restart_facts facts;
};

static void scene_make(struct scene *s, const struct row *row)
{
	struct error e;

	memset(s, 0, sizeof *s);
	for (size_t i = 0; i < N_MAX && row->units[i].name; i++) {
		const struct unit_row *u = &row->units[i];
		struct unit_facts *f = &s->units[i].facts;

		(void)snprintf(f->name, sizeof f->name, "%s", u->name);
		(void)snprintf(f->state, sizeof f->state, "%s", u->state ? u->state : "active");
		f->may_restart = !u->refuses;
		f->is_oneshot = u->is_oneshot;
		f->is_near_limit = u->is_near_limit;
		(void)snprintf(f->machine_action, sizeof f->machine_action, "%s", u->action ? u->action : "");
		split(u->after, &f->after, s->after[i]);
		split(u->along, &f->takes_along, s->along[i]);
		s->units[i].was_restarted = u->was_restarted;
		s->units[i].is_own = u->is_own;
		s->facts.n_units++;
	}
	for (size_t i = 0; i < N_MAX && row->processes[i].pid; i++) {
		const struct process_row *p = &row->processes[i];
		struct restart_process *to = &s->processes[i];

		*to = (struct restart_process){.pid = p->pid, .activation = p->activation, .command = "x",
			.trouble = p->trouble, .detail = p->detail,
			.place = {.kind = p->place, .parent = p->parent, .is_manager = p->is_manager,
				.is_confirmed = !p->is_unconfirmed}};
		(void)snprintf(to->place.unit, sizeof to->place.unit, "%s", p->unit ? p->unit : "");
		s->facts.n_processes++;
	}
	if (row->reserved)
		assert_int_equal(reserved_parse(row->reserved, strlen(row->reserved), &s->reserved, &e), 0);
	s->facts.units = s->units;
	s->facts.processes = s->processes;
	s->facts.reserved = &s->reserved;
	s->facts.has_systemd = !row->no_systemd;
	s->facts.has_hooks = row->has_hooks;
	s->facts.is_boot = row->boot != NULL;
}

static void scene_done(struct scene *s)
{
	for (size_t i = 0; i < N_MAX; i++)
		for (size_t k = 0; k < N_MAX; k++) {
			free(s->after[i][k]);
			free(s->along[i][k]);
		}
	reserved_done(&s->reserved);
}

/* "END:UNIT" or "END:PID". */
static size_t write_step(const struct scene *s, const struct restart_step *step, char *out,
	size_t out_len)
{
	const struct restart_process *p = &s->processes[step->first];

	if (step->unit && p->place.kind == PLACE_SERVICE && p->place.is_confirmed)
		return (size_t)snprintf(out, out_len, "%s:%s", restart_end_text(step->end), step->unit);
	return (size_t)snprintf(out, out_len, "%s:%d", restart_end_text(step->end), (int)p->pid);
}

static void check_boot(const struct scene *s, const struct restart_plan *plan, const char *wanted)
{
	char got[512] = "";
	size_t at = 0;

	for (size_t k = 0; k < plan->n_steps; k++) {
		if (!restart_is_of_boot(&s->facts, &plan->steps[k]))
			continue;
		at += (size_t)snprintf(got + at, sizeof got - at, "%s", at > 0 ? " " : "");
		at += write_step(s, &plan->steps[k], got + at, sizeof got - at);
	}
	assert_string_equal(got, wanted);
}

static void test_plan_ends_each_process_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct restart_plan *plan;
		struct scene s;
		char got[512] = "";
		size_t at = 0;

		print_message("# %s\n", rows[i].what);
		scene_make(&s, &rows[i]);
		assert_int_equal(restart_plan_make(&s.facts, &plan), 0);
		for (size_t k = 0; k < plan->n_steps; k++) {
			const struct restart_step *step = &plan->steps[k];

			assert_true(step->first < s.facts.n_processes);
			assert_int_equal(plan->step_of[step->first], k);
			assert_int_not_equal(step->reason[0], '\0');
			at += (size_t)snprintf(got + at, sizeof got - at, "%s", k ? " " : "");
			at += write_step(&s, step, got + at, sizeof got - at);
		}
		assert_string_equal(got, rows[i].plan);
		if (rows[i].boot)
			check_boot(&s, plan, rows[i].boot);
		for (size_t k = 0; k < s.facts.n_processes; k++)
			assert_true(plan->step_of[k] < plan->n_steps);
		if (rows[i].says)
			assert_non_null(strstr(plan->steps[plan->n_steps - 1].reason, rows[i].says));
		restart_plan_free(plan);
		scene_done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_plan_ends_each_process_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
