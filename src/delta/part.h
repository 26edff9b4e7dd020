/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The parts of a new file, each coded as a file of its own: most files are one part; an archive is
 * divided where members are programs. A part is made from a range of the file's old files, joined,
 * or from bytes that were made before it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "delta/coder.h"

/* A part costs the device tables of its own: none is shorter but the first and last of a file. */
#define PART_BYTES_MIN 4096U

enum part_source {
	PART_SOURCE_OLD,  /* at: in the old files */
	PART_SOURCE_NONE,
	PART_SOURCE_MADE, /* at: bytes before the part's start */
	PART_SOURCE_MAX,
};

struct part {
	size_t len;
	enum part_source source;
	size_t at, source_len;
};

/* The file that is divided, and what was coded of it. */
struct part_place {
	size_t file_len, old_len; /* old_len: the old files together */
	size_t reach;             /* bytes made before the file that can be reached */
	size_t done;              /* of the file */
	size_t old_end;           /* of the range before */
};

struct part_models {
	struct bit_model divided, has_source, is_made;
	struct number_model len, at, source_len;
};

void part_models_init(struct part_models *m);
struct part_place part_place_of(size_t file_len, size_t old_len, size_t reach);

/* Whether a file is divided; one that is not has a single part made from all old files. */
bool part_code_divided(struct part_models *m, struct coder *c, bool divided);
/*
 * The next part; *place moves behind it. Decoding: checked against the place, -BSI_E_FORMAT.
 * undivided: nothing is coded.
 */
int part_code(struct part_models *m, struct coder *c, bool divided, struct part_place *place,
	      struct part *part) MUST_CHECK;
