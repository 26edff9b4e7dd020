/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/images.h"
#include "agent/sealing.h"
#include "agent/status.h"
#include "base/bytes.h"
#include "graft/dpkg_lock.h"
#include "graft/held.h"
#include "graft/kernel.h"
#include "graft/package_work.h"
#include "graft/sealing.h"

#define ACTIVATIONS_MAX_BYTES (1U << 20) /* a line for each file that is mounted, and more */

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
	struct graft_proof *proofs; /* room for one for each layer */
	size_t n_layers, n_files;
	enum graft_layer_flags flags; /* of what is attached anew */
};

static void wish_done(struct wish *w)
{
	free(w->layers);
	free(w->files);
	free(w->proofs);
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
	w->proofs = calloc(n_layers, sizeof *w->proofs);
	return w->layers && w->files && w->proofs ? 0 : -ENOMEM;
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

/* What lies there and stays is wanted just as it is. */
static void wish_as_it_is(struct wish *w, const struct graft_state *state, const char *component,
	const struct digest *image)
{
	struct graft_file *files = w->files + w->n_files;
	size_t n = 0;

	for (size_t i = 0; i < state->n_mounts; i++) {
		const struct graft_mount *m = &state->mounts[i];

		if (m->visible && strcmp(m->component, component) == 0 &&
			digest_equal(&m->digest, image))
			files[n++] = (struct graft_file){.path = m->path, .base_fd = -EBADF};
	}
	if (n > 0)
		wish_add(w, component, image, -EBADF, n);
}

_Static_assert(MANIFEST_SALT_BYTES == GRAFT_SALT_BYTES, "one salt");

static void wish_component(struct wish *w, const struct fit_component *c)
{
	const struct image_ref *ref = &c->component->image;
	struct graft_proof *proof = &w->proofs[w->n_layers];
	struct graft_layer *layer = &w->layers[w->n_layers];

	*proof = (struct graft_proof){
		.root = ref->root, .tree_offset = ref->tree_offset, .fs_verity = ref->fs_verity};
	memcpy(proof->salt, ref->salt, sizeof proof->salt);
	wish_add(w, c->component->name, &ref->digest, c->image_fd,
		fill_files(c, w->files + w->n_files));
	layer->proof = proof;
	layer->flags = w->flags;
}

/* Nothing of it is to be attached in this boot: it stays the installed one, and says why it is off. */
static void leave_off(struct fit *fit, const char *why, bool is_barred)
{
	for (size_t i = 0; fit && i < fit->n_components; i++) {
		struct fit_component *c = &fit->components[i];

		if (c->match.verdict != MATCH_SET)
			continue;
		c->is_barred = is_barred;
		(void)snprintf(c->problem, sizeof c->problem, "%s", why);
	}
}

/* This boot gave it up. A boot decides anew, and its owner may insist. */
static bool is_left_out(const struct agent *a, const struct fit *fit)
{
	uint64_t build = fit ? status_left_out(a) : 0;

	return build != 0 && fit->manifest->build == build &&
	       !(a->settings.flags & (AGENT_BOOT | AGENT_ASKED));
}

int attach_check_packages(const struct agent *a, struct error *reterr)
{
	pid_t pid = package_work_holder(a->settings.run);

	return pid == 0 ? 0
			: error_set(reterr, -BSI_E_BUSY, "held: package manager at work (process %d)",
				  (int)pid);
}

static int measure_images(struct agent *a, struct fit *fit, struct error *reterr)
{
	char why[FIT_PROBLEM_MAX];
	int r = 0;

	if (a->settings.why_off) {
		leave_off(fit, a->settings.why_off, false);
		return 0;
	}
	if (is_left_out(a, fit)) {
		(void)snprintf(why, sizeof why, AGENT_GAVE_UP_FORMAT, fit->manifest->letter);
		leave_off(fit, why, true);
		context_note(a, "(%s): %s", fit->manifest->letter, why);
		return 0;
	}
	for (size_t i = 0; fit && r == 0 && i < fit->n_components; i++)
		r = images_measure(a, &fit->components[i], reterr);
	return r;
}

/*
 * Held components first: they are what is attached, so they were there before the others. An image
 * that is attached and whose file went missing or bad stays attached: what is mounted was measured.
 */
static int make_wish(struct wish *w, const struct fit *fit, const struct graft_state *state,
	const struct gate *gate)
{
	int r = wish_init(w, fit, state);

	for (size_t i = 0; r == 0 && i < gate->n_holds; i++)
		if (gate->holds[i].is_attached)
			wish_as_it_is(w, state, gate->holds[i].component, &gate->holds[i].image);
	for (size_t i = 0; fit && r == 0 && i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		if (c->match.verdict != MATCH_SET || c->is_barred ||
			gate_find(gate, c->component->name))
			continue;
		if (c->image_fd >= 0 && c->problem[0] == '\0')
			wish_component(w, c);
		else
			wish_as_it_is(w, state, c->component->name, &c->component->image.digest);
	}
	return r;
}

static void say_activation(struct buffer *text, const char *component, const struct digest *image,
	const struct fit *fit, const struct kept *kept)
{
	const struct component *was = kept_component(kept, component, image);
	enum activation activation = was ? was->activation : ACTIVATION_LIVE;

	for (size_t i = 0; fit && i < fit->n_components; i++) {
		const struct component *c = fit->components[i].component;

		if (strcmp(c->name, component) == 0 && digest_equal(&c->image.digest, image) &&
			c->activation > activation)
			activation = c->activation;
	}
	if (activation != ACTIVATION_LIVE)
		buffer_printf(text, "%s %s-%s\n", activation_text(activation), component,
			digest_format(image).text);
}

/* What lies there and what comes, for those who know no manifest: before it is attached. */
static int leave_activations(const struct agent *a, const struct wish *wish, const struct fit *fit,
	const struct graft_state *state, const struct kept *kept, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(ACTIVATIONS_MAX_BYTES);
	int r;

	for (size_t i = 0; i < state->n_mounts; i++)
		say_activation(&text, state->mounts[i].component, &state->mounts[i].digest, fit, kept);
	for (size_t i = 0; i < wish->n_layers; i++)
		say_activation(&text, wish->layers[i].component, &wish->layers[i].digest, fit, kept);
	buffer_put_u8(&text, '\0');
	r = text.err;
	if (r == 0)
		r = held_save(a->settings.run, (const char *)text.data);
	return r == 0 ? 0
		      : error_set(reterr, r, "%s/" HELD_NAME " cannot be written: %s", a->settings.run,
				error_text(r));
}

void attach_outcome_done(struct attach_outcome *o)
{
	gate_done(&o->gate);
}

/* Where the kernel cannot do it at all, that is what there is to say, and not at which file. */
static int explain(int r, struct error *reterr)
{
	struct error why = {0};
	int known = kernel_check(&why);

	return known < 0 ? error_set(reterr, known, "%s", why.text) : r;
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
		r = sealing_bar(a, fit, reterr);
	if (r == 0)
		r = context_host(a, &host, reterr);
	if (r == 0)
		r = graft_state_read(&host, &state, reterr);
	if (r == 0)
		r = kept_load(a, &kept);
	if (r == 0)
		r = gate_look(a, fit, state, &kept, flags, &ret->gate, reterr);
	wish.flags = sealing_is_required(a) ? GRAFT_LAYER_SEALED : 0;
	if (r == 0)
		r = make_wish(&wish, fit, state, &ret->gate);
	if (r == 0)
		r = leave_activations(a, &wish, fit, state, &kept, reterr);
	if (r == 0)
		r = sealing_prepare(&host, wish.layers, wish.n_layers, reterr);
	if (r == 0)
		r = attach_check_packages(a, reterr);
	if (r == 0)
		r = graft_lock_dpkg(&host, &lock_fd, reterr);
	if (r < 0)
		return r;
	r = graft_change(&host, wish.layers, wish.n_layers, &ret->graft, reterr);
	if (r < 0 && wish.n_layers > 0)
		r = explain(r, reterr);
	return r;
}
