/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define VARINT_BYTES_MAX 10

struct reader reader_of(const void *data, size_t len)
{
	static const uint8_t nothing[1];
	const uint8_t *start = data ? data : nothing;

	return (struct reader){.at = start, .end = start + (data ? len : 0)};
}

size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

const uint8_t *reader_take(struct reader *r, uint64_t n)
{
	const uint8_t *taken = r->at;

	if (r->err)
		return NULL;
	if (n > reader_left(r)) {
		r->err = -BSI_E_FORMAT;
		return NULL;
	}
	r->at += n;
	return taken;
}

static uint64_t reader_le(struct reader *r, unsigned n)
{
	const uint8_t *b = reader_take(r, n);
	uint64_t v = 0;

	if (!b)
		return 0;
	for (unsigned i = n; i-- > 0;)
		v = v << 8 | b[i];
	return v;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)reader_le(r, 1);
}

uint16_t reader_u16le(struct reader *r)
{
	return (uint16_t)reader_le(r, 2);
}

uint32_t reader_u32le(struct reader *r)
{
	return (uint32_t)reader_le(r, 4);
}

uint64_t reader_u64le(struct reader *r)
{
	return reader_le(r, 8);
}

uint64_t reader_varint(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
		uint8_t byte = reader_u8(r);

		if (r->err)
			return 0;
		/* the tenth byte holds one bit; a final zero byte is a longer form than needed */
		if ((i == VARINT_BYTES_MAX - 1 && byte > 1) || (i > 0 && byte == 0))
			break;
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80))
			return v;
	}
	r->err = -BSI_E_FORMAT;
	return 0;
}

uint64_t reader_count(struct reader *r, uint64_t max)
{
	uint64_t n = reader_varint(r);

	if (r->err)
		return 0;
	if (n > max) {
		r->err = -BSI_E_LIMIT;
		return 0;
	}
	return n;
}

int reader_finish(const struct reader *r)
{
	if (r->err)
		return r->err;
	return r->at == r->end ? 0 : -BSI_E_FORMAT;
}

struct buffer buffer_of(size_t max_bytes)
{
	return (struct buffer){.max = max_bytes};
}

void buffer_done(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){.max = b->max};
}

void buffer_clear(struct buffer *b)
{
	b->len = 0;
}

uint8_t *buffer_grow(struct buffer *b, size_t n)
{
	size_t needed, allocated;
	uint8_t *data;

	if (b->err)
		return NULL;
	if (n > b->max - b->len) {
		b->err = -BSI_E_LIMIT;
		return NULL;
	}
	needed = b->len + n;
	if (needed > b->allocated || !b->data) {
		allocated = needed < 64 ? 64 : needed + needed / 2;
		if (allocated < needed)
			allocated = needed;
		data = realloc(b->data, allocated);
		if (!data) {
			b->err = -ENOMEM;
			return NULL;
		}
		b->data = data;
		b->allocated = allocated;
	}
	data = b->data + b->len;
	b->len = needed;
	return data;
}

void buffer_put(struct buffer *b, const void *data, size_t len)
{
	uint8_t *to;

	if (len == 0)
		return;
	to = buffer_grow(b, len);
	if (to)
		memcpy(to, data, len);
}

static void buffer_put_le(struct buffer *b, uint64_t v, unsigned n)
{
	uint8_t *to = buffer_grow(b, n);

	if (!to)
		return;
	for (unsigned i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

void buffer_put_u8(struct buffer *b, uint8_t v)
{
	buffer_put_le(b, v, 1);
}

void buffer_put_u16le(struct buffer *b, uint16_t v)
{
	buffer_put_le(b, v, 2);
}

void buffer_put_u32le(struct buffer *b, uint32_t v)
{
	buffer_put_le(b, v, 4);
}

void buffer_put_u64le(struct buffer *b, uint64_t v)
{
	buffer_put_le(b, v, 8);
}

void buffer_put_varint(struct buffer *b, uint64_t v)
{
	while (v >= 0x80) {
		buffer_put_u8(b, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	buffer_put_u8(b, (uint8_t)v);
}

void buffer_put_text(struct buffer *b, const char *text)
{
	buffer_put(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
	va_list args;
	uint8_t *to;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0) {
		b->err = b->err ? b->err : -EINVAL;
		return;
	}
	to = buffer_grow(b, (size_t)n + 1);
	if (!to)
		return;
	va_start(args, fmt);
	(void)vsnprintf((char *)to, (size_t)n + 1, fmt, args);
	va_end(args);
	b->len--; /* the final NUL is room, not content */
}

uint8_t *buffer_take(struct buffer *b, size_t *ret_len)
{
	uint8_t *data = b->data;

	if (ret_len)
		*ret_len = b->len;
	*b = (struct buffer){.max = b->max};
	return data;
}
