/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Assembles an image from a recipe and the files' contents: the one function that publisher and
 * device share. Constant memory; every byte is hashed once, as it is written.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "image/recipe.h"
#include "image/sink.h"
#include "image/tree.h"

struct image_writer;

/* The recipe is borrowed for the life of the writer; the sink struct is copied. */
int image_writer_new(const struct image_recipe *recipe, const uint8_t salt[static IMAGE_SALT_BYTES],
	const struct image_sink *sink, struct image_writer **ret) MUST_CHECK;
void image_writer_free(struct image_writer *w);
DEFINE_FREEP(image_writer)

/*
 * The contents of the extents in their order, one after the other, in pieces of any size.
 * -BSI_E_LIMIT for more than they hold. The first error, the sink's included, sticks.
 */
int image_writer_feed(struct image_writer *w, const void *content, size_t len) MUST_CHECK;

/* -BSI_E_FORMAT if content is missing. After success the sink has had the whole image. */
int image_writer_finish(
	struct image_writer *w, struct image_seal *ret, struct error *reterr) MUST_CHECK;
