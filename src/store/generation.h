/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Generations: complete states of the device, numbered; which images are grafted, under which
 * manifest. A generation is never changed once it has its number; numbers only grow, also after
 * the highest one was removed. `current` points at one; 0 is the base with nothing attached.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/store.h"

#define GENERATION_COMPONENTS_MAX 64
#define GENERATION_MANIFEST_MAX_BYTES (4U << 20)
#define GENERATION_COUNT_MAX 4096 /* directories that a listing takes in */

struct generation_component {
	char *name;
	struct digest image;
	char *set; /* the base set that matched when it was taken */
};

struct generation {
	uint64_t number; /* set by the store */
	char *base;
	char *letter;
	uint64_t build;
	int64_t created_utc_s;
	struct generation_component *components; /* those that are attached; may be none */
	size_t n_components;
	uint8_t *manifest; /* the manifest's bytes as they were signed */
	size_t manifest_len;
};

/*
 * Store a new generation durably under the next number. Its images must be in the store (-ENOENT
 * with words). `current` is not touched. @g->number is ignored.
 */
int store_generation_write(struct store *s, const struct generation *g, uint64_t *ret_number,
	struct error *reterr) MUST_CHECK;
/* -ENOENT with words if there is none of that number. */
int store_generation_load(struct store *s, uint64_t number, struct generation **ret,
	struct error *reterr) MUST_CHECK;
void generation_free(struct generation *g);
DEFINE_FREEP(generation)

/* Numbers in ascending order; free() ends *ret. */
int store_generation_list(struct store *s, uint64_t **ret, size_t *ret_n, struct error *reterr)
	MUST_CHECK;

/* The generation that is, or should be, attached; 0 is the base. */
int store_current_get(struct store *s, uint64_t *ret_number, struct error *reterr) MUST_CHECK;
/* In one atomic step: previous = current, current = number. -ENOENT if there is no such one. */
int store_current_set(struct store *s, uint64_t number, struct error *reterr) MUST_CHECK;
/*
 * Take a step back in one atomic step: current = number, and what may be gone back to from there.
 * So what was left never counts as what was before. -ENOENT if there is no such generation.
 */
int store_current_revert(struct store *s, uint64_t number, uint64_t previous,
	struct error *reterr) MUST_CHECK;
/* The base, and nothing to go back to: also where what the pointers said cannot be read. */
int store_current_reset(struct store *s, struct error *reterr) MUST_CHECK;
/* When one of these was last set, by the file's own time. -ENOENT on a fresh device. */
int store_current_changed(struct store *s, int64_t *ret_utc_s) MUST_CHECK;
/* What current was before it was last set to another number; 0 is the base. */
int store_previous_get(struct store *s, uint64_t *ret_number, struct error *reterr) MUST_CHECK;
/* The last generation that passed its probation; 0 is the base. */
int store_good_get(struct store *s, uint64_t *ret_number, struct error *reterr) MUST_CHECK;
int store_good_set(struct store *s, uint64_t number, struct error *reterr) MUST_CHECK;

/*
 * Remove the generations but current, previous and good, the images that none of these uses, and
 * what killed runs left. Call it when a change is complete: an image that no generation names yet
 * goes too, but not while another process loads. Parts of downloads stay (store_download_collect()). -BSI_E_STATE, and no image
 * removed, if a generation that stays cannot be read.
 */
int store_collect(struct store *s, struct error *reterr) MUST_CHECK;
