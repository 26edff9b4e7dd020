/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encoder does not trust itself: a way to code a file that does not decode again is dropped for
 * one that knows less. The proof is made to fail here (see meson.build), as a fault would.
 */
#include "fixture.h"

#include "delta/encode.h"
#include "delta/stream.h"

static unsigned n_refused;
static bool refuse_all;

int __real_stream_prove(const struct delta_set *set, const struct plan *plans, const uint8_t *delta,
			size_t len, struct error *reterr);
int __wrap_stream_prove(const struct delta_set *set, const struct plan *plans, const uint8_t *delta,
			size_t len, struct error *reterr);

int __wrap_stream_prove(const struct delta_set *set, const struct plan *plans, const uint8_t *delta,
			size_t len, struct error *reterr)
{
	if (refuse_all || !plans[0].parts[0].mode.is_plain) {
		n_refused++;
		return -BSI_E_STATE;
	}
	return __real_stream_prove(set, plans, delta, len, reterr);
}

static int encode_programs(struct buffer *old, struct buffer *out, struct delta_file_stats *stats)
{
	AUTO_DONE(buffer) struct buffer new = fixture_golden("new.elf");
	const struct delta_input reference = {"", old->data, old->len};
	const struct delta_input_file file = {.data = new.data, .len = new.len, .n_references = 1};
	const struct delta_set set = {.references = &reference, .n_references = 1, .files = &file,
				      .n_files = 1, .meta = (const uint8_t *)""};
	const struct delta_encode_options options = {.stats = stats};

	return delta_encode(&set, &options, out, NULL);
}

static void test_plan_falls_back_to_plain(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer new = fixture_golden("new.elf");
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 20);
	AUTO_DONE(device) struct device d = {0};
	struct delta_file_stats stats = {0};

	(void)state;
	refuse_all = false;
	n_refused = 0;
	assert_int_equal(encode_programs(&old, &out, &stats), 0);
	/* the whole, then the way that was at fault */
	assert_int_equal(n_refused, 2);
	assert_true(stats.is_plain);
	d = device_of(&old, 1, &out);
	assert_int_equal(device_decode(&d, NULL), 0);
	assert_int_equal(d.made.len, new.len);
	assert_memory_equal(d.made.data, new.data, new.len);
}

/* What cannot be decoded at all is never given out. */
static void test_plan_fails_without_proof(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 20);

	(void)state;
	refuse_all = true;
	assert_int_equal(encode_programs(&old, &out, NULL), -BSI_E_STATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_falls_back_to_plain),
		cmocka_unit_test(test_plan_fails_without_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
