/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What ends each process that runs old code: from facts to a plan. Pure: it asks nobody, and
 * nothing happens by it.
 *
 * Each unit is restarted once. Units that others are ordered after come later than those others
 * (leaves first), so that what breaks first is what nobody else needs. A process without a unit is
 * ended with the process that started it, where that one runs old code as well: a parent would only
 * start the next one of its kind.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/place.h"
#include "agent/reserved.h"
#include "agent/systemd.h"
#include "improvement/manifest.h"

#define RESTART_REASON_MAX 640

enum restart_end {
	RESTART_UNIT,     /* bsi may restart its unit */
	RESTART_ALONG,    /* systemd restarts its unit with another one of the plan */
	RESTART_INIT,     /* process 1 starts itself anew */
	RESTART_HOOK,     /* a program of the owner's is told, where there is no systemd */
	RESTART_WAIT,     /* it ends by itself */
	RESTART_ASK,      /* a person restarts the unit, container or program, when it suits */
	RESTART_RELAUNCH, /* its user closes it and starts it again */
	RESTART_REBOOT,   /* the next boot */
	RESTART_END_MAX,
};

/* What is wrong with a process, which decides whether a restart helps. */
enum restart_trouble {
	RESTART_OLD,    /* it runs code that was replaced: started again, it does not */
	RESTART_KEEPS,  /* what it runs is not old; its mount namespace keeps old files */
	RESTART_COPY,   /* it runs a copy of its own, and would again */
	RESTART_UNTOLD, /* what it runs cannot be told */
};

/* A process that runs old code, or would after the change. All text is borrowed. */
struct restart_process {
	pid_t pid;
	uid_t user;
	const char *command; /* for people alone; untrusted */
	enum restart_trouble trouble;
	const char *detail; /* of RESTART_UNTOLD: why; may be NULL, untrusted */
	struct place place;
	enum activation activation; /* the strictest of its components, for a change to come */
};

struct restart_unit {
	struct unit_facts facts;
	bool was_restarted; /* by bsi, since the last change */
	bool is_own;        /* bsi runs in it */
};

struct restart_facts {
	const struct restart_process *processes;
	size_t n_processes;
	const struct restart_unit *units; /* those of the processes, and those that they take along */
	size_t n_units;
	const struct reserved *reserved;
	bool has_systemd, has_hooks;
	bool was_reexecuted; /* process 1, since the last change */
	bool is_boot;        /* a boot was completed just now */
};

struct restart_step {
	enum restart_end end;
	const char *unit; /* NULL if it is about programs; borrowed from the facts */
	size_t first;     /* the process that it is about: a unit's first, or the parent of all */
	char reason[RESTART_REASON_MAX];
};

struct restart_plan {
	struct restart_step *steps; /* in the order in which they are taken; others behind */
	size_t n_steps;
	size_t *step_of; /* for each process of the facts */
};

/* The plan borrows from the facts. Returns 0 or -ENOMEM. */
int restart_plan_make(const struct restart_facts *facts, struct restart_plan **ret) MUST_CHECK;
void restart_plan_free(struct restart_plan *plan);
DEFINE_FREEP(restart_plan)

/*
 * Whether a step is one that a boot leaves behind: what starts before an improvement can be attached,
 * and is made to be renewed at any time. The plan is of facts with is_boot.
 */
bool restart_is_of_boot(const struct restart_facts *facts, const struct restart_step *step);

/*
 * Mark in seen, one for each unit of the facts, those that run and that systemd restarts with this one:
 * all of them may be stopped by it. The unit itself is not marked.
 */
void restart_mark_along(const struct restart_facts *facts, const char *unit, bool *seen);

/* A stable word: "restart", "reboot" ... */
const char *restart_end_text(enum restart_end end);
