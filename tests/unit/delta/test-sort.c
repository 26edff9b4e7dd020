/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of suffixes without libdivsufsort, against libdivsufsort; and what is found with it. */
#include "fixture.h"

#include <divsufsort.h>

#include "delta/sort.h"
#include "delta/suffix.h"

#define SEARCHES 24U

static void check_order(const struct buffer *b)
{
	AUTO_FREE int32_t *own = calloc(b->len + 1, sizeof(*own));
	AUTO_FREE int32_t *other = calloc(b->len + 1, sizeof(*other));

	assert_true(own && other);
	assert_int_equal(suffix_sort(b->data, b->len, own), 0);
	if (!b->len)
		return;
	assert_int_equal(divsufsort(b->data, other, (saidx_t)b->len), 0);
	assert_memory_equal(own, other, b->len * sizeof(*own));
}

static void test_sort_random(void **state)
{
	struct random r = {3};

	(void)state;
	for (size_t len = 0; len < 400; len += 1 + len / 7) {
		AUTO_DONE(buffer) struct buffer b = random_bytes(&r, len);

		check_order(&b);
		for (size_t i = 0; i < len; i++)
			b.data[i] &= 1;
		check_order(&b);
	}
}

static void test_sort_repeats(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer twice = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer zeros = buffer_of(1U << 20);

	(void)state;
	check_order(&elf);
	buffer_put(&twice, elf.data, elf.len);
	buffer_put(&twice, elf.data, elf.len);
	check_order(&twice);
	for (unsigned i = 0; i < 50000; i++)
		buffer_put_u8(&zeros, 0);
	check_order(&zeros);
}

static size_t common(const struct buffer *in, size_t at, const uint8_t *pattern, size_t len)
{
	size_t n = 0;

	while (n < len && at + n < in->len && in->data[at + n] == pattern[n])
		n++;
	return n;
}

/* No place matches for longer than the one that is found, and that one does. */
static void check_search(const struct suffix *s, const struct buffer *in, const uint8_t *pattern,
			 size_t len)
{
	size_t at = SIZE_MAX, most = 0, n;

	for (size_t i = 0; i < in->len; i++) {
		n = common(in, i, pattern, len);
		most = n > most ? n : most;
	}
	assert_int_equal(suffix_longest(s, pattern, len, 1, 0, &at), most);
	if (most)
		assert_int_equal(common(in, at, pattern, len), most);
	/* what is long enough is found whatever the least is; the rest is not made longer */
	for (size_t least = 2; least <= len + 1; least += 1 + least / 8) {
		n = suffix_longest(s, pattern, len, least, 0, &at);
		assert_true(most >= least ? n == most : n <= most);
		if (most >= least)
			assert_int_equal(common(in, at, pattern, len), most);
	}
}

/* A file of few values, and searches for what stands in it and what does not. */
static void check_file(struct random *r, const struct buffer *in, uint8_t flip)
{
	AUTO(suffix) struct suffix *s = NULL;
	uint8_t pattern[24];

	for (size_t i = 0; i < in->len; i++)
		in->data[i] = (uint8_t)(in->data[i] % 5 ^ flip);
	/* one that is only at the end; or zeros there, as if more bytes followed */
	for (size_t i = flip ? 1 : 3; i && i <= in->len; i--)
		in->data[in->len - i] = flip ? 0xf0 : 0;
	assert_int_equal(suffix_new(in->data, in->len, &s), 0);
	for (unsigned j = 0; j < SEARCHES; j++) {
		for (size_t k = 0; k < sizeof(pattern); k++)
			pattern[k] = (uint8_t)(random_below(r, j % 2 ? 7 : 5) ^ flip);
		check_search(s, in, pattern, 1 + j);
	}
	pattern[0] = 0xf0;
	check_search(s, in, pattern, 1);
	check_search(s, in, pattern, sizeof(pattern));
	memset(pattern, 0, sizeof(pattern));
	check_search(s, in, pattern, sizeof(pattern));
	memset(pattern, 0xff, sizeof(pattern));
	check_search(s, in, pattern, sizeof(pattern));
	check_search(s, in, in->data + in->len / 2, in->len > 4000 ? 2000 : in->len - in->len / 2);
}

static void test_sort_search(void **state)
{
	const size_t lengths[] = {1, 2, 7, 8, 15, 16, 17, 3000, (1U << 20) + 5};
	struct random r = {5};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		AUTO_DONE(buffer) struct buffer low = random_bytes(&r, lengths[i]);
		AUTO_DONE(buffer) struct buffer high = random_bytes(&r, lengths[i]);

		check_file(&r, &low, 0);
		check_file(&r, &high, 0xff);
	}
}

/* Long runs of one byte: many suffixes begin alike, and some end before the others. */
static void test_sort_runs(void **state)
{
	AUTO_DONE(buffer) struct buffer in = buffer_of(1U << 16);
	AUTO(suffix) struct suffix *s = NULL;
	uint8_t pattern[200];

	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		buffer_put_u8(&in, i % 1000 < 990 ? 0 : i & 1 ? 0xff : 0x80);
	for (unsigned i = 0; i < 300; i++)
		buffer_put_u8(&in, 0xff);
	for (unsigned i = 0; i < 300; i++)
		buffer_put_u8(&in, 0);
	assert_int_equal(suffix_new(in.data, in.len, &s), 0);
	for (size_t len = 1; len <= sizeof(pattern); len += 7) {
		memset(pattern, 0, len);
		check_search(s, &in, pattern, len);
		pattern[len - 1] = 1;
		check_search(s, &in, pattern, len);
		memset(pattern, 0xff, len);
		check_search(s, &in, pattern, len);
		pattern[len / 2] = 0;
		check_search(s, &in, pattern, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort_random),
		cmocka_unit_test(test_sort_repeats),
		cmocka_unit_test(test_sort_search),
		cmocka_unit_test(test_sort_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
