/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cut.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#define TASKS_MAX 64

struct run {
	const struct cut_plan *plan;
	struct cut_result result;
	pid_t first;
	pid_t tasks[TASKS_MAX];
	unsigned n_tasks;
	pid_t failing; /* the task whose call is to fail when it returns */
};

static const long file_calls[] = {
#ifdef SYS_open
	SYS_open, SYS_rename, SYS_unlink, SYS_mkdir, SYS_rmdir, SYS_stat, SYS_lstat,
	SYS_readlink, SYS_access,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
	SYS_openat, SYS_openat2, SYS_renameat2, SYS_unlinkat, SYS_mkdirat, SYS_read, SYS_pread64,
	SYS_write, SYS_pwrite64, SYS_writev, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate,
	SYS_flock, SYS_fcntl, SYS_getdents64, SYS_newfstatat, SYS_fstatfs, SYS_fchmod, SYS_statx,
};

static bool is_file_call(uint64_t nr)
{
	for (unsigned i = 0; i < sizeof file_calls / sizeof file_calls[0]; i++)
		if ((uint64_t)file_calls[i] == nr)
			return true;
	return false;
}

#ifdef __x86_64__
bool cut_can_fail_calls(void)
{
	return true;
}

/* No such call: the kernel does nothing. What it returns is set when it does. */
static int skip_call(pid_t pid)
{
	return ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L) < 0
		       ? -errno
		       : 0;
}

static int set_result(pid_t pid, int error)
{
	return ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), (long)-error) < 0
		       ? -errno
		       : 0;
}
#else
bool cut_can_fail_calls(void)
{
	return false;
}

static int skip_call(pid_t pid)
{
	(void)pid;
	return -ENOSYS;
}

static int set_result(pid_t pid, int error)
{
	(void)pid;
	(void)error;
	return -ENOSYS;
}
#endif

static void remember(struct run *run, pid_t pid)
{
	for (unsigned i = 0; i < run->n_tasks; i++)
		if (run->tasks[i] == pid)
			return;
	if (run->n_tasks < TASKS_MAX)
		run->tasks[run->n_tasks++] = pid;
}

static void forget(struct run *run, pid_t pid)
{
	for (unsigned i = 0; i < run->n_tasks; i++)
		if (run->tasks[i] == pid)
			run->tasks[i--] = run->tasks[--run->n_tasks];
}

/* Dead and reaped when it returns, so that no lock is held any more. */
static void kill_all(struct run *run)
{
	for (unsigned i = 0; i < run->n_tasks; i++)
		(void)kill(run->tasks[i], SIGKILL);
	while (run->n_tasks > 0) {
		int status;
		/* whoever comes: the first thread of a process cannot be reaped before its others */
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return;
		if (!WIFSTOPPED(status))
			forget(run, pid);
	}
}

/* 1: the run is over. */
static int enter(struct run *run, pid_t pid, const struct ptrace_syscall_info *info)
{
	struct cut_call call = {.pid = pid, .nr = info->entry.nr};

	if (run->plan->files_only && !is_file_call(info->entry.nr))
		return 0;
	for (unsigned i = 0; i < 6; i++)
		call.args[i] = info->entry.args[i];
	run->result.n_calls++;
	if (run->plan->see)
		run->plan->see(run->plan->ctx, &call);
	if (run->result.n_calls != run->plan->at)
		return 0;
	run->result.was_cut = true;
	if (run->plan->error == 0) {
		kill_all(run);
		return 1;
	}
	run->failing = pid;
	return skip_call(pid);
}

static int stopped_at_call(struct run *run, pid_t pid)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0)
		return 0; /* it was killed meanwhile */
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		return enter(run, pid, &info);
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && run->failing == pid) {
		run->failing = 0;
		return set_result(pid, run->plan->error);
	}
	return 0;
}

static void ended(struct run *run, pid_t pid, int status)
{
	forget(run, pid);
	if (pid == run->first)
		run->result.status = WIFEXITED(status) ? WEXITSTATUS(status)
						       : 128 + WTERMSIG(status);
}

static int follow(struct run *run)
{
	while (run->n_tasks > 0) {
		int status, signal = 0, r = 0;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return -errno;
		if (!WIFSTOPPED(status)) {
			ended(run, pid, status);
			continue;
		}
		remember(run, pid);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			r = stopped_at_call(run, pid);
		else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP)
			signal = WSTOPSIG(status);
		if (r != 0)
			return r < 0 ? r : 0;
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, (long)signal);
	}
	return 0;
}

int cut_run(const struct cut_plan *plan, int (*child)(void *ctx), void *ctx,
	struct cut_result *ret)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC |
			     PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	struct run run = {.plan = plan};
	int status, r;

	run.first = fork();
	if (run.first < 0)
		return -errno;
	if (run.first == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(125);
		(void)raise(SIGSTOP);
		_exit(child(ctx));
	}
	remember(&run, run.first);
	if (waitpid(run.first, &status, 0) != run.first || !WIFSTOPPED(status))
		return -ECHILD;
	if (ptrace(PTRACE_SETOPTIONS, run.first, NULL, options) < 0 ||
		ptrace(PTRACE_SYSCALL, run.first, NULL, NULL) < 0) {
		r = -errno;
		kill_all(&run);
		return r;
	}
	r = follow(&run);
	if (r < 0)
		kill_all(&run);
	*ret = run.result;
	return r;
}
