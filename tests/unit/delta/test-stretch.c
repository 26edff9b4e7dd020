/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies that grow over what is sent: what operations must still be, and what it is good for. */
#include "fixture.h"

#include "delta/decode.h"
#include "delta/encode.h"
#include "delta/stretch.h"

#define N_ENTRIES 2400U
#define N_ROUNDS 2000U
#define N_OPS_MAX 12U

static void test_stretch_over_what_is_there(void **state)
{
	/* a fifth and more of what is sent is on the diagonal of the copy before, or of the one behind */
	static const char old[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char new[] = "abcdeFGhijKLMNOPQRsTUVWXyz01-+-+-+-+456789";
	struct op ops[] = {{0, 5, 2, OP_REST_BYTES}, {7, 3, 14, OP_REST_BYTES},
			   {24, 4, 8, OP_REST_BYTES}, {30, 6, 0, OP_REST_BYTES}};
	size_t n = ARRAY_SIZE(ops);

	(void)state;
	/* of "FG" nothing is there, of the 14 only "s" is, of the 8 nothing on either side */
	assert_false(stretch_copies(ops, &n, (const uint8_t *)old, sizeof old - 1, (const uint8_t *)new));
	assert_int_equal(n, 4);
	ops[0].rest_len = 7; /* as if "FGhijKL" were sent: three are there */
	ops[1] = (struct op){12, 1, 11, OP_REST_BYTES};
	assert_true(stretch_copies(ops, &n, (const uint8_t *)old, sizeof old - 1, (const uint8_t *)new));
	assert_int_equal(n, 3);
	assert_int_equal(ops[0].copy_len, 13);
	assert_int_equal(ops[0].rest_len, 11);
	/* what is derived is nobody's */
	ops[0].rest = OP_REST_DERIVED;
	assert_false(stretch_copies(ops, &n, (const uint8_t *)old, sizeof old - 1, (const uint8_t *)new));
}

/* Random operations: they still make up the new file, lie within the old one, and are no more. */
static void test_stretch_keeps_operations_right(void **state)
{
	struct random r = {23};
	size_t n_grown = 0;

	(void)state;
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		AUTO_DONE(buffer) struct buffer old = random_bytes(&r, 1 + random_below(&r, 60));
		AUTO_DONE(buffer) struct buffer new = random_bytes(&r, 1 + random_below(&r, 60));
		struct op ops[N_OPS_MAX];
		size_t n = 0, before, at = 0, sent = 0, sent_after = 0;

		for (size_t i = 0; i < old.len; i++)
			old.data[i] &= 1;
		for (size_t i = 0; i < new.len; i++)
			new.data[i] &= 1;
		while (at < new.len && n < N_OPS_MAX) {
			size_t left = new.len - at, start = random_below(&r, old.len);
			size_t copy = random_below(&r, old.len - start + 1), rest;

			copy = copy < left ? copy : left;
			rest = n + 1 == N_OPS_MAX ? left - copy : random_below(&r, left - copy + 1);
			ops[n] = (struct op){(uint32_t)start, (uint32_t)copy, (uint32_t)rest & 0x7fffffff,
					     random_below(&r, 9) ? OP_REST_BYTES : OP_REST_DERIVED};
			n += copy + rest > 0;
			at += copy + rest;
			sent += rest;
		}
		if (at < new.len)
			continue;
		before = n;
		n_grown += stretch_copies(ops, &n, old.data, old.len, new.data);
		assert_in_range(n, 1, before);
		at = 0;
		for (size_t i = 0; i < n; i++) {
			assert_in_range(ops[i].old + ops[i].copy_len, 0, old.len);
			assert_true(ops[i].copy_len + ops[i].rest_len > 0);
			at += ops[i].copy_len + ops[i].rest_len;
			sent_after += ops[i].rest_len;
		}
		assert_int_equal(at, new.len);
		assert_in_range(sent_after, 0, sent);
	}
	assert_in_range(n_grown, N_ROUNDS / 10, N_ROUNDS);
}

/* A header, and a table of places as the data of ICU has one: all of them moved, some more than others. */
static void make_table(struct random *r, struct buffer *old, struct buffer *new)
{
	AUTO_DONE(buffer) struct buffer header = random_bytes(r, 144);
	uint32_t name = 18892, data = 72416;

	buffer_put(old, header.data, header.len);
	buffer_put(new, header.data, header.len);
	for (unsigned i = 0; i < N_ENTRIES; i++) {
		const uint32_t entry[2] = {name, data}, moved[2] = {name - 8, data - (i < 900 ? 32 : 4816)};

		buffer_put(old, entry, sizeof entry);
		buffer_put(new, moved, sizeof moved);
		name += 10 + (uint32_t)random_below(r, 12);
		data += 16 * (1 + (uint32_t)random_below(r, 900));
	}
}

static void test_stretch_makes_moved_tables_small(void **state)
{
	struct random r = {29};
	AUTO_DONE(buffer) struct buffer old = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer new = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer delta = buffer_of(1U << 20);
	struct delta_input reference = {"", NULL, 0};
	struct delta_input_file file = {.n_references = 1};
	const struct delta_set set = {.references = &reference, .n_references = 1, .files = &file,
				      .n_files = 1, .meta = (const uint8_t *)""};

	(void)state;
	make_table(&r, &old, &new);
	reference.data = old.data;
	reference.len = old.len;
	file.data = new.data;
	file.len = new.len;
	assert_int_equal(delta_encode(&set, NULL, &delta, NULL), 0); /* and proven */
	print_message("# %zu bytes for a moved table of %zu\n", delta.len, new.len);
	assert_in_range(delta.len, 1, new.len / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stretch_over_what_is_there),
		cmocka_unit_test(test_stretch_keeps_operations_right),
		cmocka_unit_test(test_stretch_makes_moved_tables_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
