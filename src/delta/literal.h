/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The model of bytes that are sent: contexts of order 0 to 6, the instruction they belong to, what
 * followed the same bytes earlier (in the old file or in what is already there of the new one),
 * and for a replaced byte what it replaces. It can be taught with bytes of the old file first.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "delta/coder.h"

enum literal_class {
	LITERAL_DATA,
	LITERAL_CODE,
	LITERAL_CLASS_MAX,
};

struct literal;

/* model_bits: memory for contexts, MIX_TABLE_BITS_MIN..MAX. */
int literal_new(unsigned model_bits, struct literal **ret) MUST_CHECK;
void literal_free(struct literal *l);
DEFINE_FREEP(literal)

/* What is made: only what lies before the byte to be coded is ever read. */
struct literal_new {
	const uint8_t *data;
	size_t behind;  /* bytes before data that can be read too */
	uint32_t place; /* of data among all bytes that were ever made, modulo 2^32 */
	bool is_32;     /* code is 32-bit x86 */
};

/* Start on another file. old and new are borrowed. with_old: find repeats of the old file. */
int literal_start(struct literal *l, const uint8_t *old, size_t old_len,
		  const struct literal_new *new, bool with_old) MUST_CHECK;

/* A run of sent bytes begins at a place of the new file. */
void literal_begin(struct literal *l, size_t at, enum literal_class class);
/* The byte at a place; places follow each other within a run. */
uint8_t literal_code(struct literal *l, struct coder *c, size_t at, uint8_t value);
/*
 * Inside a run of code: does a PC-relative field of an x86-64 instruction start at this place?
 * ret_tail: bytes of the instruction behind the field. ret_repeat: the place in the old file where
 * the same bytes were found, or SIZE_MAX.
 */
bool literal_is_field(struct literal *l, size_t at, unsigned *ret_tail, size_t *ret_repeat);
/* The field's four bytes were put in place by other means: go on behind them. */
void literal_skip_field(struct literal *l, size_t at);
/* A byte that replaces the old one at old_at. */
uint8_t literal_replace(struct literal *l, struct coder *c, size_t at, size_t old_at,
			enum literal_class class, uint8_t value);
/* Learn [from, to) of the old file. */
void literal_train(struct literal *l, size_t from, size_t to, enum literal_class class);
