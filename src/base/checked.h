/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Arithmetic on lengths that come from outside. True means that the result fits and *ret is set;
 * false leaves *ret alone.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

MUST_CHECK static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

MUST_CHECK static inline bool checked_sub(uint64_t a, uint64_t b, uint64_t *ret)
{
	if (b > a)
		return false;
	*ret = a - b;
	return true;
}

MUST_CHECK static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

/* A 64-bit size of a format as a size in memory. */
MUST_CHECK static inline bool checked_size(uint64_t value, size_t *ret)
{
	if (value > SIZE_MAX)
		return false;
	*ret = (size_t)value;
	return true;
}

/* Round up to a multiple of a power of two. */
MUST_CHECK static inline bool checked_align(uint64_t value, uint64_t alignment, uint64_t *ret)
{
	uint64_t sum;

	if (!checked_add(value, alignment - 1, &sum))
		return false;
	*ret = sum & ~(alignment - 1);
	return true;
}
