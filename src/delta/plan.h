/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: how a new file will be coded. Of the ways that are open to it, with the knowledge of
 * programs or without, from one old file or several, whole or in parts, the smallest is taken. Of
 * ways that are far apart the alignment tells; the others are coded.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "delta/encode.h"
#include "delta/file_mode.h"
#include "delta/map.h"
#include "delta/part.h"

struct plan_part {
	struct part part;
	struct file_mode mode;
	struct op *ops;
	size_t n_ops;
	size_t n_areas; /* of the source's map of fields */
};

struct plan {
	unsigned n_references; /* of the set's */
	uint32_t references[DELTA_FILE_REFERENCES_MAX];
	bool divided;
	struct plan_part *parts; /* none: the file is empty */
	size_t n_parts;
	uint64_t n_sent; /* bytes */
	uint64_t guess;  /* bytes that its parts may take, coded */
};

void plan_done(struct plan *p);
/*
 * File number `file` of the set. careful: only a way that was decoded again is believed, where there
 * is more than one; without, the caller proves the whole.
 */
int plan_file(const struct delta_set *set, size_t file, bool careful, struct plan *ret) MUST_CHECK;

/* The old files of a file as one run of bytes. */
struct plan_old {
	const uint8_t *data;
	size_t len;
	uint8_t *joined; /* owned; NULL where there is one file at most */
};

int plan_old_load(const struct delta_set *set, const struct plan *p, struct plan_old *ret) MUST_CHECK;
void plan_old_done(struct plan_old *o);
