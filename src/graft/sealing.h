/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What can be found out and done about seals before anything is mounted, and without any lock. */
#include "base/compiler.h"
#include "base/error.h"
#include "graft/change.h"

/*
 * @folder_fd  the folder that holds the images
 *
 * The best seal that the kernel can hold over them; GRAFT_MEASURED if it can hold none. Loads
 * modules for it, as an attach would. Returns 0 or an -errno of reaching the host.
 */
int sealing_probe(const struct graft_host *host, int folder_fd, enum graft_seal *ret,
	struct error *reterr) MUST_CHECK;

/*
 * Seal the files of images that will be mounted from them, each once in its life: it takes a read of
 * the whole image, which graft_change() would otherwise do while its caller holds dpkg's lock.
 * -BSI_E_UNSEALED if one is not what was signed, or an -errno of reaching the host.
 */
int sealing_prepare(const struct graft_host *host, const struct graft_layer *layers,
	size_t n_layers, struct error *reterr) MUST_CHECK;
