/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/relr.h"

/* How many entries a walk back looks at for the last place, and words one ahead for the next. */
#define BACK_MAX 512U
#define AHEAD_MAX 256U

/* The address behind all that the entry covers. */
static uint64_t relr_after(uint64_t place, uint64_t entry)
{
	return entry & 1 ? place + RELR_BITS * RELR_WORD_BYTES : entry + RELR_WORD_BYTES;
}

/* Where the bits of the entry at new_at begin; false if the last place is too far back. */
static bool relr_place(struct relr *r, const uint8_t *new, uint64_t new_at)
{
	uint64_t n = 0;

	if (r->at && new_at == r->at) {
		r->place = relr_after(r->place, elf_u64(new + new_at - RELR_WORD_BYTES));
		return true;
	}
	while (n < BACK_MAX && (n + 1) * RELR_WORD_BYTES <= new_at) {
		uint64_t entry = elf_u64(new + new_at - (n + 1) * RELR_WORD_BYTES);

		if (!(entry & 1)) {
			r->place = relr_after(0, entry) + n * RELR_BITS * RELR_WORD_BYTES;
			return true;
		}
		n++;
	}
	return false;
}

/* Does a word of the new file hold an address that is found there by this table? */
static bool relr_counts(const struct field_map *old, const struct move_map *moves,
			const struct elf *new_elf, uint64_t addr)
{
	const struct elf_section *dynamic = elf_find(&old->elf, ELF_SECTION_DYNAMIC);
	uint64_t offset, from, left;

	if (!elf_offset_of(new_elf, addr, &offset) || !move_back(moves, offset, &from, &left) ||
	    left < RELR_WORD_BYTES || field_at(old, (size_t)from) != FIELD_ADDR64)
		return false;
	/* neither what is filled when it is first called, nor .dynamic */
	if (from >= old->lazy_from && from < old->lazy_to)
		return false;
	return !dynamic || from < dynamic->offset || from - dynamic->offset >= dynamic->bytes;
}

uint64_t relr_predict(struct relr *r, const struct field_map *old, const struct move_map *moves,
		      const struct elf *new_elf, const uint8_t *new, uint64_t new_at,
		      uint64_t old_value)
{
	bool known = relr_place(r, new, new_at);
	uint64_t bits = 0;

	r->at = known ? new_at + RELR_WORD_BYTES : 0;
	if (!known || !new_elf)
		return old_value & 1 ? old_value : move_addr(moves, old_value);
	for (unsigned i = 0; i < RELR_BITS; i++)
		if (relr_counts(old, moves, new_elf, r->place + i * RELR_WORD_BYTES))
			bits |= UINT64_C(1) << i;
	if (bits)
		return bits << 1 | 1;
	if (!(old_value & 1))
		return move_addr(moves, old_value);
	for (unsigned i = RELR_BITS; i < RELR_BITS + AHEAD_MAX; i++)
		if (relr_counts(old, moves, new_elf, r->place + i * RELR_WORD_BYTES))
			return r->place + i * RELR_WORD_BYTES;
	return old_value;
}
