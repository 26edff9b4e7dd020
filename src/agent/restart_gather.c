/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/restart_gather.h"

#include <errno.h>
#include <string.h>

#include "agent/restart_hook.h"
#include "agent/restarted.h"
#include "graft/process.h"

void restart_gathered_done(struct restart_gathered *g)
{
	for (size_t i = 0; i < g->n_units; i++)
		unit_facts_done(&g->units[i].facts);
	free(g->units);
	free(g->processes);
	reserved_done(&g->reserved);
	systemd_free(g->systemd);
	*g = (struct restart_gathered){0};
}

/* The strictest activation of a process's components, in what is to come. */
static enum activation activation_of(const json_t *row, const struct manifest *coming)
{
	const json_t *names = json_object_get(row, "components");
	enum activation strictest = ACTIVATION_LIVE;

	for (size_t i = 0; coming && i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		const struct component *c = name ? manifest_component(coming, name) : NULL;

		if (c && c->activation > strictest)
			strictest = c->activation;
	}
	return strictest;
}

static enum restart_trouble trouble_of(const json_t *row)
{
	const char *state = json_string_value(json_object_get(row, "state"));

	if (state && strcmp(state, "unknown") == 0)
		return RESTART_UNTOLD;
	if (state && strcmp(state, "keeps") == 0)
		return RESTART_KEEPS;
	return json_is_true(json_object_get(row, "copy")) ? RESTART_COPY : RESTART_OLD;
}

/* False if the process is gone. */
static bool read_process(const json_t *row, const struct manifest *coming, struct systemd *systemd,
	struct restart_process *ret)
{
	uint64_t start_ticks = (uint64_t)json_integer_value(json_object_get(row, "start_ticks"));

	*ret = (struct restart_process){
		.pid = (pid_t)json_integer_value(json_object_get(row, "pid")),
		.user = (uid_t)json_integer_value(json_object_get(row, "uid")),
		.command = json_string_value(json_object_get(row, "command")),
		.trouble = trouble_of(row),
		.detail = json_string_value(json_object_get(row, "detail")),
		.activation = activation_of(row, coming),
	};
	return place_read(ret->pid, start_ticks, systemd, &ret->place) != -ESRCH;
}

static int read_processes(json_t *list, const struct manifest *coming, struct restart_gathered *g)
{
	size_t n = 0;

	g->processes = calloc(json_array_size(list) + 1, sizeof *g->processes);
	if (!g->processes)
		return -ENOMEM;
	while (n < json_array_size(list)) {
		if (read_process(json_array_get(list, n), coming, g->systemd, &g->processes[n]))
			n++;
		else if (json_array_remove(list, n) < 0)
			return -ENOMEM;
	}
	g->facts.n_processes = n;
	return 0;
}

static bool has_unit(const struct restart_gathered *g, const char *unit)
{
	for (size_t i = 0; i < g->n_units; i++)
		if (strcmp(g->units[i].facts.name, unit) == 0)
			return true;
	return false;
}

/* A unit that systemd does not tell about is left to people. */
static int add_unit(struct restart_gathered *g, const char *unit)
{
	struct restart_unit *grown;
	struct unit_facts facts;

	if (g->n_units == RESTART_UNITS_MAX || has_unit(g, unit) ||
		systemd_unit_facts(g->systemd, unit, &facts, NULL) < 0)
		return 0;
	grown = reallocarray(g->units, g->n_units + 1, sizeof *grown);
	if (!grown) {
		unit_facts_done(&facts);
		return -ENOMEM;
	}
	g->units = grown;
	g->units[g->n_units++] = (struct restart_unit){.facts = facts};
	return 0;
}

/* The units of the processes, then those that they would take along, and so on. */
static int read_units(struct restart_gathered *g)
{
	int r = 0;

	for (size_t i = 0; r == 0 && g->systemd && i < g->facts.n_processes; i++) {
		const struct place *place = &g->processes[i].place;

		if (place->kind == PLACE_SERVICE && place->is_confirmed)
			r = add_unit(g, place->unit);
	}
	for (size_t i = 0; r == 0 && i < g->n_units; i++) {
		/* adding moves the array, so each is looked up again */
		for (size_t k = 0; r == 0 && k < g->units[i].facts.takes_along.n; k++)
			r = add_unit(g, g->units[i].facts.takes_along.names[k]);
	}
	return r;
}

static void mark_units(struct agent *a, struct restart_gathered *g)
{
	AUTO_JSON json_t *restarted = restarted_load(a);
	struct process self = {0};
	struct place own = {0};

	if (process_read(getpid(), &self) == 0)
		(void)!place_read(self.pid, self.start_ticks, NULL, &own);
	for (size_t i = 0; i < g->n_units; i++) {
		struct restart_unit *u = &g->units[i];

		u->was_restarted = restarted_has(restarted, u->facts.name);
		u->is_own = own.kind == PLACE_SERVICE && strcmp(own.unit, u->facts.name) == 0;
	}
	g->facts.was_reexecuted = restarted_has(restarted, RESTARTED_INIT);
}

int restart_gather(struct agent *a, json_t *list, const struct manifest *coming,
	struct restart_gathered *ret, struct error *reterr)
{
	int r;

	*ret = (struct restart_gathered){0};
	/* a list that cannot be read must not make everything restartable */
	r = reserved_load(a->root_fd, &ret->reserved, reterr);
	if (r < 0)
		return r;
	(void)!systemd_open(&ret->systemd, NULL);
	r = read_processes(list, coming, ret);
	if (r == 0)
		r = read_units(ret);
	if (r < 0)
		return error_set(reterr, r, "what ends these processes: %s", error_text(r));
	mark_units(a, ret);
	ret->facts.processes = ret->processes;
	ret->facts.units = ret->units;
	ret->facts.n_units = ret->n_units;
	ret->facts.reserved = &ret->reserved;
	ret->facts.has_systemd = ret->systemd != NULL;
	ret->facts.has_hooks = restart_hook_exists(a);
	return 0;
}
