/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What a field of the new file should hold, given the field of the old file that it was copied
 * from and where things have gone.
 */
#include <stdint.h>

#include "delta/field.h"
#include "delta/map.h"
#include "delta/relr.h"

#define PREDICT_RECENT 2U
#define PREDICT_MAX 6U

/* Different values, the likeliest first; n is at least 1. */
struct predicted {
	unsigned n;
	uint64_t value[PREDICT_MAX];
	/* of a plain reference: the old target, and what its new value is measured from */
	bool is_reference;
	uint64_t target, from;
};

struct predict {
	const struct field_map *old;
	const struct elf *new_elf; /* NULL until it is known */
	const uint8_t *new;        /* read only before the field */
	struct move_map *moves;
	const struct elf_section *section; /* of the field that was asked for last */
	const uint64_t *bases;     /* of an object: where the new file's sections start; see object.h */
	uint64_t table_old, table_new;     /* the jump table at hand; table_old 0: not known */
	struct relr relr;
	int64_t *recent;                   /* how far misses were off, newest first */
};

void predict_init(struct predict *p, const struct field_map *old, struct move_map *moves,
		  const uint8_t *new, int64_t *recent);
/* A copy starts. */
void predict_copy(struct predict *p, size_t old_at, size_t new_at);
void predict_field(struct predict *p, enum field_kind kind, size_t old_at, size_t new_at,
		   struct predicted *ret);
/* Add the other candidates. */
void predict_more(const struct predict *p, enum field_kind kind, size_t old_at, size_t new_at,
		  struct predicted *ret);
/* The address of a place in sent bytes. */
uint64_t predict_sent_addr(const struct predict *p, size_t new_at);
/* What a code field of the old file refers to; false if there is none at this place. */
bool predict_old_target(struct predict *p, size_t old_at, uint64_t *ret);
/* The field is now in the new file, and was not what was predicted. */
void predict_learn(struct predict *p, enum field_kind kind, size_t old_at, size_t new_at);
void predict_learn_recent(struct predict *p, int64_t distance);
