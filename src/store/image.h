/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Images by digest. An image appears under its name only after its bytes were measured through the
 * descriptor they were written by. It is measured again when it is attached: a name is not a proof.
 * Images are made under the lock for loading (store/load.h), and removed under the state's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/store.h"

struct store_image;

/*
 * Begin an image of exactly size_bytes, its space reserved. -ENOSPC names what is needed and what
 * is free. An unfinished image of the same digest is begun anew.
 */
int store_image_begin(struct store *s, const struct digest *digest, uint64_t size_bytes,
	struct store_image **ret, struct error *reterr) MUST_CHECK;

/* Readable and writable, borrowed. Whoever else had it must be gone before the commit. */
int store_image_fd(const struct store_image *image);

/* write of struct image_sink, ctx a struct store_image *: -BSI_E_LIMIT beyond size_bytes. */
int store_image_write(void *ctx, uint64_t offset, const void *data, size_t len) MUST_CHECK;

/*
 * Read the file once, compare with the digest, and give it its name durably. -BSI_E_DIGEST if the
 * bytes are others. After an error nothing is left but the old state; only free() remains to do.
 */
int store_image_commit(struct store_image *image, struct error *reterr) MUST_CHECK;

void store_image_abort(struct store_image *image); /* drops the unfinished file */
void store_image_free(struct store_image *image);  /* aborts unless committed */
DEFINE_FREEP(store_image)

/* Read-only descriptor that the caller closes; -ENOENT if there is none. */
int store_image_open(struct store *s, const struct digest *digest, int *ret_fd) MUST_CHECK;
/* The folder they lie in, and so their file system; the state's own where there is none yet. */
int store_image_folder(struct store *s, int *ret_fd) MUST_CHECK;
bool store_has_image(struct store *s, const struct digest *digest);
/* For an image that turned out damaged; 0 also when it was not there. */
int store_image_remove(struct store *s, const struct digest *digest, struct error *reterr)
	MUST_CHECK;
