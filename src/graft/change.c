/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/change.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "graft/crowd.h"
#include "graft/dm_verity.h"
#include "graft/lift.h"
#include "graft/mount_api.h"
#include "graft/mount_table.h"
#include "graft/peer.h"
#include "graft/plan.h"
#include "graft/stage.h"

#define SPARE_DESCRIPTORS 128

struct want {
	const struct graft_layer *layers;
	size_t n_layers;
};

/* Everything that one change holds while it runs, in the child. */
struct change {
	const struct graft_host *host;
	int root_fd;
	char root[PATH_MAX];
	struct graft_state *state;
	struct graft_plan *plan;
	int *clones;  /* for each step: the new file mount, detached until it is pushed */
	int *targets; /* for each step: what it is pushed onto */
	struct peer_file *peers; /* what goes from beneath, n_peers of them */
	size_t n_peers;
	struct peer peer;
};

static uint64_t now_us(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool is_push(const struct graft_step *step)
{
	return step->action == GRAFT_ATTACH || step->action == GRAFT_EXCHANGE;
}

static size_t count_steps(const struct graft_plan *plan, enum graft_action action)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_steps; i++)
		n += plan->steps[i].action == action;
	return n;
}

/* Between other runnable tasks the moment would last a scheduler's round, not microseconds. */
static void set_urgent(bool urgent)
{
	const struct sched_param urgent_param = {.sched_priority = 1}, normal_param = {0};

	if (urgent)
		(void)sched_setscheduler(0, SCHED_FIFO, &urgent_param);
	else
		(void)sched_setscheduler(0, SCHED_OTHER, &normal_param);
}

static int read_state(const struct change *change, struct graft_state **ret, struct error *reterr)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	int r = mount_table_load("/proc/self/mountinfo", &table);

	if (r == 0)
		r = graft_state_of(table, change->root, ret);
	if (r < 0)
		return error_set(reterr, r, "the host's mount table: %s", error_text(r));
	return 0;
}

static int full_path(const struct change *change, const char *path, char *out, size_t out_len)
{
	return snprintf(out, out_len, "%s/%s", change->root, path) < (int)out_len ? 0 :
										    -ENAMETOOLONG;
}

/* Unmount what lies on top at path, if it is that mount. */
static int unmount_top(const struct change *change, const char *path, int id)
{
	AUTO_CLOSE int fd = file_open_beneath(change->root_fd, path, O_PATH | O_NOFOLLOW, 0);
	char full[PATH_MAX];
	int r = full_path(change, path, full, sizeof full);

	if (fd < 0 || r < 0)
		return fd < 0 ? fd : r;
	if (mount_api_id(fd) != id)
		return -ESTALE;
	auto_closep(&fd);
	return umount2(full, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

static int open_target(struct change *change, size_t i, struct error *reterr)
{
	const struct graft_step *step = &change->plan->steps[i];
	int fd = file_open_beneath(change->root_fd, step->path, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0)
		return error_set(reterr, fd == -ENOENT ? -BSI_E_MISMATCH : fd, "'%s/%s': %s",
			change->root, step->path, error_text(fd));
	change->targets[i] = fd;
	if (step->action == GRAFT_ATTACH)
		return stage_check_base(step, fd, reterr);
	/* The stage has looked beneath it; it must still be the old mount that lies here. */
	if (mount_api_id(fd) != step->old_id)
		return error_set(reterr, -BSI_E_MISMATCH, "'%s' changed during the preparation",
			step->path);
	return 0;
}

static bool goes_from_beneath(const struct graft_step *step)
{
	return step->action == GRAFT_EXCHANGE && step->parent_shared;
}

static int add_peer_file(struct change *change, size_t i, struct error *reterr)
{
	struct peer_file *file = &change->peers[change->n_peers];
	const struct graft_step *step = &change->plan->steps[i];
	struct stat st;
	char *point;

	if (fstat(change->targets[i], &st) < 0)
		return error_set(reterr, -errno, "'%s': %s", step->path, error_text(-errno));
	if (asprintf(&point, "%s/%s", change->root, step->path) < 0)
		return error_set(reterr, -ENOMEM, "no memory for '%s'", step->path);
	*file = (struct peer_file){
		.point = point, .dev = st.st_dev, .ino = st.st_ino, .n_old = step->n_old};
	change->n_peers++;
	return 0;
}

static int open_peer(struct change *change, struct error *reterr)
{
	size_t failed = 0;
	int r = peer_open(&change->peer, change->peers, change->n_peers, &failed);

	if (r == 0)
		return 0;
	if (failed == change->n_peers)
		return error_set(reterr, r, "a peer namespace: %s", error_text(r));
	if (r == -ESTALE)
		return error_set(reterr, -BSI_E_MISMATCH, "'%s' changed during the preparation",
			change->peers[failed].point);
	return error_set(reterr, r, "the old mount of '%s' in the peer namespace: %s",
		change->peers[failed].point, error_text(r));
}

static void raise_descriptor_limit(size_t n_steps)
{
	rlim_t wanted = (rlim_t)n_steps * 3 + SPARE_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* where it fails, opening says so */
}

/* All that is slow or can fail: images, clones, targets, the peer namespace. */
static int prepare(struct change *change, struct graft_report *report, struct error *reterr)
{
	size_t n_steps = change->plan->n_steps;
	int r;

	r = stage_build(change->host, change->plan, change->clones, report, reterr);
	if (setns(change->host->mount_ns_fd, CLONE_NEWNS) < 0)
		return error_set(reterr, -errno, "going back to the host: %s", error_text(-errno));

	for (size_t i = 0; r == 0 && i < n_steps; i++) {
		if (!is_push(&change->plan->steps[i]))
			continue;
		r = open_target(change, i, reterr);
		if (r == 0 && goes_from_beneath(&change->plan->steps[i]))
			r = add_peer_file(change, i, reterr);
	}
	return r == 0 && change->n_peers > 0 ? open_peer(change, reterr) : r;
}

/* In reverse, users before providers. Returns how many could not be taken back. */
static size_t take_back(const struct change *change, size_t n_done)
{
	size_t n_failed = 0;

	for (size_t i = n_done; i-- > 0;) {
		int id;

		if (!is_push(&change->plan->steps[i]))
			continue;
		id = mount_api_id(change->clones[i]);
		if (id < 0 || unmount_top(change, change->plan->steps[i].path, id) < 0)
			n_failed++;
	}
	return n_failed;
}

static bool is_replaced(const struct change *change, size_t i)
{
	AUTO_CLOSE int fd = file_open_beneath(change->root_fd, change->plan->steps[i].path,
		O_PATH | O_NOFOLLOW, 0);
	struct stat now, then;

	return fd < 0 || fstat(fd, &now) < 0 || fstat(change->targets[i], &then) < 0 ||
		now.st_dev != then.st_dev || now.st_ino != then.st_ino;
}

static int push_error(const struct change *change, size_t i, int r, size_t n_stuck,
	struct error *reterr)
{
	const char *path = change->plan->steps[i].path;
	char crowd[256], stuck[64] = "";

	if (n_stuck > 0)
		(void)snprintf(stuck, sizeof stuck, "; %zu files could not be taken back", n_stuck);
	if (r == -ENOSPC) {
		crowd_describe_fullest(crowd, sizeof crowd);
		return error_set(reterr, r,
			"'%s': a mount namespace that it must reach is full: %s mounts%s", path,
			crowd, stuck);
	}
	if (r == -ENOENT || is_replaced(change, i))
		return error_set(reterr, -BSI_E_MISMATCH,
			"'%s' was replaced since it was matched%s", path, stuck);
	return error_set(reterr, r, "mounting on '%s': %s%s", path, error_text(r), stuck);
}

/* The moment. */
static int push(const struct change *change, struct error *reterr)
{
	for (size_t i = 0; i < change->plan->n_steps; i++) {
		int r = 0;

		if (is_push(&change->plan->steps[i]))
			r = mount_api_move(change->clones[i], change->targets[i]);
		if (r < 0) {
			size_t n_stuck = take_back(change, i);

			set_urgent(false);
			return push_error(change, i, r, n_stuck, reterr);
		}
	}
	return 0;
}

/* Those of old mounts, which are in use as long as these are open. */
static void close_targets(struct change *change)
{
	for (size_t i = 0; i < change->plan->n_steps; i++)
		auto_closep(&change->targets[i]);
}

/* Lazily. What is left shows when the table is read again. */
static void unmount_stack(const struct change *change, const struct lift_file *file)
{
	const char *path = file->point + strlen(change->root) + 1;

	if (file->n_old == 0 || unmount_top(change, path, file->top_id) < 0)
		return;
	for (size_t k = 1; k < file->n_old; k++)
		if (umount2(file->point, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return;
}

/* Who looks keeps what they have opened; and what then has a user all the time goes lazily. */
static int take_off(const struct change *change, unsigned *patience_ms, struct error *reterr)
{
	struct lift_file *files = calloc(change->plan->n_steps + 1, sizeof *files);
	size_t n = 0;
	int r;

	if (!files)
		return error_set(reterr, -ENOMEM, "no memory for %zu files", change->plan->n_steps);
	for (size_t i = 0; i < change->plan->n_steps; i++) {
		const struct graft_step *step = &change->plan->steps[i];
		char *point;

		if (step->action != GRAFT_OFF)
			continue;
		if (asprintf(&point, "%s/%s", change->root, step->path) < 0)
			return error_set(reterr, -ENOMEM, "no memory for '%s'", step->path);
		files[n++] = (struct lift_file){.point = point,
			.top_id = step->old_id,
			.n_old = step->n_old,
			.parent_shared = step->parent_shared};
	}
	r = lift(files, n, patience_ms);
	if (r < 0)
		return error_set(reterr, r, "going back to the host: %s", error_text(r));
	for (size_t i = 0; i < n; i++)
		unmount_stack(change, &files[i]);
	return 0;
}

static int apply(struct change *change, struct graft_report *report, struct error *reterr)
{
	uint64_t work = now_us(CLOCK_THREAD_CPUTIME_ID), start, pushed, off;
	unsigned patience_ms = PEER_PATIENCE_MS;
	int r;

	set_urgent(true);
	start = now_us(CLOCK_MONOTONIC);
	r = push(change, reterr);
	if (r < 0)
		return r;
	pushed = now_us(CLOCK_MONOTONIC);
	close_targets(change);
	/* at once, and while that waits for its openers, those of what goes from beneath get done too */
	r = take_off(change, &patience_ms, reterr);
	off = now_us(CLOCK_MONOTONIC);
	if (r == 0 && change->n_peers > 0) {
		r = peer_unmount_old(&change->peer, change->peers, change->n_peers, &patience_ms);
		if (r < 0)
			(void)error_set(reterr, r, "the peer namespace: %s", error_text(r));
	}

	report->push_us = pushed - start;
	report->off_us = off - pushed;
	report->beneath_us = now_us(CLOCK_MONOTONIC) - off;
	report->work_us = now_us(CLOCK_THREAD_CPUTIME_ID) - work;
	set_urgent(false);
	return r;
}

/* What the mount table shows now, beside what was wanted: the only truth to report. */
static int check_result(const struct change *change, const struct want *want,
	struct graft_report *report, struct error *reterr)
{
	AUTO(graft_state) struct graft_state *state = NULL;
	AUTO(graft_plan) struct graft_plan *plan = NULL;
	int r = read_state(change, &state, reterr);

	if (r == 0)
		r = graft_plan_make(state, want->layers, want->n_layers, &plan, reterr);
	for (size_t i = 0; r == 0 && i < plan->n_steps; i++) {
		const struct graft_step *step = &plan->steps[i];

		if (step->action == GRAFT_KEEP) {
			report->n_below += step->n_old - 1;
			report->n_unshared += !step->parent_shared;
		} else if (step->action == GRAFT_ATTACH) {
			r = error_set(reterr, -BSI_E_MISMATCH,
				"'%s' was replaced during the change", step->path);
		} else {
			r = error_set(reterr, -EBUSY, "an old mount on '%s' could not be unmounted",
				step->path);
		}
	}
	if (r == 0)
		report->n_hidden = plan->n_hidden;
	return r;
}

static int change_plan(struct change *change, const struct want *want, struct error *reterr)
{
	int r = read_state(change, &change->state, reterr);

	if (r == 0)
		r = graft_plan_make(change->state, want->layers, want->n_layers, &change->plan,
			reterr);
	if (r < 0)
		return r;

	change->clones = calloc(change->plan->n_steps + 1, sizeof *change->clones);
	change->targets = calloc(change->plan->n_steps + 1, sizeof *change->targets);
	change->peers = calloc(change->plan->n_steps + 1, sizeof *change->peers);
	if (!change->clones || !change->targets || !change->peers)
		return error_set(reterr, -ENOMEM, "no memory for %zu files", change->plan->n_steps);
	for (size_t i = 0; i < change->plan->n_steps; i++)
		change->clones[i] = change->targets[i] = -EBADF;
	raise_descriptor_limit(change->plan->n_steps);
	return 0;
}

/* The child ends after this and gives everything back; so nothing here is closed or freed. */
static int change_in_host(const struct graft_host *host, const void *ctx, void *out,
	struct error *reterr)
{
	const struct want *want = ctx;
	struct graft_report *report = out;
	struct change change = {.host = host, .peer = PEER_NONE};
	uint64_t start = now_us(CLOCK_MONOTONIC);
	size_t n_pushes, n_off;
	int r;

	verity_sweep();
	change.root_fd = graft_host_open_root(host, change.root, sizeof change.root);
	if (change.root_fd < 0)
		return error_set(reterr, change.root_fd, "%s: %s", host->root,
			error_text(change.root_fd));
	r = change_plan(&change, want, reterr);
	if (r < 0)
		return r;

	n_off = count_steps(change.plan, GRAFT_OFF);
	n_pushes = change.plan->n_steps - n_off - count_steps(change.plan, GRAFT_KEEP);
	if (n_pushes > 0)
		r = prepare(&change, report, reterr);
	report->prepare_us = now_us(CLOCK_MONOTONIC) - start;
	if (r == 0 && n_pushes + n_off > 0)
		r = apply(&change, report, reterr);
	if (r < 0)
		return r;

	report->n_attached = count_steps(change.plan, GRAFT_ATTACH);
	report->n_exchanged = count_steps(change.plan, GRAFT_EXCHANGE);
	report->n_kept = count_steps(change.plan, GRAFT_KEEP);
	report->n_off = n_off;
	return check_result(&change, want, report, reterr);
}

int graft_change(const struct graft_host *host, const struct graft_layer *want, size_t n_want,
	struct graft_report *ret, struct error *reterr)
{
	const struct want wanted = {.layers = want, .n_layers = n_want};
	struct graft_report report = {0};
	int r = graft_host_run(host, change_in_host, &wanted, &report, sizeof report, reterr);

	if (ret)
		*ret = report;
	return r;
}
