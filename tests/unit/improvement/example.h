/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* A manifest and an index with a bit of everything, for the tests to change. */
#include "improvement/index.h"
#include "improvement/manifest.h"

/* Two components: "openssl" (2 files, 2 sets, full and delta) and "su" (1 setuid file). */
struct manifest *example_manifest(void);
/* (a) removed, (b) stopped, (c) current; minimum (b). */
struct index *example_index(void);
/* A digest whose bytes are all the same. */
struct digest example_digest(uint8_t byte);
/* The bytes with the first `from` replaced; fails the test when there is none. free() ends it. */
char *example_replaced(const char *text, const char *from, const char *to);
