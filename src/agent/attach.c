/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "graft/dpkg_lock.h"
#include "store/image.h"

/*
 * Measure the image through the descriptor that is mounted. What was brought in this run was
 * measured a moment ago through a descriptor of the same file, which is still open.
 */
static int measure_image(struct agent *a, struct fit_component *c)
{
	const struct image_ref *ref = &c->component->image;
	AUTO_CLOSE int fd = -EBADF;
	struct digest found;
	uint64_t size;
	int r;

	if (c->image_fd >= 0)
		return 0;
	r = store_image_open(a->store, &ref->digest, &fd);
	if (r == -ENOENT) {
		(void)snprintf(c->problem, sizeof c->problem,
			"its image is not here; 'bsi run' brings it");
		return 0;
	}
	if (r == 0)
		r = file_digest(fd, &found, &size);
	if (r == 0 && (size != ref->size || !digest_equal(&found, &ref->digest)))
		r = -BSI_E_DIGEST;
	if (r < 0) {
		(void)snprintf(c->problem, sizeof c->problem,
			"its image in the store is damaged (%s); 'bsi run' brings it again",
			error_text(r));
		return store_image_remove(a->store, &ref->digest, NULL);
	}
	c->image_fd = take_fd(&fd);
	return 0;
}

/* The files of a layer that are mounted: those that the matched base set has. */
static size_t fill_files(const struct fit_component *c, struct graft_file *files)
{
	size_t n = 0;

	for (size_t k = 0; k < c->component->n_files; k++) {
		if (!fit_has_file(c, k))
			continue;
		files[n++] = (struct graft_file){.path = c->component->files[k].path,
			.base_fd = c->files[k],
			.privileged = c->component->files[k].privileged};
	}
	return n;
}

static size_t count_files(const struct fit *fit)
{
	size_t n = 0;

	for (size_t i = 0; i < fit->n_components; i++)
		n += fit->components[i].component->n_files;
	return n;
}

static int change(struct agent *a, const struct graft_layer *layers, size_t n_layers,
	struct graft_report *ret, struct error *reterr)
{
	AUTO_CLOSE int lock_fd = -EBADF;
	struct graft_host host;
	int r;

	r = context_host(a, &host, reterr);
	if (r < 0)
		return r;
	r = graft_lock_dpkg(&host, &lock_fd, reterr);
	if (r < 0)
		return r;
	return graft_change(&host, layers, n_layers, ret, reterr);
}

int attach_fit(struct agent *a, struct fit *fit, struct graft_report *ret, struct error *reterr)
{
	AUTO_FREE struct graft_layer *layers = NULL;
	AUTO_FREE struct graft_file *files = NULL;
	size_t n_layers = 0, n_files = 0;
	int r;

	if (!fit)
		return change(a, NULL, 0, ret, reterr);

	layers = calloc(fit->n_components + 1, sizeof *layers);
	files = calloc(count_files(fit) + 1, sizeof *files);
	if (!layers || !files)
		return -ENOMEM;
	for (size_t i = 0; i < fit->n_components; i++) {
		struct fit_component *c = &fit->components[i];
		size_t n;

		if (c->match.verdict != MATCH_SET)
			continue;
		r = measure_image(a, c);
		if (r < 0)
			return error_set(reterr, r, "%s: %s", c->component->name, error_text(r));
		if (c->image_fd < 0)
			continue;
		n = fill_files(c, files + n_files);
		layers[n_layers++] = (struct graft_layer){.component = c->component->name,
			.digest = c->component->image.digest,
			.image_fd = c->image_fd,
			.files = files + n_files,
			.n_files = n};
		n_files += n;
	}
	return change(a, layers, n_layers, ret, reterr);
}
