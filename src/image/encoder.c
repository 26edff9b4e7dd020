/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/payload.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"

#define OUT_BYTES (128U << 10)
#define FRONT_MAX_BYTES (PAYLOAD_HEAD_BYTES + IMAGE_RECIPE_MAX_BYTES)

/* Jobs of two windows: both cores of a small machine have work from 16 MiB on. */
#define JOB_BYTES (2 << PAYLOAD_WINDOW_LOG)

/* A decoder's context, buffers and output, and the writer; libzstd 1.4 to 1.5 stay below it. */
#define DECODER_FIXED_BYTES (1ULL << 20)

struct payload_encoder {
	ZSTD_CCtx *zstd;
	struct byte_sink sink;
	uint64_t content_left;
	int err;
	uint8_t out[OUT_BYTES];
};

uint64_t payload_memory_of(uint64_t window_bytes, uint64_t recipe_bytes, uint64_t n_extents)
{
	/* the recipe's bytes, and what is decoded from them */
	return DECODER_FIXED_BYTES + window_bytes + 2 * recipe_bytes +
	       n_extents * sizeof(struct image_extent);
}

static uint64_t varint_bytes(uint64_t v)
{
	uint64_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static uint64_t recipe_bytes(const struct image_recipe *recipe)
{
	uint64_t bytes = 8 + recipe->meta_len;

	for (size_t i = 0; i < recipe->n_extents; i++)
		bytes += varint_bytes(recipe->extents[i].length);
	return bytes;
}

uint64_t payload_memory_bytes(const struct image_recipe *recipe)
{
	uint64_t bytes = recipe_bytes(recipe);
	uint64_t window = PAYLOAD_HEAD_BYTES + bytes + image_recipe_content_bytes(recipe);

	if (window > 1U << PAYLOAD_WINDOW_LOG)
		window = 1U << PAYLOAD_WINDOW_LOG;
	return payload_memory_of(window, bytes, recipe->n_extents);
}

static int zstd_error(size_t code)
{
	switch (ZSTD_getErrorCode(code)) {
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	case ZSTD_error_parameter_unsupported:
	case ZSTD_error_parameter_outOfBound:
		return -BSI_E_UNSUPPORTED;
	default:
		return -BSI_E_FORMAT;
	}
}

/* Push data into the frame; with ZSTD_e_end until the frame is whole. */
static int compress(struct payload_encoder *e, const void *data, size_t len, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = {.src = data, .size = len};

	for (;;) {
		ZSTD_outBuffer out = {.dst = e->out, .size = sizeof(e->out)};
		size_t left = ZSTD_compressStream2(e->zstd, &out, &in, end);

		if (ZSTD_isError(left))
			return zstd_error(left);
		if (out.pos > 0) {
			int r = e->sink.write(e->sink.ctx, e->out, out.pos);

			if (r < 0)
				return r;
		}
		if (end == ZSTD_e_end ? left == 0 : in.pos == in.size)
			return 0;
	}
}

static int zstd_setup(ZSTD_CCtx *zstd, int level, unsigned int n_workers, uint64_t pledged)
{
	/* Always worker mode: without workers the bytes are other ones. */
	const struct {
		ZSTD_cParameter name;
		int value;
	} parameters[] = {
		{ZSTD_c_compressionLevel, level},
		{ZSTD_c_windowLog, PAYLOAD_WINDOW_LOG},
		{ZSTD_c_checksumFlag, 0},
		{ZSTD_c_contentSizeFlag, 1},
		{ZSTD_c_nbWorkers, (int)n_workers},
		{ZSTD_c_jobSize, JOB_BYTES},
	};
	size_t code = ZSTD_CCtx_setPledgedSrcSize(zstd, pledged);

	if (ZSTD_isError(code))
		return zstd_error(code);
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		code = ZSTD_CCtx_setParameter(zstd, parameters[i].name, parameters[i].value);
		if (ZSTD_isError(code))
			return zstd_error(code);
	}
	return 0;
}

int payload_encoder_new(const struct image_recipe *recipe, int level, unsigned int n_workers,
	const struct byte_sink *sink, struct payload_encoder **ret)
{
	AUTO(payload_encoder) struct payload_encoder *e = NULL;
	AUTO_DONE(buffer) struct buffer front = buffer_of(FRONT_MAX_BYTES);
	int r;

	if (level < 1 || level > PAYLOAD_LEVEL_MAX || n_workers < 1 || n_workers > INT_MAX)
		return -EINVAL;
	r = image_recipe_check(recipe);
	if (r < 0)
		return r;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->zstd = ZSTD_createCCtx();
	if (!e->zstd)
		return -ENOMEM;
	e->sink = *sink;
	e->content_left = image_recipe_content_bytes(recipe);
	buffer_put(&front, PAYLOAD_MAGIC, PAYLOAD_MAGIC_BYTES);
	buffer_put_u32le(&front, PAYLOAD_FULL_VERSION);
	buffer_put_u32le(&front, (uint32_t)recipe_bytes(recipe));
	buffer_put_u64le(&front, e->content_left);
	r = image_recipe_encode(recipe, &front);
	if (r < 0)
		return r;
	r = zstd_setup(e->zstd, level, n_workers, front.len + e->content_left);
	if (r < 0)
		return r;
	r = compress(e, front.data, front.len, ZSTD_e_continue);
	if (r < 0)
		return r;
	*ret = take_ptr(e);
	return 0;
}

void payload_encoder_free(struct payload_encoder *e)
{
	if (!e)
		return;
	ZSTD_freeCCtx(e->zstd);
	free(e);
}

int payload_encoder_feed(struct payload_encoder *e, const void *content, size_t len)
{
	if (e->err)
		return e->err;
	if (len > e->content_left)
		return e->err = -BSI_E_LIMIT;
	if (len == 0)
		return 0;
	e->err = compress(e, content, len, ZSTD_e_continue);
	e->content_left -= len;
	return e->err;
}

int payload_encoder_finish(struct payload_encoder *e, struct error *reterr)
{
	int r = e->err;

	if (r == 0 && e->content_left > 0)
		return error_set(reterr, -BSI_E_FORMAT,
			"content is missing: %llu bytes have not come",
			(unsigned long long)e->content_left);
	if (r == 0)
		r = compress(e, NULL, 0, ZSTD_e_end);
	if (r < 0)
		return error_set(reterr, r, "the payload cannot be written: %s", error_text(r));
	e->err = -BSI_E_LIMIT; /* nothing may follow */
	return 0;
}
