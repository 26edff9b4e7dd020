/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The service manager of the host, asked over D-Bus (org.freedesktop.systemd1(5)): which unit a
 * process belongs to, what a unit is, and to restart it. Names go as arguments of calls; nothing is
 * executed. Built without libsystemd, systemd_open() says so and nothing else is reached.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/cgroup.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"

#define SYSTEMD_STATE_MAX 32
#define SYSTEMD_SETTING_MAX 64
#define SYSTEMD_NEIGHBOURS_MAX 1024 /* units that one unit names; more are left out */

struct systemd;

/* -BSI_E_UNSUPPORTED where systemd does not run here, or this build cannot talk to it. */
int systemd_open(struct systemd **ret, struct error *reterr) MUST_CHECK;
void systemd_free(struct systemd *s);
DEFINE_FREEP(systemd)

/* How far the host has come, of what process 1 has begun. */
struct systemd_progress {
	bool is_up;        /* as far as services: basic.target, or the end of the boot */
	uint64_t begun_us; /* CLOCK_MONOTONIC; another one in each boot and each soft-reboot */
};

/* Asked of process 1 itself, so it needs no bus. -BSI_E_UNSUPPORTED as above; *ret is zero then. */
int systemd_progress(struct systemd_progress *ret, struct error *reterr) MUST_CHECK;

/* The unit that systemd counts a process to. -ESRCH where it counts it to none. */
int systemd_unit_of(struct systemd *s, pid_t pid, char ret_unit[static CGROUP_UNIT_MAX]) MUST_CHECK;

struct unit_names {
	char **names;
	size_t n;
};

struct unit_facts {
	char name[CGROUP_UNIT_MAX];
	char state[SYSTEMD_STATE_MAX]; /* ActiveState: "active", "activating" ... */
	bool may_restart; /* neither its start nor its stop is refused */
	bool is_oneshot;  /* works and ends */
	bool is_near_limit; /* one start more could be one too many for its start limit */
	/* what a restart could make systemd do to the machine, as "FailureAction=reboot"; or "" */
	char machine_action[SYSTEMD_SETTING_MAX];
	struct unit_names after;       /* units that it is ordered after */
	struct unit_names takes_along; /* units that systemd restarts with it */
};

int systemd_unit_facts(struct systemd *s, const char *unit, struct unit_facts *ret,
	struct error *reterr) MUST_CHECK;
void unit_facts_done(struct unit_facts *f);

/*
 * Restart a unit if it still runs, and wait for what comes of it, at most timeout_s.
 * -EIO where the job failed (the words name its result), -ETIMEDOUT where it goes on.
 */
int systemd_restart(struct systemd *s, const char *unit, unsigned timeout_s, struct error *reterr)
	MUST_CHECK;

/* How a unit stands when no job of it is left. */
struct unit_end {
	char state[SYSTEMD_STATE_MAX]; /* ActiveState */
	bool is_refused; /* it does not run because systemd counted too many starts of it */
};

/* Wait until systemd has done what it was told to do with a unit, at most timeout_s. */
int systemd_settle(struct systemd *s, const char *unit, unsigned timeout_s, struct unit_end *ret,
	struct error *reterr) MUST_CHECK;

/*
 * Start a unit, whatever was counted against its start limit before; and what starts it on demand (a
 * socket, a path, a timer), where systemd gave that up together with the unit. Errors as those of
 * systemd_restart().
 */
int systemd_start(struct systemd *s, const char *unit, unsigned timeout_s, struct error *reterr)
	MUST_CHECK;

/* systemd starts itself anew, with all that it knows; returns when it answers again. */
int systemd_reexecute(struct systemd *s, unsigned timeout_s, struct error *reterr) MUST_CHECK;
