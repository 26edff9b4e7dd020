/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A payload into an image, whatever the payload's kind. A worker decodes (worker.h): a process that
 * has the payload, the base files and the image as descriptors, and no right but to use them. The
 * seal of what it wrote is measured here, by reading the image.
 */
#include <stdbool.h>

#include "agent/fit.h"
#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "store/image.h"

/* Whether this program knows the kind and version. */
bool unpack_is_known(const struct payload *payload);

/* How the worker is called, by process lists and in words. */
#define UNPACK_WORKER "bsi-decode"
/*
 * Address space of the worker beside the memory_bytes of the payload: what the allocator cannot
 * give back, the image's recipe and writer, which a delta's header does not count.
 */
#define UNPACK_MARGIN_BYTES ((uint64_t)32 << 20)

/*
 * The component's image from the payload. -BSI_E_UNSEALED if what comes out does not carry the
 * signed seal; -BSI_E_MISMATCH if a delta was made from other base files; -BSI_E_WORKER if the
 * worker ended before its work was done, or did not behave as one; -BSI_E_FORMAT, -BSI_E_LIMIT,
 * -BSI_E_VERSION, -BSI_E_DIGEST. What was written is to be thrown away unless the return is 0.
 */
int unpack(const struct fit_component *c, const struct payload *payload, int payload_fd,
	struct store_image *image, struct error *reterr) MUST_CHECK;
