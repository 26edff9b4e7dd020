/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Whether bytes begin a program or library (elf(5)), and whether its libraries come from files. */
#include <stddef.h>

enum elf_kind {
	ELF_NONE,        /* something else */
	ELF_INTERPRETED, /* a program that the loader brings its libraries to */
	ELF_ALONE,       /* a static program, a library, or one whose headers lie elsewhere */
};

#define ELF_HEADER_BYTES 4096 /* of the file's beginning; the program headers follow the header */

/* Pure. What is little-endian and whole is looked at; the rest that begins like ELF is ELF_ALONE. */
enum elf_kind elf_header_kind(const void *data, size_t len);
