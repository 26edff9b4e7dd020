/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* A loop device over a file. It is read-only and goes with its last user. */
#include "base/compiler.h"

/*
 * Tie a free loop device to the file behind fd, with direct I/O where that is possible.
 *
 * @node        where to make the device's node; what lies there is replaced
 * @ret_number  N of loopN; may be NULL
 *
 * Returns 0 or -errno. The device lives while *ret_fd, which the caller closes, or another user is.
 */
int loop_open(const char *node, int file_fd, int *ret_fd, unsigned *ret_number) MUST_CHECK;
