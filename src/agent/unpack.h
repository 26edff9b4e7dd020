/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A payload into an image: decoding, whatever the payload's kind, and the proof by the seal that
 * grows while the image is written. Reads the payload and the base files through descriptors and
 * writes through one, so that a process without privileges can stand behind it.
 */
#include <stdbool.h>

#include "agent/fit.h"
#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "store/image.h"

/* Whether this program knows the kind and version. */
bool unpack_is_known(const struct payload *payload);

/*
 * The component's image from the payload. -BSI_E_UNSEALED if what comes out does not carry the
 * signed seal; -BSI_E_MISMATCH if a delta was made from other base files; -BSI_E_FORMAT, -BSI_E_LIMIT,
 * -BSI_E_DIGEST. What was written is to be thrown away unless the return is 0.
 */
int unpack(const struct fit_component *c, const struct payload *payload, int payload_fd,
	struct store_image *image, struct error *reterr) MUST_CHECK;
