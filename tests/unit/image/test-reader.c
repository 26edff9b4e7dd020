/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>

#include "image/crc32c.h"
#include "image/erofs.h"

static int read_image(struct memory *m, uint64_t data_bytes, struct image_reader **ret)
{
	const struct image_source source = memory_source(m);
	struct error e = {0};
	int r = image_reader_new(&source, data_bytes, ret, &e);

	if (r < 0) {
		assert_int_equal(e.code, r);
		assert_true(e.text[0] != '\0');
	}
	return r;
}

/* A changed superblock that its checksum does not give away. */
static void checksum_renew(struct memory *m)
{
	uint8_t *super = m->data + EROFS_SUPER_OFFSET;

	put_le32(super + EROFS_SUPER_AT_CHECKSUM, 0);
	put_le32(super + EROFS_SUPER_AT_CHECKSUM,
		crc32c(super, IMAGE_BLOCK_BYTES - EROFS_SUPER_OFFSET));
}

static const struct image_entry *fixture_find(const char *path)
{
	for (size_t i = 0; i < FIXTURE_ENTRIES; i++)
		if (strcmp(fixture_entries[i].path, path) == 0)
			return &fixture_entries[i];
	return NULL;
}

static void assert_same_xattrs(const struct image_entry *got, const struct image_entry *want)
{
	assert_int_equal(got->n_xattrs, want->n_xattrs);
	for (size_t i = 0; i < got->n_xattrs; i++) {
		size_t k;

		for (k = 0; k < want->n_xattrs; k++)
			if (strcmp(got->xattrs[i].name, want->xattrs[k].name) == 0)
				break;
		assert_true(k < want->n_xattrs);
		assert_int_equal(got->xattrs[i].value_len, want->xattrs[k].value_len);
		if (want->xattrs[k].value_len > 0)
			assert_memory_equal(got->xattrs[i].value, want->xattrs[k].value,
				want->xattrs[k].value_len);
	}
}

static void test_reader_finds_what_was_written(void **state)
{
	static const char *const order[] = {"opt", "opt/x", "usr", "usr/bin", "usr/bin/ping",
		"usr/bin/ping6", "usr/bin/su", "usr/lib", "usr/lib/!early", "usr/lib/-dash",
		"usr/lib/a", "usr/lib/a/b", "usr/lib/a/b/c", "usr/lib/a/b/c/deep", "usr/lib/a.b",
		"usr/lib/empty", "usr/lib/libx.so", "usr/lib/libx.so.1", "usr/lib/void", "usr/sbin",
		"usr/sbin/ping"};
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal seal = fixture_image(&m);
	AUTO(image_reader) struct image_reader *r = NULL;
	const struct image_entry *entries;
	size_t n;

	(void)state;
	assert_int_equal(read_image(&m, seal.tree_offset, &r), 0);
	entries = image_reader_entries(r, &n);
	assert_int_equal(n, ARRAY_SIZE(order));
	for (size_t i = 0; i < n; i++) {
		const struct image_entry *want = fixture_find(order[i]);

		assert_string_equal(entries[i].path, order[i]);
		assert_ptr_equal(image_reader_find(r, order[i]), &entries[i]);
		if (!want) {
			assert_int_equal(entries[i].mode, IMAGE_TYPE_DIRECTORY | 0755);
			continue;
		}
		if (want->hardlink_to) {
			assert_string_equal(entries[i].hardlink_to, "usr/bin/ping");
			assert_int_equal(image_reader_offset(r, i), image_reader_offset(r, 4));
			continue;
		}
		assert_null(entries[i].hardlink_to);
		assert_int_equal(entries[i].mode, want->mode);
		assert_int_equal(entries[i].uid, want->uid);
		assert_int_equal(entries[i].gid, want->gid);
		assert_int_equal(entries[i].size, want->size);
		if (want->symlink_target)
			assert_string_equal(entries[i].symlink_target, want->symlink_target);
		assert_same_xattrs(&entries[i], want);
		for (uint64_t k = 0; k < want->size; k++)
			assert_int_equal(
				m.data[image_reader_offset(r, i) + k], fixture_byte(want, k));
		assert_int_equal(image_reader_offset(r, i) != 0, want->size != 0);
	}
	assert_null(image_reader_find(r, "usr/lib/none"));
	assert_null(image_reader_find(r, ""));
	assert_int_equal(image_reader_check_canonical(r, NULL), 0);
}

static void test_reader_reads_directories_of_any_size(void **state)
{
	enum { N = 3000 };
	static char paths[N][48];
	static struct image_entry entries[N];
	AUTO_DONE(image_recipe) struct image_recipe recipe = {0};
	AUTO_DONE(memory) struct memory m = memory_of(2U << 20);
	const struct image_sink sink = memory_sink(&m);
	AUTO(image_writer) struct image_writer *w = NULL;
	AUTO(image_reader) struct image_reader *r = NULL;
	struct image_seal seal;
	size_t n;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		/* names of many lengths, in no order */
		(void)snprintf(
			paths[i], sizeof(paths[i]), "usr/%0*zu", (int)(4 + i % 37), i * 7919 % N);
		entries[i] =
			(struct image_entry){.path = paths[i], .mode = IMAGE_TYPE_REGULAR | 0644};
	}
	assert_int_equal(image_recipe_plan(entries, N, &recipe, NULL), 0);
	assert_int_equal(image_writer_new(&recipe, fixture_salt, &sink, &w), 0);
	assert_int_equal(image_writer_finish(w, &seal, NULL), 0);
	assert_int_equal(read_image(&m, seal.tree_offset, &r), 0);
	(void)image_reader_entries(r, &n);
	assert_int_equal(n, N + 1);
	for (size_t i = 0; i < N; i++)
		assert_non_null(image_reader_find(r, paths[i]));
	assert_int_equal(image_reader_check_canonical(r, NULL), 0);
}

static void test_reader_rejects_truncation(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal seal = fixture_image(&m);

	(void)state;
	/* the size itself is wrong */
	for (uint64_t n = 0; n < seal.tree_offset; n++) {
		struct image_reader *r = NULL;

		assert_true(read_image(&m, n, &r) < 0);
		assert_null(r);
	}
	/* the source has less than it says; content is not read */
	for (m.len = 0; m.len < 4 * IMAGE_BLOCK_BYTES; m.len++) {
		struct image_reader *r = NULL;

		assert_int_equal(read_image(&m, seal.tree_offset, &r), -BSI_E_FORMAT);
	}
}

/* Whatever bit of the metadata is another one: the reader or the comparison says so. */
static void test_reader_finds_every_bit_flip(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe recipe = fixture_recipe();
	AUTO_DONE(memory) struct memory m = {0};
	AUTO_FREE uint8_t *good = NULL;
	const struct image_seal seal = fixture_image(&m);

	(void)state;
	good = malloc(recipe.meta_len);
	assert_non_null(good);
	memcpy(good, m.data, recipe.meta_len);
	for (size_t bit = 0; bit < 8 * recipe.meta_len; bit++) {
		AUTO(image_reader) struct image_reader *r = NULL;

		/* long runs of zeros: a bit in each byte is enough */
		if (good[bit / 8] == 0 && bit % 8 != bit / 8 % 8)
			continue;
		m.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		if (bit / 8 >= EROFS_SUPER_OFFSET)
			checksum_renew(&m);
		if (memcmp(good, m.data, recipe.meta_len) != 0 &&
			read_image(&m, seal.tree_offset, &r) == 0)
			assert_int_equal(image_reader_check_canonical(r, NULL), -BSI_E_FORMAT);
		memcpy(m.data, good, recipe.meta_len);
	}
}

static void test_reader_rejects_wrong_checksum(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal seal = fixture_image(&m);
	struct image_reader *r = NULL;

	(void)state;
	m.data[EROFS_SUPER_OFFSET + EROFS_SUPER_AT_UUID] ^= 1;
	assert_int_equal(read_image(&m, seal.tree_offset, &r), -BSI_E_FORMAT);
}

/* The entry of a name in the image's directories, found by its text. */
static uint8_t *dirent_of(struct memory *m, const char *name, uint64_t from)
{
	size_t len = strlen(name);

	for (size_t block = (size_t)from;; block += IMAGE_BLOCK_BYTES) {
		uint8_t *b = m->data + block;
		size_t n = (size_t)(b[8] | b[9] << 8) / EROFS_DIRENT_BYTES;

		assert_true(block < m->len);
		for (size_t i = 0; i < n; i++) {
			uint8_t *d = b + i * EROFS_DIRENT_BYTES;

			if (memcmp(b + (d[8] | d[9] << 8), name, len) == 0)
				return d;
		}
	}
}

/* A directory that is its own ancestor must end at a limit, soon. */
static void test_reader_ends_in_loops(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal seal = fixture_image(&m);
	struct image_reader *r = NULL;
	/* block 0 holds the superblock and all inodes of the fixture, the directories follow */
	uint8_t *usr = dirent_of(&m, "usr", IMAGE_BLOCK_BYTES);
	uint8_t *root = dirent_of(&m, ".", IMAGE_BLOCK_BYTES);

	(void)state;
	memcpy(usr, root, 8);
	assert_true(read_image(&m, seal.tree_offset, &r) < 0);
	assert_null(r);
}

static void test_reader_refuses_names(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {{"ping6", "pi/g6"}, {"ping6", "..ng6"}, {"ping6", "pi\ng6"}, {"su", ".."},
		{"ping6", "ping"}, {"ping6", "\0ing6"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_DONE(memory) struct memory m = {0};
		const struct image_seal seal = fixture_image(&m);
		AUTO(image_reader) struct image_reader *r = NULL;
		uint8_t *d = dirent_of(&m, rows[i].from, IMAGE_BLOCK_BYTES);
		size_t in_block = (size_t)(d - m.data) % IMAGE_BLOCK_BYTES;

		memcpy(d - in_block + (d[8] | d[9] << 8), rows[i].to, strlen(rows[i].from));
		if (read_image(&m, seal.tree_offset, &r) == 0)
			assert_int_equal(image_reader_check_canonical(r, NULL), -BSI_E_FORMAT);
	}
}

static void test_canonical_looks_at_padding(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal seal = fixture_image(&m);
	AUTO(image_reader) struct image_reader *r = NULL;
	const struct image_entry *entries;
	size_t n;

	(void)state;
	assert_int_equal(read_image(&m, seal.tree_offset, &r), 0);
	entries = image_reader_entries(r, &n);
	for (size_t i = 0; i < n; i++) {
		uint8_t *end = m.data + image_reader_offset(r, i) + entries[i].size;

		if (entries[i].size % IMAGE_BLOCK_BYTES == 0)
			continue;
		*end = 1;
		assert_int_equal(image_reader_check_canonical(r, NULL), -BSI_E_FORMAT);
		*end = 0;
	}
	assert_int_equal(image_reader_check_canonical(r, NULL), 0);
}

/* Lets n reads through. */
struct failing {
	struct memory *memory;
	size_t n;
};

static int failing_read(void *ctx, uint64_t offset, void *data, size_t len)
{
	struct failing *f = ctx;

	if (f->n == 0)
		return -EIO;
	f->n--;
	return memory_read(f->memory, offset, data, len);
}

static void test_reader_passes_errors_of_the_source_up(void **state)
{
	AUTO_DONE(memory) struct memory m = {0};
	const struct image_seal seal = fixture_image(&m);
	struct failing f = {.memory = &m};
	const struct image_source source = {&f, failing_read};
	size_t n = 0;

	(void)state;
	for (;; n++) {
		AUTO(image_reader) struct image_reader *r = NULL;
		int result;

		f.n = n;
		result = image_reader_new(&source, seal.tree_offset, &r, NULL);
		if (result == 0)
			break;
		assert_int_equal(result, -EIO);
	}
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_finds_what_was_written),
		cmocka_unit_test(test_reader_reads_directories_of_any_size),
		cmocka_unit_test(test_reader_rejects_truncation),
		cmocka_unit_test(test_reader_finds_every_bit_flip),
		cmocka_unit_test(test_reader_rejects_wrong_checksum),
		cmocka_unit_test(test_reader_ends_in_loops),
		cmocka_unit_test(test_reader_refuses_names),
		cmocka_unit_test(test_canonical_looks_at_padding),
		cmocka_unit_test(test_reader_passes_errors_of_the_source_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
