/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Which seal images can have here, found out without mounting one. */
#include "base/compiler.h"
#include "base/error.h"
#include "graft/host.h"
#include "graft/seal.h"

/*
 * @folder_fd  the folder that holds the images
 *
 * The best seal that the kernel can hold over them; GRAFT_MEASURED if it can hold none. Loads
 * modules for it, as an attach would. Returns 0 or an -errno of reaching the host.
 */
int seal_probe(const struct graft_host *host, int folder_fd, enum graft_seal *ret,
	struct error *reterr) MUST_CHECK;
