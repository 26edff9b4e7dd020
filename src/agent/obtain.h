/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * From a manifest to images in the store: picks a payload, has it brought, decodes it, and proves
 * that what came out is what was signed: first the seal that grows while the image is written, then
 * the digest of the finished file.
 */
#include <stdint.h>

#include "agent/context.h"
#include "agent/fit.h"
#include "base/compiler.h"
#include "base/error.h"

struct obtain_need {
	size_t n_images;
	uint64_t download_bytes, image_bytes;
};

/*
 * What is missing for the components that fit: images_measure() was asked before, so an image that
 * is damaged counts as missing.
 */
void obtain_need(const struct agent *a, const struct fit *fit, struct obtain_need *ret);

/*
 * Bring the missing images. Each is durable before the next is begun, so a run that is cut goes on
 * where it was. Components that do not fit get none. Images that were brought now are measured, and
 * stay open as fit_component.image_fd.
 *
 * Of a component's payloads the smallest that this device can use is taken: known kind and version,
 * made for the base set that is here, within settings.memory_max_bytes. A note says of each
 * smaller one why it is not. Where a delta fails, the next one is taken, and a note says why.
 */
int obtain_images(struct agent *a, struct remote *remote, struct fit *fit, struct error *reterr)
	MUST_CHECK;
