/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The new files in memory while they are made or read: the file at hand, and in front of it the end
 * of those before it, so that repeats reach back over the edge of a file.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* How far back before a file its parts may reach. */
#define WINDOW_KEPT_BYTES (1U << 20)

struct window {
	uint8_t *data;
	size_t allocated, start, end; /* of the file at hand */
};

/* What it allocates for files of these lengths: the longest, and all of them together. */
uint64_t window_bytes(uint64_t longest, uint64_t total);
int window_init(struct window *w, uint64_t longest, uint64_t total) MUST_CHECK;
void window_done(struct window *w);

/* Room for the next file, at most as long as the longest. What lay in front of it may move. */
uint8_t *window_begin(struct window *w, size_t len);
/* Bytes that can be reached before the file at hand: at most WINDOW_KEPT_BYTES. */
size_t window_reach(const struct window *w);
