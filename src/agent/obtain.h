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
 * Bring the missing images, while the state is not locked: others may change it meanwhile. Each is
 * durable before the next is begun, so a run that is cut goes on where it was. Components that do
 * not fit get none.
 *
 * Of a component's payloads the smallest that this device can use is taken: known kind and version,
 * made for the base set that is here, within settings.memory_max_bytes. A note says of each
 * smaller one why it is not. Where a delta fails, the next one is taken, and a note says why.
 *
 * Returns CONTEXT_AGAIN with all of them in the store: whoever called has to decide anew from the
 * state and the files as they are now; as long as it keeps the state locked nobody clears them away.
 * Or -BSI_E_BUSY if another process loads; -BSI_E_DENIED if the owner left meanwhile, and m is denied
 * from now on; other errors. The state is locked again after an error as well, unless another
 * process did not let go of it (store_is_locked()).
 */
int obtain_missing(struct agent *a, struct remote *remote, const struct manifest *m,
	const struct fit *fit, struct error *reterr) MUST_CHECK;

/* The same of a manifest, which the remote keeps (remote_has_manifest()). */
int obtain_manifest(struct agent *a, struct remote *remote, const struct index_entry *entry,
	struct error *reterr) MUST_CHECK;
