/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/restart_hook.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"

#define INPUT_MAX_BYTES (16U << 20)
#define FAILED_TO_START 127

static int open_dir(const struct agent *a)
{
	/* on another root its programs would run on ours */
	if (strcmp(a->settings.root, "/") != 0)
		return -ENOENT;
	return file_open_in_root_following(a->root_fd, RESTART_HOOK_DIR, O_RDONLY | O_DIRECTORY);
}

static int is_name(const struct dirent *entry)
{
	/* what editors and packages leave behind is none of them */
	for (const char *c = entry->d_name; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c))
			return 0;
	return 1;
}

bool restart_hook_exists(const struct agent *a)
{
	AUTO_CLOSE int fd = open_dir(a);
	struct dirent **names = NULL;
	int n;

	if (fd < 0)
		return false;
	n = scandirat(fd, ".", &names, is_name, alphasort);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return n > 0;
}

static const char *forbidden(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is no regular file";
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return "others than root may write it";
	return st.st_mode & S_IXUSR ? NULL : "it is not executable";
}

static int make_input(const json_t *exposure)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(INPUT_MAX_BYTES);
	AUTO_CLOSE int fd = memfd_create("exposure", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = json_canonical(exposure, &text);
	if (r == 0)
		r = file_write_all(fd, text.data, text.len);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(&fd);
}

static _Noreturn void become(const struct agent *a, int input, const char *path)
{
	char name[512], *argv[] = {name, NULL};
	static char locations[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *environment[] = {locations, NULL};
	sigset_t none;

	(void)snprintf(name, sizeof name, "%s", path);
	(void)sigemptyset(&none);
	if ((a->settings.mount_ns_fd >= 0 && setns(a->settings.mount_ns_fd, CLONE_NEWNS) < 0) ||
		chdir("/") < 0 || setpgid(0, 0) < 0 || dup2(input, STDIN_FILENO) < 0 ||
		dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(FAILED_TO_START);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execve(path, argv, environment);
	_exit(FAILED_TO_START);
}

/* The exit status, or -errno. */
static int wait_for(pid_t pid)
{
	AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int status, n;

	do
		n = fd < 0 ? 0 : poll(&p, 1, RESTART_HOOK_TIMEOUT_S * 1000);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (n <= 0)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static void run_one(const struct agent *a, int dir_fd, const char *name, const json_t *exposure,
	char *reason, size_t reason_len)
{
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_CLOSE int input = -EBADF;
	const char *why = fd < 0 ? "it cannot be opened" : forbidden(fd);
	char path[512];
	pid_t pid;
	int r;

	reason[0] = '\0';
	if (why) {
		(void)snprintf(reason, reason_len, "%s", why);
		return;
	}
	input = make_input(exposure);
	(void)snprintf(path, sizeof path, "/" RESTART_HOOK_DIR "/%s", name);
	pid = input < 0 ? -1 : fork();
	if (pid == 0)
		become(a, input, path);
	r = pid < 0 ? -EAGAIN : wait_for(pid);
	if (r < 0)
		(void)snprintf(reason, reason_len, "%s", error_text(r));
	else if (r > 0)
		(void)snprintf(reason, reason_len, "it ended with status %d", r);
}

int restart_hook_run(struct agent *a, const json_t *exposure, json_t *results, struct error *reterr)
{
	AUTO_CLOSE int fd = open_dir(a);
	struct dirent **names = NULL;
	char reason[256];
	int n, r = 0;

	n = fd < 0 ? fd : scandirat(fd, ".", &names, is_name, alphasort);
	if (n < 0)
		return error_set(reterr, -ENOENT, "/" RESTART_HOOK_DIR " cannot be read");
	for (int i = 0; i < n; i++) {
		run_one(a, fd, names[i]->d_name, exposure, reason, sizeof reason);
		if (json_array_append_new(results,
			    json_pack("{s:s, s:s, s:s?}", "hook", names[i]->d_name, "result",
				    reason[0] ? "failed" : "done", "reason",
				    reason[0] ? reason : NULL)) < 0)
			r = -ENOMEM;
		free(names[i]);
	}
	free(names);
	return r;
}
