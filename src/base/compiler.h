/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Attributes, spelled once. */

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
