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

#include "store/store.h"

/* Needs the state's lock. -BSI_E_BUSY names who loads already. Beginning twice is one beginning. */
int store_load_begin(struct store *s, struct error *reterr) MUST_CHECK;

/*
 * To be called under the state's lock where what was brought is needed: nobody clears it away until
 * that is released.
 */
void store_load_end(struct store *s);

/*
 * The owner does not want what another process is loading; needs the state's lock.
 *
 * Returns 1 if somebody loads (words say who), 0 if nobody does, or -errno.
 */
int store_load_stop(struct store *s, struct error *words) MUST_CHECK;

/* Whether somebody said so since this one began, and who (words may be NULL). Needs no lock. */
bool store_load_is_stopped(const struct store *s, struct error *words);
