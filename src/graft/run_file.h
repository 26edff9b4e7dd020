/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Small files in the run directory by which the engine and the launcher tell each other what they know. The
 * directory is memory, and goes with the boot, so nothing is synced. Needs libc alone.
 */
#include <limits.h>

#include "base/compiler.h"

/* RUN_DIR/NAME; 0 or -ENAMETOOLONG. */
int run_file_path(const char *run_dir, const char *name, char ret[static PATH_MAX]) MUST_CHECK;

/* Write it in place of what has its name, whole or not at all, for root alone; 0 or -errno. */
int run_file_replace(const char *run_dir, const char *name, const char *text) MUST_CHECK;
