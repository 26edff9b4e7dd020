/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <errno.h>

#include "image/file_seal.h"

/* What `fsverity digest` 1.5 says of so many bytes, block i filled with the byte i & 255. */
static const struct {
	uint64_t bytes;
	const char *digest;
} vectors[] = {
	{0, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"},
	{4095, "5372beb83c78537c8970c8361e3254119fafdf1763854ecd57d3f0fe2da7c719"},
	{4096, "babc284ee4ffe7f449377fbf6692715b43aec7bc39c094a95878904d34bac97e"},
	{8192, "4df2aefd8c2a9101d1d8770dca3ede418232eabce766bb8e020395eae2e97103"},
	{520192, "97f7f845d9fd25d55798ad4c923f1d2b7433b29bb6910beb0374cf63c68b600f"},
	{524288, "b35207050154c973c3fac454d800ec4a8dd0cc84612d9f9f42187b0d22388869"},
	{528384, "9d22e5a8cfb225d5a6b264b0e3a2aadd5ea1368a3c89bf11db3b49c63ced0ffd"},
	{67108864, "d25f79dd72e4c4c7c4f1563cfbf14a0f95aaf330ac002e391bdd256936cc9044"},
	{67108865, "91b30ded9f29e50f98508f1f6467bbfd941b4c53bd3dd92844f6b228397bd868"},
	{67112960, "398215754f7606b37fa317478a6758128c2cdbc53f495250df04d772639c1c7b"},
};

static int read_pattern(void *ctx, uint64_t offset, void *data, size_t len)
{
	uint8_t *at = data;

	(void)ctx;
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)((offset + i) / 4096);
	return 0;
}

static void test_digests_are_those_of_fsverity(void **state)
{
	const struct image_source source = {NULL, read_pattern};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct digest d;

		assert_int_equal(image_file_seal(&source, vectors[i].bytes, &d), 0);
		assert_string_equal(digest_format(&d).text, vectors[i].digest);
	}
}

static void test_every_byte_counts(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	struct digest good, d;
	struct image_source source;

	(void)state;
	(void)fixture_image(&m);
	source = memory_source(&m);
	assert_int_equal(image_file_seal(&source, m.len, &good), 0);
	for (size_t i = 0; i < m.len; i += 499) {
		m.data[i] ^= 1;
		assert_int_equal(image_file_seal(&source, m.len, &d), 0);
		assert_false(digest_equal(&d, &good));
		m.data[i] ^= 1;
	}
	/* nor is a file that ends at another place the same */
	for (size_t n = 0; n < m.len; n += 1021) {
		assert_int_equal(image_file_seal(&source, n, &d), 0);
		assert_false(digest_equal(&d, &good));
	}
}

static int fail_to_read(void *ctx, uint64_t offset, void *data, size_t len)
{
	(void)ctx;
	memset(data, 0, len);
	return offset < 300000 ? 0 : -EIO;
}

static void test_failures_are_passed_up(void **state)
{
	const struct image_source source = {NULL, fail_to_read};
	struct digest d = {{7}};

	(void)state;
	assert_int_equal(image_file_seal(&source, 1 << 20, &d), -EIO);
	assert_int_equal(image_file_seal(&source, FILE_SEAL_MAX_BYTES + 1, &d), -BSI_E_LIMIT);
	assert_int_equal(d.bytes[0], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digests_are_those_of_fsverity),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_failures_are_passed_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
