/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/exposure.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/text.h"
#include "graft/exposure_scan.h"
#include "graft/maps.h"

#define CHUNK_BYTES (64U << 10)
#define GROW_ENTRIES 32
#define STAT_START_FIELD 20 /* after the name: state is the first, starttime the twentieth */

/* A base file as the kernel prints it in maps, which need not be what stat() says. */
struct base_key {
	dev_t dev;
	uint64_t ino;
	bool confirm; /* stat() says something else, so another file may print the same */
	struct stat st;
	const struct exposure_target *target;
};

struct scan {
	const struct exposure_target *targets;
	size_t n_targets;
	struct base_key *keys; /* by device and inode */
	size_t n_keys;
	struct exposure_devices current, old;
	struct exposure_candidate *candidates;
	size_t n_candidates, n_candidates_allocated;
	struct exposure_list list;
	size_t n_processes, n_unknown;
	char *chunk;
};

void exposure_list_add(struct exposure_list *list, const struct exposure_entry *entry,
	const char *component, const char *path)
{
	struct exposure_entry *to;

	if (list->err < 0)
		return;
	if (list->n_entries == list->allocated) {
		size_t more = list->allocated * 2 + GROW_ENTRIES;
		struct exposure_entry *grown = reallocarray(list->entries, more, sizeof *grown);

		if (!grown) {
			list->err = -ENOMEM;
			return;
		}
		list->entries = grown;
		list->allocated = more;
	}
	to = &list->entries[list->n_entries++];
	*to = *entry;
	to->component = component ? strdup(component) : NULL;
	to->path = path ? strdup(path) : NULL;
	if ((component && !to->component) || (path && !to->path))
		list->err = -ENOMEM;
}

static ssize_t read_text(int process_fd, const char *name, char *out, size_t out_len)
{
	AUTO_CLOSE int fd = openat(process_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, out_len - 1);

	out[n < 0 ? 0 : n] = '\0';
	return n;
}

/* Field 22 of /proc/PID/stat; the name before it may hold blanks and brackets. */
static uint64_t start_ticks(int process_fd)
{
	char text[1024];
	const char *at;
	uint64_t ticks = 0;

	if (read_text(process_fd, "stat", text, sizeof text) <= 0 || !(at = strrchr(text, ')')))
		return 0;
	for (int field = 0; field < STAT_START_FIELD && at; field++)
		at = strchr(at + 1, ' ');
	for (at = at ? at + 1 : ""; isdigit((unsigned char)*at); at++)
		ticks = ticks * 10 + (uint64_t)(*at - '0');
	return ticks;
}

void exposure_identify(int process_fd, pid_t pid, struct exposure_entry *ret)
{
	struct stat st;

	*ret = (struct exposure_entry){.pid = pid, .start_ticks = start_ticks(process_fd)};
	ret->uid = fstat(process_fd, &st) == 0 ? st.st_uid : (uid_t)-1;
	(void)read_text(process_fd, "comm", ret->comm, sizeof ret->comm);
	ret->comm[strcspn(ret->comm, "\n")] = '\0';
	text_clean(ret->comm);
}

static int compare_keys(const void *a, const void *b)
{
	const struct base_key *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev < right->dev ? -1 : 1;
	return (left->ino > right->ino) - (left->ino < right->ino);
}

/* Find the row of our own maps that covers an address. */
static bool find_own_mapping(const char *maps, const void *address, struct map_row *ret)
{
	uint64_t wanted = (uint64_t)(uintptr_t)address;

	for (const char *line = maps, *end; (end = strchr(line, '\n')); line = end + 1)
		if (map_row_parse(line, (size_t)(end - line), ret) && ret->start <= wanted &&
			wanted < ret->end)
			return true;
	return false;
}

static int read_own_maps(struct buffer *out)
{
	AUTO_CLOSE int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		char chunk[4096];

		n = read(fd, chunk, sizeof chunk);
		if (n < 0)
			return -errno;
		buffer_put(out, chunk, (size_t)n);
	} while (n > 0);
	buffer_put_u8(out, 0);
	return out->err;
}

/* Map a page of each base file, and read how the kernel prints it. */
static int probe_keys(struct scan *scan)
{
	AUTO_DONE(buffer) struct buffer maps = buffer_of(64U << 20);
	AUTO_FREE void **pages = calloc(scan->n_keys + 1, sizeof *pages);
	int r;

	if (!pages)
		return -ENOMEM;
	for (size_t i = 0; i < scan->n_keys; i++)
		pages[i] = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, scan->keys[i].target->fd, 0);
	r = read_own_maps(&maps);
	for (size_t i = 0; i < scan->n_keys; i++) {
		struct base_key *key = &scan->keys[i];
		struct map_row row;

		key->dev = key->st.st_dev;
		key->ino = key->st.st_ino;
		if (pages[i] == MAP_FAILED)
			continue; /* empty, or on a file system without mmap: nobody maps it */
		if (r == 0 && find_own_mapping((const char *)maps.data, pages[i], &row)) {
			key->confirm = row.dev != key->dev || row.ino != key->ino;
			key->dev = row.dev;
			key->ino = row.ino;
		}
		(void)munmap(pages[i], 1);
	}
	return r;
}

static int make_keys(struct scan *scan, struct error *reterr)
{
	int r;

	scan->keys = calloc(scan->n_targets + 1, sizeof *scan->keys);
	if (!scan->keys)
		return error_set(reterr, -ENOMEM, "no memory for the scan");
	for (size_t i = 0; i < scan->n_targets; i++) {
		struct base_key *key = &scan->keys[scan->n_keys];

		if (scan->targets[i].kind != EXPOSURE_BASE)
			continue;
		if (fstat(scan->targets[i].fd, &key->st) < 0)
			return error_set(reterr, -errno, "'%s': %s", scan->targets[i].path,
				error_text(-errno));
		key->target = &scan->targets[i];
		scan->n_keys++;
	}
	r = probe_keys(scan);
	if (r < 0)
		return error_set(reterr, r, "/proc/self/maps: %s", error_text(r));
	qsort(scan->keys, scan->n_keys, sizeof *scan->keys, compare_keys);
	return 0;
}

static bool is_confirmed(const struct base_key *key, int process_fd, const struct map_row *row)
{
	char name[64];
	struct stat st;

	if (!key->confirm)
		return true;
	(void)snprintf(name, sizeof name, "map_files/%" PRIx64 "-%" PRIx64, row->start, row->end);
	if (fstatat(process_fd, name, &st, 0) < 0)
		return errno != ENOENT && errno != ESRCH; /* it may well be that file */
	return st.st_dev == key->st.st_dev && st.st_ino == key->st.st_ino;
}

static int add_candidate(struct scan *scan, const struct exposure_candidate *candidate)
{
	for (size_t i = scan->n_candidates; i-- > 0;) {
		const struct exposure_candidate *seen = &scan->candidates[i];

		if (seen->entry.pid != candidate->entry.pid)
			break;
		if (seen->dev == candidate->dev && seen->ino == candidate->ino)
			return 0;
	}
	if (scan->n_candidates == scan->n_candidates_allocated) {
		size_t more = scan->n_candidates_allocated * 2 + GROW_ENTRIES;
		struct exposure_candidate *grown =
			reallocarray(scan->candidates, more, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		scan->candidates = grown;
		scan->n_candidates_allocated = more;
	}
	scan->candidates[scan->n_candidates++] = *candidate;
	return 0;
}

static void add_base_hit(struct scan *scan, int process_fd, pid_t pid, const struct base_key *key)
{
	struct exposure_entry entry;

	for (size_t i = scan->list.n_entries; i-- > 0;) {
		const struct exposure_entry *seen = &scan->list.entries[i];

		if (seen->pid != pid || seen->in_mounts)
			break;
		if (seen->path && strcmp(seen->path, key->target->path) == 0)
			return;
	}
	exposure_identify(process_fd, pid, &entry);
	entry.kind = EXPOSURE_BASE;
	exposure_list_add(&scan->list, &entry, key->target->component, key->target->path);
}

static const struct exposure_target *find_device(const struct scan *scan, dev_t dev)
{
	for (size_t i = 0; i < scan->n_targets; i++)
		if (scan->targets[i].kind == EXPOSURE_DEVICE && scan->targets[i].dev == dev)
			return &scan->targets[i];
	return NULL;
}

static void add_device_hit(struct scan *scan, int process_fd, pid_t pid,
	const struct exposure_target *target)
{
	struct exposure_entry entry;

	for (size_t i = scan->list.n_entries; i-- > 0 && scan->list.entries[i].pid == pid;)
		if (scan->list.entries[i].kind == EXPOSURE_DEVICE &&
			strcmp(scan->list.entries[i].component, target->component) == 0)
			return;
	exposure_identify(process_fd, pid, &entry);
	entry.kind = EXPOSURE_DEVICE;
	exposure_list_add(&scan->list, &entry, target->component, NULL);
}

static int look_at_row(struct scan *scan, int process_fd, pid_t pid, const struct map_row *row)
{
	const struct base_key wanted = {.dev = row->dev, .ino = row->ino};
	const struct base_key *key = NULL;
	const struct exposure_target *device;
	struct exposure_candidate candidate = {
		.start = row->start, .end = row->end, .dev = row->dev, .ino = row->ino};

	if (scan->n_keys > 0)
		key = bsearch(&wanted, scan->keys, scan->n_keys, sizeof *scan->keys, compare_keys);
	if (key) {
		/* One inode may be several targets (hard links) or look like it (subvolumes). */
		while (key > scan->keys && compare_keys(key - 1, &wanted) == 0)
			key--;
		for (; key < scan->keys + scan->n_keys && compare_keys(key, &wanted) == 0; key++)
			if (is_confirmed(key, process_fd, row))
				add_base_hit(scan, process_fd, pid, key);
		return 0;
	}
	device = find_device(scan, row->dev);
	if (device) {
		add_device_hit(scan, process_fd, pid, device);
		return 0;
	}
	candidate.is_known_old = exposure_devices_has(&scan->old, row->dev);
	if ((!row->is_bare_root && !candidate.is_known_old) ||
		exposure_devices_has(&scan->current, row->dev))
		return 0;
	exposure_identify(process_fd, pid, &candidate.entry);
	return add_candidate(scan, &candidate);
}

/* The rows in text; the rest of it, which is not a whole line yet, is moved to its beginning. */
static int look_at_rows(struct scan *scan, int process_fd, pid_t pid, size_t *len,
	struct map_row *last)
{
	char *line = scan->chunk, *stop = scan->chunk + *len, *end;
	int r = 0;

	for (; r == 0 && (end = memchr(line, '\n', (size_t)(stop - line))); line = end + 1) {
		struct map_row row;

		if (!map_row_parse(line, (size_t)(end - line), &row))
			continue;
		if (row.dev == last->dev && row.ino == last->ino)
			continue; /* the next segment of the same file */
		*last = row;
		r = look_at_row(scan, process_fd, pid, &row);
	}
	*len = (size_t)(stop - line);
	memmove(scan->chunk, line, *len);
	return r;
}

static int look_at_process(struct scan *scan, int proc_fd, const char *name, pid_t pid)
{
	AUTO_CLOSE int process_fd = openat(proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd = process_fd < 0 ? -1 : openat(process_fd, "maps", O_RDONLY | O_CLOEXEC);
	struct map_row last = {0};
	size_t len = 0;
	int r = 0;

	if (process_fd < 0 || fd < 0) {
		if (errno == ENOENT || errno == ESRCH)
			return 0;
		scan->n_processes++;
		scan->n_unknown++;
		return 0;
	}
	scan->n_processes++;
	while (r == 0) {
		ssize_t n = read(fd, scan->chunk + len, CHUNK_BYTES - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ESRCH)
			scan->n_unknown++;
		if (n <= 0)
			return 0;
		len += (size_t)n;
		r = look_at_rows(scan, process_fd, pid, &len, &last);
		if (len == CHUNK_BYTES)
			len = 0; /* no line is that long */
	}
	return r;
}

static int look_at_processes(struct scan *scan)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int r = 0;

	if (!proc)
		return -errno;
	while (r == 0 && (entry = readdir(proc))) {
		pid_t pid = 0;

		for (const char *c = entry->d_name; isdigit((unsigned char)*c); c++)
			pid = pid * 10 + (*c - '0');
		if (pid > 0 && pid != getpid())
			r = look_at_process(scan, dirfd(proc), entry->d_name, pid);
	}
	(void)closedir(proc);
	return r;
}

static int compare_entries(const void *a, const void *b)
{
	const struct exposure_entry *left = a, *right = b;

	if (left->pid != right->pid)
		return left->pid < right->pid ? -1 : 1;
	if (left->in_mounts != right->in_mounts)
		return left->in_mounts ? 1 : -1;
	return strcmp(left->path ? left->path : "", right->path ? right->path : "");
}

static int make_report(struct scan *scan, const struct timespec *since, struct exposure_report **ret)
{
	AUTO(exposure_report) struct exposure_report *report = calloc(1, sizeof *report);
	struct timespec now;
	pid_t last = 0;

	if (!report)
		return -ENOMEM;
	if (scan->list.n_entries > 0)
		qsort(scan->list.entries, scan->list.n_entries, sizeof *scan->list.entries,
			compare_entries);
	report->n_entries = scan->list.n_entries;
	report->entries = take_ptr(scan->list.entries);
	scan->list.n_entries = 0;
	for (size_t i = 0; i < report->n_entries; i++) {
		if (!report->entries[i].in_mounts && report->entries[i].pid != last) {
			report->n_exposed++;
			last = report->entries[i].pid;
		}
	}
	report->n_processes = scan->n_processes;
	report->n_unknown = scan->n_unknown;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	report->scan_us = (uint64_t)((now.tv_sec - since->tv_sec) * 1000000 +
		(now.tv_nsec - since->tv_nsec) / 1000);
	*ret = take_ptr(report);
	return 0;
}

static void free_entries(struct exposure_entry *entries, size_t n_entries)
{
	for (size_t i = 0; i < n_entries; i++) {
		free(entries[i].component);
		free(entries[i].path);
	}
	free(entries);
}

static void scan_done(struct scan *scan)
{
	free_entries(scan->list.entries, scan->list.n_entries);
	free(scan->candidates);
	free(scan->current.devices);
	free(scan->old.devices);
	free(scan->keys);
	free(scan->chunk);
}

int exposure_scan(const struct graft_host *host, const struct exposure_target *targets,
	size_t n_targets, struct exposure_report **ret, struct error *reterr)
{
	AUTO_DONE(scan) struct scan scan = {
		.targets = targets, .n_targets = n_targets, .chunk = malloc(CHUNK_BYTES)};
	struct timespec since;
	int r;

	(void)clock_gettime(CLOCK_MONOTONIC, &since);
	if (!scan.chunk)
		return error_set(reterr, -ENOMEM, "no memory for the scan");
	r = make_keys(&scan, reterr);
	if (r == 0 && host)
		r = exposure_look_at_mounts(host, targets, n_targets, &scan.current, &scan.old,
			&scan.list, reterr);
	if (r < 0)
		return r;

	r = look_at_processes(&scan);
	if (r == 0)
		r = exposure_resolve(scan.candidates, scan.n_candidates, targets, n_targets,
			&scan.list);
	if (r == 0)
		r = scan.list.err;
	if (r == 0)
		r = make_report(&scan, &since, ret);
	if (r < 0)
		return error_set(reterr, r, "the scan of /proc: %s", error_text(r));
	return 0;
}

void exposure_report_free(struct exposure_report *report)
{
	if (!report)
		return;
	free_entries(report->entries, report->n_entries);
	free(report);
}
