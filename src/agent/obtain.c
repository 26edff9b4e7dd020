/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/obtain.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/payload.h"
#include "store/download.h"
#include "store/image.h"

#define CHUNK_BYTES 65536

/* The smallest payload that this program can decode within its memory; NULL if there is none. */
static const struct payload *pick_payload(const struct component *component)
{
	const struct payload *best = NULL;

	for (size_t i = 0; i < component->n_payloads; i++) {
		const struct payload *p = &component->payloads[i];

		if (strcmp(p->kind, PAYLOAD_FULL_KIND) != 0 || p->version != PAYLOAD_FULL_VERSION ||
			p->memory_bytes > OBTAIN_MEMORY_MAX_BYTES)
			continue;
		if (!best || p->size < best->size)
			best = p;
	}
	return best;
}

static bool is_needed(struct store *store, const struct fit_component *c)
{
	return c->match.verdict == MATCH_SET && !store_has_image(store, &c->component->image.digest);
}

void obtain_need(struct store *store, const struct fit *fit, struct obtain_need *ret)
{
	*ret = (struct obtain_need){0};
	for (size_t i = 0; i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];
		const struct payload *p = pick_payload(c->component);

		if (!is_needed(store, c))
			continue;
		ret->n_images++;
		ret->image_bytes += c->component->image.size;
		ret->download_bytes += p ? p->size : 0;
	}
}

static int decode(int payload_fd, const struct component *component, const struct payload *payload,
	struct store_image *image, struct error *reterr)
{
	const struct image_ref *ref = &component->image;
	struct image_sink sink = {.ctx = image, .write = store_image_write};
	AUTO(payload_decoder) struct payload_decoder *decoder = NULL;
	struct image_seal seal;
	uint8_t chunk[CHUNK_BYTES];
	off_t at = 0;
	ssize_t n;
	int r;

	r = payload_decoder_new(payload->memory_bytes, ref->size, ref->salt, &sink, &decoder);
	if (r < 0)
		return r;
	while ((n = pread(payload_fd, chunk, sizeof chunk, at)) > 0) {
		r = payload_decoder_feed(decoder, chunk, (size_t)n, reterr);
		if (r < 0)
			return r;
		at += n;
	}
	if (n < 0)
		return -errno;
	r = payload_decoder_finish(decoder, &seal, reterr);
	if (r < 0)
		return r;
	if (seal.image_bytes != ref->size || seal.tree_offset != ref->tree_offset ||
		!digest_equal(&seal.root, &ref->root))
		return error_set(reterr, -BSI_E_UNSEALED,
			"the image that came out does not carry the signed seal");
	return 0;
}

/* The read-only descriptor of a committed image: the file that the commit measured, no other. */
static int open_committed(struct store *store, const struct store_image *image,
	const struct digest *digest, int *ret_fd)
{
	AUTO_CLOSE int fd = -EBADF;
	struct stat measured, opened;
	int r;

	r = store_image_open(store, digest, &fd);
	if (r < 0)
		return r;
	if (fstat(store_image_fd(image), &measured) < 0 || fstat(fd, &opened) < 0)
		return -errno;
	if (measured.st_dev != opened.st_dev || measured.st_ino != opened.st_ino)
		return -BSI_E_UNSEALED;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int obtain_image(struct store *store, struct remote *remote,
	const struct component *component, int *ret_fd, struct error *reterr)
{
	const struct payload *payload = pick_payload(component);
	AUTO(store_image) struct store_image *image = NULL;
	AUTO_CLOSE int fd = -EBADF;
	int r;

	if (!payload)
		return error_set(reterr, -BSI_E_UNSUPPORTED,
			"no payload of a kind that this bsi knows within %" PRIu64
			" MB of memory; a newer bsi may know one",
			OBTAIN_MEMORY_MAX_BYTES >> 20);
	r = remote_payload(remote, payload, &fd, reterr);
	if (r < 0)
		return r;
	r = store_image_begin(store, &component->image.digest, component->image.size, &image,
		reterr);
	if (r < 0)
		return r;
	r = decode(fd, component, payload, image, reterr);
	if (r == 0)
		r = store_image_commit(image, reterr);
	/* its digest was right, so the same bytes would fail again: there is nothing to resume */
	if (r < 0 && r != -ENOSPC && store_download_done(store, &payload->digest) < 0)
		(void)error_prefix(reterr, "the part file stays");
	if (r < 0)
		return r;
	r = open_committed(store, image, &component->image.digest, ret_fd);
	if (r < 0)
		return r;
	return store_download_done(store, &payload->digest);
}

int obtain_images(struct store *store, struct remote *remote, struct fit *fit,
	struct error *reterr)
{
	for (size_t i = 0; i < fit->n_components; i++) {
		struct fit_component *c = &fit->components[i];
		int r;

		if (!is_needed(store, c))
			continue;
		r = obtain_image(store, remote, c->component, &c->image_fd, reterr);
		if (r < 0) {
			if (reterr && (reterr->code != r || reterr->text[0] == '\0'))
				(void)error_set(reterr, r, "%s", error_text(r));
			(void)error_prefix(reterr, "%s", c->component->name);
			return r;
		}
	}
	return 0;
}
