/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way there and back with the n-th allocation failing: -ENOMEM, and nothing is lost. */
#include "fixture.h"

#include <errno.h>

#define MAX_BYTES (1U << 20)

static size_t allocations, fail_at = SIZE_MAX;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool is_failing(void)
{
	return allocations++ == fail_at;
}

void *__wrap_malloc(size_t n)
{
	return is_failing() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_failing() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return is_failing() ? NULL : __real_realloc(p, n);
}

static int publish(const uint8_t *content, size_t len, struct memory *image, struct memory *payload)
{
	AUTO_DONE(image_recipe) struct image_recipe r = {0};
	AUTO(image_writer) struct image_writer *w = NULL;
	AUTO(payload_encoder) struct payload_encoder *e = NULL;
	const struct image_sink sink = memory_sink(image);
	const struct byte_sink byte_sink = memory_byte_sink(payload);
	struct image_seal seal;
	int result = image_recipe_plan(fixture_entries, FIXTURE_ENTRIES, &r, NULL);

	if (result == 0)
		result = image_writer_new(&r, fixture_salt, &sink, &w);
	if (result == 0)
		result = payload_encoder_new(&r, 1, 1, &byte_sink, &e);
	if (result == 0)
		result = image_writer_feed(w, content, len);
	if (result == 0)
		result = payload_encoder_feed(e, content, len);
	if (result == 0)
		result = image_writer_finish(w, &seal, NULL);
	if (result == 0)
		result = payload_encoder_finish(e, NULL);
	return result;
}

static int receive(const struct memory *payload, struct memory *image)
{
	AUTO(payload_decoder) struct payload_decoder *d = NULL;
	AUTO(image_reader) struct image_reader *r = NULL;
	const struct image_sink sink = memory_sink(image);
	const struct image_source source = memory_source(image);
	struct image_seal seal;
	int result = payload_decoder_new(MAX_BYTES * 24, MAX_BYTES, fixture_salt, &sink, &d);

	if (result == 0)
		result = payload_decoder_feed(d, payload->data, payload->len, NULL);
	if (result == 0)
		result = payload_decoder_finish(d, &seal, NULL);
	if (result == 0)
		result = image_tree_verify(&source, &seal, NULL);
	if (result == 0)
		result = image_reader_new(&source, seal.tree_offset, &r, NULL);
	if (result == 0)
		result = image_reader_check_canonical(r, NULL);
	return result;
}

static void test_every_allocation_may_fail(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	size_t len, n = 0;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);

	(void)state;
	for (;; n++) {
		AUTO_DONE(memory) struct memory image = memory_of(MAX_BYTES);
		AUTO_DONE(memory) struct memory payload = memory_of(MAX_BYTES);
		AUTO_DONE(memory) struct memory again = memory_of(MAX_BYTES);
		int result;
		bool was_reached;

		allocations = 0;
		fail_at = n;
		result = publish(content, len, &image, &payload);
		if (result == 0)
			result = receive(&payload, &again);
		was_reached = allocations > n;
		fail_at = SIZE_MAX;
		if (!was_reached) {
			assert_int_equal(result, 0);
			assert_memory_equal(image.data, again.data, MAX_BYTES);
			break;
		}
		assert_int_equal(result, -ENOMEM);
	}
	assert_true(n > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
