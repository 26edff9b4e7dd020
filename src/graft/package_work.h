/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The mark that dpkg is at work on a host from which everything was taken off for it. dpkg's own
 * locks are not held yet when its pre-invoke hook runs, and not any more in its post-invoke hook;
 * between the two nothing may be attached. The mark names the dpkg that it was made for, so it is
 * void as soon as that process is gone, however it went. Needs libc alone.
 *
 * It lies in the run directory: one line, "PID START", START as in /proc/PID/stat.
 */
#include <sys/types.h>

#include "base/compiler.h"
#include "graft/process.h"

#define PACKAGE_WORK_NAME "package-work"

/* The dpkg below which the caller runs, or the caller's parent. 0 or -errno. */
int package_work_find_dpkg(struct process *ret) MUST_CHECK;

/* Make the mark for the dpkg below which the caller runs, or for the caller's parent. */
int package_work_begin(const char *run_dir) MUST_CHECK;

/* 0 also where there is no mark. */
int package_work_end(const char *run_dir) MUST_CHECK;

/*
 * The process that the mark names, if it is alive and none of the caller's ancestors; else 0. A
 * mark that cannot be read is none.
 */
pid_t package_work_holder(const char *run_dir);
