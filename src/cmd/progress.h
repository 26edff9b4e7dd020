/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Progress of long work on a terminal's standard error; nothing anywhere else. Drawn at most ten
 * times a second, within one line, and cleared when it ends.
 */
#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool on_terminal;
	bool drawn;
	int64_t last_drawn_ms;
};

struct progress progress_start(void);
/* what: "libssl3: downloading"; total 0 if it is not known. */
void progress_show(struct progress *p, const char *what, uint64_t done_bytes, uint64_t total_bytes);
void progress_end(struct progress *p);
