/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Devices whose reads the kernel checks against a hash tree: device-mapper's target verity, by its
 * control interface (linux/dm-ioctl.h, Linux admin-guide/device-mapper/verity).
 *
 * A device is called bsi-COMPONENT-DIGEST, with 16 digits of the image's digest, and carries a
 * UUID in libcryptsetup's manner, so that `veritysetup status NAME` knows it. It is told to vanish
 * with its last user before the first one uses it; whoever is killed in between leaves a device
 * that verity_sweep() takes away. udev is told to leave it alone, and is never waited for: the boot
 * unit works before udev does, and dpkg's lock is held meanwhile.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"

#define VERITY_SALT_BYTES 32

struct verity_device {
	const char *component;
	const struct digest *image; /* names the device */
	const struct digest *root;
	const uint8_t *salt;    /* VERITY_SALT_BYTES */
	uint64_t tree_offset;   /* of the tree's superblock in the image: the data's size */
	unsigned loop_number;   /* loopN holds the image, tree and all */
};

/*
 * Open device-mapper's control node, made at node: where nothing has loaded it yet the kernel loads
 * it now. Then see that it has the target verity. -errno, or a descriptor that the caller closes.
 */
int verity_open_control(const char *node) MUST_CHECK;

/*
 * Make such a device, with its node at node, and have the kernel check its first block.
 *
 * @ret_fd  holds the device until somebody else does; the caller closes it
 *
 * -BSI_E_UNSEALED if the image's tree does not have the signed root; else 0 or -errno.
 */
int verity_open(int control_fd, const struct verity_device *device, const char *node, int *ret_fd,
	struct error *reterr) MUST_CHECK;

/* Take away what an earlier run left behind unused. Loads nothing. */
void verity_sweep(void);
