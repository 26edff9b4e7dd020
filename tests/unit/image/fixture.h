/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* A small image with one of everything, and memory to write it to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/payload.h"
#include "image/reader.h"
#include "image/writer.h"

/* Sink and source. A write that fails is counted from 0; SIZE_MAX for none. */
struct memory {
	uint8_t *data;
	uint8_t *times; /* how often each byte was written */
	size_t len, max;
	size_t n_writes, fail_at;
	int fail_with;
};

struct memory memory_of(size_t max);
void memory_done(struct memory *m);
int memory_write(void *ctx, uint64_t offset, const void *data, size_t len);
int memory_append(void *ctx, const void *data, size_t len);
int memory_read(void *ctx, uint64_t offset, void *data, size_t len);
struct image_sink memory_sink(struct memory *m);
struct byte_sink memory_byte_sink(struct memory *m);
struct image_source memory_source(struct memory *m);

#define FIXTURE_ENTRIES 14
extern const struct image_entry fixture_entries[FIXTURE_ENTRIES];
extern const uint8_t fixture_salt[IMAGE_SALT_BYTES];

/* Byte i of the content of an entry: depends on its path only. */
uint8_t fixture_byte(const struct image_entry *e, uint64_t i);

/* All contents in the order of the recipe, as one block of memory; free() ends it. */
uint8_t *fixture_content(
	const struct image_recipe *r, const struct image_entry *entries, size_t *ret_len);

struct image_recipe fixture_recipe(void);
/* The fixture as an image. */
struct image_seal fixture_image(struct memory *to);
/* And as a payload. */
void fixture_payload(struct memory *to, unsigned int n_workers);
