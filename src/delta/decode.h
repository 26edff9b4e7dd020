/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A delta back into the contents of the new files. The delta and the base files are untrusted.
 * Files are made one after another; base files are asked for one at a time. The caller joins the
 * contents to whatever they belong to: a file, a tree, an image (the meta bytes say how).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/body.h"
#include "delta/coder.h"
#include "delta/header.h"

/* What one file cost. */
struct delta_file_stats {
	uint64_t bytes; /* of the delta */
	bool is_plain;  /* all its parts are */
	unsigned n_parts;
	struct body_stats body;
};

struct delta_io {
	void *ctx;
	/* Optional. Called once, before any content: what the publisher put beside the contents. */
	int (*meta)(void *ctx, const uint8_t *meta, size_t len, const struct delta_header *h,
		    struct error *reterr);
	/*
	 * Put the whole base file, reference->bytes long, at into. The decoder checks its digest.
	 * A negative return ends decoding with that code.
	 */
	int (*load)(void *ctx, uint32_t index, const struct delta_reference *reference,
		    uint8_t *into, struct error *reterr);
	/* Optional. File number index begins; its content follows by write(). */
	int (*begin)(void *ctx, uint32_t index, const struct delta_file *file,
		     struct error *reterr);
	/* Optional. The file is made; what it cost, by cause. */
	void (*end)(void *ctx, uint32_t index, const struct delta_file_stats *stats);
	/* Contents, in order; offset counts over all files. */
	int (*write)(void *ctx, uint64_t offset, const void *data, size_t len);
};

/*
 * memory_max: a delta that says it needs more is refused with -BSI_E_LIMIT. What was written is to
 * be thrown away unless the return is 0. -BSI_E_FORMAT, -BSI_E_VERSION, -BSI_E_LIMIT,
 * -BSI_E_MISMATCH (a base file is not the one the delta was made from), -BSI_E_DIGEST (the result
 * is not what it should be), -ENOMEM, or what a callback or the source returned.
 */
int delta_decode(const struct delta_source *source, uint64_t memory_max,
		 const struct delta_io *io, struct error *reterr) MUST_CHECK;

/* Header and tables only: for `info`, and to see which base files are wanted. */
struct delta_tables {
	struct delta_header header;
	struct delta_reference *references;
	struct delta_file *files;
	uint8_t *meta;
	size_t meta_len;
};

int delta_tables_decode(const struct delta_source *source, struct delta_tables *ret,
			struct error *reterr) MUST_CHECK;
void delta_tables_done(struct delta_tables *t);

#ifdef DELTA_UNCHECKED
/* Test builds only: digests are computed and not compared, so that mutations reach the decoder. */
#define DELTA_CHECKS 0
#else
#define DELTA_CHECKS 1
#endif
