/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/target.h"

#include <errno.h>
#include <stdlib.h>

#include "delta/mix.h"

#define TARGET_TABLE_BITS 18U
#define TARGET_INPUTS 7U

struct target {
	struct mix *mix;
	uint32_t last[2]; /* the targets coded before */
};

void target_free(struct target *t)
{
	if (!t)
		return;
	mix_free(t->mix);
	free(t);
}

int target_new(struct target **ret)
{
	AUTO(target) struct target *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = mix_new(TARGET_TABLE_BITS, TARGET_INPUTS, &t->mix);
	if (r < 0)
		return r;
	*ret = take_ptr(t);
	return 0;
}

/* The byte of another address at the same place, if that began like this one; otherwise 256. */
static uint32_t target_hint(uint32_t other, uint32_t prefix, unsigned shift)
{
	if (shift < 24 && other >> (shift + 8) != prefix)
		return 256;
	return other >> shift & 0xff;
}

uint32_t target_code(struct target *t, struct coder *c, const struct target_context *x,
		     uint32_t value)
{
	uint32_t prefix = 0;

	for (unsigned shift = 32; shift;) {
		uint32_t hint_from, hint_expected, hint_last, hashes[TARGET_INPUTS];
		unsigned set;
		uint8_t byte;

		shift -= 8;
		hint_from = target_hint(x->from, prefix, shift);
		hint_expected = x->has_expected ? target_hint(x->expected, prefix, shift) : 257;
		hint_last = target_hint(t->last[0], prefix, shift);
		hashes[0] = mix_hash(1 + shift, prefix);
		hashes[1] = mix_hash(mix_hash(40 + shift, prefix), x->opcode[0]);
		hashes[2] = mix_hash(mix_hash(80 + shift, x->opcode[0]), hint_from);
		hashes[3] = mix_hash(120 + shift, hint_expected);
		hashes[4] = mix_hash(mix_hash(160 + shift, prefix), (uint32_t)x->opcode[1] << 8 | x->opcode[0]);
		hashes[5] = mix_hash(mix_hash(200 + shift, prefix), t->last[0]);
		hashes[6] = mix_hash(mix_hash(240 + shift, hint_last), hint_from);
		set = shift / 8 * 3 + (hint_expected == 257 ? 0 : hint_expected == 256 ? 1 : 2);
		byte = mix_byte(t->mix, c, hashes, set, shift / 8 * 2 + (hint_from != 256),
				(uint8_t)(value >> shift));
		prefix = prefix << 8 | byte;
	}
	t->last[1] = t->last[0];
	t->last[0] = prefix;
	return prefix;
}
