/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Whether a component fits what a device has. A base set matches whole or not at all, and a file
 * with its access: what the owner of a device took from a file, a patched one would give back. A
 * file that merely differs is never called fixed. The facts come in as arguments: who gathers them reads the
 * base files through the descriptors that are mounted over later.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "improvement/access.h"
#include "improvement/manifest.h"

#define MATCH_REASON_MAX 400

/* What one file of the component is on this device, below the graft. */
struct base_fact {
	bool present; /* false: no such file, or something that is no regular file */
	struct digest digest;
	struct file_access access;
};

/* What the package database says; borrowed text. A name may come once per architecture. */
struct package_fact {
	const char *name, *version;
	bool files_intact; /* the component's files are, byte for byte, this package's */
};

enum match_verdict {
	MATCH_SET,	  /* fits: files and their access equal base set number `set` */
	MATCH_ABSENT,	  /* none of the files is here, which is no fault */
	MATCH_MISMATCH,	  /* any other difference: not attached, the CVEs are open */
	MATCH_SUPERSEDED, /* the base proves that it contains the fix */
	MATCH_MAX,
};

struct match {
	enum match_verdict verdict;
	size_t set;	  /* MATCH_SET: index into the component's sets; else 0 */
	const char *path; /* MATCH_MISMATCH: the file that decided, borrowed; else NULL */
	char reason[MATCH_REASON_MAX]; /* for a person, never empty */
};

/*
 * @facts holds n_files of the component, in its order. What packages say turns MATCH_MISMATCH into
 * MATCH_SUPERSEDED, or changes its words, and no other verdict: who knows none yet can ask with none.
 */
void match_component(const struct component *component, const struct base_fact *facts,
	const struct package_fact *packages, size_t n_packages, struct match *ret);

/* "match", "absent", "mismatch", "superseded". */
const char *match_verdict_text(enum match_verdict verdict);
