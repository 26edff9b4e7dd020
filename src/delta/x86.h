/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Lengths of x86 instructions, of 64 and of 32 bits, and where their 32-bit fields lie. No more than
 * that: what the sweep says is part of the delta format, so the tables are ours and never change
 * within a version. Opcode maps: Intel SDM volume 2, appendix A.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct x86_instruction {
	uint8_t length;     /* 1..15; 1 for bytes that are no instruction */
	uint8_t field;      /* offset of the 4-byte PC-relative field, 0 if there is none */
	uint8_t tail;       /* bytes of the instruction behind the field: the immediate */
	uint8_t is_branch;  /* call, jmp or jcc rel32, otherwise a memory operand */
	uint8_t displacement; /* offset of a 4-byte displacement that is not PC-relative, or 0 */
	uint8_t immediate;  /* offset of a 4-byte immediate, or 0 */
	uint8_t opcode;     /* offset of the opcode byte (the last of an escape sequence) */
	uint8_t modrm;      /* offset of the ModRM byte, or 0 */
};

/* len: bytes that may be read, at least 1. is_32: code of 32-bit programs. */
struct x86_instruction x86_decode(const uint8_t *p, size_t len, bool is_32);
