/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/payload.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"
#include "image/frame.h"
#include "image/writer.h"

#define OUT_BYTES (128U << 10)

enum decoder_state {
	DECODER_FRAME_HEADER,
	DECODER_HEAD,
	DECODER_RECIPE,
	DECODER_CONTENT,
};

struct payload_decoder {
	uint64_t memory_max, image_bytes_max;
	uint8_t salt[IMAGE_SALT_BYTES];
	struct image_sink sink;
	ZSTD_DCtx *zstd;
	struct frame_header frame;
	enum decoder_state state;
	bool frame_ended;
	int err;
	struct error why;                  /* the words of err */
	uint8_t front[PAYLOAD_HEAD_BYTES]; /* frame header, then head, as they come */
	size_t front_len;
	uint8_t *raw; /* the recipe as it comes */
	size_t raw_len, raw_wanted;
	uint64_t content_bytes;
	struct image_recipe recipe;
	struct image_writer *writer;
	uint8_t out[OUT_BYTES];
};
_Static_assert(FRAME_HEADER_MAX_BYTES <= PAYLOAD_HEAD_BYTES, "front holds either");

int payload_decoder_new(uint64_t memory_max, uint64_t image_bytes_max,
	const uint8_t salt[static IMAGE_SALT_BYTES], const struct image_sink *sink,
	struct payload_decoder **ret)
{
	AUTO(payload_decoder) struct payload_decoder *d = calloc(1, sizeof(*d));
	size_t code;

	if (!d)
		return -ENOMEM;
	d->zstd = ZSTD_createDCtx();
	if (!d->zstd)
		return -ENOMEM;
	code = ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, PAYLOAD_WINDOW_LOG);
	if (ZSTD_isError(code))
		return -BSI_E_UNSUPPORTED;
	d->memory_max = memory_max;
	d->image_bytes_max = image_bytes_max;
	memcpy(d->salt, salt, IMAGE_SALT_BYTES);
	d->sink = *sink;
	*ret = take_ptr(d);
	return 0;
}

void payload_decoder_free(struct payload_decoder *d)
{
	if (!d)
		return;
	image_writer_free(d->writer);
	image_recipe_done(&d->recipe);
	free(d->raw);
	ZSTD_freeDCtx(d->zstd);
	free(d);
}

static int memory_check(struct payload_decoder *d, uint64_t n_extents)
{
	uint64_t needed = payload_memory_of(d->frame.window_bytes, d->raw_wanted, n_extents);

	if (needed <= d->memory_max)
		return 0;
	return error_set(&d->why, -BSI_E_LIMIT,
		"the payload needs %llu bytes of memory; %llu are allowed",
		(unsigned long long)needed, (unsigned long long)d->memory_max);
}

static int frame_check(struct payload_decoder *d)
{
	if (d->frame.window_bytes > 1U << PAYLOAD_WINDOW_LOG)
		return error_set(&d->why, -BSI_E_LIMIT,
			"the payload wants a window of %llu bytes; %u are allowed",
			(unsigned long long)d->frame.window_bytes, 1U << PAYLOAD_WINDOW_LOG);
	return memory_check(d, 0);
}

static int head_decode(struct payload_decoder *d)
{
	struct reader r = reader_of(d->front, PAYLOAD_HEAD_BYTES);
	const uint8_t *magic = reader_take(&r, PAYLOAD_MAGIC_BYTES);
	uint32_t version = reader_u32le(&r);
	uint32_t recipe_bytes = reader_u32le(&r);
	int e;

	d->content_bytes = reader_u64le(&r);
	e = reader_finish(&r);
	if (e < 0 || memcmp(magic, PAYLOAD_MAGIC, PAYLOAD_MAGIC_BYTES) != 0)
		return error_set(&d->why, -BSI_E_FORMAT, "this is no payload of kind \"%s\"",
			PAYLOAD_FULL_KIND);
	if (version != PAYLOAD_FULL_VERSION)
		return error_set(&d->why, -BSI_E_VERSION,
			"payload \"%s\" version %u is not known here; version %u is",
			PAYLOAD_FULL_KIND, version, PAYLOAD_FULL_VERSION);
	if (recipe_bytes > IMAGE_RECIPE_MAX_BYTES || d->content_bytes > IMAGE_DATA_MAX_BYTES)
		return error_set(
			&d->why, -BSI_E_LIMIT, "the payload is larger than an image may be");
	if (d->frame.content_bytes != PAYLOAD_HEAD_BYTES + recipe_bytes + d->content_bytes)
		return error_set(
			&d->why, -BSI_E_FORMAT, "the payload's sizes contradict each other");
	d->raw_wanted = recipe_bytes;
	e = memory_check(d, 0);
	if (e < 0)
		return e;
	d->raw = malloc(d->raw_wanted + 1);
	if (!d->raw)
		return error_set(&d->why, -ENOMEM, "out of memory for the recipe");
	d->state = DECODER_RECIPE;
	return 0;
}

static int recipe_begin(struct payload_decoder *d)
{
	struct reader r = reader_of(d->raw, d->raw_len);
	int e;

	(void)reader_u32le(&r); /* the metadata's size; the recipe's decoder checks it */
	e = memory_check(d, reader_u32le(&r));
	if (e < 0)
		return e;
	e = image_recipe_decode(d->raw, d->raw_len, &d->recipe);
	if (e < 0)
		return error_set(&d->why, e, "the payload's recipe: %s", error_text(e));
	free(d->raw);
	d->raw = NULL;
	if (image_recipe_content_bytes(&d->recipe) != d->content_bytes)
		return error_set(
			&d->why, -BSI_E_FORMAT, "the payload's sizes contradict each other");
	if (image_recipe_image_bytes(&d->recipe) > d->image_bytes_max)
		return error_set(&d->why, -BSI_E_LIMIT,
			"the payload makes an image of %llu bytes; %llu were announced",
			(unsigned long long)image_recipe_image_bytes(&d->recipe),
			(unsigned long long)d->image_bytes_max);
	e = image_writer_new(&d->recipe, d->salt, &d->sink, &d->writer);
	if (e < 0)
		return error_set(&d->why, e, "the image cannot be written: %s", error_text(e));
	d->state = DECODER_CONTENT;
	return 0;
}

/* Take what is still wanted of a part that is collected whole. */
static size_t collect(uint8_t *to, size_t *have, size_t wanted, const uint8_t *data, size_t len)
{
	size_t n = wanted - *have < len ? wanted - *have : len;

	if (n > 0)
		memcpy(to + *have, data, n);
	*have += n;
	return n;
}

/* Decompressed bytes, in order. */
static int consume(struct payload_decoder *d, const uint8_t *data, size_t len)
{
	size_t n;
	int r;

	if (d->state == DECODER_HEAD) {
		n = collect(d->front, &d->front_len, PAYLOAD_HEAD_BYTES, data, len);
		data += n;
		len -= n;
		if (d->front_len < PAYLOAD_HEAD_BYTES)
			return 0;
		r = head_decode(d);
		if (r < 0)
			return r;
	}
	if (d->state == DECODER_RECIPE) {
		n = collect(d->raw, &d->raw_len, d->raw_wanted, data, len);
		data += n;
		len -= n;
		if (d->raw_len < d->raw_wanted)
			return 0;
		r = recipe_begin(d);
		if (r < 0)
			return r;
	}
	r = image_writer_feed(d->writer, data, len);
	if (r < 0)
		return error_set(&d->why, r, "the image cannot be written: %s", error_text(r));
	return 0;
}

static int zstd_error(struct payload_decoder *d, size_t code)
{
	switch (ZSTD_getErrorCode(code)) {
	case ZSTD_error_memory_allocation:
		return error_set(&d->why, -ENOMEM, "out of memory for the payload's window");
	case ZSTD_error_frameParameter_windowTooLarge:
		return error_set(&d->why, -BSI_E_LIMIT, "the payload wants too large a window");
	default:
		return error_set(&d->why, -BSI_E_FORMAT, "the payload is damaged: %s",
			ZSTD_getErrorName(code));
	}
}

static int decompress(struct payload_decoder *d, const uint8_t *data, size_t len)
{
	ZSTD_inBuffer in = {.src = data, .size = len};
	bool full = false; /* libzstd may hold more output than fitted */

	while (!d->frame_ended && (in.pos < in.size || full)) {
		ZSTD_outBuffer out = {.dst = d->out, .size = sizeof(d->out)};
		size_t left = ZSTD_decompressStream(d->zstd, &out, &in);
		int r;

		if (ZSTD_isError(left))
			return zstd_error(d, left);
		r = consume(d, d->out, out.pos);
		if (r < 0)
			return r;
		full = out.pos == out.size;
		d->frame_ended = left == 0;
	}
	if (in.pos < in.size)
		return error_set(&d->why, -BSI_E_FORMAT, "bytes follow the end of the payload");
	return 0;
}

static int decoder_take(struct payload_decoder *d, const uint8_t *data, size_t len)
{
	if (d->state == DECODER_FRAME_HEADER) {
		int header = 0;
		int r;

		/* byte by byte: the header says only in its middle how long it is */
		while (header == 0 && len > 0) {
			d->front[d->front_len++] = *data++;
			len--;
			header = frame_header_decode(d->front, d->front_len, &d->frame);
		}
		if (header < 0)
			return error_set(
				&d->why, header, "this is no payload: not a zstd frame of ours");
		if (header == 0)
			return 0;
		r = frame_check(d);
		if (r < 0)
			return r;
		d->state = DECODER_HEAD;
		r = decompress(d, d->front, (size_t)header);
		if (r < 0)
			return r;
		d->front_len = 0;
	}
	return decompress(d, data, len);
}

int payload_decoder_feed(
	struct payload_decoder *d, const void *data, size_t len, struct error *reterr)
{
	if (d->err == 0)
		d->err = decoder_take(d, data, len);
	if (d->err < 0)
		return error_set(reterr, d->err, "%s", d->why.text);
	return 0;
}

int payload_decoder_finish(struct payload_decoder *d, struct image_seal *ret, struct error *reterr)
{
	if (d->err < 0)
		return error_set(reterr, d->err, "%s", d->why.text);
	if (!d->frame_ended || d->state != DECODER_CONTENT)
		d->err = error_set(&d->why, -BSI_E_FORMAT, "the payload ends too early");
	else
		d->err = image_writer_finish(d->writer, ret, &d->why);
	if (d->err < 0)
		return error_set(reterr, d->err, "%s", d->why.text);
	d->err = error_set(&d->why, -BSI_E_FORMAT, "bytes follow the end of the payload");
	return 0;
}
