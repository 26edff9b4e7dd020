/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The device's state, /var/lib/bsi. This room is the only one that writes there, and durable.c the
 * only file of it that does so durably: whatever was reported as done survives a power cut, and a
 * process that is killed anywhere leaves a state that the next run opens and goes on from.
 *
 * Reading needs no lock and writes nothing, so it works on a full or read-only disk. Everything
 * that changes the state needs store_lock() and says -BSI_E_BUSY without it; images and downloads
 * need store_load_begin() (store/load.h) instead. A directory without
 * state reads as a fresh device; store_lock() makes the layout. Formats: docs/formats/state.md.
 *
 * Damaged state is -BSI_E_STATE, a format version from the future -BSI_E_VERSION; the words name
 * the file and what to do. Nothing is ever guessed or reset.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"

struct store;

/*
 * Open the state below dir_fd (dup'ed; /var/lib/bsi, or a test's directory).
 *
 * Returns 0, -errno, -BSI_E_STATE for a directory with other things in it, -BSI_E_VERSION.
 */
int store_open(int dir_fd, struct store **ret, struct error *reterr) MUST_CHECK;
void store_free(struct store *s); /* releases the lock */
DEFINE_FREEP(store)

/* What others are told while this one has the lock, such as a verb. Borrowed; may be NULL. */
void store_set_purpose(struct store *s, const char *purpose);

/*
 * Become the one that may change the state; makes the layout where there is none, and clears away
 * what a killed run left half made. Does not wait: -BSI_E_BUSY names the holder and its purpose. The kernel
 * releases it when the process ends, however it ends. Locking twice is one lock.
 */
int store_lock(struct store *s, struct error *reterr) MUST_CHECK;
void store_unlock(struct store *s);
bool store_is_locked(const struct store *s);

/* Bytes that may be used on the state's file system before the spare is touched. */
int store_space(struct store *s, uint64_t *ret_bytes, struct error *reterr) MUST_CHECK;

/* Left free by every reservation, so that the state itself can always be written. */
#define STORE_SPARE_BYTES ((uint64_t)4 << 20)
