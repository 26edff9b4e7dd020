/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Encoder only: which old files a new file is made from. First the old file of the same path; else
 * one with the same content (a hard link, or a rename); else the library of the same SONAME; else
 * the file of the same name in another directory; else the one whose content is most alike. Then
 * further ones that hold much of what the first lacks. A file that has none may be much like a new
 * file before it.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "delta/encode.h"

enum pair_reason {
	PAIR_NONE,
	PAIR_PATH,
	PAIR_CONTENT,
	PAIR_SONAME,
	PAIR_NAME,
	PAIR_SKETCH,
	PAIR_EARLIER, /* no old file: an earlier new one */
	PAIR_REASON_MAX,
};

/* "path", "content" and so on; "none". */
extern const char *const pair_reason_names[PAIR_REASON_MAX];

struct pair {
	enum pair_reason reason; /* of the first */
	unsigned n_old;
	size_t old[DELTA_FILE_REFERENCES_MAX]; /* indices */
	size_t earlier;                        /* index of a new file, for PAIR_EARLIER */
};

/* ret: n_new, the caller's. */
int pair_files(const struct delta_input *old, size_t n_old, const struct delta_input *new,
	       size_t n_new, struct pair *ret) MUST_CHECK;
