/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Text that may go to a terminal and into JSON. Source: RFC 3629. */
#include <stdbool.h>
#include <stddef.h>

/*
 * Length of the well-formed UTF-8 sequence at the start of at least one byte, or 0: malformed, or a
 * control character (below U+0020, U+007F to U+009F).
 */
size_t utf8_sequence(const char *text, size_t left);

/* Whether all of the text is such. */
bool utf8_is_plain(const char *text);
