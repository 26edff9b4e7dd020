/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Which unit the kernel says that a process belongs to: the text of /proc/PID/cgroup
 * (cgroups(7)), and how systemd names its groups. Pure.
 *
 * The kernel writes that text, and who may name groups below a unit decides what follows in it. So
 * the first group that is no slice is the unit, whatever stands below it: a group "ssh.service" that
 * a user or a container made for itself never reads as the system's ssh.service. A name is only
 * ever compared and shown.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

#define CGROUP_UNIT_MAX 256 /* with NUL: systemd's names have at most 255 bytes */
#define CGROUP_TEXT_MAX_BYTES 65536
#define CGROUP_INIT_UNIT "init.scope" /* where process 1 lives, and each manager in its own group */

enum cgroup_kind {
	CGROUP_NONE,    /* no unit: no systemd, or a group that somebody else made */
	CGROUP_INIT,    /* systemd itself */
	CGROUP_SERVICE, /* of the system */
	CGROUP_UNIT,    /* of the system, and no service: a scope, a socket's helper */
	CGROUP_SESSION, /* below a user's slice: a login session, or the user's own systemd */
};

struct cgroup {
	enum cgroup_kind kind;
	char unit[CGROUP_UNIT_MAX]; /* of the system's systemd; empty for CGROUP_NONE */
	uid_t user;                 /* CGROUP_SESSION: whose slice; else (uid_t)-1 */
	bool is_manager;            /* CGROUP_SESSION: the user's own systemd; the user can feign it */
};

/*
 * text need not end in NUL. The unified hierarchy counts, and systemd's own where that one says
 * nothing. Returns 0, or -BSI_E_FORMAT for text that the kernel does not write.
 */
int cgroup_parse(const char *text, size_t len, struct cgroup *ret) MUST_CHECK;
