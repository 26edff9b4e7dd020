/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "graft/mount_table.h"

#define HEX "26f9cd094710907887b5aaf60824d8d58b7aa87bb643e6ab952e8f41ac1a4c66"

static const char sample[] =
	"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
	"28 27 0:25 / /mnt/a\\040b\\011c\\134d\\043 ro,nosuid shared:7 master:2 propagate_from:1 - tmpfs a\\040b rw\n"
	"29 27 0:26 / /empty rw - fuse  rw\n"
	"65 27 0:39 / /usr rw,relatime shared:21 - overlay scene rw,lowerdir=/usr\n"
	"112 65 0:42 /usr/lib/x /usr/lib/x ro,nosuid,nodev,relatime shared:22 - erofs /run/bsi/image/scene-" HEX
	" ro,user_xattr\n"
	"113 112 0:43 /usr/lib/x /usr/lib/x ro - erofs /run/bsi/image/open-ssl+1.1-" HEX " ro\n"
	"114 65 0:42 /usr/lib/x /usr/lib/y ro - erofs /run/bsi/image/scene-" HEX " ro\n"
	"115 27 0:44 / /mnt/late rw - tmpfs none rw\n";

static struct mount_table *parse(const char *text, size_t len)
{
	struct mount_table *table = NULL;

	assert_int_equal(mount_table_parse(text, len, &table), 0);
	return table;
}

static void test_parse_reads_fields_and_escapes(void **state)
{
	AUTO(mount_table) struct mount_table *table = parse(sample, sizeof sample - 1);

	(void)state;
	assert_int_equal(table->n_rows, 8);
	assert_int_equal(table->rows[0].id, 27);
	assert_int_equal(table->rows[0].major, 254);
	assert_true(table->rows[0].shared);
	assert_string_equal(table->rows[1].point, "/mnt/a b\tc\\d#");
	assert_string_equal(table->rows[1].source, "a b");
	assert_true(table->rows[1].shared);
	assert_false(table->rows[2].shared);
	assert_string_equal(table->rows[2].type, "fuse");
	assert_string_equal(table->rows[2].source, "");
	assert_int_equal(table->rows[4].parent, 65);
	assert_int_equal(table->rows[4].minor, 42);
	assert_string_equal(table->rows[4].root, "/usr/lib/x");
}

static void test_parse_passes_over_rows_it_cannot_read(void **state)
{
	static const char *const bad[] = {
		"\n",
		"x 1 0:1 / / rw - a b c\n",
		"1 x 0:1 / / rw - a b c\n",
		"1 1 0 / / rw - a b c\n",
		"1 1 0:x / / rw - a b c\n",
		"1 1 0:1 / /\n",
		"1 1 0:1 / / rw\n",
		"1 1 0:1 / / rw -\n",
		"1 1 0:1 / / rw - a\n",
		"1 1 0:1 / / rw - a b\n",
		"1 1 0:1 / / rw shared:1 a b c\n",
		"99999999999999999999 1 0:1 / / rw - a b c\n",
		"1 1 0:99999999999 / / rw - a b c\n",
		"-1 1 0:1 / / rw - a b c\n",
		"1 1 0:1 / / rw - a b c", /* no newline: not whole */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[512];
		AUTO(mount_table) struct mount_table *table = NULL;
		int len = snprintf(text, sizeof text, "5 1 0:9 / /good rw - tmpfs x rw\n%s", bad[i]);

		table = parse(text, (size_t)len);
		if (table->n_rows != 1)
			fail_msg("accepted: %s", bad[i]);
		assert_string_equal(table->rows[0].point, "/good");
	}
}

static void test_parse_survives_truncation_at_every_byte(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof sample; len++) {
		/* Exact memory, so that a byte too far is seen by the address sanitizer. */
		char *copy = malloc(len ? len : 1);
		AUTO(mount_table) struct mount_table *table = NULL;
		size_t n_lines = 0;

		assert_non_null(copy);
		memcpy(copy, sample, len);
		for (size_t i = 0; i < len; i++)
			n_lines += copy[i] == '\n';
		table = parse(copy, len);
		assert_int_equal(table->n_rows, n_lines);
		free(copy);
	}
}

static void test_parse_survives_bit_flips(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < (sizeof sample - 1) * 8; bit++) {
		char copy[sizeof sample];
		AUTO(mount_table) struct mount_table *table = NULL;
		size_t component_len;

		memcpy(copy, sample, sizeof copy);
		copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
		table = parse(copy, sizeof copy - 1);
		assert_in_range(table->n_rows, 6, 10);
		for (size_t i = 0; i < table->n_rows; i++) {
			(void)mount_row_component(&table->rows[i], &component_len);
			(void)mount_table_over(table, &table->rows[i]);
		}
		(void)mount_table_resolve(table, "/usr/lib/x");
	}
}

static void test_component_knows_only_ours(void **state)
{
	static const struct {
		const char *type, *root, *source, *component;
		enum graft_seal seal;
	} cases[] = {
		{"erofs", "/a", "/run/bsi/image/scene-" HEX, "scene"},
		{"erofs", "/a", "/run/bsi/image/dm-verity/scene-" HEX, "scene", GRAFT_DM_VERITY},
		{"erofs", "/a", "/run/bsi/image/fs-verity/scene-" HEX, "scene", GRAFT_FS_VERITY},
		{"erofs", "/a", "/run/bsi/image/dm-verity-" HEX, "dm-verity"},
		{"erofs", "/a", "/run/bsi/image/dm-verity/dm-verity-" HEX, "dm-verity", GRAFT_DM_VERITY},
		{"erofs", "/a", "/run/bsi/image/measured/scene-" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/dm-verity/fs-verity/scene-" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/dm-verity/", NULL},
		{"erofs", "/a", "/run/bsi/image/dm-verity/-" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/a-b+c.1-" HEX, "a-b+c.1"},
		{"ext4", "/a", "/run/bsi/image/scene-" HEX, NULL},
		{"erofs", "a", "/run/bsi/image/scene-" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/scene", NULL},
		{"erofs", "/a", "/run/bsi/image/-" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/x" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/scene-" HEX "0", NULL},
		{"erofs", "/a", "/run/bsi/image/SCENE-" HEX, NULL},
		{"erofs", "/a", "/run/bsi/image/a/b-" HEX, NULL},
		{"erofs", "/a", "/dev/loop0", NULL},
		{"erofs", "/a", "", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct mount_row row = {.type = cases[i].type, .root = cases[i].root,
			.source = cases[i].source, .point = "/"};
		size_t len = 0;
		const char *component = mount_row_component(&row, &len);

		if (!cases[i].component != !component)
			fail_msg("case %zu: %s", i, cases[i].source);
		if (component) {
			assert_int_equal(len, strlen(cases[i].component));
			assert_memory_equal(component, cases[i].component, len);
			assert_memory_equal(component + len + 1, HEX, MOUNT_DIGEST_HEX_LEN);
			assert_int_equal(mount_row_seal(&row), cases[i].seal);
		}
	}
}

static void test_stack_and_place(void **state)
{
	AUTO(mount_table) struct mount_table *table = parse(sample, sizeof sample - 1);

	(void)state;
	assert_ptr_equal(mount_table_over(table, &table->rows[4]), &table->rows[5]);
	assert_null(mount_table_over(table, &table->rows[5]));
	assert_null(mount_table_over(table, &table->rows[3]));
	assert_true(mount_row_is_in_place(&table->rows[4]));
	assert_false(mount_row_is_in_place(&table->rows[6]));
	assert_ptr_equal(mount_table_find(table, 65), &table->rows[3]);
	assert_null(mount_table_find(table, 66));
}

static void test_lid_is_the_base_file_over_itself(void **state)
{
	static const char text[] = "1 0 8:1 /@ / rw - btrfs a rw\n"
		"2 1 8:2 / /usr rw,relatime,nosymfollow shared:1 - ext4 b rw\n"
		"3 2 0:42 /usr/lib/x /usr/lib/x ro - erofs /run/bsi/image/c-" HEX " ro\n"
		"4 3 8:2 /lib/x /usr/lib/x ro,nosuid,nodev,nodiratime,nosymfollow shared:9 - ext4 b rw\n"
		"5 4 8:2 /lib/x /usr/lib/x ro,nodev,nodiratime,nosymfollow - ext4 b rw\n"
		"6 1 8:1 /@/opt/y /opt/y ro,nosymfollow,nodev,nodiratime - btrfs a rw\n"
		/* none: another file, another file system, another place, no flag of ours, a flag that is longer */
		"7 2 8:2 /lib/z /usr/lib/y ro,nodev,nodiratime,nosymfollow - ext4 b rw\n"
		"8 2 8:1 /lib/z /usr/lib/z ro,nodev,nodiratime,nosymfollow - ext4 b rw\n"
		"9 1 8:2 /lib/x /mnt/x ro,nodev,nodiratime,nosymfollow - ext4 b rw\n"
		"10 2 8:2 /lib/v /usr/lib/v ro,nosuid - ext4 b rw\n"
		"11 2 8:2 /lib/w /usr/lib/w ro,nodev,nodiratime,nosymfollows - ext4 b rw\n"
		"12 99 8:2 /lib/u /usr/lib/u ro,nodev,nodiratime,nosymfollow - ext4 b rw\n"
		/* an owner's binds of a place on itself, hardened; the flags of a lid but for one */
		"15 2 8:2 /lib/h /usr/lib/h ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow - ext4 b rw\n"
		"16 2 8:2 /lib/i /usr/lib/i rw,nosuid,nodev,noexec,relatime,nosymfollow - ext4 b rw\n"
		"17 2 8:2 /lib/j /usr/lib/j ro,nodev,nodiratime,relatime,nosymfollow - ext4 b rw\n"
		"18 2 8:2 /lib/k /usr/lib/k ro,nodiratime,nosymfollow - ext4 b rw\n"
		/* a ring */
		"13 14 8:9 /r /r ro,nodev,nodiratime,nosymfollow - ext4 b rw\n"
		"14 13 8:9 /r /r ro,nodev,nodiratime,nosymfollow - ext4 b rw\n";
	AUTO(mount_table) struct mount_table *table = parse(text, sizeof text - 1);

	(void)state;
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct mount_row *row = &table->rows[i];

		if (mount_table_is_lid(table, row) != (row->id >= 4 && row->id <= 6))
			fail_msg("row %d", row->id);
		if (mount_table_is_ours(table, row) != (row->id >= 3 && row->id <= 6))
			fail_msg("ours: row %d", row->id);
	}
}

static void test_resolve_walks_as_the_kernel_does(void **state)
{
	/* /usr/lib is hidden by what was mounted on /usr later. */
	static const char text[] = "1 0 8:1 / / rw - ext4 a rw\n"
				   "2 1 8:2 / /usr rw - ext4 b rw\n"
				   "3 2 8:3 / /usr/lib rw - ext4 c rw\n"
				   "4 2 8:4 / /usr rw - ext4 d rw\n"
				   "5 4 8:5 / /usr/libx rw - ext4 e rw\n"
				   "6 4 8:6 / /usr/share rw - ext4 f rw\n"
				   "7 6 8:7 / /usr/share/x/y rw - ext4 g rw\n";
	static const struct {
		const char *path;
		int id;
	} cases[] = {
		{"/", 1}, {"/etc/x", 1}, {"/usr", 4}, {"/usr/lib", 4}, {"/usr/lib/x", 4},
		{"/usr/libx", 5}, {"/usr/libx/y", 5}, {"/usr/share/x", 6}, {"/usr/share/x/y", 7},
		{"/usr/share/x/yy", 6}, {"/usr2", 1},
	};
	AUTO(mount_table) struct mount_table *table = parse(text, sizeof text - 1);
	AUTO(mount_table) struct mount_table *ring = NULL;
	static const char ring_text[] = "1 1 8:1 / / rw - ext4 a rw\n2 1 8:1 / / rw - ext4 a rw\n"
					"1 2 8:1 / / rw - ext4 a rw\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct mount_row *row = mount_table_resolve(table, cases[i].path);

		assert_non_null(row);
		if (row->id != cases[i].id)
			fail_msg("%s: %d", cases[i].path, row->id);
	}
	ring = parse(ring_text, sizeof ring_text - 1);
	assert_non_null(mount_table_resolve(ring, "/x"));
}

/*
 * What a user makes in a namespace of theirs: as many mounts as the kernel allows, one on the other.
 * A walk that looks at every row for each of them takes minutes, and there is one for each file.
 */
static void test_resolve_ends_in_a_tower(void **state)
{
	enum { HEIGHT = 100000, ROW_LEN = 64 };
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO_FREE char *text = malloc((size_t)HEIGHT * ROW_LEN);
	const struct mount_row *top;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	len += (size_t)snprintf(text, ROW_LEN, "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
	for (int i = 2; i <= HEIGHT; i++)
		len += (size_t)snprintf(text + len, ROW_LEN, "%d %d 0:9 / /usr rw - tmpfs t rw\n", i,
			i - 1);
	assert_int_equal(mount_table_parse(text, len, &table), 0);
	for (int i = 0; i < 40; i++) {
		top = mount_table_resolve(table, "/usr/lib/x");
		assert_int_equal(top->id, HEIGHT);
	}
	for (size_t i = 1; i + 1 < table->n_rows; i++)
		assert_ptr_equal(mount_table_over(table, &table->rows[i]), &table->rows[i + 1]);
	assert_null(mount_table_over(table, top));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_reads_fields_and_escapes),
		cmocka_unit_test(test_parse_passes_over_rows_it_cannot_read),
		cmocka_unit_test(test_parse_survives_truncation_at_every_byte),
		cmocka_unit_test(test_parse_survives_bit_flips),
		cmocka_unit_test(test_component_knows_only_ours),
		cmocka_unit_test(test_stack_and_place),
		cmocka_unit_test(test_lid_is_the_base_file_over_itself),
		cmocka_unit_test(test_resolve_walks_as_the_kernel_does),
		cmocka_unit_test(test_resolve_ends_in_a_tower),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
