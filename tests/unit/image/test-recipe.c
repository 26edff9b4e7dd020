/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <stdio.h>

#include "base/path.h"
#include "image/crc32c.h"

#define PATH_MAX_TEST (PATH_MAX_BYTES + 1)

static int plan(const struct image_entry *entries, size_t n, struct image_recipe *ret)
{
	struct error e = {0};
	int r = image_recipe_plan(entries, n, ret, &e);

	if (r < 0) {
		assert_int_equal(e.code, r);
		assert_true(e.text[0] != '\0');
	}
	return r;
}

static void assert_same_recipe(const struct image_recipe *a, const struct image_recipe *b)
{
	assert_int_equal(a->meta_len, b->meta_len);
	assert_memory_equal(a->meta, b->meta, a->meta_len);
	assert_int_equal(a->n_extents, b->n_extents);
	assert_int_equal(a->data_bytes, b->data_bytes);
	for (size_t i = 0; i < a->n_extents; i++) {
		assert_int_equal(a->extents[i].offset, b->extents[i].offset);
		assert_int_equal(a->extents[i].length, b->extents[i].length);
	}
}

static void test_plan_is_the_same_in_any_order(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe first = fixture_recipe();

	(void)state;
	for (size_t shift = 0; shift < 2 * FIXTURE_ENTRIES; shift++) {
		struct image_entry mixed[FIXTURE_ENTRIES];
		AUTO_DONE(image_recipe) struct image_recipe r = {0};

		for (size_t i = 0; i < FIXTURE_ENTRIES; i++) {
			size_t from = (i + shift) % FIXTURE_ENTRIES;

			if (shift >= FIXTURE_ENTRIES)
				from = FIXTURE_ENTRIES - 1 - from;
			mixed[i] = fixture_entries[from];
		}
		assert_int_equal(plan(mixed, FIXTURE_ENTRIES, &r), 0);
		assert_same_recipe(&first, &r);
		for (size_t i = 0; i < r.n_extents; i++)
			assert_string_equal(mixed[r.extents[i].entry].path,
				fixture_entries[first.extents[i].entry].path);
	}
}

static void test_plan_adds_parents_as_root_0755(void **state)
{
	static const struct image_entry bare[] = {
		{.path = "usr/lib/x", .mode = IMAGE_TYPE_REGULAR | 0644, .size = 3}};
	static const struct image_entry full[] = {
		{.path = "usr/lib/x", .mode = IMAGE_TYPE_REGULAR | 0644, .size = 3},
		{.path = "usr", .mode = IMAGE_TYPE_DIRECTORY | 0755},
		{.path = "usr/lib", .mode = IMAGE_TYPE_DIRECTORY | 0755}};
	AUTO_DONE(image_recipe) struct image_recipe a = {0};
	AUTO_DONE(image_recipe) struct image_recipe b = {0};

	(void)state;
	assert_int_equal(plan(bare, ARRAY_SIZE(bare), &a), 0);
	assert_int_equal(plan(full, ARRAY_SIZE(full), &b), 0);
	assert_same_recipe(&a, &b);
}

static void test_plan_does_not_care_which_name_is_the_link(void **state)
{
	static const struct image_entry one[] = {
		{.path = "a", .mode = IMAGE_TYPE_REGULAR | 0644, .size = 3},
		{.path = "b", .hardlink_to = "a"}};
	static const struct image_entry other[] = {{.path = "a", .hardlink_to = "b"},
		{.path = "b", .mode = IMAGE_TYPE_REGULAR | 0644, .size = 3}};
	AUTO_DONE(image_recipe) struct image_recipe a = {0};
	AUTO_DONE(image_recipe) struct image_recipe b = {0};

	(void)state;
	assert_int_equal(plan(one, 2, &a), 0);
	assert_int_equal(plan(other, 2, &b), 0);
	assert_same_recipe(&a, &b);
	assert_int_equal(a.n_extents, 1);
	assert_int_equal(a.extents[0].entry, 0);
	assert_int_equal(b.extents[0].entry, 1);
}

static void test_plan_of_nothing_is_an_empty_root(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = {0};

	(void)state;
	assert_int_equal(plan(NULL, 0, &r), 0);
	assert_int_equal(r.meta_len, 2 * IMAGE_BLOCK_BYTES);
	assert_int_equal(r.n_extents, 0);
	assert_int_equal(r.data_bytes, r.meta_len);
}

static void test_plan_splits_large_directories_into_blocks(void **state)
{
	enum { N = 1000 };
	static char paths[N][32];
	static struct image_entry entries[N];
	AUTO_DONE(image_recipe) struct image_recipe r = {0};

	(void)state;
	for (size_t i = 0; i < N; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "a-name-of-some-length-%04zu", i);
		entries[i] =
			(struct image_entry){.path = paths[i], .mode = IMAGE_TYPE_REGULAR | 0644};
	}
	assert_int_equal(plan(entries, N, &r), 0);
	/* a block holds 107 entries of 12 + 26 bytes: 10 blocks after the inodes' 16 */
	assert_int_equal(r.meta_len, (16 + 10) * IMAGE_BLOCK_BYTES);
}

#define FILE_AT(p)                                                                                 \
	{                                                                                          \
		.path = (p), .mode = IMAGE_TYPE_REGULAR | 0644                                     \
	}
#define XATTR(n, l)                                                                                \
	{                                                                                          \
		.path = "x", .mode = IMAGE_TYPE_REGULAR, .n_xattrs = 1,                            \
		.xattrs = &(const struct image_xattr)                                              \
		{                                                                                  \
			(n), large, (l)                                                            \
		}                                                                                  \
	}

static const uint8_t large[IMAGE_XATTR_VALUE_MAX_BYTES + 1];
static const struct image_xattr twice[] = {{"user.a", large, 1}, {"user.a", large, 2}};
static const struct image_xattr too_many_bytes[] = {
	{"user.a", large, 60000}, {"user.b", large, 60000}, {"user.c", large, 60000}};

static const struct {
	const char *why;
	int code;
	struct image_entry entries[2];
} refused[] = {
	{"an empty path", -BSI_E_PATH, {FILE_AT("")}},
	{"an absolute path", -BSI_E_PATH, {FILE_AT("/usr/x")}},
	{"dots", -BSI_E_PATH, {FILE_AT("usr/../x")}},
	{"an empty component", -BSI_E_PATH, {FILE_AT("usr//x")}},
	{"a newline", -BSI_E_PATH, {FILE_AT("usr/a\nb")}},
	{"a double name", -BSI_E_PATH, {FILE_AT("usr/x"), FILE_AT("usr/x")}},
	{"a file as parent", -BSI_E_PATH, {FILE_AT("usr/x"), FILE_AT("usr/x/y")}},
	{"a file as parent of a parent", -BSI_E_PATH, {FILE_AT("usr/x/y/z"), FILE_AT("usr/x")}},
	{"a symlink as parent", -BSI_E_PATH,
		{{.path = "x", .mode = IMAGE_TYPE_SYMLINK, .symlink_target = "y"}, FILE_AT("x/y")}},
	{"a hard link as parent", -BSI_E_PATH,
		{{.path = "x", .hardlink_to = "x/y"}, FILE_AT("x/y")}},
	{"a device", -BSI_E_FORMAT, {{.path = "x", .mode = 0020644}}},
	{"no type", -BSI_E_FORMAT, {{.path = "x", .mode = 0644}}},
	{"bits above the mode", -BSI_E_FORMAT, {{.path = "x", .mode = 01100644}}},
	{"a file too large", -BSI_E_LIMIT,
		{{.path = "x", .mode = IMAGE_TYPE_REGULAR, .size = UINT64_MAX}}},
	{"two files too large", -BSI_E_LIMIT,
		{{.path = "x", .mode = IMAGE_TYPE_REGULAR, .size = IMAGE_DATA_MAX_BYTES / 2},
			{.path = "y",
				.mode = IMAGE_TYPE_REGULAR,
				.size = IMAGE_DATA_MAX_BYTES / 2}}},
	{"a symlink to nothing", -BSI_E_FORMAT,
		{{.path = "x", .mode = IMAGE_TYPE_SYMLINK, .symlink_target = ""}}},
	{"a symlink without target", -BSI_E_FORMAT, {{.path = "x", .mode = IMAGE_TYPE_SYMLINK}}},
	{"a link to what is not there", -BSI_E_FORMAT, {{.path = "x", .hardlink_to = "y"}}},
	{"a link to itself", -BSI_E_FORMAT, {{.path = "x", .hardlink_to = "x"}}},
	{"a link to a parent that was added", -BSI_E_FORMAT,
		{{.path = "x", .hardlink_to = "usr"}, FILE_AT("usr/y")}},
	{"a link to a directory", -BSI_E_FORMAT,
		{{.path = "x", .hardlink_to = "y"}, {.path = "y", .mode = IMAGE_TYPE_DIRECTORY}}},
	{"a link to a symlink", -BSI_E_FORMAT,
		{{.path = "x", .hardlink_to = "y"},
			{.path = "y", .mode = IMAGE_TYPE_SYMLINK, .symlink_target = "z"}}},
	{"links in a ring", -BSI_E_FORMAT,
		{{.path = "x", .hardlink_to = "y"}, {.path = "y", .hardlink_to = "x"}}},
	{"an xattr of another kind", -BSI_E_FORMAT, {XATTR("system.nfs4_acl", 1)}},
	{"an xattr without a name", -BSI_E_FORMAT, {XATTR("user.", 1)}},
	{"more after an ACL's name", -BSI_E_FORMAT, {XATTR("system.posix_acl_accessx", 1)}},
	{"an xattr value too large", -BSI_E_LIMIT,
		{XATTR("user.x", IMAGE_XATTR_VALUE_MAX_BYTES + 1)}},
	{"an xattr twice", -BSI_E_FORMAT,
		{{.path = "x", .mode = IMAGE_TYPE_REGULAR, .xattrs = twice, .n_xattrs = 2}}},
	{"too many bytes of xattrs", -BSI_E_LIMIT,
		{{.path = "x",
			.mode = IMAGE_TYPE_REGULAR,
			.xattrs = too_many_bytes,
			.n_xattrs = 3}}},
	{"too many xattrs", -BSI_E_LIMIT,
		{{.path = "x",
			.mode = IMAGE_TYPE_REGULAR,
			.xattrs = twice,
			.n_xattrs = IMAGE_XATTRS_MAX + 1}}},
};

static void test_plan_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct image_recipe r = {0};
		size_t n = refused[i].entries[1].path ? 2 : 1;

		if (plan(refused[i].entries, n, &r) != refused[i].code)
			fail_msg("%s: not refused as it should be", refused[i].why);
		assert_null(r.meta);
	}
}

static void test_plan_keeps_to_its_limits(void **state)
{
	enum { DEEP = 100, LINKS = 2100 };
	static char paths[LINKS][PATH_MAX_TEST];
	static struct image_entry entries[LINKS];
	static char target[IMAGE_SYMLINK_MAX_BYTES + 2];
	struct image_recipe r = {0};

	(void)state;
	assert_int_equal(plan(NULL, IMAGE_ENTRIES_MAX + 1, &r), -BSI_E_LIMIT);

	/* few entries, each with hundreds of parents of its own */
	for (size_t i = 0; i < DEEP; i++) {
		size_t len = (size_t)snprintf(paths[i], PATH_MAX_TEST, "%zu", i);

		while (len < 1000) {
			memcpy(paths[i] + len, "/d", 3);
			len += 2;
		}
		entries[i] = (struct image_entry)FILE_AT(paths[i]);
	}
	assert_int_equal(plan(entries, DEEP, &r), -BSI_E_LIMIT);

	/* a block for each target */
	memset(target, 'x', IMAGE_SYMLINK_MAX_BYTES);
	for (size_t i = 0; i < LINKS; i++) {
		(void)snprintf(paths[i], PATH_MAX_TEST, "link-%zu", i);
		entries[i] = (struct image_entry){.path = paths[i],
			.mode = IMAGE_TYPE_SYMLINK | 0777,
			.symlink_target = target};
	}
	assert_int_equal(plan(entries, LINKS, &r), -BSI_E_LIMIT);
	assert_int_equal(plan(entries, 1, &r), 0);
	image_recipe_done(&r);
	target[IMAGE_SYMLINK_MAX_BYTES] = 'x';
	assert_int_equal(plan(entries, 1, &r), -BSI_E_FORMAT);
}

static void test_recipe_round_trip(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(image_recipe) struct image_recipe back = {0};
	AUTO_DONE(buffer) struct buffer b = buffer_of(IMAGE_RECIPE_MAX_BYTES);

	(void)state;
	assert_int_equal(image_recipe_encode(&r, &b), 0);
	assert_int_equal(image_recipe_decode(b.data, b.len, &back), 0);
	assert_same_recipe(&r, &back);
	for (size_t i = 0; i < back.n_extents; i++)
		assert_true(back.extents[i].entry == IMAGE_EXTENT_NO_ENTRY);
}

static void test_recipe_decode_rejects_truncation(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	AUTO_DONE(buffer) struct buffer b = buffer_of(IMAGE_RECIPE_MAX_BYTES);

	(void)state;
	assert_int_equal(image_recipe_encode(&r, &b), 0);
	for (size_t n = 0; n < b.len; n++) {
		AUTO_FREE uint8_t *exact =
			malloc(n + 1); /* so that a sanitizer sees one byte more */
		struct image_recipe back = {0};

		memcpy(exact + 1, b.data, n);
		assert_int_equal(image_recipe_decode(exact + 1, n, &back), -BSI_E_FORMAT);
		assert_null(back.meta);
	}
	buffer_put_u8(&b, 1);
	assert_int_equal(image_recipe_decode(b.data, b.len, &r), -BSI_E_FORMAT);
}

static void test_recipe_decode_refuses(void **state)
{
	static const struct {
		const char *why;
		int code;
		uint32_t meta_len, n_extents, blocks;
		uint64_t length;
	} rows[] = {
		{"no metadata", -BSI_E_FORMAT, 0, 0, 0, 0},
		{"part of a block", -BSI_E_FORMAT, 4095, 0, 1, 0},
		{"too much metadata", -BSI_E_LIMIT, IMAGE_META_MAX_BYTES + 4096, 0, 1, 0},
		{"too many extents", -BSI_E_LIMIT, 4096, IMAGE_ENTRIES_MAX + 1, 1, 1},
		{"more extents than bytes", -BSI_E_FORMAT, 4096, IMAGE_ENTRIES_MAX, 1, 1},
		{"an extent of nothing", -BSI_E_FORMAT, 4096, 1, 1, 0},
		{"an extent too long", -BSI_E_LIMIT, 4096, 1, 1, IMAGE_DATA_MAX_BYTES},
		{"an extent that wraps", -BSI_E_LIMIT, 4096, 1, 1, UINT64_MAX},
		{"a good one", 0, 4096, 1, 1, IMAGE_DATA_MAX_BYTES - 4096},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_DONE(buffer) struct buffer b = buffer_of(65536);
		AUTO_DONE(image_recipe) struct image_recipe r = {0};
		uint8_t *meta;

		buffer_put_u32le(&b, rows[i].meta_len);
		buffer_put_u32le(&b, rows[i].n_extents);
		meta = buffer_grow(&b, rows[i].blocks * 4096);
		assert_non_null(meta);
		memset(meta, 0, rows[i].blocks * 4096);
		if (rows[i].meta_len % 4096 != 0)
			b.len -= 4096 - rows[i].meta_len % 4096;
		if (rows[i].n_extents)
			buffer_put_varint(&b, rows[i].length);
		if (image_recipe_decode(b.data, b.len, &r) != rows[i].code)
			fail_msg("%s: not as it should be", rows[i].why);
	}
}

static void test_recipe_check_refuses_gaps(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();

	(void)state;
	assert_int_equal(image_recipe_check(&r), 0);
	r.data_bytes += 4096;
	assert_int_equal(image_recipe_check(&r), -BSI_E_FORMAT);
	r.data_bytes -= 4096;
	r.extents[1].offset += 4096;
	assert_int_equal(image_recipe_check(&r), -BSI_E_FORMAT);
	r.extents[1].offset -= 4096;
	r.extents[0].length = UINT64_MAX;
	assert_int_equal(image_recipe_check(&r), -BSI_E_LIMIT);
}

static void test_salt_depends_on_the_recipe(void **state)
{
	AUTO_DONE(image_recipe) struct image_recipe r = fixture_recipe();
	uint8_t a[IMAGE_SALT_BYTES], b[IMAGE_SALT_BYTES];

	(void)state;
	assert_int_equal(image_recipe_salt(&r, a), 0);
	assert_int_equal(image_recipe_salt(&r, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	r.extents[0].length ^= 1;
	assert_int_equal(image_recipe_salt(&r, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

/* RFC 3720, appendix B.4, before its final inversion. */
static void test_crc32c_vectors(void **state)
{
	uint8_t data[32] = {0};

	(void)state;
	assert_int_equal(~crc32c(data, sizeof(data)), 0x8a9136aaU);
	memset(data, 0xff, sizeof(data));
	assert_int_equal(~crc32c(data, sizeof(data)), 0x62a8ab43U);
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = i;
	assert_int_equal(~crc32c(data, sizeof(data)), 0x46dd794eU);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_is_the_same_in_any_order),
		cmocka_unit_test(test_plan_adds_parents_as_root_0755),
		cmocka_unit_test(test_plan_does_not_care_which_name_is_the_link),
		cmocka_unit_test(test_plan_of_nothing_is_an_empty_root),
		cmocka_unit_test(test_plan_splits_large_directories_into_blocks),
		cmocka_unit_test(test_plan_refuses),
		cmocka_unit_test(test_plan_keeps_to_its_limits),
		cmocka_unit_test(test_recipe_round_trip),
		cmocka_unit_test(test_recipe_decode_rejects_truncation),
		cmocka_unit_test(test_recipe_decode_refuses),
		cmocka_unit_test(test_recipe_check_refuses_gaps),
		cmocka_unit_test(test_salt_depends_on_the_recipe),
		cmocka_unit_test(test_crc32c_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
