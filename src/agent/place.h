/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Where a process lives, which decides what ends it. Read from what the kernel says of the process
 * (its control group, its namespaces, its root) and, for a unit, confirmed by systemd: both must
 * name the same unit. Nothing that the process itself can write is read: no environment, no
 * arguments, no path of its program.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/cgroup.h"
#include "agent/systemd.h"

enum place_kind {
	PLACE_UNKNOWN,   /* kernel and systemd do not agree, or it cannot be looked at */
	PLACE_INIT,      /* process 1 */
	PLACE_SERVICE,   /* of the system; place.unit */
	PLACE_UNIT,      /* another unit of the system, such as a scope */
	PLACE_SESSION,   /* a program of a user who is logged in */
	PLACE_CONTAINER, /* in a process namespace of its own, and no service */
	PLACE_CHROOT,    /* below another root, and no service */
	PLACE_PROGRAM,   /* none of these: started by hand, or no systemd here */
};

struct place {
	enum place_kind kind;
	char unit[CGROUP_UNIT_MAX]; /* empty where there is none */
	bool is_manager;            /* PLACE_SESSION: a user's systemd, as the user says */
	bool is_confirmed;          /* systemd was asked, and says the same */
	pid_t parent;               /* in our process namespace; 0 if it is in none */
};

/* A stable word: "service", "session" ... */
const char *place_text(enum place_kind kind);

/*
 * pid and start_ticks name the process (graft/process.h); the answer is about this one or none.
 * systemd may be NULL. -ESRCH where that process is gone; else 0.
 */
int place_read(pid_t pid, uint64_t start_ticks, struct systemd *systemd, struct place *ret)
	MUST_CHECK;
