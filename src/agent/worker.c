/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/digest.h"

/*
 * Seconds of waiting for each of its processor time: others may come first for long, and where
 * there is no filter of system calls a worker could sleep.
 */
#define PATIENCE 8U
/* Larger pieces go back to the system when they are freed: what is not used does not add up. */
#define OWN_MAPPING_BYTES (1 << 20)

/* Written in one piece, so read in one. */
struct answer {
	int code;
	char text[ERROR_TEXT_MAX];
};
_Static_assert(sizeof(struct answer) <= PIPE_BUF, "a pipe takes an answer whole");

/* The descriptors to keep, ascending: the task's, and the one for the answer. */
struct kept {
	int *fds;
	size_t n;
};

static int compare_fds(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int keep(const struct worker_task *task, int answer_fd, struct kept *ret)
{
	int *fds = calloc(task->n_fds + 1, sizeof *fds);
	size_t n = 0;

	if (!fds)
		return -ENOMEM;
	for (size_t i = 0; i < task->n_fds; i++)
		if (task->fds[i] >= 0)
			fds[n++] = task->fds[i];
	fds[n++] = answer_fd;
	qsort(fds, n, sizeof *fds, compare_fds);
	*ret = (struct kept){fds, n};
	return 0;
}

/* No habit of the caller's; and what opens files when it is used first, before that is impossible.
 */
static int prepare(const char *name)
{
	struct digest digest;
	sigset_t none;

	(void)prctl(PR_SET_NAME, name);
	for (int signal_nr = 1; signal_nr < NSIG; signal_nr++)
		(void)signal(signal_nr, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
	return digest_of("", 0, &digest);
}

static _Noreturn void child(const struct worker_task *task, const struct confine_identity *who,
	const struct kept *kept, pid_t parent, int answer_fd)
{
	struct answer answer = {0};
	struct error e = {0};
	int r = prepare(task->name);

	if (r == 0)
		r = confine(who, &task->limits, kept->fds, kept->n, parent, &e);
	if (r < 0)
		answer.code = -BSI_E_WORKER;
	else
		answer.code = task->work(task->ctx, &e);
	if (e.code < 0)
		memcpy(answer.text, e.text, sizeof answer.text);
	/* without an answer the way it ended says enough */
	if (write(answer_fd, &answer, sizeof answer) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_SUCCESS);
}

static int unbelievable(const struct worker_task *task, struct error *reterr)
{
	return error_set(
		reterr, -BSI_E_WORKER, "%s answered what it cannot have to say", task->name);
}

static int take_answer(const struct worker_task *task, struct answer *answer, struct error *reterr)
{
	int code = answer->code;

	answer->text[sizeof answer->text - 1] = '\0';
	if (code > 0 || code <= -BSI_E_MAX)
		return unbelievable(task, reterr);
	if (code == -ENOMEM)
		return error_set(reterr, -BSI_E_WORKER,
			"%s needs more than the %" PRIu64 " MB of memory that it may have",
			task->name, task->limits.memory_bytes / 1000000);
	if (code < 0)
		return error_set(
			reterr, code, "%s", answer->text[0] ? answer->text : error_text(code));
	return 0;
}

static int explain_end(
	const struct worker_task *task, int status, bool is_late, struct error *reterr)
{
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	const char *words = sigdescr_np(signal);

	if (is_late)
		return error_set(reterr, -BSI_E_WORKER, "%s did not come to an end", task->name);
	if (signal == SIGXCPU)
		return error_set(reterr, -BSI_E_WORKER,
			"%s took more than %" PRIu64 " s of processor time", task->name,
			task->limits.processor_s);
	if (signal)
		return error_set(reterr, -BSI_E_WORKER, "%s was ended by signal %d (%s)",
			task->name, signal, words ? words : "unknown");
	return error_set(reterr, -BSI_E_WORKER, "%s ended without an answer", task->name);
}

/* Poll's time; a very long one is as good as none. */
static int patience_ms(const struct worker_task *task)
{
	uint64_t ms;

	if (!checked_mul(task->limits.processor_s, PATIENCE * UINT64_C(1000), &ms) || ms > INT_MAX)
		return INT_MAX;
	return (int)ms;
}

static int wait_for(const struct worker_task *task, pid_t pid, int fd, struct error *reterr)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct answer answer;
	ssize_t n = 0;
	int ready, status;

	do
		ready = poll(&p, 1, patience_ms(task));
	while (ready < 0 && errno == EINTR);
	if (ready > 0)
		n = read(fd, &answer, sizeof answer);

	/* it has said all, or will not: until it is gone, it could write */
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set(reterr, -errno, "waiting for %s: %s", task->name,
				error_text(-errno));
	if (n == (ssize_t)sizeof answer)
		return take_answer(task, &answer, reterr);
	return n > 0 ? unbelievable(task, reterr) : explain_end(task, status, ready == 0, reterr);
}

int worker_run(const struct worker_task *task, struct error *reterr)
{
	const struct confine_identity who = confine_identity();
	AUTO_CLOSE int read_fd = -EBADF;
	AUTO_CLOSE int write_fd = -EBADF;
	AUTO_FREE int *fds = NULL;
	struct kept kept;
	pid_t parent = getpid(), pid;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(
			reterr, -errno, "a pipe to %s: %s", task->name, error_text(-errno));
	read_fd = ends[0];
	write_fd = ends[1];
	r = keep(task, write_fd, &kept);
	if (r < 0)
		return r;
	fds = kept.fds;
	pid = fork();
	if (pid < 0)
		return error_set(
			reterr, -errno, "%s cannot be started: %s", task->name, error_text(-errno));
	if (pid == 0)
		child(task, &who, &kept, parent, write_fd);
	auto_closep(&write_fd);
	return wait_for(task, pid, read_fd, reterr);
}
