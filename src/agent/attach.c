/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "graft/dpkg_lock.h"
#include "graft/package_work.h"
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

/* What one change wants: layers and their files, in one place each. */
struct wish {
	struct graft_layer *layers;
	struct graft_file *files;
	size_t n_layers, n_files;
};

static void wish_done(struct wish *w)
{
	free(w->layers);
	free(w->files);
}

static int wish_init(struct wish *w, const struct fit *fit, const struct graft_state *state)
{
	size_t n_layers = state->n_mounts + 1, n_files = state->n_mounts + 1;

	for (size_t i = 0; fit && i < fit->n_components; i++) {
		n_layers++;
		n_files += fit->components[i].component->n_files;
	}
	w->layers = calloc(n_layers, sizeof *w->layers);
	w->files = calloc(n_files, sizeof *w->files);
	return w->layers && w->files ? 0 : -ENOMEM;
}

static void wish_add(struct wish *w, const char *component, const struct digest *image,
	int image_fd, size_t n_files)
{
	w->layers[w->n_layers++] = (struct graft_layer){.component = component,
		.digest = *image,
		.image_fd = image_fd,
		.files = w->files + w->n_files,
		.n_files = n_files};
	w->n_files += n_files;
}

/* What is held and attached stays: it is wanted just as it lies there. */
static void wish_as_it_is(struct wish *w, const struct graft_state *state,
	const struct gate_hold *hold)
{
	struct graft_file *files = w->files + w->n_files;
	size_t n = 0;

	for (size_t i = 0; i < state->n_mounts; i++) {
		const struct graft_mount *m = &state->mounts[i];

		if (m->visible && strcmp(m->component, hold->component) == 0 &&
			digest_equal(&m->digest, &hold->image))
			files[n++] = (struct graft_file){.path = m->path, .base_fd = -EBADF};
	}
	wish_add(w, hold->component, &hold->image, -EBADF, n);
}

static void wish_component(struct wish *w, const struct fit_component *c)
{
	wish_add(w, c->component->name, &c->component->image.digest, c->image_fd,
		fill_files(c, w->files + w->n_files));
}

/* The owner wants nothing attached in this boot: the improvement stays, and says why it is off. */
static void leave_off(struct fit *fit)
{
	for (size_t i = 0; fit && i < fit->n_components; i++)
		if (fit->components[i].match.verdict == MATCH_SET)
			(void)snprintf(fit->components[i].problem,
				sizeof fit->components[i].problem, AGENT_SWITCHED_OFF_TEXT);
}

/* dpkg may have none of its locks yet, and had everything taken off for its work. */
static int check_package_work(const struct agent *a, struct error *reterr)
{
	pid_t pid = package_work_holder(a->settings.run);

	return pid == 0 ? 0
			: error_set(reterr, -BSI_E_BUSY, "held: package manager at work (process %d)",
				  (int)pid);
}

static int measure_images(struct agent *a, struct fit *fit, struct error *reterr)
{
	int r = 0;

	if (a->settings.flags & AGENT_SWITCHED_OFF) {
		leave_off(fit);
		return 0;
	}
	for (size_t i = 0; fit && r == 0 && i < fit->n_components; i++) {
		if (fit->components[i].match.verdict != MATCH_SET)
			continue;
		r = measure_image(a, &fit->components[i]);
		if (r < 0)
			(void)error_set(reterr, r, "%s: %s", fit->components[i].component->name,
				error_text(r));
	}
	return r;
}

/* Held components first: they are what is attached, so they were there before the others. */
static int make_wish(struct wish *w, const struct fit *fit, const struct graft_state *state,
	const struct gate *gate)
{
	int r = wish_init(w, fit, state);

	for (size_t i = 0; r == 0 && i < gate->n_holds; i++)
		if (gate->holds[i].is_attached)
			wish_as_it_is(w, state, &gate->holds[i]);
	for (size_t i = 0; fit && r == 0 && i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		if (c->match.verdict == MATCH_SET && c->image_fd >= 0 &&
			!gate_find(gate, c->component->name))
			wish_component(w, c);
	}
	return r;
}

void attach_outcome_done(struct attach_outcome *o)
{
	gate_done(&o->gate);
}

int attach_fit(struct agent *a, struct fit *fit, enum gate_flags flags, struct attach_outcome *ret,
	struct error *reterr)
{
	__attribute__((cleanup(wish_done))) struct wish wish = {0};
	AUTO(graft_state) struct graft_state *state = NULL;
	AUTO_DONE(kept) struct kept kept = {0};
	AUTO_CLOSE int lock_fd = -EBADF;
	struct graft_host host;
	int r;

	*ret = (struct attach_outcome){0};
	r = measure_images(a, fit, reterr);
	if (r == 0)
		r = context_host(a, &host, reterr);
	if (r == 0)
		r = graft_state_read(&host, &state, reterr);
	if (r == 0)
		r = kept_load(a, &kept);
	if (r == 0)
		r = gate_look(a, fit, state, &kept, flags, &ret->gate, reterr);
	if (r == 0)
		r = make_wish(&wish, fit, state, &ret->gate);
	if (r == 0)
		r = check_package_work(a, reterr);
	if (r == 0)
		r = graft_lock_dpkg(&host, &lock_fd, reterr);
	return r < 0 ? r
		     : graft_change(&host, wish.layers, wish.n_layers, &ret->graft, reterr);
}
