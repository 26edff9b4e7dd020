/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/base_view.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graft/mount_table.h"
#include "graft/user_ns.h"

/* Each round takes the topmost mounts off; a stack deeper than this is not of our making. */
#define UNCOVER_ROUNDS_MAX 64
#define TOGETHER_MIN 4   /* fewer are not worth a mount of their own */
#define AWAY_DIR "/run" /* covered for that moment, in a namespace that nobody else is in */

static bool is_top_of_ours(const struct mount_table *table, const struct mount_row *row)
{
	return mount_table_is_ours(table, row) && !mount_table_over(table, row);
}

static int uncover_once(const struct held *held, size_t *ret_n_uncovered)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	size_t n_uncovered = 0;
	int r;

	r = mount_table_load("/proc/self/mountinfo", &table);
	if (r < 0)
		return r;

	/* Users before their providers: the reverse of the order in which they were attached. */
	for (size_t i = table->n_rows; i-- > 0;) {
		const struct mount_row *row = &table->rows[i];

		if (!is_top_of_ours(table, row) || held_has(held, row))
			continue;
		if (umount2(row->point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			n_uncovered++;
		else if (errno != EINVAL && errno != ENOENT) /* gone already: its base was replaced */
			return -errno;
	}
	*ret_n_uncovered = n_uncovered;
	return 0;
}

int base_view_uncover(const struct held *held)
{
	for (int i = 0; i < UNCOVER_ROUNDS_MAX; i++) {
		size_t n_uncovered = 0;
		int r = uncover_once(held, &n_uncovered);

		if (r < 0)
			return r;
		if (n_uncovered == 0)
			return 0;
	}
	return -ELOOP;
}

int base_view_is_covered(bool *ret)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	int r;

	r = mount_table_load("/proc/self/mountinfo", &table);
	if (r < 0)
		return r;
	*ret = false;
	for (size_t i = 0; i < table->n_rows && !*ret; i++)
		*ret = mount_table_is_ours(table, &table->rows[i]);
	return 0;
}

static int move_away(const struct mount_table *table)
{
	char place[64];

	for (size_t i = table->n_rows; i-- > 0;) {
		if (!is_top_of_ours(table, &table->rows[i]))
			continue;
		(void)snprintf(place, sizeof place, AWAY_DIR "/%zu", i);
		if (mknod(place, S_IFREG | 0600, 0) < 0)
			return -errno;
		/* what cannot be moved is unmounted afterwards, or is gone already */
		(void)!mount(table->rows[i].point, place, NULL, MS_MOVE, NULL);
	}
	return 0;
}

/*
 * Each umount waits for a grace period, a move does not: so everything is moved onto one mount, and
 * goes with it. Only in a namespace of one's own that is not shared: moves would be seen elsewhere.
 */
static int uncover_together(void)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	size_t n = 0;
	int r = mount_table_load("/proc/self/mountinfo", &table);

	for (size_t i = 0; r == 0 && i < table->n_rows; i++)
		n += is_top_of_ours(table, &table->rows[i]);
	/* where there is no such directory, one by one */
	if (r < 0 || n < TOGETHER_MIN ||
		mount("bsi", AWAY_DIR, "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=0700") < 0)
		return r;
	(void)!move_away(table);
	return umount2(AWAY_DIR, MNT_DETACH) < 0 ? -errno : 0;
}

/* What a user namespace inherits of the machine's mounts is locked in it, and stays. */
static int check_uncovered(void)
{
	bool is_covered = false;
	int r = user_ns_is_initial() ? 0 : base_view_is_covered(&is_covered);

	return r == 0 && is_covered ? -EBUSY : r;
}

int base_view_enter(enum base_view_flags flags, int *ret_host_ns_fd)
{
	unsigned long propagation = flags & BASE_VIEW_SLAVE ? MS_SLAVE : MS_PRIVATE;
	AUTO_CLOSE int host_fd = -EBADF;
	int r;

	host_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (host_fd < 0)
		return -errno;
	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | propagation, NULL) < 0)
		return -errno;

	r = uncover_together();
	if (r == 0)
		r = base_view_uncover(NULL);
	if (r == 0)
		r = check_uncovered();
	if (r < 0)
		return r;
	if (ret_host_ns_fd)
		*ret_host_ns_fd = take_fd(&host_fd);
	return 0;
}
