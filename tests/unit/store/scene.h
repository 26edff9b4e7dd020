/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What installs and removals do to the state, as runs that may be cut and watched. */
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "scratch.h"

#define SCENE_BASE "debian:12:amd64"
#define FLOOR_OLD 1000
#define FLOOR_NEW 2000

/* What a run has reported as done; shared with the process that does it. */
enum step {
	STEP_NONE,
	STEP_TRUST,
	STEP_FLOOR,
	STEP_IMAGE,
	STEP_GENERATION,
	STEP_CURRENT,
	STEP_HISTORY,
	STEP_CONFIG,
	STEP_END,
};

struct scene {
	const struct scratch *scratch;
	volatile enum step *done;
	struct digest old_image, new_image, payload;
};

/* One kind of run: from which state, and what it does. */
struct run {
	const char *name;
	bool has_old; /* letter (a) is installed, and another one was before it */
	bool is_removal;
	int (*go)(void *ctx); /* ctx is a struct scene *; 0 or 1 */
};

#define N_RUNS 3
extern const struct run runs[N_RUNS];

struct scene scene_of(const struct scratch *scratch);
void scene_done(struct scene *scene);

/* The state that the run starts from. */
void scene_prepare(struct scene *scene, const struct run *run);

/* Whether the generation that is current is of this letter. */
bool scene_is_current(struct store *s, const char *letter);
