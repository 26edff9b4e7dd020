/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The content of one new file, coded in both directions by the same code: first the operations,
 * then, in new-file order, where a copy differs from what is expected, and the bytes that are
 * sent. What is expected of a copied byte is the old byte, and of a field the reference that the
 * alignment moves it to.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "delta/coder.h"
#include "delta/field.h"
#include "delta/literal.h"
#include "delta/map.h"

/* Where the bits went, by cause. */
enum body_cost {
	BODY_COST_OPS,
	BODY_COST_RUNS,      /* where copies differ */
	BODY_COST_REPLACED,  /* bytes that differ */
	BODY_COST_FIELDS,    /* fields that are not as predicted */
	BODY_COST_SENT,      /* bytes that are sent */
	BODY_COST_MAX,
};

struct body_stats {
	uint64_t cost[BODY_COST_MAX]; /* bits, times 65536 */
	/* the same without operations, by the old file's section; last: outside of any */
	uint64_t section_cost[ELF_SECTION_KIND_MAX + 1];
	uint64_t fields[FIELD_KIND_MAX], missed[FIELD_KIND_MAX];
	uint64_t section_fields[ELF_SECTION_KIND_MAX + 1], section_missed[ELF_SECTION_KIND_MAX + 1];
	uint64_t n_ops, n_replaced, n_sent;
};

struct body; /* models that live on from file to file */

int body_new(unsigned model_bits, struct body **ret) MUST_CHECK;
void body_free(struct body *b);
DEFINE_FREEP(body)

/*
 * The operations of a file of new_len bytes. Encoding: *ops is given. Decoding: *ret_ops is
 * allocated (the caller frees it), at most ops_max; every one lies within old_len and new_len, and
 * together they are new_len bytes.
 */
int body_code_ops(struct body *b, struct coder *c, size_t old_len, size_t new_len, size_t ops_max,
		  struct op **ops, size_t *n_ops) MUST_CHECK;

struct body_file {
	const struct field_map *old;
	const struct op *ops;
	size_t n_ops;
	uint8_t *new; /* decoding: written; encoding: read, with zeros where it is derived */
	size_t new_len;
	size_t behind;  /* bytes before new that were made earlier */
	uint32_t place; /* of new among all that was made, modulo 2^32 */
	unsigned train_shift; /* how much of the old file is learned: see docs/formats/delta.md */
};

int body_code(struct body *b, struct coder *c, const struct body_file *file) MUST_CHECK;

/* What was counted since the body was made. */
const struct body_stats *body_stats(const struct body *b);
void body_stats_between(const struct body_stats *before, const struct body_stats *after,
			struct body_stats *ret);
