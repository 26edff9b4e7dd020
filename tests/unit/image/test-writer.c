/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <errno.h>

#include "base/digest.h"

#define IMAGE_DIGEST "41945ea4b76f2bbf20742d5b3afad6ba6c4f317e1502ee7763e263882b059710"
#define EXAMPLE_DIGEST "3f14d11ec1922e4c95f5bd868e3bf1e647c5ff3bd2561230f4e4dbf04eb94231"
#define EXAMPLE_ROOT "462fbb1261a6d49c4f5966a66bac1143846264c05285def8e93dc08111289708"
#define IMAGE_ROOT "7fe366aab05616afe705661fbddc26bbf9c578fb1bc525a7a55c9d7149b48119"

/* The fixture, in pieces of one size. */
static int assemble(const struct image_recipe *r, const uint8_t *content, size_t len, size_t piece,
	struct memory *to, struct image_seal *seal)
{
	AUTO(image_writer) struct image_writer *w = NULL;
	const struct image_sink sink = memory_sink(to);
	struct error e = {0};
	int result = image_writer_new(r, fixture_salt, &sink, &w);

	if (result < 0)
		return result;
	for (size_t at = 0; at < len; at += piece) {
		result = image_writer_feed(w, content + at, len - at < piece ? len - at : piece);
		if (result < 0) {
			/* it sticks */
			assert_int_equal(image_writer_feed(w, content, 0), result);
			assert_int_equal(image_writer_finish(w, seal, &e), result);
			return result;
		}
	}
	return image_writer_finish(w, seal, &e);
}

/* The bytes of a format do not change by accident. */
static void test_image_bytes_are_pinned(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	struct image_seal seal = fixture_image(&m);
	struct digest d;

	(void)state;
	assert_int_equal(digest_of(m.data, m.len, &d), 0);
	assert_string_equal(digest_format(&d).text, IMAGE_DIGEST);
	assert_string_equal(digest_format(&seal.root).text, IMAGE_ROOT);
}

/* docs/formats/image.md, "Example". */
static void test_documented_example(void **state)
{
	static const struct image_xattr xattr = {"user.k", (const uint8_t *)"v", 1};
	static const struct image_entry entry = {.path = "a",
		.mode = IMAGE_TYPE_REGULAR | 0644,
		.size = 3,
		.xattrs = &xattr,
		.n_xattrs = 1};
	AUTO_DONE(image_recipe) struct image_recipe r = {0};
	AUTO_DONE(memory) struct memory m = memory_of(20480);
	const struct image_sink sink = memory_sink(&m);
	AUTO(image_writer) struct image_writer *w = NULL;
	uint8_t salt[IMAGE_SALT_BYTES];
	struct image_seal seal;
	struct digest d;

	(void)state;
	assert_int_equal(image_recipe_plan(&entry, 1, &r, NULL), 0);
	assert_int_equal(image_recipe_salt(&r, salt), 0);
	assert_int_equal(image_writer_new(&r, salt, &sink, &w), 0);
	assert_int_equal(image_writer_feed(w, "hi\n", 3), 0);
	assert_int_equal(image_writer_finish(w, &seal, NULL), 0);
	assert_int_equal(digest_of(m.data, m.len, &d), 0);
	assert_string_equal(digest_format(&d).text, EXAMPLE_DIGEST);
	assert_string_equal(digest_format(&seal.root).text, EXAMPLE_ROOT);
	assert_int_equal(seal.tree_offset, 12288);
}

static void test_writer_writes_each_byte_once(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory m = {0};
	struct image_seal seal = fixture_image(&m);

	(void)state;
	assert_int_equal(m.len, seal.image_bytes);
	assert_int_equal(m.len, image_recipe_image_bytes(&r));
	assert_int_equal(seal.tree_offset, r.data_bytes);
	assert_memory_equal(seal.salt, fixture_salt, sizeof(fixture_salt));
	for (size_t i = 0; i < m.len; i++)
		assert_int_equal(m.times[i], 1);
}

static void test_writer_puts_content_where_the_recipe_says(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory m = {0};
	size_t n = 0;

	(void)state;
	(void)fixture_image(&m);
	assert_memory_equal(m.data, r.meta, r.meta_len);
	for (size_t i = 0; i < r.n_extents; i++) {
		const struct image_extent *x = &r.extents[i];

		for (uint64_t k = 0; k < x->length; k++, n++)
			assert_int_equal(
				m.data[x->offset + k], fixture_byte(&fixture_entries[x->entry], k));
		for (uint64_t k = x->length; k % 4096 != 0; k++)
			assert_int_equal(m.data[x->offset + k], 0);
	}
	assert_int_equal(n, image_recipe_content_bytes(&r));
}

static void test_writer_takes_pieces_of_any_size(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 511, 4095, 4096, 4097, 131071, 131072, 131073};
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory whole = {0};
	struct image_seal seal = fixture_image(&whole), got;
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		AUTO_DONE(memory) struct memory m = memory_of(whole.len);

		assert_int_equal(assemble(&r, content, len, pieces[i], &m, &got), 0);
		assert_true(digest_equal(&seal.root, &got.root));
		assert_memory_equal(whole.data, m.data, whole.len);
	}
}

static void test_writer_refuses_too_much_and_too_little(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);
	AUTO_FREE uint8_t *more = calloc(1, len + 1);
	AUTO_DONE(memory) struct memory m = memory_of(1U << 20);
	struct image_seal seal;

	(void)state;
	memcpy(more, content, len);
	assert_int_equal(assemble(&r, more, len + 1, len + 1, &m, &seal), -BSI_E_LIMIT);
	assert_int_equal(assemble(&r, more, len + 1, 1, &m, &seal), -BSI_E_LIMIT);
	assert_int_equal(assemble(&r, content, len - 1, len, &m, &seal), -BSI_E_FORMAT);
	assert_int_equal(assemble(&r, content, 0, 1, &m, &seal), -BSI_E_FORMAT);
}

static void test_writer_passes_errors_of_the_sink_up(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	size_t len;
	AUTO_FREE uint8_t *content = fixture_content(&r, fixture_entries, &len);
	AUTO_DONE(memory) struct memory m = memory_of(1U << 20);
	struct image_seal seal;
	size_t n_writes;

	(void)state;
	assert_int_equal(assemble(&r, content, len, 1000, &m, &seal), 0);
	n_writes = m.n_writes;
	assert_true(n_writes > 3);
	for (size_t i = 0; i < n_writes; i++) {
		m.n_writes = 0;
		m.fail_at = i;
		m.fail_with = -ENOSPC;
		assert_int_equal(assemble(&r, content, len, 1000, &m, &seal), -ENOSPC);
	}
}

static void test_writer_refuses_a_bad_recipe(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(memory) struct memory m = memory_of(4096);
	const struct image_sink sink = memory_sink(&m);
	struct image_writer *w = NULL;

	(void)state;
	r.extents[0].length += 4096;
	assert_int_equal(image_writer_new(&r, fixture_salt, &sink, &w), -BSI_E_FORMAT);
	assert_null(w);
	assert_int_equal(m.n_writes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image_bytes_are_pinned),
		cmocka_unit_test(test_documented_example),
		cmocka_unit_test(test_writer_writes_each_byte_once),
		cmocka_unit_test(test_writer_puts_content_where_the_recipe_says),
		cmocka_unit_test(test_writer_takes_pieces_of_any_size),
		cmocka_unit_test(test_writer_refuses_too_much_and_too_little),
		cmocka_unit_test(test_writer_passes_errors_of_the_sink_up),
		cmocka_unit_test(test_writer_refuses_a_bad_recipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
