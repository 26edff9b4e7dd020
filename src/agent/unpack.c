/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/worker.h"
#include "base/checked.h"
#include "base/file.h"
#include "delta/decode.h"
#include "image/payload.h"
#include "image/writer.h"

#define CHUNK_BYTES 65536

/* Processor time: this much, and a second for so much of the image; decoders take a hundredth of
 * it. */
#define PROCESSOR_BASE_S 60U
#define PROCESSOR_BYTES_S 65536U

/* What the worker has: descriptors, and what its caller's memory says about them. */
struct unpack_work {
	const struct fit_component *c;
	const struct payload *payload;
	int payload_fd, image_fd;
};

bool unpack_is_known(const struct payload *payload)
{
	if (strcmp(payload->kind, PAYLOAD_FULL_KIND) == 0)
		return payload->version == PAYLOAD_FULL_VERSION;
	return strcmp(payload->kind, PAYLOAD_KIND_DELTA) == 0 && payload->version == DELTA_VERSION;
}

static int write_image(void *ctx, uint64_t offset, const void *data, size_t len)
{
	const struct unpack_work *w = ctx;
	uint64_t end;

	if (!checked_add(offset, len, &end) || end > w->c->component->image.size)
		return -BSI_E_LIMIT;
	return file_pwrite_all(w->image_fd, data, len, offset);
}

static int decode_full(struct unpack_work *w, struct image_seal *ret, struct error *reterr)
{
	const struct image_ref *ref = &w->c->component->image;
	struct image_sink sink = {.ctx = w, .write = write_image};
	AUTO(payload_decoder) struct payload_decoder *decoder = NULL;
	uint8_t chunk[CHUNK_BYTES];
	off_t at = 0;
	ssize_t n;
	int r;

	r = payload_decoder_new(w->payload->memory_bytes, ref->size, ref->salt, &sink, &decoder);
	if (r < 0)
		return r;
	while ((n = pread(w->payload_fd, chunk, sizeof chunk, at)) > 0) {
		r = payload_decoder_feed(decoder, chunk, (size_t)n, reterr);
		if (r < 0)
			return r;
		at += n;
	}
	if (n < 0)
		return -errno;
	return payload_decoder_finish(decoder, ret, reterr);
}

/* A delta's contents are the image's extents in order; beside them stands the image's recipe. */
struct delta_work {
	struct unpack_work *work;
	struct image_recipe recipe;
	struct image_writer *writer;
	off_t at;
};

static void delta_work_done(struct delta_work *w)
{
	image_writer_free(w->writer);
	image_recipe_done(&w->recipe);
}

static int64_t read_payload(void *ctx, void *into, size_t len)
{
	struct delta_work *w = ctx;
	ssize_t n = pread(w->work->payload_fd, into, len, w->at);

	if (n < 0)
		return -errno;
	w->at += n;
	return n;
}

static int take_meta(void *ctx, const uint8_t *meta, size_t len, const struct delta_header *h,
	struct error *reterr)
{
	struct delta_work *w = ctx;
	const struct image_ref *ref = &w->work->c->component->image;
	struct image_sink sink = {.ctx = w->work, .write = write_image};
	int r;

	r = image_recipe_decode(meta, len, &w->recipe);
	if (r < 0)
		return error_set(reterr, r, "the image's recipe: %s", error_text(r));
	if (image_recipe_image_bytes(&w->recipe) != ref->size ||
		image_recipe_content_bytes(&w->recipe) != h->output_bytes)
		return error_set(reterr, -BSI_E_FORMAT,
			"the delta makes an image of another size than was signed");
	return image_writer_new(&w->recipe, ref->salt, &sink, &w->writer);
}

/* The base file that the delta names, whole. Its digest is compared by who asked. */
static int load_base(void *ctx, uint32_t index, const struct delta_reference *reference,
	uint8_t *into, struct error *reterr)
{
	const struct delta_work *w = ctx;
	const struct component *component = w->work->c->component;
	uint64_t at = 0;
	int fd = -EBADF;

	(void)index;
	for (size_t k = 0; k < component->n_files; k++)
		if (strcmp(component->files[k].path, reference->path) == 0)
			fd = w->work->c->files[k];
	if (fd < 0)
		return error_set(reterr, -BSI_E_MISMATCH, "the delta wants a base file \"%s\"",
			reference->path);
	while (at < reference->bytes) {
		ssize_t n = pread(fd, into + at, (size_t)(reference->bytes - at), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(reterr, n < 0 ? -errno : -BSI_E_MISMATCH, "%s: %s",
				reference->path,
				n < 0 ? error_text(-errno) : "shorter than it was");
		at += (uint64_t)n;
	}
	return 0;
}

static int take_content(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct delta_work *w = ctx;

	(void)offset; /* contents come in order */
	return image_writer_feed(w->writer, data, len);
}

static int decode_delta(struct unpack_work *w, struct image_seal *ret, struct error *reterr)
{
	__attribute__((cleanup(delta_work_done))) struct delta_work work = {.work = w};
	const struct delta_source source = {.ctx = &work, .read = read_payload};
	const struct delta_io io = {
		.ctx = &work, .meta = take_meta, .load = load_base, .write = take_content};
	int r;

	r = delta_decode(&source, w->payload->memory_bytes, &io, reterr);
	if (r == 0 && !work.writer)
		r = error_set(reterr, -BSI_E_FORMAT, "the delta carries no recipe of an image");
	return r < 0 ? r : image_writer_finish(work.writer, ret, reterr);
}

static bool is_delta(const struct payload *payload)
{
	return strcmp(payload->kind, PAYLOAD_KIND_DELTA) == 0;
}

/* In the worker. The seal that comes out here is dropped: nobody would believe it. */
static int decode(void *ctx, struct error *reterr)
{
	struct unpack_work *w = ctx;
	struct image_seal seal;

	return is_delta(w->payload) ? decode_delta(w, &seal, reterr)
				    : decode_full(w, &seal, reterr);
}

/* The same file with no more rights than are needed of it. */
static int open_again(int fd, int flags)
{
	char link[64];
	int again;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	again = open(link, flags | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

static int run_worker(struct unpack_work *w, struct error *reterr)
{
	const struct component *component = w->c->component;
	size_t n_fds = 2 + (is_delta(w->payload) ? component->n_files : 0);
	AUTO_FREE int *fds = calloc(n_fds, sizeof *fds);
	const struct worker_task task = {.name = UNPACK_WORKER,
		.work = decode,
		.ctx = w,
		.fds = fds,
		.n_fds = n_fds,
		.limits = {.memory_bytes = w->payload->memory_bytes + UNPACK_MARGIN_BYTES,
			.file_bytes = component->image.size,
			.processor_s =
				PROCESSOR_BASE_S + component->image.size / PROCESSOR_BYTES_S}};

	if (!fds)
		return -ENOMEM;
	fds[0] = w->payload_fd;
	fds[1] = w->image_fd;
	for (size_t i = 2; i < n_fds; i++)
		fds[i] = w->c->files[i - 2];
	return worker_run(&task, reterr);
}

/* The codes that decoding has, so that no other makes the caller believe something else. */
static bool is_of_decoding(int code)
{
	switch (-code) {
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case BSI_E_FORMAT:
	case BSI_E_LIMIT:
	case BSI_E_VERSION:
	case BSI_E_DIGEST:
	case BSI_E_MISMATCH:
	case BSI_E_UNSUPPORTED:
	case BSI_E_WORKER:
		return true;
	default:
		return false;
	}
}

static int read_image(void *ctx, uint64_t offset, void *data, size_t len)
{
	const int *fd = ctx;

	return file_pread_all(*fd, data, len, offset);
}

static int check_seal(const struct image_ref *ref, int image_fd, struct error *reterr)
{
	struct image_seal seal = {
		.root = ref->root, .tree_offset = ref->tree_offset, .image_bytes = ref->size};
	const struct image_source source = {.ctx = &image_fd, .read = read_image};
	struct error why = {0};
	int r;

	memcpy(seal.salt, ref->salt, sizeof seal.salt);
	r = image_tree_verify(&source, &seal, &why);
	if (r == -BSI_E_UNSEALED)
		return error_set(reterr, r,
			"the image that came out does not carry the signed seal: %s", why.text);
	return r < 0 ? error_set(reterr, r, "the image that came out cannot be measured: %s",
			       why.text[0] ? why.text : error_text(r))
		     : 0;
}

int unpack(const struct fit_component *c, const struct payload *payload, int payload_fd,
	struct store_image *image, struct error *reterr)
{
	AUTO_CLOSE int from = open_again(payload_fd, O_RDONLY);
	AUTO_CLOSE int to = open_again(store_image_fd(image), O_WRONLY);
	struct unpack_work work = {.c = c, .payload = payload, .payload_fd = from, .image_fd = to};
	struct error why = {0};
	int r;

	if (from < 0 || to < 0)
		return error_set(reterr, from < 0 ? from : to,
			"payload and image cannot be opened for " UNPACK_WORKER ": %s",
			error_text(from < 0 ? from : to));
	r = run_worker(&work, &why);
	if (r == 0)
		return check_seal(&c->component->image, store_image_fd(image), reterr);
	return error_set(reterr, is_of_decoding(r) ? r : -BSI_E_WORKER, "%s",
		why.text[0] ? why.text : error_text(r));
}
