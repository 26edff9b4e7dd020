/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Files to code, a device in memory, and random edits that are the same on every run. */
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
#include "delta/decode.h"

#define FIXTURE_MEMORY_MAX (64U << 20)

/* golden/NAME, whole. */
struct buffer fixture_golden(const char *name);

/* A base file for the device, and what the device made. */
struct device {
	const struct buffer *references;
	size_t n_references;
	const uint8_t *delta;
	size_t delta_len, at;
	struct buffer made, meta;
	uint64_t memory_max;
	size_t n_loads;
	bool any_length; /* base files are lent at the length that the delta wants, as they go */
	uint64_t output; /* what the delta says that it makes; before that 0 */
};

struct device device_of(const struct buffer *references, size_t n, const struct buffer *delta);
void device_done(struct device *d);
int device_decode(struct device *d, struct error *reterr);

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t n);
struct buffer random_bytes(struct random *r, size_t len);
/* A copy with n edits: bytes changed, put in, taken out, blocks moved. */
struct buffer random_edits(struct random *r, const struct buffer *of, unsigned n);
