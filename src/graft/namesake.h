/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Files that are called like one of ours, below another root or in another folder: a chroot's or a
 * container's own copy, or a program's. "libx.so.1.2.3" and "libx.so.1.4" are called alike, because
 * programs ask for libx.so.1; and so are /lib and /usr/lib. Knows names alone, no file.
 */
#include <stddef.h>

#include "base/compiler.h"

enum namesake_kind {
	NAMESAKE_NONE,
	NAMESAKE_ELSEWHERE, /* the same name in another folder */
	NAMESAKE_IN_PLACE,  /* where a system has it, below whatever root */
};

struct namesake;

struct namesakes {
	struct namesake *list; /* by name */
	size_t n;
};

/* paths are borrowed: below a root, without a slash before them. 0 or -ENOMEM. */
int namesakes_make(const char *const *paths, size_t n_paths, struct namesakes *ret) MUST_CHECK;
void namesakes_done(struct namesakes *n);

/*
 * path is absolute and len bytes long; " (deleted)" behind it is no part of its name. *ret_index is
 * set to the place in paths of the one that it is called like.
 */
enum namesake_kind namesakes_find(const struct namesakes *n, const char *path, size_t len,
	size_t *ret_index);

/* Whether the kernel says behind the path that the file has no name any more. */
#define NAMESAKE_DELETED " (deleted)"
