/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/seal.h"

const char *graft_seal_text(enum graft_seal seal)
{
	static const char *const texts[GRAFT_SEAL_MAX] = {
		[GRAFT_MEASURED] = "measured",
		[GRAFT_FS_VERITY] = "fs-verity",
		[GRAFT_DM_VERITY] = "dm-verity",
	};

	return texts[seal];
}
