/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The lock of what is loaded. Bringing an image takes as long as the network does, so it happens
 * under this lock alone, and the state stays free for others. Who loads has decided what under the
 * state's lock, and decides anew under it afterwards, for anything may have changed.
 *
 *   store_lock, store_load_begin, store_unlock | downloads and images | store_lock, store_load_end
 *
 * Whoever waits for one lock while it holds the other waits for the state's, so nobody waits for
 * ever. While somebody loads, nobody else clears away parts of downloads and images, used or not:
 * who loads does so in the end, and when it is killed whoever takes the state's lock next.
 */
#include <stdbool.h>
#include <stdint.h>

#include "improvement/base_id.h"
#include "improvement/letter.h"
#include "store/store.h"

/* Which letter is on its way, and for which base. */
struct load_name {
	char base[BASE_ID_MAX_BYTES + 1];
	char letter[LETTER_MAX_LEN + 1];
	uint64_t build;
};

/*
 * Needs the state's lock. What is to be loaded is noted for others. -BSI_E_BUSY names who loads
 * already. Beginning twice is one beginning, of the first.
 */
int store_load_begin(struct store *s, const char *base, const char *letter, uint64_t build,
	struct error *reterr) MUST_CHECK;

/*
 * To be called under the state's lock where what was brought is needed: nobody clears it away until
 * that is released.
 */
void store_load_end(struct store *s);

/*
 * What another process is loading; needs the state's lock.
 *
 * Returns 1 if somebody loads (words say who), 0 if nobody does, -BSI_E_STATE if it is not said what
 * (words say who), or another error.
 */
int store_load_look(const struct store *s, struct load_name *ret, struct error *words) MUST_CHECK;

/*
 * Tell that process, if there is one, to stop; needs the state's lock. Who does not want the letter
 * again denies it (store/denied.h): the other one may not live to obey.
 */
int store_load_stop(struct store *s, struct error *reterr) MUST_CHECK;

/* Whether somebody said so since this one began, and who (words may be NULL). Needs no lock. */
bool store_load_is_stopped(const struct store *s, struct error *words);
