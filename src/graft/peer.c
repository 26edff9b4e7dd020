/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "graft/mount_api.h"

/*
 * For all files together, since all new ones lie there by then. Even on a busy machine a library that was
 * opened is mapped after it, mostly. It is what the waits of 1, 2, 4 ... 64 ms add up to.
 */
#define PATIENCE_MS 127U

static bool goes_from_beneath(const struct graft_step *step)
{
	return step->action == GRAFT_EXCHANGE && step->parent_shared;
}

/*
 * Only the topmost old mount must not get what is pushed on the host. A deeper one may stay
 * shared: the umount of what lies on it then reaches the host, as it should.
 */
static int make_private(int root_fd, const struct graft_step *step, struct error *reterr)
{
	AUTO_CLOSE int fd = file_open_beneath(root_fd, step->path, O_PATH | O_NOFOLLOW, 0);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(reterr, fd < 0 ? fd : -errno, "'%s': %s", step->path,
			error_text(fd < 0 ? fd : -errno));
	if (st.st_dev != step->old_dev)
		return error_set(reterr, -BSI_E_MISMATCH, "'%s' changed during the preparation",
			step->path);
	r = mount_api_set_private(fd);
	if (r < 0)
		return error_set(reterr, r, "the old mount of '%s' in the peer namespace: %s",
			step->path, error_text(r));
	return 0;
}

static int prepare(const struct graft_host *host, const struct graft_plan *plan, struct error *reterr)
{
	char root[PATH_MAX];
	AUTO_CLOSE int root_fd = graft_host_open_root(host, root, sizeof root);

	if (root_fd < 0)
		return error_set(reterr, root_fd, "%s: %s", host->root, error_text(root_fd));
	for (size_t i = 0; i < plan->n_steps; i++) {
		int r = goes_from_beneath(&plan->steps[i]) ?
			make_private(root_fd, &plan->steps[i], reterr) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int return_to_host(const struct graft_host *host, int r, struct error *reterr)
{
	if (setns(host->mount_ns_fd, CLONE_NEWNS) < 0 && r == 0)
		return error_set(reterr, -errno, "going back to the host: %s", error_text(-errno));
	return r;
}

int peer_open(const struct graft_host *host, const struct graft_plan *plan, int *ret_ns_fd,
	struct error *reterr)
{
	AUTO_CLOSE int ns_fd = -EBADF;
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return error_set(reterr, -errno, "a peer namespace: %s", error_text(-errno));
	ns_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	r = ns_fd < 0 ? error_set(reterr, -errno, "/proc/self/ns/mnt: %s", error_text(-errno)) :
			prepare(host, plan, reterr);
	r = return_to_host(host, r, reterr);
	if (r < 0)
		return r;
	*ret_ns_fd = take_fd(&ns_fd);
	return 0;
}

/* Off, when those are done who are about to be, or there is no patience left. 0 or -errno. */
static int unmount_old(const char *path, unsigned *patience_ms)
{
	for (unsigned ms = 1;; ms *= 2) {
		const struct timespec t = {.tv_nsec = (long)ms * 1000000};

		if (umount2(path, UMOUNT_NOFOLLOW) == 0)
			return 0;
		if (errno != EBUSY || ms > *patience_ms)
			break;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
		*patience_ms -= ms;
	}
	return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int peer_unmount_old(const struct graft_host *host, const struct graft_plan *plan, int ns_fd,
	struct error *reterr)
{
	char root[PATH_MAX], path[PATH_MAX];
	AUTO_CLOSE int root_fd = -EBADF;
	unsigned patience_ms = PATIENCE_MS;

	if (setns(ns_fd, CLONE_NEWNS) < 0)
		return error_set(reterr, -errno, "entering the peer namespace: %s",
			error_text(-errno));
	root_fd = graft_host_open_root(host, root, sizeof root);
	for (size_t i = 0; root_fd >= 0 && i < plan->n_steps; i++) {
		const struct graft_step *step = &plan->steps[i];

		if (!goes_from_beneath(step) ||
			snprintf(path, sizeof path, "%s/%s", root, step->path) >= (int)sizeof path)
			continue;
		/* Fails where the base was replaced meanwhile and the kernel dropped the mounts. */
		for (size_t k = 0; k < step->n_old; k++)
			if (unmount_old(path, &patience_ms) < 0)
				break;
	}
	return return_to_host(host, 0, reterr);
}
