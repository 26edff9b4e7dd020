/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "graft/inventory.h"

#define HEX "26f9cd094710907887b5aaf60824d8d58b7aa87bb643e6ab952e8f41ac1a4c66"

static const char sample[] =
	"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
	"112 27 0:42 /usr/lib/x /usr/lib/x ro shared:22 - erofs /run/bsi/image/scene-" HEX " ro\n"
	"113 27 0:42 /usr/lib/y /usr/lib/y ro - erofs /run/bsi/image/scene-" HEX " ro\n"
	/* somebody's bind of a patched file, another root's, and an image that is none of ours */
	"114 27 0:42 /usr/lib/x /mnt/x ro - erofs /run/bsi/image/scene-" HEX " ro\n"
	"115 27 0:42 /usr/lib/x /tree/usr/lib/x ro - erofs /run/bsi/image/scene-" HEX " ro\n"
	"116 27 0:44 /usr/lib/z /usr/lib/z ro - erofs /dev/loop0 ro\n"
	/* what an off left that was cut: y is not attached, whatever lies beneath */
	"117 113 254:0 /usr/lib/y /usr/lib/y ro,nodev,nodiratime,nosymfollow - ext4 /dev/vda rw\n";

static void test_text_lists_what_is_attached(void **state)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO_FREE char *text = NULL;

	(void)state;
	assert_int_equal(mount_table_parse(sample, sizeof sample - 1, &table), 0);
	text = inventory_text(table);
	assert_string_equal(text, 
		"scene-" HEX " /usr/lib/x\nscene-" HEX " /usr/lib/y\nlid /usr/lib/y\n");
}

/* The namespace of a test that has nothing attached. */
static void test_truth_is_what_the_table_says(void **state)
{
	char dir[] = "/tmp/bsi-inventory.XXXXXX", path[64];
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO_FREE char *now = NULL, *other = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(mount_table_load("/proc/self/mountinfo", &table), 0);
	now = inventory_text(table);
	assert_non_null(now);
	assert_false(inventory_is_true(dir));
	assert_int_equal(inventory_save(dir, now), 0);
	assert_true(inventory_is_true(dir));

	/* one file more, one line cut short, nothing at all */
	assert_true(asprintf(&other, "%sscene-" HEX " /usr/lib/x\n", now) > 0);
	assert_int_equal(inventory_save(dir, other), 0);
	assert_false(inventory_is_true(dir));
	other[strlen(other) - 1] = '\0';
	assert_int_equal(inventory_save(dir, other), 0);
	assert_false(inventory_is_true(dir));
	inventory_drop(dir);
	assert_false(inventory_is_true(dir));
	inventory_drop(dir);

	assert_true(inventory_save("/nowhere/at/all", now) < 0);
	(void)snprintf(path, sizeof path, "%s/" INVENTORY_NAME ".new", dir);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_lists_what_is_attached),
		cmocka_unit_test(test_truth_is_what_the_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
