/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The alignment of a new file with an old one, as a list of operations, and what follows from it:
 * where a place of the old file has gone. Predictions that proved wrong are remembered, so that
 * each is paid for once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "delta/elf.h"

/* A file is at most this long: offsets fit in 31 bits. */
#define DELTA_FILE_BYTES_MAX 0x7fffffffU

enum op_rest {
	OP_REST_BYTES,   /* the rest is sent */
	OP_REST_DERIVED, /* the rest is made from other parts of the new file at the end */
	OP_REST_MAX,
};

/*
 * In new-file order: copy_len bytes like the old file at old, then rest_len bytes. A device holds all
 * of a part's at once: they are kept small.
 */
struct op {
	uint32_t old, copy_len;
	uint32_t rest_len : 31, rest : 1; /* enum op_rest */
};

struct move_map;

/*
 * ops are borrowed as long as the map lives; they must lie within old_len and a new file of 31 bits.
 * Beside them a map takes MOVE_OP_BYTES for each, and what does not depend on their number.
 */
#define MOVE_OP_BYTES 5U
int move_map_new(const struct op *ops, size_t n_ops, size_t old_len, const struct elf *old_elf,
		 struct move_map **ret) MUST_CHECK;
void move_map_free(struct move_map *m);
DEFINE_FREEP(move_map)

/* Segments of the new file, once they are known; until then addresses differ from offsets as in
 * the old file. Borrowed. */
void move_map_set_new(struct move_map *m, const struct elf *new_elf);

/* Where an old offset has gone; for one that was not copied, as its neighbours before it. */
uint64_t move_offset(const struct move_map *m, uint64_t old);
/* Where a new offset comes from, and how much of the copy is left there; false if it was sent. */
bool move_back(const struct move_map *m, uint64_t new, uint64_t *ret_old, uint64_t *ret_left);
/* The end of a range goes where its last byte went. */
uint64_t move_end_offset(const struct move_map *m, uint64_t old_end);

/* The same for addresses; what was learned comes first. */
uint64_t move_addr(const struct move_map *m, uint64_t old);
uint64_t move_end_addr(const struct move_map *m, uint64_t old_end);
/* By alignment alone, or by the neighbour behind: the second guess. */
uint64_t move_addr_second(const struct move_map *m, uint64_t old);
/* Tell that old is now new. */
void move_learn(struct move_map *m, uint64_t old, uint64_t new);
