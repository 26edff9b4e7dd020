/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <errno.h>

#include "base/digest.h"

/*
 * Roots that `veritysetup format` 2.6.1 gives with the fixture's salt for so many blocks, block i
 * filled with the byte i & 255; and the size of its tree, superblock included.
 */
static const struct {
	uint64_t blocks, tree_bytes;
	const char *root;
} vectors[] = {
	{1, 4096, "4ce3ecf32c133bf6321901b6092219474b6ac91a19d0304621d629e6bb9987dc"},
	{2, 8192, "bd780675f50010ed023fd1f07e98f029a6aaf25a8f6ee33ec94b4b4e847e4b2e"},
	{128, 8192, "acb37719c99f3ac554ecbbccb8910616915a08e5a67bd3b9778694c60e673da4"},
	{129, 16384, "6093a2333523050b628581510028976d3d3e9c62458642a83727e6df641397a4"},
	{16384, 532480, "bdb71e1224ddc1c8b4f5ba62332bd000900098a71f77fcbf9a90d01bf428532f"},
	{16385, 544768, "79f007412b2fbb5ca8f1844db312806a82ba8fd15a05cf5eb2c7e8cbb4b427e1"},
};

static int count_bytes(void *ctx, uint64_t offset, const void *data, size_t len)
{
	(void)offset;
	(void)data;
	*(uint64_t *)ctx += len;
	return 0;
}

static void test_tree_roots_are_those_of_veritysetup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		AUTO(image_tree) struct image_tree *t = NULL;
		uint64_t written = 0, bytes = vectors[i].blocks * IMAGE_BLOCK_BYTES;
		const struct image_sink sink = {&written, count_bytes};
		struct image_seal seal;

		assert_int_equal(image_tree_new(bytes, fixture_salt, &sink, &t), 0);
		for (uint64_t k = 0; k < vectors[i].blocks; k++) {
			uint8_t block[IMAGE_BLOCK_BYTES];

			memset(block, (int)(k & 255), sizeof(block));
			assert_int_equal(image_tree_feed(t, block, sizeof(block)), 0);
		}
		assert_int_equal(image_tree_finish(t, &seal), 0);
		assert_string_equal(digest_format(&seal.root).text, vectors[i].root);
		assert_int_equal(written, vectors[i].tree_bytes);
		assert_int_equal(image_tree_bytes(bytes), vectors[i].tree_bytes);
		assert_int_equal(seal.image_bytes, bytes + vectors[i].tree_bytes);
	}
}

static void test_tree_refuses_sizes(void **state)
{
	static const uint64_t sizes[] = {
		0, 1, 4095, 4097, IMAGE_DATA_MAX_BYTES + 4096, UINT64_MAX, UINT64_MAX - 4095};
	uint64_t written = 0;
	const struct image_sink sink = {&written, count_bytes};
	uint8_t blocks[2 * IMAGE_BLOCK_BYTES] = {0};
	AUTO(image_tree) struct image_tree *t = NULL;
	AUTO(image_tree) struct image_tree *u = NULL;
	struct image_seal seal;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(image_tree_new(sizes[i], fixture_salt, &sink, &t), -BSI_E_LIMIT);
		assert_int_equal(image_tree_bytes(sizes[i]), 0);
	}
	assert_int_equal(image_tree_new(4096, fixture_salt, &sink, &t), 0);
	assert_int_equal(image_tree_feed(t, blocks, 8192), -BSI_E_LIMIT);
	assert_int_equal(image_tree_feed(t, blocks, 4096), -BSI_E_LIMIT);
	assert_int_equal(image_tree_new(8192, fixture_salt, &sink, &u), 0);
	assert_int_equal(image_tree_feed(u, blocks, 4096), 0);
	assert_int_equal(image_tree_finish(u, &seal), -BSI_E_FORMAT);
}

static int verify(struct memory *m, const struct image_seal *seal)
{
	const struct image_source source = memory_source(m);
	struct error e = {0};
	int r = image_tree_verify(&source, seal, &e);

	assert_int_equal(e.code, r);
	return r;
}

static void test_verify_finds_every_changed_byte(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	struct image_seal seal = fixture_image(&m);

	(void)state;
	assert_int_equal(verify(&m, &seal), 0);
	/* each byte of the tree, and some of the data */
	for (size_t i = 0; i < m.len; i += i < seal.tree_offset ? 997 : 7) {
		m.data[i] ^= 0x10;
		assert_int_equal(verify(&m, &seal), -BSI_E_UNSEALED);
		m.data[i] ^= 0x10;
	}
}

static void test_verify_refuses_other_seals(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal good = fixture_image(&m);
	struct image_seal seal = good;

	(void)state;
	seal.root.bytes[31] ^= 1;
	assert_int_equal(verify(&m, &seal), -BSI_E_UNSEALED);
	seal = good;
	seal.salt[0] ^= 1;
	assert_int_equal(verify(&m, &seal), -BSI_E_UNSEALED);
	seal = good;
	seal.tree_offset -= 4096;
	assert_int_equal(verify(&m, &seal), -BSI_E_UNSEALED);
	seal = good;
	seal.tree_offset += 1;
	assert_int_equal(verify(&m, &seal), -BSI_E_LIMIT);
	seal = good;
	seal.image_bytes += 4096;
	assert_int_equal(verify(&m, &seal), -BSI_E_FORMAT);
	/* an image that ends too early, at every block */
	seal = good;
	for (m.len = 0; m.len < good.image_bytes; m.len += 4096)
		assert_int_equal(verify(&m, &seal), -BSI_E_FORMAT);
	assert_int_equal(verify(&m, &seal), 0);
}

static int fail_to_read(void *ctx, uint64_t offset, void *data, size_t len)
{
	(void)ctx;
	(void)offset;
	memset(data, 0, len);
	return -EIO;
}

static void test_verify_passes_errors_of_the_source_up(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal seal = fixture_image(&m);
	const struct image_source source = {NULL, fail_to_read};

	(void)state;
	assert_int_equal(image_tree_verify(&source, &seal, NULL), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_roots_are_those_of_veritysetup),
		cmocka_unit_test(test_tree_refuses_sizes),
		cmocka_unit_test(test_verify_finds_every_changed_byte),
		cmocka_unit_test(test_verify_refuses_other_seals),
		cmocka_unit_test(test_verify_passes_errors_of_the_source_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
