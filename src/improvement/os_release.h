/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* os-release(5): lines of KEY=VALUE with the quoting of a shell, and no shell to read them. */
#include <stddef.h>

#include "base/compiler.h"

#define OS_RELEASE_MAX_BYTES (64U << 10)

/*
 * The value of key, unquoted; the last assignment counts. -ENOENT when it is not there,
 * -BSI_E_FORMAT when its line is malformed (open quote, bytes after it, control bytes),
 * -BSI_E_LIMIT for more than OS_RELEASE_MAX_BYTES. free() ends *ret.
 */
int os_release_get(const void *text, size_t len, const char *key, char **ret) MUST_CHECK;
