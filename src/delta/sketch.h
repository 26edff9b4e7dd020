/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: a sketch of a file, to tell how much of it another file holds: of the hashes of all
 * its eight-byte pieces the smallest ones (A. Broder, "On the resemblance and containment of
 * documents", 1997). Two files are compared below the larger of what both kept, where the sketches
 * are complete.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define SKETCH_HASHES 512U

struct sketch {
	uint64_t *hashes; /* ascending, each once, owned */
	unsigned n;
};

int sketch_make(const uint8_t *data, size_t len, struct sketch *ret) MUST_CHECK;
/* The hash up to which a sketch says all that the file has. */
uint64_t sketch_limit(const struct sketch *s);
void sketch_done(struct sketch *s);
