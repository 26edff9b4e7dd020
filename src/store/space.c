/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/space.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/store.h"

#define STAT_BLOCK_BYTES 512 /* of st_blocks, whatever the file system's blocks */

int space_free(int fd, uint64_t *ret_bytes)
{
	struct statvfs vfs;
	uint64_t bytes;

	if (fstatvfs(fd, &vfs) < 0)
		return -errno;
	if (__builtin_mul_overflow((uint64_t)vfs.f_bavail, (uint64_t)vfs.f_frsize, &bytes))
		bytes = UINT64_MAX;
	*ret_bytes = bytes > STORE_SPARE_BYTES ? bytes - STORE_SPARE_BYTES : 0;
	return 0;
}

static int no_space(uint64_t needed, uint64_t free_bytes, const char *what, struct error *reterr)
{
	return error_set(reterr, -ENOSPC,
		"%s needs %" PRIu64 " bytes more, %" PRIu64 " are free (beside %" PRIu64
		" that stay free)",
		what, needed, free_bytes, STORE_SPARE_BYTES);
}

int space_reserve(int fd, uint64_t bytes, enum space_size size, const char *what,
	struct error *reterr)
{
	uint64_t free_bytes = 0, held, needed;
	struct stat st;
	int r;

	if (bytes > INT64_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "%s is too large", what);
	r = space_free(fd, &free_bytes);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	held = (uint64_t)st.st_blocks * STAT_BLOCK_BYTES;
	needed = bytes > held ? bytes - held : 0;
	if (needed > free_bytes)
		return no_space(needed, free_bytes, what, reterr);

	r = 0;
	if (bytes > 0 && fallocate(fd, size == SPACE_KEEP_SIZE ? FALLOC_FL_KEEP_SIZE : 0, 0,
				 (off_t)bytes) < 0)
		r = -errno;
	/* a file system that cannot reserve (NFS, some FUSE): what was counted above has to do */
	if (r == -EOPNOTSUPP)
		r = size == SPACE_SET_SIZE && ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
	if (r == -ENOSPC || r == -EDQUOT)
		return no_space(needed, free_bytes, what, reterr);
	if (r < 0)
		return error_set(reterr, r, "space for %s cannot be reserved: %s", what,
			error_text(r));
	return 0;
}
