/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/sealing.h"

#include <errno.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "graft/fs_verity.h"
#include "graft/image_mount.h"
#include "graft/stage.h"

static int enter_scratch(struct error *reterr)
{
	int r = stage_enter(reterr);

	return r < 0 ? r : image_mount_prepare(reterr);
}

static int probe(const struct graft_host *host, const void *ctx, void *out, struct error *reterr)
{
	enum graft_seal *ret = out;
	AUTO_CLOSE int control_fd = -EBADF;
	int r = enter_scratch(reterr);

	(void)host;
	if (r < 0)
		return r;
	control_fd = image_mount_open_control();
	if (control_fd >= 0)
		*ret = GRAFT_DM_VERITY;
	else if (fs_verity_probe(*(const int *)ctx) >= 0)
		*ret = GRAFT_FS_VERITY;
	return 0;
}

int sealing_probe(const struct graft_host *host, int folder_fd, enum graft_seal *ret,
	struct error *reterr)
{
	*ret = GRAFT_MEASURED;
	return graft_host_run(host, probe, &folder_fd, ret, sizeof *ret, reterr);
}

struct layers {
	const struct graft_layer *list;
	size_t n;
};

static int prepare(const struct graft_host *host, const void *ctx, void *out, struct error *reterr)
{
	const struct layers *layers = ctx;
	int r = enter_scratch(reterr);

	(void)out;
	for (size_t i = 0; r == 0 && i < layers->n; i++)
		r = image_mount_seal(host, &layers->list[i], reterr);
	return r;
}

/* A look that costs nothing: the file system could, and nobody has done it yet. */
static bool is_wanted(const struct graft_layer *layer)
{
	return layer->proof && layer->image_fd >= 0 && fs_verity_probe(layer->image_fd) == 0;
}

int sealing_prepare(const struct graft_host *host, const struct graft_layer *layers,
	size_t n_layers, struct error *reterr)
{
	const struct layers all = {.list = layers, .n = n_layers};
	size_t n_wanted = 0;

	for (size_t i = 0; i < n_layers; i++)
		n_wanted += is_wanted(&layers[i]);
	if (n_wanted == 0 || host->flags & GRAFT_HOST_LOOP)
		return 0;
	return graft_host_run(host, prepare, &all, NULL, 0, reterr);
}
