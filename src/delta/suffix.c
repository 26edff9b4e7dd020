/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/suffix.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_DIVSUFSORT
#include <divsufsort.h>
#endif

#include "delta/sort.h"

#define LOOK_AROUND 24U
#define LOOK_AHEAD 6U
#define MATCH_MAX 4096U
/* Where the suffixes of every two bytes start is kept for files beside which that is little. */
#define PAIRS 65536U
#define PAIRS_LEN_MIN (1U << 20)
/* The first bytes of one suffix in so many lie side by side: so a search has few far reads. */
#define KEY_BYTES 8U
#define KEY_STEP 16U
#define SEEN_BITS_MIN 10U

struct suffix {
	const uint8_t *data;
	size_t len;
	int32_t *order;
	uint32_t *pairs; /* for each two bytes: suffixes before them; NULL: a short file */
	uint64_t *keys;  /* of every KEY_STEP-th suffix; sorted as these are */
	size_t n_keys;
	uint64_t *seen; /* a bit for each hash of KEY_BYTES that stand somewhere */
	unsigned seen_bits;
};

void suffix_free(struct suffix *s)
{
	if (!s)
		return;
	free(s->order);
	free(s->pairs);
	free(s->keys);
	free(s->seen);
	free(s);
}

static uint64_t key_of(const uint8_t *bytes)
{
	uint64_t key;

	memcpy(&key, bytes, sizeof(key));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	key = __builtin_bswap64(key);
#endif
	return key;
}

/* How many bytes of two keys are the same, from the first on. */
static size_t key_common(uint64_t a, uint64_t b)
{
	return a == b ? KEY_BYTES : (size_t)__builtin_clzll(a ^ b) / 8;
}

/* What is missing behind the end counts as zeros: less than any byte, or the same as one. */
static uint64_t suffix_key(const struct suffix *s, size_t at)
{
	uint8_t bytes[KEY_BYTES] = {0};

	if (s->len - at >= KEY_BYTES)
		return key_of(s->data + at);
	memcpy(bytes, s->data + at, s->len - at);
	return key_of(bytes);
}

static int suffix_keep_keys(struct suffix *s)
{
	s->n_keys = (s->len + KEY_STEP - 1) / KEY_STEP;
	s->keys = malloc((s->n_keys + 1) * sizeof(*s->keys));
	if (!s->keys)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_keys; i++)
		s->keys[i] = suffix_key(s, (size_t)s->order[i * KEY_STEP]);
	return 0;
}

static uint64_t suffix_seen_hash(const struct suffix *s, uint64_t key)
{
	return key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - s->seen_bits);
}

static int suffix_mark_seen(struct suffix *s)
{
	s->seen_bits = SEEN_BITS_MIN;
	while (s->len >> (s->seen_bits - 2)) /* four for each place */
		s->seen_bits++;
	s->seen = calloc((size_t)1 << (s->seen_bits - 6), sizeof(*s->seen));
	if (!s->seen)
		return -ENOMEM;
	for (size_t at = 0; at + KEY_BYTES <= s->len; at++) {
		uint64_t h = suffix_seen_hash(s, key_of(s->data + at));

		s->seen[h >> 6] |= UINT64_C(1) << (h & 63);
	}
	return 0;
}

/* Can these bytes stand somewhere? Most of new content is found out here, by one read. */
static bool suffix_may_have(const struct suffix *s, const uint8_t *pattern, size_t len)
{
	uint64_t h = suffix_seen_hash(s, key_of(pattern));

	if (len >= 2 * KEY_BYTES)
		__builtin_prefetch(&s->seen[suffix_seen_hash(s, key_of(pattern + KEY_BYTES)) >> 6]);
	return s->seen[h >> 6] >> (h & 63) & 1;
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
	if (suffix_keep_keys(s) < 0 || suffix_mark_seen(s) < 0)
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
	while (n + KEY_BYTES <= len) {
		size_t same = key_common(key_of(s->data + at + n), key_of(pattern + n));

		n += same;
		if (same < KEY_BYTES)
			return n;
	}
	while (n < len && s->data[at + n] == pattern[n])
		n++;
	return n;
}

/* Where the search stands: the suffix is in [low, high], and what its neighbours have in common. */
struct span {
	size_t low, high, low_n, high_n;
};

/* The first of the keys in [low, high) that is not less than a key. */
static size_t keys_find(const struct suffix *s, size_t low, size_t high, uint64_t key)
{
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->keys[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Among the keys, down to what lies between two of them, or has the pattern's own. */
static void suffix_narrow_keys(const struct suffix *s, uint64_t key, struct span *span)
{
	size_t first = (span->low + KEY_STEP - 1) / KEY_STEP,
	       end = (span->high + KEY_STEP - 1) / KEY_STEP;
	size_t low = keys_find(s, first, end, key), high = low;

	if (low > first) {
		span->low = (low - 1) * KEY_STEP + 1;
		span->low_n = key_common(s->keys[low - 1], key);
	}
	if (high < end && s->keys[high] == key)
		high = key == UINT64_MAX ? end : keys_find(s, high, end, key + 1);
	if (high < end) {
		span->high = high * KEY_STEP;
		span->high_n = key_common(s->keys[high], key);
	}
}

/* Among which suffixes is the first that is not less than the pattern, if it is not the one behind. */
static struct span suffix_narrow(const struct suffix *s, const uint8_t *pattern, size_t len)
{
	struct span span = {.high = s->len};

	if (s->pairs && len >= 2) {
		unsigned pair = (unsigned)pattern[0] << 8 | pattern[1];

		span = (struct span){s->pairs[pair], s->pairs[pair + 1], 2, 2};
	}
	if (len >= KEY_BYTES)
		suffix_narrow_keys(s, key_of(pattern), &span);
	return span;
}

static size_t distance(size_t a, size_t b)
{
	return a < b ? b - a : a - b;
}

static void suffix_fetch(const struct suffix *s, size_t index)
{
	if (index < s->len)
		__builtin_prefetch(s->data + s->order[index]);
}

/* The first suffix that is not less than the pattern. */
static size_t suffix_find(const struct suffix *s, const uint8_t *pattern, size_t len)
{
	struct span span = suffix_narrow(s, pattern, len);

	while (span.low < span.high) {
		size_t middle = span.low + (span.high - span.low) / 2;
		size_t n = suffix_common(s, middle, pattern, len,
					 span.low_n < span.high_n ? span.low_n : span.high_n);
		size_t at = (size_t)s->order[middle] + n;

		if (n < len && (at >= s->len || s->data[at] < pattern[n])) {
			span.low = middle + 1;
			span.low_n = n;
		} else {
			span.high = middle;
			span.high_n = n;
		}
	}
	return span.low;
}

/* The place nearest to another among suffixes that have as much in common; by is 1 or -1. */
static size_t suffix_nearest(const struct suffix *s, const uint8_t *pattern, size_t best,
			     size_t index, ptrdiff_t by, size_t near_at, size_t found)
{
	for (unsigned i = 1; i <= LOOK_AHEAD; i++)
		suffix_fetch(s, index + (size_t)((ptrdiff_t)i * by));
	for (unsigned i = 1; i <= LOOK_AROUND; i++) {
		size_t at;

		index += (size_t)by; /* past either end is past the length */
		if (index >= s->len || suffix_common(s, index, pattern, best, 0) < best)
			break;
		suffix_fetch(s, index + (size_t)((ptrdiff_t)LOOK_AHEAD * by));
		at = (size_t)s->order[index];
		if (distance(at, near_at) < distance(found, near_at))
			found = at;
	}
	return found;
}

size_t suffix_longest(const struct suffix *s, const uint8_t *pattern, size_t len, size_t least,
		      size_t near_at, size_t *ret_at)
{
	size_t low, best, index, before;

	if (!s->len || !len)
		return 0;
	if (len >= KEY_BYTES && least >= KEY_BYTES && !suffix_may_have(s, pattern, len))
		return 0;
	if (len > MATCH_MAX)
		len = MATCH_MAX;
	index = low = suffix_find(s, pattern, len);
	best = low < s->len ? suffix_common(s, low, pattern, len, 0) : 0;
	before = low ? suffix_common(s, low - 1, pattern, len, 0) : 0;
	if (before > best) {
		index = low - 1;
		best = before;
	}
	if (best < least || !best)
		return best;
	*ret_at = suffix_nearest(s, pattern, best, index, 1, near_at, (size_t)s->order[index]);
	*ret_at = suffix_nearest(s, pattern, best, index, -1, near_at, *ret_at);
	return best;
}
