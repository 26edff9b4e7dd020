/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Bounded reading and writing of bytes whose layout a format fixes. Everything that comes from
 * disk or wire goes through here: no buffer is cast to a struct, no pointer is built before its
 * bound is known.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Unread bytes are [at, end). The first failure sticks: later reads return 0 and move nothing. */
struct reader {
	const uint8_t *at, *end;
	int err; /* 0, -BSI_E_FORMAT (too short, bad varint) or -BSI_E_LIMIT */
};

struct reader reader_of(const void *data, size_t len);
size_t reader_left(const struct reader *r);
const uint8_t *reader_take(struct reader *r, uint64_t n); /* NULL if fewer than n bytes are left */
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16le(struct reader *r);
uint32_t reader_u32le(struct reader *r);
uint64_t reader_u64le(struct reader *r);
/* LEB128, shortest form only, at most 10 bytes. */
uint64_t reader_varint(struct reader *r);
/* A varint that counts something; -BSI_E_LIMIT above max. */
uint64_t reader_count(struct reader *r, uint64_t max);
/* The sticky error, or -BSI_E_FORMAT if bytes remain, or 0. */
int reader_finish(const struct reader *r) MUST_CHECK;

/* Growable bytes with a cap set at birth. The first failure (-ENOMEM, -BSI_E_LIMIT) sticks. */
struct buffer {
	uint8_t *data;
	size_t len, allocated, max;
	int err;
};

struct buffer buffer_of(size_t max_bytes);
void buffer_done(struct buffer *b); /* frees the bytes; fit for AUTO_DONE */
void buffer_clear(struct buffer *b); /* len = 0, the memory and the error stay */
void buffer_put(struct buffer *b, const void *data, size_t len);
void buffer_put_u8(struct buffer *b, uint8_t v);
void buffer_put_u16le(struct buffer *b, uint16_t v);
void buffer_put_u32le(struct buffer *b, uint32_t v);
void buffer_put_u64le(struct buffer *b, uint64_t v);
void buffer_put_varint(struct buffer *b, uint64_t v);
void buffer_put_text(struct buffer *b, const char *text); /* without the final NUL */
void buffer_printf(struct buffer *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* n bytes more, uninitialised, to be filled by the caller; NULL on failure. */
uint8_t *buffer_grow(struct buffer *b, size_t n);
/* Hand the bytes on (free() ends them) and leave an empty buffer; NULL only for an empty one. */
uint8_t *buffer_take(struct buffer *b, size_t *ret_len);
