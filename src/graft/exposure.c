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
#include "graft/namesake.h"

#define CHUNK_BYTES (64U << 10)
#define GROW_ENTRIES 32
/* LIMIT: of one process; a compiler at run time can have very many. */
#define ANONYMOUS_MAX 256
#define MEMORY_FILE "/memfd:"
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
	bool tells_copies;
	struct namesakes namesakes;
	const struct exposure_target **named; /* for each of the namesakes' paths */
	size_t n_processes;
	char *chunk;
};

/* One process, while its mappings are read. */
struct sight {
	int process_fd;
	pid_t pid;
	struct map_row last;           /* the file of the row before */
	uint64_t own_start, own_end;   /* memory without a file, without a gap, up to here */
	unsigned n_anonymous;
	bool has_file_code, has_own_code, is_identified;
	struct exposure_entry identity;
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
	to->detail = NULL;
	to->component = component ? strdup(component) : NULL;
	to->path = path ? strdup(path) : NULL;
	if ((component && !to->component) || (path && !to->path))
		list->err = -ENOMEM;
}

void exposure_list_add_detail(struct exposure_list *list, const struct exposure_entry *entry,
	const struct exposure_target *target, const char *words, const char *where)
{
	char *detail;

	exposure_list_add(list, entry, target ? target->component : NULL,
		target ? target->path : NULL);
	if (list->err < 0)
		return;
	if (asprintf(&detail, "%s%s", words, where ? where : "") < 0) {
		list->err = -ENOMEM;
		return;
	}
	text_clean(detail);
	list->entries[list->n_entries - 1].detail = detail;
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

/* Most processes are never asked who they are. */
static const struct exposure_entry *identity_of(struct sight *sight)
{
	if (!sight->is_identified)
		exposure_identify(sight->process_fd, sight->pid, &sight->identity);
	sight->is_identified = true;
	return &sight->identity;
}

static int compare_keys(const void *a, const void *b)
{
	const struct base_key *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev < right->dev ? -1 : 1;
	return (left->ino > right->ino) - (left->ino < right->ino);
}

/* Our own mappings, in the order of their addresses, as the kernel lists them. */
struct own_rows {
	struct map_row *rows;
	size_t n_rows;
};

static void own_rows_done(struct own_rows *own)
{
	free(own->rows);
}

static int parse_own_rows(const char *maps, struct own_rows *ret)
{
	size_t n_lines = 0;

	for (const char *at = maps; (at = strchr(at, '\n')); at++)
		n_lines++;
	ret->rows = calloc(n_lines + 1, sizeof *ret->rows);
	if (!ret->rows)
		return -ENOMEM;
	for (const char *line = maps, *end; (end = strchr(line, '\n')); line = end + 1)
		ret->n_rows += map_row_parse(line, (size_t)(end - line), &ret->rows[ret->n_rows]);
	return 0;
}

static int compare_address(const void *key, const void *row)
{
	const uint64_t *address = key;
	const struct map_row *at = row;

	return *address < at->start ? -1 : *address >= at->end;
}

/* The row that covers an address; NULL if there is none. */
static const struct map_row *find_own_row(const struct own_rows *own, const void *address)
{
	uint64_t wanted = (uint64_t)(uintptr_t)address;

	return bsearch(&wanted, own->rows, own->n_rows, sizeof *own->rows, compare_address);
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
	AUTO_DONE(own_rows) struct own_rows own = {0};
	AUTO_FREE void **pages = calloc(scan->n_keys + 1, sizeof *pages);
	int r;

	if (!pages)
		return -ENOMEM;
	for (size_t i = 0; i < scan->n_keys; i++)
		pages[i] = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, scan->keys[i].target->fd, 0);
	r = read_own_maps(&maps);
	if (r == 0)
		r = parse_own_rows((const char *)maps.data, &own);
	for (size_t i = 0; i < scan->n_keys; i++) {
		struct base_key *key = &scan->keys[i];
		const struct map_row *row;

		key->dev = key->st.st_dev;
		key->ino = key->st.st_ino;
		if (pages[i] == MAP_FAILED)
			continue; /* empty, or on a file system without mmap: nobody maps it */
		row = r == 0 ? find_own_row(&own, pages[i]) : NULL;
		if (row) {
			key->confirm = row->dev != key->dev || row->ino != key->ino;
			key->dev = row->dev;
			key->ino = row->ino;
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

/* What is attached has names, and other files that are called so may be copies. */
static int make_names(struct scan *scan)
{
	AUTO_FREE const char **paths = calloc(scan->n_targets + 1, sizeof *paths);
	size_t n = 0;

	scan->named = calloc(scan->n_targets + 1, sizeof(struct exposure_target *));
	if (!paths || !scan->named)
		return -ENOMEM;
	for (size_t i = 0; i < scan->n_targets; i++) {
		scan->tells_copies |= scan->targets[i].kind == EXPOSURE_COPY;
		if (scan->targets[i].kind != EXPOSURE_CURRENT)
			continue;
		paths[n] = scan->targets[i].path;
		scan->named[n++] = &scan->targets[i];
	}
	return namesakes_make(paths, n, &scan->namesakes);
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

/* where may be NULL, and is copied. */
static int add_candidate(struct scan *scan, const struct exposure_candidate *candidate,
	const struct map_row *where)
{
	struct exposure_candidate *to;

	for (size_t i = scan->n_candidates; i-- > 0 && candidate->ino != 0;) {
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
	to = &scan->candidates[scan->n_candidates++];
	*to = *candidate;
	to->where = where ? strndup(where->path, where->path_len) : NULL;
	return where && !to->where ? -ENOMEM : 0;
}

static void add_base_hit(struct scan *scan, struct sight *sight, const struct base_key *key)
{
	struct exposure_entry entry;

	for (size_t i = scan->list.n_entries; i-- > 0;) {
		const struct exposure_entry *seen = &scan->list.entries[i];

		if (seen->pid != sight->pid || seen->in_mounts)
			break;
		if (seen->path && strcmp(seen->path, key->target->path) == 0)
			return;
	}
	entry = *identity_of(sight);
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

static void add_device_hit(struct scan *scan, struct sight *sight,
	const struct exposure_target *target)
{
	struct exposure_entry entry;

	for (size_t i = scan->list.n_entries; i-- > 0 && scan->list.entries[i].pid == sight->pid;)
		if (scan->list.entries[i].kind == EXPOSURE_DEVICE &&
			strcmp(scan->list.entries[i].component, target->component) == 0)
			return;
	entry = *identity_of(sight);
	entry.kind = EXPOSURE_DEVICE;
	exposure_list_add(&scan->list, &entry, target->component, NULL);
}

static bool begins_with(const struct map_row *row, const char *text, size_t len)
{
	return row->path_len >= len && memcmp(row->path, text, len) == 0;
}

static bool ends_with(const struct map_row *row, const char *text, size_t len)
{
	return row->path_len >= len && memcmp(row->path + row->path_len - len, text, len) == 0;
}

/* Code that is no file of ours by its number, and may be one by its content. */
static bool is_doubtful(const struct scan *scan, const struct map_row *row,
	struct exposure_candidate *candidate)
{
	enum namesake_kind kind;
	size_t index = 0;

	if (!scan->tells_copies || !row->is_executable)
		return false;
	kind = namesakes_find(&scan->namesakes, row->path, row->path_len, &index);
	if (kind != NAMESAKE_NONE) {
		candidate->doubt = DOUBT_NAMESAKE;
		candidate->is_in_place = kind == NAMESAKE_IN_PLACE;
		candidate->namesake = scan->named[index];
		return true;
	}
	if (begins_with(row, MEMORY_FILE, sizeof MEMORY_FILE - 1))
		candidate->doubt = DOUBT_MEMORY;
	else if (ends_with(row, NAMESAKE_DELETED, sizeof NAMESAKE_DELETED - 1))
		candidate->doubt = DOUBT_DELETED;
	else
		return false;
	return true;
}

static int look_at_file(struct scan *scan, struct sight *sight, const struct map_row *row)
{
	const struct base_key wanted = {.dev = row->dev, .ino = row->ino};
	const struct base_key *key = NULL;
	const struct exposure_target *device;
	struct exposure_candidate candidate = {
		.start = row->start, .end = row->end, .dev = row->dev, .ino = row->ino};
	bool is_image;

	if (scan->n_keys > 0)
		key = bsearch(&wanted, scan->keys, scan->n_keys, sizeof *scan->keys, compare_keys);
	if (key) {
		/* One inode may be several targets (hard links) or look like it (subvolumes). */
		while (key > scan->keys && compare_keys(key - 1, &wanted) == 0)
			key--;
		for (; key < scan->keys + scan->n_keys && compare_keys(key, &wanted) == 0; key++)
			if (is_confirmed(key, sight->process_fd, row))
				add_base_hit(scan, sight, key);
		return 0;
	}
	device = find_device(scan, row->dev);
	if (device) {
		add_device_hit(scan, sight, device);
		return 0;
	}
	if (exposure_devices_has(&scan->current, row->dev))
		return 0;
	candidate.is_known_old = exposure_devices_has(&scan->old, row->dev);
	is_image = row->is_bare_root || candidate.is_known_old;
	if (!is_image && !is_doubtful(scan, row, &candidate))
		return 0;
	candidate.entry = *identity_of(sight);
	return add_candidate(scan, &candidate, is_image ? NULL : row);
}

/*
 * Memory without a file. Whoever loads a program by hand keeps its first page before the code, so
 * each of these pieces is looked at where it begins; what a compiler wrote does not begin like a
 * program.
 */
static int look_at_own(struct scan *scan, struct sight *sight, const struct map_row *row)
{
	struct exposure_candidate candidate = {.doubt = DOUBT_ANONYMOUS, .end = row->start};

	if (row->start != sight->own_end)
		sight->own_start = row->start;
	sight->own_end = row->end;
	if (!scan->tells_copies || !row->is_executable)
		return 0;
	sight->has_own_code = true;
	if (sight->n_anonymous++ >= ANONYMOUS_MAX)
		return 0;
	candidate.start = sight->own_start;
	candidate.entry = *identity_of(sight);
	return add_candidate(scan, &candidate, NULL);
}

static int look_at_row(struct scan *scan, struct sight *sight, const struct map_row *row)
{
	const struct map_row *last = &sight->last;

	if (row->ino == 0)
		return look_at_own(scan, sight, row);
	sight->own_end = 0;
	sight->has_file_code |= row->is_executable;
	/* the next segment of the same file */
	if (row->dev == last->dev && row->ino == last->ino &&
		(last->is_executable || !row->is_executable))
		return 0;
	sight->last = *row;
	return look_at_file(scan, sight, row);
}

/* The rows in text; the rest of it, which is not a whole line yet, is moved to its beginning. */
static int look_at_rows(struct scan *scan, struct sight *sight, size_t *len)
{
	char *line = scan->chunk, *stop = scan->chunk + *len, *end;
	int r = 0;

	for (; r == 0 && (end = memchr(line, '\n', (size_t)(stop - line))); line = end + 1) {
		struct map_row row;

		if (map_row_parse(line, (size_t)(end - line), &row))
			r = look_at_row(scan, sight, &row);
	}
	*len = (size_t)(stop - line);
	memmove(scan->chunk, line, *len);
	return r;
}

static void add_unknown(struct scan *scan, struct sight *sight, const char *words)
{
	struct exposure_entry entry = *identity_of(sight);

	entry.kind = EXPOSURE_UNKNOWN;
	exposure_list_add_detail(&scan->list, &entry, NULL, words, NULL);
}

static int read_rows(struct scan *scan, struct sight *sight, int fd)
{
	size_t len = 0;
	int r = 0;

	while (r == 0) {
		ssize_t n = read(fd, scan->chunk + len, CHUNK_BYTES - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ESRCH)
			add_unknown(scan, sight, "what it maps cannot be read");
		if (n <= 0)
			break;
		len += (size_t)n;
		r = look_at_rows(scan, sight, &len);
		if (len == CHUNK_BYTES)
			len = 0; /* no line is that long */
	}
	return r;
}

static int look_at_process(struct scan *scan, int proc_fd, const char *name, pid_t pid)
{
	AUTO_CLOSE int process_fd = openat(proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd = process_fd < 0 ? -1 : openat(process_fd, "maps", O_RDONLY | O_CLOEXEC);
	struct sight sight = {.process_fd = process_fd, .pid = pid};
	int r;

	if (process_fd < 0 || fd < 0) {
		if (errno == ENOENT || errno == ESRCH)
			return 0;
		scan->n_processes++;
		add_unknown(scan, &sight, "what it maps may not be read");
		return 0;
	}
	scan->n_processes++;
	r = read_rows(scan, &sight, fd);
	/* a packed program unpacks itself into memory, and lets go of its file */
	if (r == 0 && sight.has_own_code && !sight.has_file_code)
		add_unknown(scan, &sight, "all its code lies in memory, and is of no file");
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
	if ((left->kind == EXPOSURE_UNKNOWN) != (right->kind == EXPOSURE_UNKNOWN))
		return left->kind == EXPOSURE_UNKNOWN ? 1 : -1;
	return strcmp(left->path ? left->path : "", right->path ? right->path : "");
}

/* The entries of one process stand together. */
static void count_processes(struct exposure_report *report)
{
	for (size_t i = 0, end; i < report->n_entries; i = end) {
		bool is_exposed = false, is_unknown = false;

		for (end = i; end < report->n_entries; end++) {
			const struct exposure_entry *e = &report->entries[end];

			if (e->pid != report->entries[i].pid)
				break;
			is_unknown |= e->kind == EXPOSURE_UNKNOWN;
			is_exposed |= e->kind != EXPOSURE_UNKNOWN && !e->in_mounts;
		}
		report->n_exposed += is_exposed;
		report->n_unknown += is_unknown && !is_exposed;
	}
}

static int make_report(struct scan *scan, const struct timespec *since, struct exposure_report **ret)
{
	AUTO(exposure_report) struct exposure_report *report = calloc(1, sizeof *report);
	struct timespec now;

	if (!report)
		return -ENOMEM;
	if (scan->list.n_entries > 0)
		qsort(scan->list.entries, scan->list.n_entries, sizeof *scan->list.entries,
			compare_entries);
	report->n_entries = scan->list.n_entries;
	report->entries = take_ptr(scan->list.entries);
	scan->list.n_entries = 0;
	count_processes(report);
	report->n_processes = scan->n_processes;
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
		free(entries[i].detail);
	}
	free(entries);
}

static void scan_done(struct scan *scan)
{
	free_entries(scan->list.entries, scan->list.n_entries);
	for (size_t i = 0; i < scan->n_candidates; i++)
		free(scan->candidates[i].where);
	free(scan->candidates);
	namesakes_done(&scan->namesakes);
	free(scan->named);
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
	if (r == 0)
		r = make_names(&scan);
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
