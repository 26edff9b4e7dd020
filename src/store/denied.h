/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Letters that this device does not take again: they failed here, or the owner removed them. The
 * list lies outside the generations, so no rollback forgets it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

#define DENIED_MAX 1024
#define DENIED_REASON_MAX_BYTES 512

struct denied_entry {
	char *base;
	char *letter;
	uint64_t build;
	char *reason;
	int64_t utc_s;
};

struct denied {
	struct denied_entry *entries;
	size_t n_entries;
};

/* Durable when it returns 0. A second entry for the same base and build replaces the first. */
int store_denied_add(struct store *s, const char *base, const char *letter, uint64_t build,
	const char *reason, int64_t utc_s, struct error *reterr) MUST_CHECK;
/* The owner takes it back (installs the letter by name). 0 also when it was not there. */
int store_denied_drop(struct store *s, const char *base, uint64_t build, struct error *reterr)
	MUST_CHECK;
int store_denied_load(struct store *s, struct denied **ret, struct error *reterr) MUST_CHECK;
void denied_free(struct denied *denied);
DEFINE_FREEP(denied)

/* The entry for a base and build, or NULL. Borrowed. */
const struct denied_entry *denied_find(const struct denied *denied, const char *base,
	uint64_t build);
