/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/seal_probe.h"

#include "base/cleanup.h"
#include "graft/fs_verity.h"
#include "graft/image_mount.h"
#include "graft/stage.h"

static int probe(const struct graft_host *host, const void *ctx, void *out, struct error *reterr)
{
	enum graft_seal *ret = out;
	AUTO_CLOSE int control_fd = -EBADF;
	int r = stage_enter(reterr);

	(void)host;
	if (r == 0)
		r = image_mount_prepare(reterr);
	if (r < 0)
		return r;
	control_fd = image_mount_open_control();
	if (control_fd >= 0)
		*ret = GRAFT_DM_VERITY;
	else if (fs_verity_probe(*(const int *)ctx) == 0)
		*ret = GRAFT_FS_VERITY;
	return 0;
}

int seal_probe(const struct graft_host *host, int folder_fd, enum graft_seal *ret,
	struct error *reterr)
{
	*ret = GRAFT_MEASURED;
	return graft_host_run(host, probe, &folder_fd, ret, sizeof *ret, reterr);
}
