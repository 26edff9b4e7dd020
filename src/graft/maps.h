/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Lines of /proc/PID/maps (proc(5)), as far as they name a file. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct map_row {
	uint64_t start, end; /* addresses; with them the mapping's name in /proc/PID/map_files */
	dev_t dev;           /* of the superblock: not always what stat() says (btrfs) */
	uint64_t ino;
	bool is_bare_root;   /* path "/": a file that is the root of a detached mount */
};

/*
 * One line without its newline. False for a line that maps no file (inode 0) or that cannot be
 * understood; *ret is then untouched.
 */
bool map_row_parse(const char *line, size_t len, struct map_row *ret);
