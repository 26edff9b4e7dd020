/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One planned component as bytes: its image's seal and digest, and its full payload. The same plan
 * gives the same bytes, on any machine and with any number of cores.
 */
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "publish/plan.h"

/* More workers want more memory and gain nothing for components of this size. */
#define BUILD_WORKERS_MAX 2

/* Called while contents pass by; may be NULL. */
struct build_progress {
	void *ctx;
	void (*show)(void *ctx, const char *component, uint64_t done_bytes, uint64_t total_bytes);
};

/*
 * The image, its digest and seal.
 *
 * @to       the patched state, its files spooled by the planner
 * @image_fd an empty file that takes the image, or -1 where only its digests are wanted
 */
int build_image(struct state *to, const struct plan_component *c, int image_fd,
	struct image_ref *ret, struct error *reterr) MUST_CHECK;

struct build_payload {
	struct digest digest;
	uint64_t size_bytes;
	uint64_t memory_bytes; /* what decoding it needs */
};

/* The full payload, into an empty file. */
int build_payload(struct state *to, const struct plan_component *c, int payload_fd,
	const struct build_progress *progress, struct build_payload *ret, struct error *reterr)
	MUST_CHECK;

/* What decoding the full payload needs, without making it. */
int build_memory(struct state *to, const struct plan_component *c, uint64_t *ret_bytes,
	struct error *reterr) MUST_CHECK;
