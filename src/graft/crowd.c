/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/crowd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROW_MEMBERS 64
#define COUNT_BYTES (64U << 10)

static int compare_ns(const void *a, const void *b)
{
	const struct crowd_member *left = a, *right = b;

	if (left->ns != right->ns)
		return left->ns < right->ns ? -1 : 1;
	return (left->pid > right->pid) - (left->pid < right->pid);
}

static int add_member(struct crowd *crowd, size_t *allocated, struct crowd_member member)
{
	if (crowd->n_members == *allocated) {
		size_t more = *allocated + *allocated / 2 + GROW_MEMBERS;
		struct crowd_member *grown = reallocarray(crowd->members, more, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		crowd->members = grown;
		*allocated = more;
	}
	crowd->members[crowd->n_members++] = member;
	return 0;
}

static void drop_doubles(struct crowd *crowd)
{
	size_t n = 0;

	qsort(crowd->members, crowd->n_members, sizeof *crowd->members, compare_ns);
	for (size_t i = 0; i < crowd->n_members; i++)
		if (n == 0 || crowd->members[i].ns != crowd->members[n - 1].ns)
			crowd->members[n++] = crowd->members[i];
	crowd->n_members = n;
}

int crowd_load(struct crowd **ret)
{
	AUTO(crowd) struct crowd *crowd = calloc(1, sizeof *crowd);
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	size_t allocated = 0;
	int r = 0;

	if (!crowd || !proc) {
		r = proc ? -ENOMEM : -errno;
		if (proc)
			(void)closedir(proc);
		return r;
	}
	while (r == 0 && (entry = readdir(proc))) {
		char path[300];
		struct stat st;
		pid_t pid = 0;

		for (const char *c = entry->d_name; isdigit((unsigned char)*c); c++)
			pid = pid * 10 + (*c - '0');
		if (pid == 0)
			continue;
		(void)snprintf(path, sizeof path, "%s/ns/mnt", entry->d_name);
		if (fstatat(dirfd(proc), path, &st, 0) == 0)
			r = add_member(crowd, &allocated,
				(struct crowd_member){.ns = st.st_ino, .pid = pid});
	}
	(void)closedir(proc);
	if (r < 0)
		return r;
	if (crowd->n_members > 0)
		drop_doubles(crowd);
	*ret = take_ptr(crowd);
	return 0;
}

void crowd_free(struct crowd *crowd)
{
	if (!crowd)
		return;
	free(crowd->members);
	free(crowd);
}

static size_t count_mounts(pid_t pid, char *chunk)
{
	char path[64];
	AUTO_CLOSE int fd = -EBADF;
	size_t n_lines = 0;
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, chunk, COUNT_BYTES)) > 0)
		for (const char *at = chunk; (at = memchr(at, '\n', (size_t)(chunk + n - at))); at++)
			n_lines++;
	return n_lines;
}

static void read_line(const char *path, char *out, size_t out_len)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, out_len - 1);

	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

void crowd_describe_fullest(char *out, size_t out_len)
{
	AUTO(crowd) struct crowd *crowd = NULL;
	AUTO_FREE char *chunk = malloc(COUNT_BYTES);
	char path[64], comm[64], limit[32];
	size_t most = 0;
	pid_t fullest = 0;
	struct stat st = {0};

	if (!chunk || crowd_load(&crowd) < 0) {
		(void)snprintf(out, out_len, "which one is not known");
		return;
	}
	for (size_t i = 0; i < crowd->n_members; i++) {
		size_t n = count_mounts(crowd->members[i].pid, chunk);

		if (n > most) {
			most = n;
			fullest = crowd->members[i].pid;
		}
	}
	(void)snprintf(path, sizeof path, "/proc/%d/comm", (int)fullest);
	read_line(path, comm, sizeof comm);
	(void)snprintf(path, sizeof path, "/proc/%d", (int)fullest);
	(void)stat(path, &st);
	read_line("/proc/sys/fs/mount-max", limit, sizeof limit);
	(void)snprintf(out, out_len, "that of process %d (%s) of user %u holds %zu of at most %s",
		(int)fullest, comm, (unsigned)st.st_uid, most, limit);
}
