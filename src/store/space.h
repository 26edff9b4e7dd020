/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Room on the disk, taken before it is needed: a download never fills the disk. */
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"

/* Bytes that anybody may take on the file system of fd, less the spare; 0 when there are fewer. */
int space_free(int fd, uint64_t *ret_bytes) MUST_CHECK;

enum space_size {
	SPACE_KEEP_SIZE, /* the file's size stays what it is */
	SPACE_SET_SIZE,	 /* the file becomes `bytes` long */
};

/* Reserve for the file all of its `bytes`; -ENOSPC names what is needed and what is free. */
int space_reserve(int fd, uint64_t bytes, enum space_size size, const char *what,
	struct error *reterr) MUST_CHECK;
