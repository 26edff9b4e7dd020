/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t window_bytes(uint64_t longest, uint64_t total)
{
	/* twice what is kept: then at least as much is made before each move of it */
	uint64_t most = longest + 2 * WINDOW_KEPT_BYTES;

	return total < most ? total : most;
}

int window_init(struct window *w, uint64_t longest, uint64_t total)
{
	uint64_t bytes = window_bytes(longest, total);

	*w = (struct window){0};
	if (bytes >= SIZE_MAX)
		return -ENOMEM;
	w->data = malloc((size_t)bytes + 1);
	w->allocated = (size_t)bytes;
	return w->data ? 0 : -ENOMEM;
}

void window_done(struct window *w)
{
	free(w->data);
	*w = (struct window){0};
}

uint8_t *window_begin(struct window *w, size_t len)
{
	if (len > w->allocated - w->end) {
		size_t kept = w->end < WINDOW_KEPT_BYTES ? w->end : WINDOW_KEPT_BYTES;

		memmove(w->data, w->data + w->end - kept, kept);
		w->end = kept;
	}
	w->start = w->end;
	w->end += len;
	return w->data + w->start;
}

size_t window_reach(const struct window *w)
{
	return w->start < WINDOW_KEPT_BYTES ? w->start : WINDOW_KEPT_BYTES;
}
