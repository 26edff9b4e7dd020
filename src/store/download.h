/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Transfers that go on after an interruption, under the lock for loading (store/load.h). What is
 * there is not believed: after the last byte the caller compares the digest, and after a resumed
 * transfer that fails it drops the part and starts from nothing once.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/store.h"

/* Resumed ranges start on this boundary, so that requests of two devices look alike. */
#define STORE_DOWNLOAD_STEP_BYTES ((uint64_t)1 << 20)

/*
 * Open the part of an object that is named by its digest and is size bytes long; space for all of
 * it is reserved (-ENOSPC with words).
 *
 * @ret_fd    readable and writable; the caller closes it
 * @ret_have  bytes that are there, rounded down to STORE_DOWNLOAD_STEP_BYTES; the file is cut to it
 */
int store_download_open(struct store *s, const struct digest *digest, uint64_t size, int *ret_fd,
	uint64_t *ret_have, struct error *reterr) MUST_CHECK;

/* Remove the part: it was used, or is no good. 0 also when it was not there. */
int store_download_done(struct store *s, const struct digest *digest) MUST_CHECK;

/* Under the state's lock, remove every part but those of these digests; none while another loads. */
int store_download_collect(struct store *s, const struct digest *keep, size_t n_keep,
	struct error *reterr) MUST_CHECK;
