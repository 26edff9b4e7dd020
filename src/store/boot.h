/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * How many boots were begun with a generation since one was completed. Counted before anything is
 * attached, so that a boot that hangs has been counted.
 */
#include <stdint.h>

#include "store/store.h"

#define BOOT_ATTEMPTS_MAX 1000 /* nothing is decided by more */

struct boot_count {
	uint64_t generation; /* 0: nothing is counted */
	uint64_t attempts;
};

/* Both 0 where nothing was counted. */
int store_boot_get(struct store *s, struct boot_count *ret, struct error *reterr) MUST_CHECK;
int store_boot_set(struct store *s, const struct boot_count *count, struct error *reterr)
	MUST_CHECK;
/* A boot was completed; 0 also when none was counted. */
int store_boot_clear(struct store *s, struct error *reterr) MUST_CHECK;
