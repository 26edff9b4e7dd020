/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Mounting an image from its descriptor, with the best seal that this kernel and the image's file
 * system have (docs/design-graft.md, "Seals"). The image's own path plays no part: what was measured
 * through the descriptor is what is mounted.
 */
#include "base/compiler.h"
#include "base/error.h"
#include "graft/change.h"

/* In the throw-away namespace, once: an empty /run in which the names of images are made. */
int image_mount_prepare(struct error *reterr) MUST_CHECK;

/* device-mapper's control, with the target verity: a descriptor that the caller closes, or -errno. */
int image_mount_open_control(void) MUST_CHECK;

/*
 * Seal the layer's file by fs-verity, where that is how it will be mounted. The first time this reads
 * the whole image. -BSI_E_UNSEALED if it is sealed as something else.
 */
int image_mount_seal(const struct graft_host *host, const struct graft_layer *layer,
	struct error *reterr) MUST_CHECK;

/*
 * Mount the layer's image read-only and nodev, with a source that tells what it is (mount_table.h).
 *
 * @ret_root_fd  root of the image, in a mount of this namespace; the caller closes it
 * @report       its loop and n_images say how
 *
 * -BSI_E_UNSEALED if the image does not agree with the layer's proof, or if the layer must have a
 * seal and none can be had: the words say why.
 */
int image_mount(const struct graft_host *host, const struct graft_layer *layer, int *ret_root_fd,
	struct graft_report *report, struct error *reterr) MUST_CHECK;
