/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/exposure_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#ifndef EROFS_SUPER_MAGIC_V1
#define EROFS_SUPER_MAGIC_V1 0xE0F5E1E2 /* include/uapi/linux/magic.h */
#endif
#define DEADLINE_MS 5000

enum answer { ANSWER_NONE, ANSWER_FOREIGN, ANSWER_DIGEST };

/* In memory shared with the child; one for each candidate. */
struct reading {
	enum answer answer;
	struct digest digest;
};

static bool is_same_file(const struct exposure_candidate *a, const struct exposure_candidate *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static void read_mapping(const struct exposure_candidate *candidate, struct reading *ret)
{
	AUTO_CLOSE int fd = -EBADF;
	struct statfs fs;
	uint64_t size;
	char path[96];

	(void)snprintf(path, sizeof path, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
		(int)candidate->entry.pid, candidate->start, candidate->end);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return;
	if ((uint32_t)fs.f_type != EROFS_SUPER_MAGIC_V1)
		ret->answer = ANSWER_FOREIGN;
	else if (file_digest(fd, &ret->digest, &size) == 0)
		ret->answer = ANSWER_DIGEST;
}

static _Noreturn void read_all(const struct exposure_candidate *candidates, size_t n,
	struct reading *readings)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i && readings[i].answer == ANSWER_NONE; k++)
			if (is_same_file(&candidates[i], &candidates[k]))
				readings[i] = readings[k];
		if (readings[i].answer == ANSWER_NONE)
			read_mapping(&candidates[i], &readings[i]);
	}
	_exit(EXIT_SUCCESS);
}

static int read_in_child(const struct exposure_candidate *candidates, size_t n,
	struct reading *readings)
{
	AUTO_CLOSE int read_fd = -EBADF;
	AUTO_CLOSE int write_fd = -EBADF;
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	read_fd = ends[0];
	write_fd = ends[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		read_all(candidates, n, readings);

	auto_closep(&write_fd);
	/* The end of the pipe is the end of the child. */
	if (poll(&(struct pollfd){.fd = read_fd, .events = POLLIN}, 1, DEADLINE_MS) == 1) {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return 0;
	}
	(void)kill(pid, SIGKILL);
	/* LIMIT: one that sleeps in a dead file system cannot be waited for; it ends with that. */
	(void)waitpid(pid, &status, WNOHANG);
	return 0;
}

static const struct exposure_target *find_digest(const struct exposure_target *targets,
	size_t n_targets, const struct digest *digest)
{
	const struct exposure_target *found = NULL;

	for (size_t i = 0; i < n_targets; i++) {
		if (targets[i].kind == EXPOSURE_BASE || targets[i].kind == EXPOSURE_DEVICE ||
			!digest_equal(&targets[i].digest, digest))
			continue;
		if (targets[i].kind == EXPOSURE_CURRENT)
			return &targets[i]; /* wins: two letters may share a file */
		found = found ? found : &targets[i];
	}
	return found;
}

static void add_resolved(const struct exposure_candidate *candidate, const struct reading *reading,
	const struct exposure_target *targets, size_t n_targets, struct exposure_list *list)
{
	const struct exposure_target *target = NULL;
	struct exposure_entry entry = candidate->entry;

	if (reading->answer == ANSWER_FOREIGN && !candidate->is_known_old)
		return;
	if (reading->answer == ANSWER_DIGEST)
		target = find_digest(targets, n_targets, &reading->digest);
	if (target && target->kind == EXPOSURE_CURRENT)
		return;
	entry.kind = EXPOSURE_OLDER;
	exposure_list_add(list, &entry, target ? target->component : NULL,
		target ? target->path : NULL);
}

int exposure_resolve(const struct exposure_candidate *candidates, size_t n_candidates,
	const struct exposure_target *targets, size_t n_targets, struct exposure_list *list)
{
	size_t len = n_candidates * sizeof(struct reading);
	struct reading *readings;
	int r;

	if (n_candidates == 0)
		return 0;
	readings = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (readings == MAP_FAILED)
		return -errno;
	r = read_in_child(candidates, n_candidates, readings);
	for (size_t i = 0; r == 0 && i < n_candidates; i++)
		add_resolved(&candidates[i], &readings[i], targets, n_targets, list);
	(void)munmap(readings, len);
	return r;
}
