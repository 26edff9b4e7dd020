/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mutated deltas against the decoder that does not compare digests: it must end, within its memory
 * and without an access out of bounds. How many: the environment's MUTATIONS, or a few.
 */
#include "fixture.h"

#include <sys/resource.h>

#define MUTATIONS_DEFAULT 1500U
#define MEMORY_MAX (32U << 20)
#define HEADER_FIELDS_AT 5U

static uint64_t mutations(void)
{
	const char *text = getenv("MUTATIONS");

	return text ? strtoull(text, NULL, 10) : MUTATIONS_DEFAULT;
}

/* Half by structure: header fields and the first bytes of the tables; half anywhere. */
static void mutate(struct random *r, struct buffer *b)
{
	uint64_t n = random_below(r, 4) + 1;

	if (random_below(r, 16) == 0) {
		b->len = (size_t)random_below(r, b->len);
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		size_t room = b->len - HEADER_FIELDS_AT;

		if (random_below(r, 2))
			room = 60;
		b->data[HEADER_FIELDS_AT + random_below(r, room)] = (uint8_t)random_next(r);
	}
	/* the memory stays what the device allows, or nothing would get further */
	b->data[5] = 18;
	if (random_below(r, 4))
		b->data[6] = 0x7f;
}

static void test_decoder_survives_mutations(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer good = fixture_golden("v2.delta");
	struct random r = {101};
	uint64_t n_made = 0, n_refused = 0, n = mutations();

	(void)state;
	for (uint64_t i = 0; i < n; i++) {
		AUTO_DONE(buffer) struct buffer bad = buffer_of(1U << 20);
		AUTO_DONE(device) struct device d = {0};
		int result;

		buffer_put(&bad, good.data, good.len);
		mutate(&r, &bad);
		d = device_of(&old, 1, &bad);
		d.memory_max = MEMORY_MAX;
		result = device_decode(&d, NULL);
		n_made += result == 0;
		n_refused += result < 0;
	}
	assert_int_equal(n_made + n_refused, n);
	/* both happen, or the mutations are no test */
	assert_true(n_refused > n / 2);
	assert_true(n < 1000 || n_made > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_decoder_survives_mutations)};

#ifdef LIMITED
	/* as prlimit --as --cpu would */
	const struct rlimit space = {512UL << 20, 512UL << 20}, time = {600 + 3 * 3600, 4 * 3600};

	if (setrlimit(RLIMIT_AS, &space) < 0 || setrlimit(RLIMIT_CPU, &time) < 0)
		return 99;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
