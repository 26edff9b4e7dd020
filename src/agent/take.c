/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/take.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/images.h"
#include "agent/obtain.h"
#include "agent/switch.h"
#include "store/generation.h"

#define MEGABYTE 1e6

static void note_need(const struct agent *a, const struct fit *fit)
{
	struct obtain_need need;

	obtain_need(a, fit, &need);
	if (need.n_images == 0)
		return;
	context_note(a, "brings %zu image%s: %.1f %s to load, %.1f MB of disk", need.n_images,
		need.n_images == 1 ? "" : "s",
		(double)need.download_bytes / (need.download_bytes < 1000000 ? 1e3 : MEGABYTE),
		need.download_bytes < 1000000 ? "kB" : "MB",
		(double)(need.image_bytes + need.download_bytes) / MEGABYTE);
}

/* The components that are attached: they fit, and their image is in the store. */
static int write_generation(struct agent *a, const struct manifest *m, const struct buffer *bytes,
	const struct fit *fit, uint64_t *ret_number, struct error *reterr)
{
	AUTO_FREE struct generation_component *components =
		calloc(fit->n_components + 1, sizeof *components);
	struct generation g = {.base = m->base,
		.letter = m->letter,
		.build = m->build,
		.created_utc_s = a->settings.now_utc_s,
		.components = components,
		.manifest = bytes->data,
		.manifest_len = bytes->len};

	if (!components)
		return -ENOMEM;
	for (size_t i = 0; i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		if (c->match.verdict == MATCH_SET)
			components[g.n_components++] = (struct generation_component){
				.name = c->component->name,
				.image = c->component->image.digest,
				.set = c->component->sets[c->match.set].name};
	}
	return store_generation_write(a->store, &g, ret_number, reterr);
}

static bool is_same_component(const struct generation_component *g, const struct fit_component *c)
{
	return strcmp(g->name, c->component->name) == 0 &&
	       digest_equal(&g->image, &c->component->image.digest) && g->set &&
	       strcmp(g->set, c->component->sets[c->match.set].name) == 0;
}

/* Whether a generation already says what write_generation() would write. */
static bool is_same_generation(const struct generation *g, const struct buffer *bytes,
	const struct fit *fit)
{
	size_t n = 0;

	if (!g || g->manifest_len != bytes->len ||
		memcmp(g->manifest, bytes->data, bytes->len) != 0)
		return false;
	for (size_t i = 0; i < fit->n_components; i++) {
		if (fit->components[i].match.verdict != MATCH_SET)
			continue;
		if (n >= g->n_components ||
			!is_same_component(&g->components[n], &fit->components[i]))
			return false;
		n++;
	}
	return n == g->n_components;
}

/* Nothing of the improvement fits, and something of it should: nothing is taken. */
static int refuse_mismatch(const struct manifest *m, const struct fit *fit, struct error *reterr)
{
	const struct fit_component *open = NULL;

	for (size_t i = 0; i < fit->n_components; i++) {
		if (fit->components[i].match.verdict == MATCH_SET)
			return 0;
		if (fit->components[i].match.verdict == MATCH_MISMATCH && !open)
			open = &fit->components[i];
	}
	if (!open)
		return 0;
	return error_set(reterr, -BSI_E_MISMATCH, "(%s) does not fit this device: %s: %s", m->letter,
		open->component->name, open->match.reason);
}

/* Make this manifest what the device has; where something is missing only that is brought. */
static int take_manifest(struct agent *a, struct remote *remote, const struct manifest *m,
	const struct buffer *bytes, struct graft_report *ret, struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(fit) struct fit *fit = NULL;
	uint64_t number;
	int r;

	r = context_check_mounts(a, reterr);
	if (r == 0)
		r = fit_measure(a->root_fd, m, &fit, reterr);
	if (r == 0)
		r = refuse_mismatch(m, fit, reterr);
	for (size_t i = 0; r == 0 && i < fit->n_components; i++)
		r = images_measure(a, &fit->components[i], reterr);
	if (r < 0)
		return r;
	if (!images_are_whole(fit)) {
		note_need(a, fit);
		return obtain_missing(a, remote, m, fit, reterr);
	}
	r = context_installed_or_none(a, &installed);
	if (r < 0)
		return r;
	if (is_same_generation(installed.generation, bytes, fit))
		number = installed.generation->number;
	else
		r = write_generation(a, m, bytes, fit, &number, reterr);
	return r < 0 ? r : switch_to(a, number, SWITCH_ON, fit, ret, reterr);
}

int take_entry(struct agent *a, struct remote *remote, const struct index_entry *entry,
	struct graft_report *ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = NULL;
	int r;

	if (!remote_has_manifest(remote, entry))
		return obtain_manifest(a, remote, entry, reterr);
	r = remote_manifest(remote, entry, &bytes, &m, reterr);
	return r < 0 ? r : take_manifest(a, remote, m, &bytes, ret, reterr);
}

static int take_installed(struct agent *a, struct remote *remote, struct installed *installed,
	struct graft_report *ret, struct error *reterr)
{
	AUTO(fit) struct fit *fit = NULL;
	struct buffer bytes;
	int r;

	if (remote) {
		bytes = (struct buffer){.data = installed->generation->manifest,
			.len = installed->generation->manifest_len};
		return take_manifest(a, remote, installed->manifest, &bytes, ret, reterr);
	}
	r = fit_measure(a->root_fd, installed->manifest, &fit, reterr);
	if (r < 0)
		return r;
	return switch_to(a, installed->generation->number, SWITCH_ON, fit, ret, reterr);
}

/* The operating system became another one: a letter of the one before is none of its. */
static int retire(struct agent *a, const struct manifest *m, struct graft_report *ret,
	struct error *reterr)
{
	char reason[ERROR_TEXT_MAX];
	int r;

	(void)snprintf(reason, sizeof reason, "(%s) is for %s; this device is %s now", m->letter,
		m->base, a->device->base);
	context_note(a, "%s", reason);
	r = switch_to(a, 0, SWITCH_BACK, NULL, ret, reterr);
	if (r == 0)
		context_history(a, "retired", m->letter, reason);
	return r;
}

int take_current(struct agent *a, struct remote *remote, struct graft_report *ret,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	struct withdrawn withdrawn;
	int r;

	r = context_installed(a, &installed, reterr);
	if (r == 0 && !installed.manifest)
		return switch_to(a, 0, SWITCH_BACK, NULL, ret, reterr);
	/* before anything is asked of an index, which is for the new one or for none */
	if (r == 0 && strcmp(installed.manifest->base, a->device->base) != 0)
		return retire(a, installed.manifest, ret, reterr);
	if (r == 0)
		r = context_withdrawn(a, installed.manifest, remote ? remote_index(remote) : NULL,
			&withdrawn, reterr);
	if (r < 0)
		return r;
	if (withdrawn.action != WITHDRAW_REMOVE) {
		r = take_installed(a, remote, &installed, ret, reterr);
		/* what no longer fits goes off; that is no failure of this run */
		return r == -BSI_E_MISMATCH && remote ? take_current(a, NULL, ret, reterr) : r;
	}
	context_note(a, "%s", withdrawn.reason);
	r = switch_to(a, 0, SWITCH_BACK, NULL, ret, reterr);
	if (r == 0)
		context_history(a, "withdrawn", installed.manifest->letter, withdrawn.reason);
	return r;
}
