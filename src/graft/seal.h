/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What checks the reads of an image while it is mounted. The names are part of a mount's source
 * (mount_table.h), so that the mount table says which seal holds. Needs libc alone.
 */

enum graft_seal {
	GRAFT_MEASURED,  /* nothing: it was measured before it was mounted */
	GRAFT_FS_VERITY, /* the kernel, each read of the image's file */
	GRAFT_DM_VERITY, /* the kernel, each read of a device over the image */
	GRAFT_SEAL_MAX,
};

/* "measured", "fs-verity", "dm-verity". */
const char *graft_seal_text(enum graft_seal seal);
