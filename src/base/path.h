/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Relative paths as formats carry them: "usr/lib/libx.so.1". */
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define PATH_MAX_BYTES 1024
#define PATH_NAME_MAX_BYTES 255

/*
 * -BSI_E_PATH unless path is relative, not empty, at most PATH_MAX_BYTES long, in valid components
 * (no "", ".", "..", none above PATH_NAME_MAX_BYTES) and free of control bytes.
 */
int path_check(const char *path) MUST_CHECK;

/* Whether path is root or lies below it; both as path_check() accepts them. */
bool path_is_below(const char *path, const char *root);

/* The last component. */
const char *path_name(const char *path);
