/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What differs between the patched state and each base state, file by file. Files are paired by
 * path; a library whose real file name carries its version is paired by SONAME within one directory
 * and one package, where exactly one file on either side has that SONAME.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/state.h"

#define COMPARE_FROM_MAX 16

/* A file of the patched state that is not the same in every base state. */
struct compare_row {
	struct state_file *to;
	size_t package; /* of the patched state */
	struct state_file *base[COMPARE_FROM_MAX]; /* its partner in each base state, or NULL */
	bool is_paired; /* some partner was found by SONAME */
	bool is_ambiguous; /* several candidates had its SONAME */
	bool is_equivalent; /* set by rebuilt_find() */
	struct linkage elf;
};

/* A file of a base state whose name is not in the patched state. */
struct compare_lost {
	struct state_file *base;
	size_t from, package; /* base state; package of the patched state */
	bool is_paired;
};

struct compare {
	struct state *const *from;
	size_t n_from;
	struct state *to;
	/* for each base state: its package for each of the patched state's, or NULL */
	const struct package **base_packages[COMPARE_FROM_MAX];
	struct compare_row *rows; /* by path */
	size_t n_rows;
	struct compare_lost *lost;
	size_t n_lost;
	/* while it is filled */
	size_t rows_allocated, lost_allocated;
};

/*
 * @is_wanted  for each package of the patched state: whether it is compared at all
 *
 * The states are borrowed. Content of every regular file of rows is readable afterwards.
 */
int compare_make(struct state *const *from, size_t n_from, struct state *to,
	const bool *is_wanted, struct compare *ret, struct error *reterr) MUST_CHECK;
void compare_done(struct compare *c);

/* The package of base state i that is the patched state's package p, or NULL. */
const struct package *compare_base_package(const struct compare *c, size_t from, size_t package);

/* Whether two names are the same thing: type, owner, mode and content; attributes if asked. */
bool compare_is_same(const struct state_file *a, const struct state_file *b, bool with_xattrs);

/* Whether type, owner, mode and, if asked, attributes are the same, whatever the content is. */
bool compare_is_same_kind(const struct state_file *a, const struct state_file *b,
	bool with_xattrs);

/* Whether a symlink differs from its partner only by the names that the pairing joined. */
bool compare_follows_pairing(const struct compare *c, const struct compare_row *row, size_t from);
