/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/stretch.h"

#define SHARE_MIN 5U /* of so many bytes one is the same */

static size_t count_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += a[i] == b[i];
	return n;
}

/* What op sends, to the copy that has more of it: op's own, or that of the next one, if there is one. */
static bool give(struct op *op, struct op *next, const uint8_t *old, size_t old_len, const uint8_t *sent)
{
	uint32_t len = op->rest_len;
	size_t fore = 0, back = 0;

	if (op->rest != OP_REST_BYTES || !len)
		return false;
	if (op->copy_len && old_len - op->old - op->copy_len >= len)
		fore = count_same(old + op->old + op->copy_len, sent, len);
	if (next && next->copy_len && next->old >= len)
		back = count_same(old + next->old - len, sent, len);
	if (fore < len / SHARE_MIN + 1 && back < len / SHARE_MIN + 1)
		return false;
	op->rest_len = 0;
	if (fore >= back) {
		op->copy_len += len;
	} else {
		next->old -= len;
		next->copy_len += len;
	}
	return true;
}

/* Operations that do nothing go, and what copies on where the last one ended is part of it. */
static size_t join(struct op *ops, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct op *last = kept ? &ops[kept - 1] : NULL;

		if (!ops[i].copy_len && !ops[i].rest_len)
			continue;
		if (last && !last->rest_len && last->copy_len && ops[i].copy_len &&
		    last->old + last->copy_len == ops[i].old) {
			last->copy_len += ops[i].copy_len;
			last->rest_len = ops[i].rest_len;
			last->rest = ops[i].rest;
		} else {
			ops[kept++] = ops[i];
		}
	}
	return kept;
}

bool stretch_copies(struct op *ops, size_t *n, const uint8_t *old, size_t old_len, const uint8_t *new)
{
	size_t at = 0;
	bool any = false;

	for (size_t i = 0; i < *n; i++) {
		any |= give(&ops[i], i + 1 < *n ? &ops[i + 1] : NULL, old, old_len, new + at + ops[i].copy_len);
		at += ops[i].copy_len + ops[i].rest_len;
	}
	*n = join(ops, *n);
	return any;
}
