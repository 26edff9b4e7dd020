/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Is a rebuilt ELF file the same program as the one before? Every allocated byte is compared, with
 * references resolved on both sides; the build-id note is set aside, and so is what is not loaded
 * (debug link, comments). Sections correspond by place, kind and name. A doubt is a difference.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct difference {
	char section[64];   /* "" outside of any */
	uint64_t offset;    /* in the section, or in the file */
	char function[256]; /* symbol at or before the place, or "" */
	const char *what;   /* a few words; static */
};

/*
 * *ret_equal; if it is false, *ret holds the first difference found. Byte-identical files of any
 * kind are equal; others that are no linked ELF files of 64 bits are different. -ENOMEM.
 */
int equivalent_check(const uint8_t *old, size_t old_len, const uint8_t *new, size_t new_len,
		     bool *ret_equal, struct difference *ret) MUST_CHECK;
