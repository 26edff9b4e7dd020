/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "graft/held.h"

#define IDLE "idle browser-26f9cd09\n"
#define BOOT "boot init-947109\n"

static char dir[] = "/tmp/bsi-held.XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/" HELD_NAME, dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof path, "%s/" HELD_NAME ".new", dir);
	(void)rmdir(path);
	return rmdir(dir);
}

/* Nothing is attached here, so nothing is held, whatever a file says. */
static void test_what_is_not_attached_is_not_held(void **state)
{
	AUTO(held) struct held *without = NULL;
	AUTO(held) struct held *with = NULL;

	(void)state;
	assert_int_equal(held_look(dir, &without), 0);
	assert_int_equal(without->n_images, 0);
	assert_int_equal(held_save(dir, IDLE BOOT), 0);
	assert_int_equal(held_look(dir, &with), 0);
	assert_int_equal(with->n_images, 0);
}

/* Where nothing can be written, what stands there already is enough. */
static void test_a_full_disk_stops_what_is_new_alone(void **state)
{
	char new_path[96];

	(void)state;
	assert_int_equal(held_save(dir, IDLE BOOT), 0);
	(void)snprintf(new_path, sizeof new_path, "%s/" HELD_NAME ".new", dir);
	assert_int_equal(mkdir(new_path, 0700), 0);
	assert_int_equal(held_save(dir, ""), 0);
	assert_int_equal(held_save(dir, BOOT), 0);
	assert_int_equal(held_save(dir, BOOT IDLE), 0);
	assert_true(held_save(dir, "idle browser-26f9cd0\n") < 0);
	assert_true(held_save(dir, "boot browser-26f9cd09\n") < 0);
	assert_true(held_save(dir, IDLE "idle mail-26f9cd09\n") < 0);
	assert_int_equal(rmdir(new_path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_attached_is_not_held),
		cmocka_unit_test(test_a_full_disk_stops_what_is_new_alone),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
