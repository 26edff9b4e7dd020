/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Trust files in memory, over those of a store or over none: what TUF's update would do to a device
 * is tried without changing it.
 */
#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "store/store.h"

#define TRIAL_FILES_MAX 16

struct trial_file {
	char *name;
	struct buffer bytes; /* empty: dropped */
};

struct trial {
	struct store *below; /* borrowed; has what was neither saved nor dropped; or NULL */
	struct trial_file files[TRIAL_FILES_MAX];
	size_t n_files;
};

void trial_done(struct trial *t);

/* NULL where the file was neither saved nor dropped. */
const struct trial_file *trial_find(const struct trial *t, const char *name);

/* Of struct trust_io; ctx is a struct trial *. */
int trial_load(void *ctx, const char *name, size_t max_bytes, struct buffer *out) MUST_CHECK;
int trial_save(void *ctx, const char *name, const void *data, size_t len) MUST_CHECK;
int trial_drop(void *ctx, const char *name) MUST_CHECK;
