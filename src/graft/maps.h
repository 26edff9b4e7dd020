/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Lines of /proc/PID/maps (proc(5)). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct map_row {
	uint64_t start, end; /* addresses; with them the mapping's name in /proc/PID/map_files */
	dev_t dev;           /* of the superblock: not always what stat() says (btrfs) */
	uint64_t ino;        /* 0: memory of the process's own, no file */
	const char *path;    /* borrowed from the line, not ended by NUL; untrusted */
	size_t path_len;
	bool is_executable;
	bool is_bare_root;   /* path "/": a file that is the root of a detached mount */
};

/*
 * One line without its newline. False for a line that cannot be understood, and for what the kernel
 * gives every process ([stack], [vdso] and the like); *ret is then untouched.
 */
bool map_row_parse(const char *line, size_t len, struct map_row *ret);
