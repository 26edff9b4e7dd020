/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Bytes as lower-case hex text and back. */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* out takes 2 * len + 1 bytes. */
void hex_format(const uint8_t *data, size_t len, char *out);
/* text must be exactly 2 * len lower-case hex digits; -BSI_E_FORMAT otherwise, *out untouched. */
int hex_parse(const char *text, uint8_t *out, size_t len) MUST_CHECK;
