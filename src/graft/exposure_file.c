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
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "graft/elf_header.h"

#ifndef EROFS_SUPER_MAGIC_V1
#define EROFS_SUPER_MAGIC_V1 0xE0F5E1E2 /* include/uapi/linux/magic.h */
#endif
#define DEADLINE_MS 5000
#define READ_MAX_BYTES ((off_t)512 << 20) /* of a file that is none of ours for sure */
#define ELF_NIDENT_BYTES 64 /* enough to see what is no program */

enum answer {
	ANSWER_NONE,    /* it cannot be read */
	ANSWER_GONE,    /* the process, or this mapping of it */
	ANSWER_FOREIGN, /* nothing that could be ours */
	ANSWER_DIGEST,
	ANSWER_PROGRAM, /* a program or library that nobody knows */
	ANSWER_COPY,    /* it begins as a base file does */
};

/* In memory shared with the child; one for each candidate. */
struct reading {
	enum answer answer;
	struct digest digest;
	size_t target;     /* ANSWER_COPY: of which base file */
	uint64_t dev, ino; /* what stat() says, which no other file does; 0: not opened */
};

/* Everything that the child needs; it answers into readings. */
struct work {
	const struct exposure_candidate *candidates;
	size_t n_candidates;
	const struct exposure_target *targets;
	size_t n_targets;
	struct reading *readings;
};

static enum answer answer_to_failure(int err)
{
	return err == ENOENT || err == ESRCH ? ANSWER_GONE : ANSWER_NONE;
}

static bool is_size_of_base(const struct work *w, off_t size)
{
	struct stat st;

	for (size_t i = 0; i < w->n_targets; i++)
		if (w->targets[i].kind == EXPOSURE_BASE && fstat(w->targets[i].fd, &st) == 0 &&
			st.st_size == size)
			return true;
	return false;
}

static bool is_main_program(pid_t pid, const struct stat *st)
{
	struct stat program;
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	return stat(path, &program) < 0 ||
	       (program.st_dev == st->st_dev && program.st_ino == st->st_ino);
}

/* Whether it must be read whole; if not, *ret is the answer. */
static bool is_worth_reading(const struct work *w, const struct exposure_candidate *candidate, int fd,
	const struct stat *st, enum answer *ret)
{
	uint8_t header[ELF_HEADER_BYTES];
	struct statfs fs;
	enum elf_kind elf;
	ssize_t n;

	if (candidate->doubt == DOUBT_IMAGE) {
		if (fstatfs(fd, &fs) < 0)
			return false;
		*ret = ANSWER_FOREIGN;
		return (uint32_t)fs.f_type == EROFS_SUPER_MAGIC_V1;
	}
	if (st->st_size > READ_MAX_BYTES)
		return false;
	if (candidate->doubt == DOUBT_NAMESAKE)
		return true;
	n = pread(fd, header, sizeof header, 0);
	if (n < 0)
		return false;
	elf = elf_header_kind(header, (size_t)n);
	*ret = ANSWER_FOREIGN;
	if (elf == ELF_NONE)
		return false;
	if (candidate->doubt == DOUBT_MEMORY || is_size_of_base(w, st->st_size))
		return true;
	/* its libraries are mapped from files, and told by those */
	if (elf == ELF_ALONE && is_main_program(candidate->entry.pid, st))
		*ret = ANSWER_PROGRAM;
	return false;
}

/* Two candidates with one number in maps may be two files (subvolumes), so each is opened. */
static bool find_digest_of(const struct work *w, size_t n, const struct stat *st, struct digest *ret)
{
	for (size_t i = 0; i < n; i++)
		if (w->readings[i].answer == ANSWER_DIGEST && w->readings[i].dev == st->st_dev &&
			w->readings[i].ino == st->st_ino) {
			*ret = w->readings[i].digest;
			return true;
		}
	return false;
}

static void read_mapping(const struct work *w, size_t index, struct reading *ret)
{
	const struct exposure_candidate *candidate = &w->candidates[index];
	AUTO_CLOSE int fd = -EBADF;
	struct stat st;
	uint64_t size;
	char path[96];

	(void)snprintf(path, sizeof path, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
		(int)candidate->entry.pid, candidate->start, candidate->end);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		ret->answer = answer_to_failure(errno);
		return;
	}
	if (fstat(fd, &st) < 0 || !is_worth_reading(w, candidate, fd, &st, &ret->answer))
		return;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	ret->answer = find_digest_of(w, index, &st, &ret->digest) ||
				      file_digest(fd, &ret->digest, &size) == 0 ?
			      ANSWER_DIGEST :
			      ANSWER_NONE;
}

/* A copy that was loaded by hand begins with the page that the file begins with. */
static void compare_page(const struct work *w, const uint8_t *page, size_t len, struct reading *ret)
{
	uint8_t base[ELF_HEADER_BYTES];

	ret->answer = ANSWER_PROGRAM;
	for (size_t i = 0; i < w->n_targets; i++) {
		if (w->targets[i].kind != EXPOSURE_BASE ||
			pread(w->targets[i].fd, base, len, 0) != (ssize_t)len ||
			memcmp(base, page, len) != 0)
			continue;
		ret->answer = ANSWER_COPY;
		ret->target = i;
		return;
	}
}

/* Where memory without a file begins, and where the code in it does. */
static void read_memory(const struct work *w, const struct exposure_candidate *candidate,
	struct reading *ret)
{
	const uint64_t places[] = {candidate->start, candidate->end};
	AUTO_CLOSE int fd = -EBADF;
	uint8_t page[ELF_HEADER_BYTES];
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/%d/mem", (int)candidate->entry.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ret->answer = ANSWER_FOREIGN;
	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(places); i++) {
		ssize_t n = pread(fd, page, ELF_NIDENT_BYTES, (off_t)places[i]);

		if (n <= 0 || elf_header_kind(page, (size_t)n) == ELF_NONE)
			continue;
		n = pread(fd, page, sizeof page, (off_t)places[i]);
		if (n > 0)
			compare_page(w, page, (size_t)n, ret);
		return;
	}
}

static _Noreturn void read_all(const struct work *w)
{
	for (size_t i = 0; i < w->n_candidates; i++) {
		if (w->candidates[i].doubt == DOUBT_ANONYMOUS)
			read_memory(w, &w->candidates[i], &w->readings[i]);
		else
			read_mapping(w, i, &w->readings[i]);
	}
	_exit(EXIT_SUCCESS);
}

static int read_in_child(const struct work *w)
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
		read_all(w);

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

static void add_image(const struct exposure_candidate *candidate, const struct reading *reading,
	const struct exposure_target *target, struct exposure_list *list)
{
	struct exposure_entry entry = candidate->entry;

	if (reading->answer == ANSWER_FOREIGN && !candidate->is_known_old)
		return;
	if (target && target->kind == EXPOSURE_CURRENT)
		return;
	entry.kind = EXPOSURE_OLDER;
	exposure_list_add(list, &entry, target ? target->component : NULL,
		target ? target->path : NULL);
}

static void add_copy(const struct exposure_candidate *candidate, const struct exposure_target *target,
	struct exposure_list *list)
{
	struct exposure_entry entry = candidate->entry;

	entry.kind = EXPOSURE_COPY;
	exposure_list_add_detail(list, &entry, target,
		candidate->where ? "" : "memory that is of no file", candidate->where);
}

static void add_unknown(const struct exposure_candidate *candidate, const char *words,
	struct exposure_list *list)
{
	struct exposure_entry entry = candidate->entry;

	/* of a process, each reason once */
	for (size_t i = list->n_entries; !candidate->where && i-- > 0;)
		if (list->entries[i].pid == entry.pid && list->entries[i].detail &&
			strcmp(list->entries[i].detail, words) == 0)
			return;
	entry.kind = EXPOSURE_UNKNOWN;
	exposure_list_add_detail(list, &entry, candidate->namesake, words, candidate->where);
}

/* Called like a patched file; where a system has it, that is reason enough to ask what it is. */
static void add_namesake(const struct exposure_candidate *candidate, const struct reading *reading,
	struct exposure_list *list)
{
	if (!candidate->is_in_place)
		return;
	add_unknown(candidate,
		reading->answer == ANSWER_DIGEST ?
			"a file of its own that is neither the base's nor the improvement's: " :
			"a file of its own that cannot be read: ",
		list);
}

static void add_doubtful(const struct exposure_candidate *candidate, const struct reading *reading,
	struct exposure_list *list)
{
	if (candidate->doubt == DOUBT_NAMESAKE)
		add_namesake(candidate, reading, list);
	else if (candidate->doubt == DOUBT_ANONYMOUS)
		add_unknown(candidate, "a program or library in memory that is of no file", list);
	else if (candidate->doubt == DOUBT_MEMORY)
		add_unknown(candidate, "a program or library that lies in memory alone: ", list);
	else if (reading->answer == ANSWER_PROGRAM)
		add_unknown(candidate, "a program with all its libraries in it, whose file is gone: ",
			list);
	else if (reading->answer == ANSWER_NONE)
		add_unknown(candidate, "code whose file is gone, and that cannot be read: ", list);
}

static void add_resolved(const struct work *w, size_t index, struct exposure_list *list)
{
	const struct exposure_candidate *candidate = &w->candidates[index];
	const struct reading *reading = &w->readings[index];
	const struct exposure_target *target = NULL;

	if (reading->answer == ANSWER_DIGEST)
		target = find_digest(w->targets, w->n_targets, &reading->digest);
	else if (reading->answer == ANSWER_COPY)
		target = &w->targets[reading->target];
	if (candidate->doubt == DOUBT_IMAGE)
		add_image(candidate, reading, target, list);
	else if (reading->answer == ANSWER_GONE || reading->answer == ANSWER_FOREIGN)
		return;
	else if (!target)
		add_doubtful(candidate, reading, list);
	else if (target->kind != EXPOSURE_CURRENT)
		add_copy(candidate, target, list);
}

int exposure_resolve(const struct exposure_candidate *candidates, size_t n_candidates,
	const struct exposure_target *targets, size_t n_targets, struct exposure_list *list)
{
	size_t len = n_candidates * sizeof(struct reading);
	struct work w = {.candidates = candidates,
		.n_candidates = n_candidates,
		.targets = targets,
		.n_targets = n_targets};
	int r;

	if (n_candidates == 0)
		return 0;
	w.readings = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w.readings == MAP_FAILED)
		return -errno;
	r = read_in_child(&w);
	for (size_t i = 0; r == 0 && i < n_candidates; i++)
		add_resolved(&w, i, list);
	(void)munmap(w.readings, len);
	return r;
}
