/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/obtain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/unpack.h"
#include "store/download.h"
#include "store/image.h"
#include "store/load.h"

#define DECODE_ATTEMPTS 2U
#define MEGABYTE 1e6

/* For any base, or for the set that is here. */
static bool is_meant(const struct fit_component *c, const struct payload *p)
{
	return !p->set || strcmp(p->set, c->component->sets[c->match.set].name) == 0;
}

static bool is_usable(const struct agent *a, const struct fit_component *c, const struct payload *p)
{
	return is_meant(c, p) && unpack_is_known(p) &&
	       p->memory_bytes <= a->settings.memory_max_bytes;
}

/* The smallest usable payload that is larger than the one before; NULL if there is none. */
static const struct payload *pick_payload(
	const struct agent *a, const struct fit_component *c, const struct payload *before)
{
	const struct payload *best = NULL;

	for (size_t i = 0; i < c->component->n_payloads; i++) {
		const struct payload *p = &c->component->payloads[i];

		if (!is_usable(a, c, p) || (before && p->size <= before->size))
			continue;
		if (!best || p->size < best->size)
			best = p;
	}
	return best;
}

static bool is_needed(const struct fit_component *c)
{
	return c->match.verdict == MATCH_SET && c->image_fd < 0;
}

void obtain_need(const struct agent *a, const struct fit *fit, struct obtain_need *ret)
{
	*ret = (struct obtain_need){0};
	for (size_t i = 0; i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];
		const struct payload *p;

		if (!is_needed(c))
			continue;
		p = pick_payload(a, c, NULL);
		ret->n_images++;
		ret->image_bytes += c->component->image.size;
		ret->download_bytes += p ? p->size : 0;
	}
}

static void note_unused(const struct agent *a, const struct fit_component *c,
	const struct payload *p, const char *why, const struct payload *taken)
{
	context_note(a, "%s: payload %s (%s) cannot be used: %s%s%s", c->component->name, p->kind,
		p->set ? p->set : "any base", why, taken ? "; taking " : "",
		taken ? taken->kind : "");
}

/*
 * Say of each payload that would be less to load why it is not tried: of those larger than the one
 * before (or NULL) and smaller than the one taken (or NULL).
 */
static void note_passed_over(const struct agent *a, const struct fit_component *c,
	const struct payload *before, const struct payload *taken)
{
	for (size_t i = 0; i < c->component->n_payloads; i++) {
		const struct payload *p = &c->component->payloads[i];
		char why[128];

		if (!is_meant(c, p) || is_usable(a, c, p) || (before && p->size <= before->size) ||
			(taken && p->size >= taken->size))
			continue;
		if (!unpack_is_known(p))
			(void)snprintf(why, sizeof why,
				"this bsi does not know version %" PRIu64 " of that kind",
				p->version);
		else
			(void)snprintf(why, sizeof why,
				"it takes %.1f MB of memory, and %.1f MB are allowed",
				(double)p->memory_bytes / MEGABYTE,
				(double)a->settings.memory_max_bytes / MEGABYTE);
		note_unused(a, c, p, why, taken);
	}
}

/* What may be another thing the next moment: the base files, and what befell the worker. */
static bool is_worth_another_try(int r)
{
	return r == -BSI_E_MISMATCH || r == -BSI_E_WORKER;
}

/*
 * The image out of a payload that is here. A base file that was cut or written to while a delta was
 * made into an image of it may be whole the next moment, and a worker that died may live: once
 * more.
 */
static int decode_payload(struct agent *a, const struct fit_component *c,
	const struct payload *payload, int fd, struct store_image **ret, struct error *reterr)
{
	const struct image_ref *ref = &c->component->image;

	for (unsigned attempt = 1;; attempt++) {
		int r = store_image_begin(a->store, &ref->digest, ref->size, ret, reterr);

		if (r == 0)
			r = unpack(c, payload, fd, *ret, reterr);
		if (!is_worth_another_try(r) || attempt == DECODE_ATTEMPTS)
			return r;
		context_note(a, "%s: payload %s: %s; trying once more", c->component->name,
			payload->kind, reterr->text[0] ? reterr->text : error_text(r));
		store_image_free(take_ptr(*ret));
		*reterr = (struct error){0};
	}
}

static int obtain_by(struct agent *a, struct remote *remote, const struct fit_component *c,
	const struct payload *payload, struct error *reterr)
{
	AUTO(store_image) struct store_image *image = NULL;
	AUTO_CLOSE int fd = -EBADF;
	int r;

	r = remote_payload(remote, payload, &fd, reterr);
	/* nobody wants it any more: what that is about is said by who takes the state again */
	if (r == 0 && store_load_is_stopped(a->store, NULL))
		r = -ECANCELED;
	if (r < 0)
		return r;
	r = decode_payload(a, c, payload, fd, &image, reterr);
	if (r == 0)
		r = store_image_commit(image, reterr);
	/* its digest was right, so the same bytes would fail again: there is nothing to resume */
	if (r < 0 && r != -ENOSPC && store_download_done(a->store, &payload->digest) < 0)
		error_prefix(reterr, "the part file stays");
	return r < 0 ? r : store_download_done(a->store, &payload->digest);
}

static int no_payload(const struct agent *a, struct error *reterr)
{
	return error_set(reterr, -BSI_E_UNSUPPORTED,
		"no payload of a kind that this bsi knows within %" PRIu64
		" MB of memory; a newer bsi may know one",
		a->settings.memory_max_bytes / 1000000);
}

/* A full disk or a lost connection would meet the next payload too. */
static bool is_payloads_own(int r)
{
	return r <= -BSI_E_FORMAT && r != -BSI_E_TRANSFER && r != -BSI_E_BUSY;
}

static int obtain_image(struct agent *a, struct remote *remote, const struct fit_component *c,
	struct error *reterr)
{
	const struct payload *payload = pick_payload(a, c, NULL), *next;
	struct error failed;
	int r;

	note_passed_over(a, c, NULL, payload);
	if (!payload)
		return no_payload(a, reterr);
	for (;;) {
		failed = (struct error){0};
		r = obtain_by(a, remote, c, payload, &failed);
		if (r == 0)
			return 0;
		next = pick_payload(a, c, payload);
		if (!next || !is_payloads_own(r))
			return error_set(reterr, r, "%s",
				failed.code == r && failed.text[0] ? failed.text : error_text(r));
		note_unused(a, c, payload, failed.text[0] ? failed.text : error_text(r), next);
		note_passed_over(a, c, payload, next);
		payload = next;
	}
}

static int obtain_images(struct agent *a, struct remote *remote, const struct fit *fit,
	struct error *reterr)
{
	for (size_t i = 0; i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];
		int r;

		if (!is_needed(c))
			continue;
		r = obtain_image(a, remote, c, reterr);
		if (r < 0) {
			error_prefix(reterr, "%s", c->component->name);
			return r;
		}
	}
	return 0;
}

/* Something to be brought for a letter while the state is not locked. */
struct errand {
	const char *base, *letter;
	uint64_t build;
	int (*go)(struct agent *a, void *ctx, struct error *reterr);
	void *ctx;
};

static int run_errand(struct agent *a, const struct errand *errand, struct error *reterr)
{
	struct error who = {0}, again = {0};
	int r, locked;

	r = store_load_begin(a->store, errand->base, errand->letter, errand->build, reterr);
	if (r < 0)
		return r;
	store_unlock(a->store);
	r = errand->go(a, errand->ctx, reterr);
	locked = context_lock_again(a, &again);
	/* the owner left while this was on its way, and denied it */
	if (locked == 0 && store_load_is_stopped(a->store, &who))
		r = error_set(reterr, -BSI_E_DENIED, "(%s) is not taken: %s came while it was loaded",
			errand->letter, who.text);
	store_load_end(a->store);
	if (locked < 0)
		return error_set(reterr, locked, "(%s) was loaded, and not taken: %s",
			errand->letter, again.text[0] ? again.text : error_text(locked));
	return r < 0 ? r : CONTEXT_AGAIN;
}

struct missing {
	struct remote *remote;
	const struct fit *fit;
};

static int bring_missing(struct agent *a, void *ctx, struct error *reterr)
{
	const struct missing *missing = ctx;

	return obtain_images(a, missing->remote, missing->fit, reterr);
}

int obtain_missing(struct agent *a, struct remote *remote, const struct manifest *m,
	const struct fit *fit, struct error *reterr)
{
	struct missing missing = {remote, fit};
	const struct errand errand = {.base = m->base,
		.letter = m->letter,
		.build = m->build,
		.go = bring_missing,
		.ctx = &missing};

	return run_errand(a, &errand, reterr);
}

struct listed {
	struct remote *remote;
	const struct index_entry *entry;
};

static int bring_manifest(struct agent *a, void *ctx, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = NULL;
	const struct listed *listed = ctx;

	(void)a;
	return remote_manifest(listed->remote, listed->entry, &bytes, &m, reterr);
}

int obtain_manifest(struct agent *a, struct remote *remote, const struct index_entry *entry,
	struct error *reterr)
{
	struct listed listed = {remote, entry};
	const struct errand errand = {.base = remote_index(remote)->base,
		.letter = entry->letter,
		.build = entry->build,
		.go = bring_manifest,
		.ctx = &listed};

	return run_errand(a, &errand, reterr);
}
