/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/fs_verity.h"

#include <errno.h>
#include <linux/fsverity.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#define BLOCK_BYTES 4096U /* image/file_seal.h takes the same */

/* struct fsverity_digest with the room that it ends with. */
union answer {
	struct fsverity_digest header;
	uint8_t bytes[sizeof(struct fsverity_digest) + DIGEST_BYTES];
};

/* -ENODATA where it is not sealed. */
static int measure(int fd, struct digest *ret)
{
	union answer answer = {.header.digest_size = DIGEST_BYTES};

	if (ioctl(fd, FS_IOC_MEASURE_VERITY, &answer) < 0)
		return errno == ENOTTY || errno == EOPNOTSUPP ? -BSI_E_UNSUPPORTED : -errno;
	if (answer.header.digest_algorithm != FS_VERITY_HASH_ALG_SHA256 ||
		answer.header.digest_size != DIGEST_BYTES)
		return -BSI_E_UNSEALED;
	memcpy(ret->bytes, answer.bytes + sizeof answer.header, DIGEST_BYTES);
	return 0;
}

static int enable(int fd)
{
	const struct fsverity_enable_arg arg = {
		.version = 1,
		.hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = BLOCK_BYTES,
	};

	if (ioctl(fd, FS_IOC_ENABLE_VERITY, &arg) == 0 || errno == EEXIST)
		return 0;
	return errno == ENOTTY || errno == EOPNOTSUPP ? -BSI_E_UNSUPPORTED : -errno;
}

int fs_verity_probe(int fd)
{
	struct digest ignored;
	int r = measure(fd, &ignored);

	if (r == -ENODATA)
		return 0;
	return r == 0 || r == -BSI_E_UNSEALED ? 1 : -BSI_E_UNSUPPORTED;
}

int fs_verity_seal(int fd, const struct digest *want, struct error *reterr)
{
	struct digest is;
	int r = measure(fd, &is);

	if (r == -ENODATA) {
		r = enable(fd);
		if (r == 0)
			r = measure(fd, &is);
	}
	if (r == 0 && !digest_equal(&is, want))
		r = -BSI_E_UNSEALED;
	if (r == -BSI_E_UNSEALED)
		return error_set(reterr, r,
			"its file is sealed by fs-verity with another digest than the signed one");
	if (r == -BSI_E_UNSUPPORTED)
		return error_set(reterr, r, "its file system has no fs-verity");
	return r < 0 ? error_set(reterr, r, "fs-verity: %s", error_text(r)) : 0;
}
