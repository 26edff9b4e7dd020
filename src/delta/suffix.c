/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/suffix.h"

#include <errno.h>
#include <stdlib.h>
#ifdef HAVE_DIVSUFSORT
#include <divsufsort.h>
#endif

#include "delta/sort.h"

#define LOOK_AROUND 24U
#define MATCH_MAX 4096U
/* Where the suffixes of every two bytes start is kept for files beside which that is little. */
#define PAIRS 65536U
#define PAIRS_LEN_MIN (1U << 20)

struct suffix {
	const uint8_t *data;
	size_t len;
	int32_t *order;
	uint32_t *pairs; /* for each two bytes: suffixes before them; NULL: a short file */
};

void suffix_free(struct suffix *s)
{
	if (!s)
		return;
	free(s->order);
	free(s->pairs);
	free(s);
}

static int suffix_count_pairs(struct suffix *s)
{
	uint32_t sum = 0;

	s->pairs = calloc(PAIRS + 1, sizeof(*s->pairs));
	if (!s->pairs)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < s->len; i++)
		s->pairs[s->data[i] << 8 | s->data[i + 1]]++;
	for (size_t i = 0; i <= PAIRS; i++) {
		uint32_t n = s->pairs[i];

		/* the last byte is a suffix of its own, before all that go on */
		if (i == (size_t)s->data[s->len - 1] << 8)
			sum++;
		s->pairs[i] = sum;
		sum += n;
	}
	return 0;
}

int suffix_new(const uint8_t *data, size_t len, struct suffix **ret)
{
	AUTO(suffix) struct suffix *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->data = data;
	s->len = len;
	s->order = malloc((len + 1) * sizeof(*s->order));
	if (!s->order)
		return -ENOMEM;
#ifdef HAVE_DIVSUFSORT
	if (len && divsufsort(data, s->order, (saidx_t)len) != 0)
		return -ENOMEM;
#else
	if (suffix_sort(data, len, s->order) < 0)
		return -ENOMEM;
#endif
	if (len >= PAIRS_LEN_MIN && suffix_count_pairs(s) < 0)
		return -ENOMEM;
	*ret = take_ptr(s);
	return 0;
}

static size_t suffix_common(const struct suffix *s, size_t index, const uint8_t *pattern,
			    size_t len, size_t from)
{
	size_t at = (size_t)s->order[index], n = from;

	if (len > s->len - at)
		len = s->len - at;
	while (n < len && s->data[at + n] == pattern[n])
		n++;
	return n;
}

/*
 * The suffixes among which is the first one that is not less than the pattern, if not the one behind
 * them; returns how many bytes all of them have in common with it.
 */
static size_t suffix_narrow(const struct suffix *s, const uint8_t *pattern, size_t len, size_t *ret_low,
			    size_t *ret_high)
{
	unsigned pair;

	*ret_low = 0;
	*ret_high = s->len;
	if (!s->pairs || len < 2)
		return 0;
	pair = (unsigned)pattern[0] << 8 | pattern[1];
	*ret_low = s->pairs[pair];
	*ret_high = s->pairs[pair + 1];
	return 2;
}

static size_t distance(size_t a, size_t b)
{
	return a < b ? b - a : a - b;
}

size_t suffix_longest(const struct suffix *s, const uint8_t *pattern, size_t len, size_t least,
		      size_t near_at, size_t *ret_at)
{
	size_t low, high, low_n, high_n, best, index;

	if (!s->len || !len)
		return 0;
	if (len > MATCH_MAX)
		len = MATCH_MAX;
	low_n = high_n = suffix_narrow(s, pattern, len, &low, &high);
	/* first suffix that is not less than the pattern */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		size_t n = suffix_common(s, middle, pattern, len, low_n < high_n ? low_n : high_n);
		size_t at = (size_t)s->order[middle] + n;

		if (n < len && (at >= s->len || s->data[at] < pattern[n])) {
			low = middle + 1;
			low_n = n;
		} else {
			high = middle;
			high_n = n;
		}
	}
	best = low < s->len ? suffix_common(s, low, pattern, len, 0) : 0;
	index = low;
	if (low && suffix_common(s, low - 1, pattern, len, 0) > best) {
		index = low - 1;
		best = suffix_common(s, index, pattern, len, 0);
	}
	if (best < least || !best)
		return best;
	*ret_at = (size_t)s->order[index];
	for (size_t i = 1; i <= LOOK_AROUND && index + i < s->len; i++) {
		size_t at = (size_t)s->order[index + i];

		if (suffix_common(s, index + i, pattern, best, 0) < best)
			break;
		if (distance(at, near_at) < distance(*ret_at, near_at))
			*ret_at = at;
	}
	for (size_t i = 1; i <= LOOK_AROUND && i <= index; i++) {
		size_t at = (size_t)s->order[index - i];

		if (suffix_common(s, index - i, pattern, best, 0) < best)
			break;
		if (distance(at, near_at) < distance(*ret_at, near_at))
			*ret_at = at;
	}
	return best;
}
