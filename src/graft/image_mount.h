/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Mounting a sealed image from its descriptor: straight from the file where the kernel can (6.12),
 * else through a loop device that goes when the last mount goes. The image's own path plays no
 * part: what was measured through the descriptor is what is mounted.
 */
#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"
#include "graft/change.h"

/* In the throw-away namespace, once: an empty /run in which the names of images are made. */
int image_mount_prepare(struct error *reterr) MUST_CHECK;

/*
 * Mount the layer's image read-only and nodev, with a source that tells what it is (state.h).
 *
 * @ret_root_fd  root of the image, in a mount of this namespace; the caller closes it
 * @ret_loop     set to true if it took a loop device, else left alone
 */
int image_mount(const struct graft_host *host, const struct graft_layer *layer, int *ret_root_fd,
	bool *ret_loop, struct error *reterr) MUST_CHECK;
