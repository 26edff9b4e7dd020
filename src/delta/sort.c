/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prefix doubling (U. Manber, G. Myers, "Suffix arrays: a new method for on-line string searches",
 * 1990): suffixes sorted by their first k bytes are sorted by 2k, as the rest of each is a suffix
 * whose rank is known.
 */
#include "delta/sort.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define BYTES 256U

struct sorting {
	size_t len;
	int32_t *order, *rank, *spare;
	uint32_t *counts; /* as many as ranks, and at least as there are bytes */
};

/* Stable: by rank, what `spare` has in the order of the second half. */
static void sorting_by_rank(struct sorting *s, size_t n_ranks)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n_ranks; i++)
		s->counts[i] = 0;
	for (size_t i = 0; i < s->len; i++)
		s->counts[s->rank[i]]++;
	for (size_t i = 0; i < n_ranks; i++) {
		uint32_t n = s->counts[i];

		s->counts[i] = sum;
		sum += n;
	}
	for (size_t i = 0; i < s->len; i++)
		s->order[s->counts[s->rank[s->spare[i]]]++] = s->spare[i];
}

/* The rank of the suffix k behind one, or -1 behind the end. */
static int32_t sorting_second(const struct sorting *s, int32_t at, size_t k)
{
	return s->len - (size_t)at > k ? s->rank[(size_t)at + k] : -1;
}

/* Ranks by 2k bytes out of ranks by k and the order by 2k; returns how many there are. */
static size_t sorting_rank(struct sorting *s, size_t k)
{
	int32_t n = 0;

	s->spare[s->order[0]] = 0;
	for (size_t i = 1; i < s->len; i++) {
		int32_t a = s->order[i - 1], b = s->order[i];

		n += s->rank[a] != s->rank[b] || sorting_second(s, a, k) != sorting_second(s, b, k);
		s->spare[b] = n;
	}
	for (size_t i = 0; i < s->len; i++)
		s->rank[i] = s->spare[i];
	return (size_t)n + 1;
}

int suffix_sort(const uint8_t *data, size_t len, int32_t *order)
{
	AUTO_FREE int32_t *rank = malloc((len + 1) * sizeof(*rank));
	AUTO_FREE int32_t *spare = malloc((len + 1) * sizeof(*spare));
	AUTO_FREE uint32_t *counts = calloc((len > BYTES ? len : BYTES) + 1, sizeof(*counts));
	struct sorting s = {len, order, rank, spare, counts};
	size_t n_ranks = BYTES;

	if (!rank || !spare || !counts)
		return -ENOMEM;
	if (!len)
		return 0;
	for (size_t i = 0; i < len; i++) {
		rank[i] = data[i];
		spare[i] = (int32_t)i;
	}
	sorting_by_rank(&s, n_ranks);
	n_ranks = sorting_rank(&s, len);
	for (size_t k = 1; n_ranks < len; k *= 2) {
		size_t n = 0;

		/* those without a second half first, the others by it */
		for (size_t i = len > k ? len - k : 0; i < len; i++)
			spare[n++] = (int32_t)i;
		for (size_t i = 0; i < len; i++)
			if ((size_t)order[i] >= k)
				spare[n++] = order[i] - (int32_t)k;
		sorting_by_rank(&s, n_ranks);
		n_ranks = sorting_rank(&s, k);
	}
	return 0;
}
