/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * AArch64 instructions that hold references: which they are, what they refer to, and how to put
 * another target into one. Encodings: Arm Architecture Reference Manual (DDI 0487), C4 and C6.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum a64_kind {
	A64_NONE,
	A64_BRANCH26, /* b, bl */
	A64_BRANCH19, /* b.cond, cbz, cbnz, ldr literal */
	A64_BRANCH14, /* tbz, tbnz */
	A64_ADR,      /* adr */
	A64_PAGE,     /* adrp */
	A64_LOW12,    /* add, ldr, str with an offset of 12 bits: the rest of an adrp's target */
};

enum a64_kind a64_decode(uint32_t instruction);

/* Target of branches and adr, page of adrp; pc: the instruction's own address. */
uint64_t a64_target(enum a64_kind kind, uint32_t instruction, uint64_t pc);
/* The low bits that a LOW12 instruction adds, in bytes. */
uint32_t a64_low12(uint32_t instruction);
/* The instruction with another target; bits that do not fit are dropped. */
uint32_t a64_with_target(enum a64_kind kind, uint32_t instruction, uint64_t pc, uint64_t target);

/* The register that adrp fills, and that a LOW12 instruction reads. */
static inline unsigned a64_page_register(uint32_t instruction)
{
	return instruction & 31;
}

static inline unsigned a64_base_register(uint32_t instruction)
{
	return instruction >> 5 & 31;
}

/* A jump through a table of distances, as gcc writes it: load, adr, add, br. */
struct a64_table {
	unsigned entry_bytes, n; /* n: as many as the comparison before lets through */
	size_t address_at;       /* the instruction that completes the table's address */
};

/* Is the br at a place one? The adr stands 8 bytes before it. */
bool a64_find_table(const uint8_t *code, size_t start, size_t at, struct a64_table *ret);

/* How far apart, in instructions, the two halves of a target may stand. */
#define A64_PAIR_MAX 128U

/* The adrp that a LOW12 instruction completes; false if there is none near before it. */
bool a64_find_page(const uint8_t *code, size_t start, size_t at, size_t *ret_at);
/* The first LOW12 instruction that completes an adrp. */
bool a64_find_low12(const uint8_t *code, size_t end, size_t at, size_t *ret_at);
