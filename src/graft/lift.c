/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/lift.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft/base_view.h"
#include "graft/mount_api.h"
#include "graft/mount_table.h"
#include "graft/peer.h"

/*
 * A lid that is in use gets a fresh one this often; together they wait no longer than the first round may. Each
 * waits for those who opened the last lid just before, and meanwhile others come to the fresh one: shorter waits
 * meet fewer of these, but leave more of those without a path on a busy machine.
 */
#define FRESH_MAX 4U
#define FRESH_PATIENCE_MS 31U /* 1 + 2 + 4 + 8 + 16 */
#define SPARE_DESCRIPTORS 64

/* What one round holds of one file. */
struct work {
	struct lift_file *file;
	int target_fd; /* the mount of ours on top */
	int lid_fd;    /* detached until it is pushed */
	int lid_id;
};

struct round {
	const struct place *home;
	struct work *works;
	struct peer_file *peers; /* as works */
	size_t n;
};

/* Nobody is asked for more: without descriptors a file is passed over. */
static void raise_descriptor_limit(size_t n_files)
{
	rlim_t wanted = (rlim_t)n_files * 2 + SPARE_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Nothing writable and no device comes by a lid, mount_table_is_lid() knows it again, and it looks like what it lies on (docs/design-graft.md). */
static int make_lid(const char *point)
{
	AUTO_CLOSE int base_fd = open(point, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO_CLOSE int lid_fd = -EBADF;
	enum mount_api_attr attributes = MOUNT_API_RDONLY | MOUNT_API_NODEV | MOUNT_API_NODIRATIME |
		MOUNT_API_STRICTATIME | MOUNT_API_NOSYMFOLLOW;
	struct stat st;
	int r;

	if (base_fd < 0 || fstat(base_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (!(st.st_mode & (S_ISUID | S_ISGID)) && lgetxattr(point, "security.capability", NULL, 0) < 0)
		attributes |= MOUNT_API_NOSUID;
	lid_fd = mount_api_clone(base_fd);
	if (lid_fd < 0)
		return lid_fd;
	r = mount_api_set(lid_fd, attributes);
	return r < 0 ? r : take_fd(&lid_fd);
}

/* In a base view, since only there the base files can be seen, and cloned before Linux 6.15. */
static int make_lids(struct round *round)
{
	int r = base_view_enter(BASE_VIEW_PRIVATE, NULL), back;

	for (size_t i = 0; r == 0 && i < round->n; i++) {
		struct work *w = &round->works[i];

		w->lid_fd = make_lid(w->file->point);
		w->lid_id = w->lid_fd < 0 ? w->lid_fd : mount_api_id(w->lid_fd);
	}
	back = place_enter(round->home);
	return r < 0 ? r : back;
}

/* A descriptor of what lies on top there, if it is that mount. */
static int open_top(const struct lift_file *file)
{
	AUTO_CLOSE int fd = open(file->point, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return mount_api_id(fd) == file->top_id ? take_fd(&fd) : -ESTALE;
}

static void close_work(struct work *w)
{
	auto_closep(&w->target_fd);
	auto_closep(&w->lid_fd);
}

/* Those of the files that can have a lid, each with its own. */
static void prepare(struct round *round, struct lift_file *files, size_t n_files)
{
	size_t n = 0;

	for (size_t i = 0; i < n_files; i++) {
		int fd = files[i].n_old > 0 && files[i].parent_shared ? open_top(&files[i]) : -EBADF;

		if (fd >= 0)
			round->works[round->n++] = (struct work){
				.file = &files[i], .target_fd = fd, .lid_fd = -EBADF};
	}
	if (round->n > 0 && make_lids(round) < 0)
		for (size_t i = 0; i < round->n; i++)
			auto_closep(&round->works[i].lid_fd);
	for (size_t i = 0; i < round->n; i++) {
		struct work *w = &round->works[i];
		struct stat st;

		if (w->lid_fd < 0 || w->lid_id < 0 || fstat(w->target_fd, &st) < 0) {
			close_work(w);
			continue;
		}
		round->peers[n] = (struct peer_file){.point = w->file->point,
			.dev = st.st_dev,
			.ino = st.st_ino,
			.n_old = w->file->n_old};
		round->works[n++] = *w;
	}
	round->n = n;
}

/* The moment. Where a lid cannot lie, because a namespace is full, nothing is to go from beneath. */
static void push(struct round *round)
{
	for (size_t i = 0; i < round->n; i++) {
		struct work *w = &round->works[i];

		if (mount_api_move(w->lid_fd, w->target_fd) < 0) {
			round->peers[i].n_old = 0;
			continue;
		}
		w->file->top_id = w->lid_id;
		w->file->n_old++;
	}
	for (size_t i = 0; i < round->n; i++)
		close_work(&round->works[i]); /* or the mounts would be in use by us */
}

/* How many lids there are that somebody uses. */
static size_t take_lids(const struct round *round)
{
	size_t n_busy = 0;

	for (size_t i = 0; i < round->n; i++) {
		struct lift_file *file = round->works[i].file;
		int fd = round->peers[i].n_old > 0 ? open_top(file) : -EBADF;

		if (fd < 0)
			continue;
		auto_closep(&fd);
		file->n_old = 1;
		if (umount2(file->point, UMOUNT_NOFOLLOW) == 0)
			file->n_old = 0;
		else
			n_busy++;
	}
	return n_busy;
}

static size_t run_round(struct round *round, struct lift_file *files, size_t n_files,
	unsigned *patience_ms)
{
	struct peer peer = PEER_NONE;
	size_t failed, n_busy = 0;

	round->n = 0;
	prepare(round, files, n_files);
	if (round->n > 0 && peer_open(&peer, round->peers, round->n, &failed) == 0) {
		push(round);
		if (peer_unmount_old(&peer, round->peers, round->n, patience_ms) == 0)
			n_busy = take_lids(round);
	}
	for (size_t i = 0; i < round->n; i++)
		close_work(&round->works[i]);
	peer_close(&peer);
	return n_busy;
}

static void run_rounds(struct round *round, struct lift_file *files, size_t n_files,
	unsigned *patience_ms)
{
	size_t n_busy;

	raise_descriptor_limit(n_files);
	n_busy = run_round(round, files, n_files, patience_ms);
	for (unsigned i = 0; n_busy > 0 && i < FRESH_MAX; i++) {
		unsigned ms = FRESH_PATIENCE_MS;

		n_busy = run_round(round, files, n_files, &ms);
	}
}

int lift(struct lift_file *files, size_t n_files, unsigned *patience_ms)
{
	AUTO_FREE struct work *works = calloc(n_files + 1, sizeof *works);
	AUTO_FREE struct peer_file *peers = calloc(n_files + 1, sizeof *peers);
	struct place home = PLACE_NOWHERE;
	int r = 0;

	/* where this process could not come back it does not go */
	if (works && peers && n_files > 0 && place_remember(&home) == 0 && place_enter(&home) == 0) {
		run_rounds(&(struct round){.home = &home, .works = works, .peers = peers}, files,
			n_files, patience_ms);
		r = place_enter(&home);
	}
	place_close(&home);
	return r;
}

/* The mount on top there, and those of ours beneath that may go with it. */
static struct lift_file stack_of(const struct mount_table *table, const struct mount_row *row,
	const struct held *held)
{
	struct lift_file file = {.point = row->point, .top_id = row->id};
	const struct mount_row *at = row;

	while (at && file.n_old < table->n_rows && strcmp(at->point, row->point) == 0 &&
		mount_table_is_ours(table, at) && !held_has(held, at)) {
		file.n_old++;
		at = mount_table_find(table, at->parent);
	}
	file.parent_shared = at && at->shared;
	return file;
}

int lift_all(const struct held *held)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO_FREE struct lift_file *files = NULL;
	unsigned patience_ms = PEER_PATIENCE_MS;
	size_t n = 0;
	int r = mount_table_load("/proc/self/mountinfo", &table);

	if (r < 0)
		return r;
	files = calloc(table->n_rows + 1, sizeof *files);
	if (!files)
		return -ENOMEM;
	/* Users before their providers: the reverse of the order in which they were attached. */
	for (size_t i = table->n_rows; i-- > 0;) {
		const struct mount_row *row = &table->rows[i];

		if (mount_table_is_ours(table, row) && !mount_table_over(table, row) &&
			!held_has(held, row))
			files[n++] = stack_of(table, row, held);
	}
	r = lift(files, n, &patience_ms);
	return r < 0 ? r : base_view_uncover(held);
}
