/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/a64.h"

#include "delta/elf.h"

enum a64_kind a64_decode(uint32_t i)
{
	if ((i & 0x7c000000) == 0x14000000)
		return A64_BRANCH26;
	if ((i & 0xff000010) == 0x54000000 || (i & 0x7e000000) == 0x34000000)
		return A64_BRANCH19;
	/* ldr literal: 32, 64, 128 bits and sign-extended */
	if ((i & 0x3b000000) == 0x18000000)
		return A64_BRANCH19;
	if ((i & 0x7e000000) == 0x36000000)
		return A64_BRANCH14;
	if ((i & 0x9f000000) == 0x10000000)
		return A64_ADR;
	if ((i & 0x9f000000) == 0x90000000)
		return A64_PAGE;
	/* add immediate, 64 bits, not shifted; load and store with an unsigned offset */
	if ((i & 0xffc00000) == 0x91000000 || (i & 0x3b000000) == 0x39000000)
		return A64_LOW12;
	return A64_NONE;
}

static uint64_t sign_extend(uint64_t v, unsigned bits)
{
	uint64_t sign = UINT64_C(1) << (bits - 1);

	v &= (sign << 1) - 1;
	return (v ^ sign) - sign;
}

static uint64_t a64_adr_bits(uint32_t i)
{
	return sign_extend((uint64_t)(i >> 5 & 0x7ffff) << 2 | (i >> 29 & 3), 21);
}

uint64_t a64_target(enum a64_kind kind, uint32_t i, uint64_t pc)
{
	switch (kind) {
	case A64_BRANCH26:
		return pc + (sign_extend(i, 26) << 2);
	case A64_BRANCH19:
		return pc + (sign_extend(i >> 5, 19) << 2);
	case A64_BRANCH14:
		return pc + (sign_extend(i >> 5, 14) << 2);
	case A64_ADR:
		return pc + a64_adr_bits(i);
	case A64_PAGE:
		return (pc & ~UINT64_C(0xfff)) + (a64_adr_bits(i) << 12);
	default:
		return a64_low12(i);
	}
}

/* log2 of the access of a load or store: its offset counts in such units. */
static unsigned a64_scale(uint32_t i)
{
	if ((i & 0x3b000000) != 0x39000000)
		return 0;
	/* vector registers of 128 bits have opc<1> set */
	if ((i & 0x04000000) && (i >> 30) == 0 && (i & 0x00800000))
		return 4;
	return i >> 30;
}

uint32_t a64_low12(uint32_t i)
{
	return (i >> 10 & 0xfff) << a64_scale(i);
}

uint32_t a64_with_target(enum a64_kind kind, uint32_t i, uint64_t pc, uint64_t target)
{
	uint64_t d = kind == A64_PAGE ? (target >> 12) - (pc >> 12) : target - pc;

	switch (kind) {
	case A64_BRANCH26:
		return (i & 0xfc000000) | (uint32_t)(d >> 2 & 0x3ffffff);
	case A64_BRANCH19:
		return (i & 0xff00001f) | (uint32_t)(d >> 2 & 0x7ffff) << 5;
	case A64_BRANCH14:
		return (i & 0xfff8001f) | (uint32_t)(d >> 2 & 0x3fff) << 5;
	case A64_PAGE:
	case A64_ADR:
		return (i & 0x9f00001f) | (uint32_t)(d & 3) << 29 | (uint32_t)(d >> 2 & 0x7ffff) << 5;
	default:
		return (i & 0xffc003ff) | (uint32_t)((target & 0xfff) >> a64_scale(i)) << 10;
	}
}

bool a64_find_page(const uint8_t *code, size_t start, size_t at, size_t *ret_at)
{
	unsigned base = a64_base_register(elf_u32(code + at));

	/* the stack pointer is never the base of a pair */
	if (base == 31)
		return false;
	for (unsigned n = 0; n < A64_PAIR_MAX && at - start >= 4; n++) {
		uint32_t i;

		at -= 4;
		i = elf_u32(code + at);
		if (a64_decode(i) == A64_PAGE && a64_page_register(i) == base) {
			*ret_at = at;
			return true;
		}
		/* the register was filled by something else in between */
		if ((i & 31) == base)
			return false;
	}
	return false;
}

bool a64_find_low12(const uint8_t *code, size_t end, size_t at, size_t *ret_at)
{
	unsigned page = a64_page_register(elf_u32(code + at));

	for (unsigned n = 0; n < A64_PAIR_MAX && end - at >= 8; n++) {
		uint32_t i;

		at += 4;
		i = elf_u32(code + at);
		if (a64_decode(i) == A64_LOW12 && a64_base_register(i) == page) {
			*ret_at = at;
			return true;
		}
		if (a64_decode(i) == A64_PAGE && a64_page_register(i) == page)
			return false;
	}
	return false;
}

/* The table that a load names: where its address is made, and the comparison of its index. */
static bool a64_find_table_parts(const uint8_t *code, size_t start, size_t at, struct a64_table *ret)
{
	uint32_t load = elf_u32(code + at);
	unsigned table = a64_base_register(load), index = load >> 16 & 31;
	bool has_address = false, has_n = false;

	for (unsigned k = 0; k < A64_PAIR_MAX && at - start >= 4 && !(has_address && has_n); k++) {
		uint32_t i;

		at -= 4;
		i = elf_u32(code + at);
		/* cmp of 32 bits with a number that is not shifted */
		if (!has_n && (i & 0xffc0001f) == 0x7100001f && a64_base_register(i) == index) {
			ret->n = (i >> 10 & 0xfff) + 1;
			has_n = true;
		}
		if (has_address || (i & 31) != table)
			continue;
		/* add after adrp, or what a linker made of both */
		if ((i & 0xffc00000) != 0x91000000 && a64_decode(i) != A64_ADR)
			return false;
		ret->address_at = at;
		has_address = true;
	}
	return has_address && has_n;
}

bool a64_find_table(const uint8_t *code, size_t start, size_t at, struct a64_table *ret)
{
	uint32_t jump = elf_u32(code + at), add, adr, load, shape;

	if ((jump & 0xfffffc1f) != 0xd61f0000 || at - start < 12)
		return false;
	add = elf_u32(code + at - 4);
	adr = elf_u32(code + at - 8);
	load = elf_u32(code + at - 12);
	/* add x, x, w, sxtb #2 or sxth #2 */
	shape = add & 0xffe0fc00;
	if (shape == 0x8b208800)
		ret->entry_bytes = 1;
	else if (shape == 0x8b20a800)
		ret->entry_bytes = 2;
	else
		return false;
	if ((add & 31) != a64_base_register(jump) || a64_decode(adr) != A64_ADR ||
	    (adr & 31) != a64_base_register(add) || (load & 31) != (add >> 16 & 31))
		return false;
	/* ldrb, and ldrh with its index times 2: an index of 32 bits, or of 64 */
	shape = load & 0xffe0fc00 & ~0x2000U;
	if (shape != (ret->entry_bytes == 1 ? 0x38604800 : 0x78605800))
		return false;
	return a64_find_table_parts(code, start, at - 12, ret);
}
