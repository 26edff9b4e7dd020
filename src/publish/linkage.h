/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What the planner wants to know of an ELF file: its machine, whether it is a program, its SONAME
 * and what it needs. Bounded: whatever the file says, no more than LINKAGE_DYNAMIC_MAX entries and
 * LINKAGE_NEEDED_MAX names are read, and nothing outside the file. Source: System V ABI, chapters 4, 5.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define LINKAGE_SEGMENTS_MAX 1024
#define LINKAGE_DYNAMIC_MAX 65536
#define LINKAGE_NEEDED_MAX 1024
#define LINKAGE_NAME_MAX_BYTES 1024

/* read: exactly len bytes from offset, both within size_bytes; 0 or a negative result. */
struct linkage_source {
	void *ctx;
	uint64_t size_bytes;
	int (*read)(void *ctx, uint64_t offset, void *out, size_t len);
};

struct linkage {
	bool is_elf;     /* false, with the rest empty, for any other file */
	uint16_t machine; /* EM_* */
	bool is_64, is_big_endian;
	bool is_program; /* has an interpreter, or is no shared object */
	char *soname;    /* or NULL */
	char **needed;
	size_t n_needed;
};

/* -BSI_E_FORMAT or -BSI_E_LIMIT for a damaged ELF file, or what the source returns. */
int linkage_read(const struct linkage_source *source, struct linkage *ret) MUST_CHECK;
void linkage_done(struct linkage *e);

/* Whether an ELF file can belong to a Debian architecture ("amd64"); true where it is not known. */
bool linkage_is_for(const struct linkage *e, const char *architecture);
