/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"

struct buffer fixture_golden(const char *name)
{
	struct buffer b = buffer_of(16U << 20);
	char path[4096];
	AUTO_CLOSE int fd = -EBADF;

	assert_true(snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIR, name) < (int)sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_read_fd(fd, b.max, &b), 0);
	return b;
}

struct device device_of(const struct buffer *references, size_t n, const struct buffer *delta)
{
	struct device d = {.references = references, .n_references = n, .delta = delta->data,
			   .delta_len = delta->len, .made = buffer_of(64U << 20),
			   .meta = buffer_of(64U << 20), .memory_max = FIXTURE_MEMORY_MAX};

	return d;
}

void device_done(struct device *d)
{
	buffer_done(&d->made);
	buffer_done(&d->meta);
}

static int64_t device_read(void *ctx, void *into, size_t len)
{
	struct device *d = ctx;

	/* odd pieces, so that no boundary is lucky */
	if (len > 7)
		len = 7;
	if (len > d->delta_len - d->at)
		len = d->delta_len - d->at;
	memcpy(into, d->delta + d->at, len);
	d->at += len;
	return (int64_t)len;
}

static int device_meta(void *ctx, const uint8_t *meta, size_t len, const struct delta_header *h,
		       struct error *reterr)
{
	struct device *d = ctx;

	(void)reterr;
	d->output = h->output_bytes;
	buffer_put(&d->meta, meta, len);
	return d->meta.err;
}

static int device_load(void *ctx, uint32_t index, const struct delta_reference *reference,
		       uint8_t *into, struct error *reterr)
{
	struct device *d = ctx;

	if (d->any_length && d->n_references) {
		const struct buffer *b = &d->references[index % d->n_references];

		for (uint64_t at = 0; at < reference->bytes && b->len; at++)
			into[at] = b->data[at % b->len];
		return 0;
	}
	if (index >= d->n_references || d->references[index].len != reference->bytes)
		return error_set(reterr, -BSI_E_MISMATCH, "no such base file");
	if (reference->bytes)
		memcpy(into, d->references[index].data, (size_t)reference->bytes);
	d->n_loads++;
	return 0;
}

static int device_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct device *d = ctx;

	assert_int_equal(offset, d->made.len);
	buffer_put(&d->made, data, len);
	return d->made.err;
}

int device_decode(struct device *d, struct error *reterr)
{
	const struct delta_source source = {d, device_read};
	const struct delta_io io = {.ctx = d, .meta = device_meta, .load = device_load,
				    .write = device_write};

	return delta_decode(&source, d->memory_max, &io, reterr);
}

uint64_t random_next(struct random *r)
{
	r->state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = r->state;

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(struct random *r, uint64_t n)
{
	return n ? random_next(r) % n : 0;
}

struct buffer random_bytes(struct random *r, size_t len)
{
	struct buffer b = buffer_of(64U << 20);

	for (size_t i = 0; i < len; i++)
		buffer_put_u8(&b, (uint8_t)(random_next(r) >> 40));
	return b;
}

static struct buffer edit_once(struct random *r, const struct buffer *of)
{
	struct buffer b = buffer_of(64U << 20);
	size_t at = (size_t)random_below(r, of->len + 1), n = (size_t)random_below(r, 200);

	if (n > of->len - at)
		n = of->len - at;
	if (!of->data)
		return b;
	buffer_put(&b, of->data, at);
	switch (random_below(r, 4)) {
	case 0: /* change */
		for (size_t i = 0; i < n; i++)
			buffer_put_u8(&b, (uint8_t)random_next(r));
		buffer_put(&b, of->data + at + n, of->len - at - n);
		break;
	case 1: /* put in */
		for (size_t i = 0; i < n; i++)
			buffer_put_u8(&b, (uint8_t)random_next(r));
		buffer_put(&b, of->data + at, of->len - at);
		break;
	case 2: /* take out */
		buffer_put(&b, of->data + at + n, of->len - at - n);
		break;
	default: /* move the start behind the end */
		buffer_clear(&b);
		buffer_put(&b, of->data + at, of->len - at);
		buffer_put(&b, of->data, at);
		break;
	}
	return b;
}

struct buffer random_edits(struct random *r, const struct buffer *of, unsigned n)
{
	struct buffer b = edit_once(r, of);

	for (unsigned i = 1; i < n; i++) {
		struct buffer next = edit_once(r, &b);

		buffer_done(&b);
		b = next;
	}
	return b;
}
