/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What the child leaves for its caller; work's own output follows. */
struct outcome {
	int code;
	struct error error;
	_Alignas(16) unsigned char out[];
};

static int enter(const struct graft_host *host, struct error *reterr)
{
	if (setns(host->mount_ns_fd, CLONE_NEWNS) == 0)
		return 0;
	return errno == EPERM ?
		error_set(reterr, -BSI_E_PRIVILEGE,
			"entering the host's mount namespace needs root") :
		error_set(reterr, -errno, "the host's mount namespace cannot be entered: %s",
			error_text(-errno));
}

static _Noreturn void child(const struct graft_host *host, pid_t parent,
	int (*work)(const struct graft_host *, const void *, void *, struct error *), const void *ctx,
	struct outcome *outcome)
{
	/* The caller holds the locks: nothing may go on when it is gone. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_FAILURE);

	outcome->code = enter(host, &outcome->error);
	if (outcome->code == 0)
		outcome->code = work(host, ctx, outcome->out, &outcome->error);
	_exit(EXIT_SUCCESS);
}

static int wait_for(pid_t pid, struct error *reterr)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set(reterr, -errno, "waiting for the work on the host: %s",
				error_text(-errno));
	if (WIFSIGNALED(status))
		return error_set(reterr, -EINTR,
			"the work on the host was killed by signal %d; the next change goes on from there",
			WTERMSIG(status));
	if (WEXITSTATUS(status) != EXIT_SUCCESS)
		return error_set(reterr, -EINTR, "the work on the host could not start");
	return 0;
}

int graft_host_run(const struct graft_host *host,
	int (*work)(const struct graft_host *host, const void *ctx, void *out, struct error *reterr),
	const void *ctx, void *out, size_t out_len, struct error *reterr)
{
	size_t shared_len = sizeof(struct outcome) + out_len;
	struct outcome *outcome;
	sigset_t all, before;
	pid_t parent = getpid(), pid;
	int r;

	outcome = mmap(NULL, shared_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcome == MAP_FAILED)
		return error_set(reterr, -errno, "no memory for the work on the host");
	if (out_len > 0)
		memcpy(outcome->out, out, out_len);

	/* A Ctrl-C waits for these milliseconds, so that it does not cut a change in two. */
	(void)sigfillset(&all);
	r = -pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = r < 0 ? -1 : fork();
	if (pid == 0)
		child(host, parent, work, ctx, outcome);
	if (r == 0)
		r = pid < 0 ? error_set(reterr, -errno, "fork: %s", error_text(-errno)) :
			      wait_for(pid, reterr);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);

	if (out_len > 0)
		memcpy(out, outcome->out, out_len);
	if (r == 0) {
		r = outcome->code;
		if (r < 0 && reterr)
			*reterr = outcome->error;
	}
	(void)munmap(outcome, shared_len);
	return r;
}

/* What the thread is given, and leaves. */
struct look {
	const struct graft_host *host;
	int (*work)(const struct graft_host *, void *, struct error *);
	void *ctx;
	int code;
	struct error *reterr;
};

static void *look_in_thread(void *arg)
{
	struct look *look = arg;

	/* a root and a directory of its own: then the kernel lets one thread enter a namespace */
	look->code = unshare(CLONE_FS) == 0 ? enter(look->host, look->reterr) :
					      error_set(look->reterr, -errno,
						      "a thread with a root of its own: %s",
						      error_text(-errno));
	if (look->code == 0)
		look->code = look->work(look->host, look->ctx, look->reterr);
	return NULL;
}

int graft_host_look(const struct graft_host *host,
	int (*work)(const struct graft_host *host, void *ctx, struct error *reterr), void *ctx,
	struct error *reterr)
{
	struct look look = {.host = host, .work = work, .ctx = ctx, .reterr = reterr};
	pthread_t thread;
	int r = pthread_create(&thread, NULL, look_in_thread, &look);

	if (r != 0)
		return error_set(reterr, -r, "a thread that looks at the host: %s", error_text(-r));
	(void)pthread_join(thread, NULL);
	return look.code;
}

int graft_host_open_root(const struct graft_host *host, char *ret_path, size_t path_len)
{
	AUTO_CLOSE int fd = open(host->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char link[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, ret_path, path_len);
	if (n < 0)
		return -errno;
	if ((size_t)n >= path_len)
		return -ENAMETOOLONG;
	ret_path[n] = '\0';
	if (strcmp(ret_path, "/") == 0)
		ret_path[0] = '\0';
	return take_fd(&fd);
}
