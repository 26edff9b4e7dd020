/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Payload kind "full", version 1: one zstd frame around the recipe of an image and the contents of
 * its files (docs/formats/payload.md). The encoder is the publisher's; the decoder writes the image
 * through image/writer.h and needs little more than the window, whatever the image's size.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "image/recipe.h"
#include "image/sink.h"
#include "image/tree.h"

#define PAYLOAD_FULL_KIND "full"
#define PAYLOAD_FULL_VERSION 1U

/* 8 MiB: RFC 8878 section 3.1.1.1.2 asks every decoder to take that much, and no more. */
#define PAYLOAD_WINDOW_LOG 23
#define PAYLOAD_LEVEL 18
#define PAYLOAD_LEVEL_MAX 19

/* In front of the recipe: magic, version, the recipe's bytes, the contents' bytes. */
#define PAYLOAD_MAGIC "bsi-full"
#define PAYLOAD_MAGIC_BYTES 8U
#define PAYLOAD_HEAD_BYTES 24U

/*
 * What a decoder of this payload needs, in bytes: the manifest's memory_bytes. The recipe is one
 * that image_recipe_check() accepts.
 */
uint64_t payload_memory_bytes(const struct image_recipe *recipe);
/* The same from what a payload says of itself; the decoder's own sum. */
uint64_t payload_memory_of(uint64_t window_bytes, uint64_t recipe_bytes, uint64_t n_extents);

struct payload_encoder;

/*
 * The recipe is borrowed for the life of the encoder; the sink struct is copied. n_workers is at
 * least 1, and has no effect on the bytes. -BSI_E_UNSUPPORTED if libzstd has no threads.
 */
int payload_encoder_new(const struct image_recipe *recipe, int level, unsigned int n_workers,
	const struct byte_sink *sink, struct payload_encoder **ret) MUST_CHECK;
void payload_encoder_free(struct payload_encoder *e);
DEFINE_FREEP(payload_encoder)

/* As image_writer_feed(). */
int payload_encoder_feed(struct payload_encoder *e, const void *content, size_t len) MUST_CHECK;
int payload_encoder_finish(struct payload_encoder *e, struct error *reterr) MUST_CHECK;

struct payload_decoder;

/*
 * memory_max and image_bytes_max come from the manifest: a payload that wants more is refused
 * before anything is allocated or written for it (-BSI_E_LIMIT).
 */
int payload_decoder_new(uint64_t memory_max, uint64_t image_bytes_max,
	const uint8_t salt[static IMAGE_SALT_BYTES], const struct image_sink *sink,
	struct payload_decoder **ret) MUST_CHECK;
void payload_decoder_free(struct payload_decoder *d);
DEFINE_FREEP(payload_decoder)

/*
 * The payload's bytes in order, in pieces of any size. -BSI_E_FORMAT for bytes that are no payload
 * or follow its end, -BSI_E_LIMIT, -BSI_E_VERSION, -ENOMEM, or what the sink returns. The first
 * error sticks.
 */
int payload_decoder_feed(
	struct payload_decoder *d, const void *data, size_t len, struct error *reterr) MUST_CHECK;
/* -BSI_E_FORMAT if the payload is not whole. */
int payload_decoder_finish(
	struct payload_decoder *d, struct image_seal *ret, struct error *reterr) MUST_CHECK;
