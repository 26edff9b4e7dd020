/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What /proc/PID/stat says of a process (proc(5)). Needs libc alone. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

#define PROCESS_NAME_MAX 64 /* bytes with NUL; the kernel's own limit is 16 */

struct process {
	pid_t pid, parent;
	uint64_t start_ticks; /* since boot; pid and this name a process */
	char name[PROCESS_NAME_MAX]; /* untrusted text */
};

/* -ESRCH where there is no such process (any more), -errno. */
int process_read(pid_t pid, struct process *ret) MUST_CHECK;

/* One line of /proc/PID/stat; -EINVAL if it is none. Pure. */
int process_parse(const char *text, struct process *ret) MUST_CHECK;

/* Decimal digits at the start of text, at most max; -EINVAL without, -ERANGE beyond. Pure. */
int process_parse_number(const char *text, uint64_t max, uint64_t *ret) MUST_CHECK;

/* Whether pid is the caller's parent, or one of theirs. */
bool process_is_ancestor(pid_t pid);
