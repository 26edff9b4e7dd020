/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft/mount_api.h"

/*
 * Only the topmost old mount must not get what is pushed on the host. A deeper one may stay
 * shared: the umount of what lies on it then reaches the host, as it should.
 */
static int make_private(const struct peer_file *file)
{
	AUTO_CLOSE int fd = open(file->point, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != file->dev || st.st_ino != file->ino)
		return -ESTALE;
	return mount_api_set_private(fd);
}

int peer_open(struct peer *ret, const struct peer_file *files, size_t n_files, size_t *ret_failed)
{
	int r, back;

	*ret = PEER_NONE;
	*ret_failed = n_files;
	r = place_remember(&ret->host);
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	r = place_remember(&ret->own);
	for (size_t i = 0; r == 0 && i < n_files; i++) {
		r = make_private(&files[i]);
		if (r < 0)
			*ret_failed = i;
	}
	back = place_enter(&ret->host);
	return r < 0 ? r : back;
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

int peer_unmount_old(const struct peer *peer, const struct peer_file *files, size_t n_files,
	unsigned *patience_ms)
{
	int r = place_enter(&peer->own), back;

	for (size_t i = 0; r == 0 && i < n_files; i++)
		/* Fails where the base was replaced meanwhile and the kernel dropped the mounts. */
		for (size_t k = 0; k < files[i].n_old; k++)
			if (unmount_old(files[i].point, patience_ms) < 0)
				break;
	back = place_enter(&peer->host);
	return r < 0 ? r : back;
}

void peer_close(struct peer *peer)
{
	place_close(&peer->own);
	place_close(&peer->host);
}
