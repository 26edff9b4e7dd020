/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_MS 100
#define BAR_MAX 30

static int64_t monotonic_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct progress progress_start(void)
{
	return (struct progress){.on_terminal = isatty(STDERR_FILENO) == 1};
}

static int terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

void progress_show(struct progress *p, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
	int64_t now;
	int columns, filled;

	if (!p->on_terminal)
		return;
	now = monotonic_ms();
	if (p->drawn && now - p->last_drawn_ms < REDRAW_MS && done_bytes < total_bytes)
		return;
	p->last_drawn_ms = now;
	p->drawn = true;

	columns = terminal_columns();
	if (total_bytes == 0 || columns < 60) {
		fprintf(stderr, "\r\033[K%.*s  %.1f MB", columns - 16, what, (double)done_bytes / 1e6);
		return;
	}
	filled = done_bytes >= total_bytes ? BAR_MAX
					   : (int)(done_bytes * BAR_MAX / total_bytes);
	fprintf(stderr, "\r\033[K[%.*s%*s] %.1f of %.1f MB  %.*s", filled,
		"##############################", BAR_MAX - filled, "", (double)done_bytes / 1e6,
		(double)total_bytes / 1e6, columns - BAR_MAX - 28, what);
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
