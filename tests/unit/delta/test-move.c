/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include "base/compiler.h"
#include "delta/map.h"

/* One segment: address = offset + 0x1000, 0x400 bytes of file, then zeroed memory. */
static const struct elf old_elf = {.machine = ELF_MACHINE_X86_64,
				   .n_segments = 1,
				   .segments = {{0, 0x1000, 0x400, 0x900, true}}};

/* old 0..100 -> 0, 10 bytes sent, old 100..300 -> 110, old 50..60 -> 310 (short, again) */
static const struct op ops[] = {
	{0, 100, 10, OP_REST_BYTES},
	{100, 200, 0, OP_REST_BYTES},
	{50, 10, 0, OP_REST_BYTES},
};

static void test_move_follows_the_longest_copy(void **state)
{
	static const struct {
		uint64_t old, new;
	} cases[] = {{0, 0}, {50, 50}, {59, 59}, {99, 99}, {100, 110}, {299, 309},
		     {300, 310} /* behind the last copy: as its neighbour */, {800, 810}};
	AUTO(move_map) struct move_map *m = NULL;

	(void)state;
	assert_int_equal(move_map_new(ops, ARRAY_SIZE(ops), 0x400, &old_elf, &m), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(move_offset(m, cases[i].old), cases[i].new);
	assert_int_equal(move_end_offset(m, 100), 100);
	assert_int_equal(move_end_offset(m, 101), 111);
	assert_int_equal(move_addr(m, 0x1000 + 100), 0x1000 + 110);
}

static void test_move_learns(void **state)
{
	AUTO(move_map) struct move_map *m = NULL;

	(void)state;
	assert_int_equal(move_map_new(ops, ARRAY_SIZE(ops), 0x400, &old_elf, &m), 0);
	/* a place that was copied is believed to be elsewhere when seen there twice */
	move_learn(m, 0x1000 + 20, 0x5000);
	assert_int_equal(move_addr(m, 0x1000 + 20), 0x1000 + 20);
	assert_int_equal(move_addr_second(m, 0x1000 + 20), 0x5000);
	move_learn(m, 0x1000 + 20, 0x5000);
	assert_int_equal(move_addr(m, 0x1000 + 20), 0x5000);
	/* zeroed memory moves in ranges */
	assert_int_equal(move_addr(m, 0x1500), 0x1500 + 10);
	move_learn(m, 0x1600, 0x1700);
	assert_int_equal(move_addr(m, 0x1600), 0x1700);
	assert_int_equal(move_addr(m, 0x1608), 0x1708);
	assert_int_equal(move_addr(m, 0x15f8), 0x15f8 + 10);
}

/* Random copies against a plain loop over all of them. */
static void test_move_agrees_with_a_plain_search(void **state)
{
	struct random r = {11};

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct op list[20];
		AUTO(move_map) struct move_map *m = NULL;
		size_t n = (size_t)random_below(&r, 20) + 1;

		for (size_t i = 0; i < n; i++) {
			uint32_t old = (uint32_t)random_below(&r, 900);

			list[i] = (struct op){old, (uint32_t)random_below(&r, 0x400 - old) + 1,
					      (uint32_t)random_below(&r, 5) & 7U, OP_REST_BYTES};
		}
		assert_int_equal(move_map_new(list, n, 0x400, &old_elf, &m), 0);
		for (uint64_t at = 0; at < 0x400; at++) {
			uint64_t start = 0, longest = 0, want = 0;

			for (size_t i = 0; i < n; i++) {
				if (at >= list[i].old && at - list[i].old < list[i].copy_len &&
				    list[i].copy_len > longest) {
					longest = list[i].copy_len;
					want = start + (at - list[i].old);
				}
				start += list[i].copy_len + list[i].rest_len;
			}
			if (longest)
				assert_int_equal(move_offset(m, at), want);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_move_follows_the_longest_copy),
		cmocka_unit_test(test_move_learns),
		cmocka_unit_test(test_move_agrees_with_a_plain_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
