/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The system calls of a process that computes: reading and writing what it has open, memory that
 * nobody shares and nobody executes, its end. No call of these sleeps, so a limit of processor
 * time bounds how long such a process lives.
 */
#include "base/compiler.h"

/*
 * For this process, for good; needs no_new_privs or CAP_SYS_ADMIN. Every other call is refused with
 * EPERM: what a later libc tries on its way, and can do without, ends nothing. Calls of another
 * architecture kill.
 *
 * 0; -ENOSYS where there is no list for this processor; -EINVAL where the kernel has no filters.
 */
int call_filter_install(void) MUST_CHECK;
