/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Cuts a run at a chosen system call, as a power cut or a failing disk would, and shows the calls
 * of a run. One counter over all tasks of the run's process tree, so that every point is reached:
 * counters for each call or task (strace -e inject) miss most of them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A call that is about to be made; args as in struct ptrace_syscall_info. */
struct cut_call {
	pid_t pid;
	uint64_t nr;
	uint64_t args[6];
};

struct cut_plan {
	long at;   /* the call, from 1; 0: none */
	int error; /* 0: the whole tree is killed before the call; else it fails with this errno */
	bool files_only; /* count only calls that work on files */
	/* sees every call that is counted; may be NULL */
	void (*see)(void *ctx, const struct cut_call *call);
	void *ctx;
};

struct cut_result {
	long n_calls; /* counted until the end or the cut */
	bool was_cut; /* the chosen call was reached */
	int status;   /* exit status, 128 + signal; of no meaning after a kill */
};

/* Whether calls can be made to fail on this architecture. */
bool cut_can_fail_calls(void);

/* Run child(ctx) in a new process, its result being the exit status. 0 or -errno. */
int cut_run(const struct cut_plan *plan, int (*child)(void *ctx), void *ctx,
	struct cut_result *ret);
