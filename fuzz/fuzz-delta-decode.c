/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder of deltas, with digests not compared: two bytes that say how long the base file is
 * at the front, the base file, the delta. Linked with the build of room delta that does not check
 * digests.
 */
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "delta/decode.h"

#define MEMORY_MAX (64U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *old;
	size_t old_len;
	struct reader delta;
	uint64_t written;
};

static int64_t input_read(void *ctx, void *into, size_t len)
{
	struct input *in = ctx;
	size_t left = reader_left(&in->delta);

	if (len > left)
		len = left;
	if (len)
		memcpy(into, reader_take(&in->delta, len), len);
	return (int64_t)len;
}

static int input_load(void *ctx, uint32_t index, const struct delta_reference *reference,
		      uint8_t *into, struct error *reterr)
{
	const struct input *in = ctx;

	(void)index;
	if (reference->bytes > in->old_len)
		return error_set(reterr, -BSI_E_MISMATCH, "too short");
	memcpy(into, in->old, (size_t)reference->bytes);
	return 0;
}

static int input_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct input *in = ctx;

	/* contents come in order, and never more than the header said */
	if (offset != in->written)
		__builtin_trap();
	in->written += len;
	return data ? 0 : -BSI_E_FORMAT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {0};
	const struct delta_source source = {&in, input_read};
	const struct delta_io io = {.ctx = &in, .load = input_load, .write = input_write};

	if (size < 2)
		return 0;
	in.old_len = data[0] | (size_t)data[1] << 8;
	if (in.old_len > size - 2)
		in.old_len = size - 2;
	in.old = data + 2;
	in.delta = reader_of(data + 2 + in.old_len, size - 2 - in.old_len);
	return delta_decode(&source, MEMORY_MAX, &io, NULL) > 0 ? -1 : 0;
}
