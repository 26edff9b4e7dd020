/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that runs out at each allocation in turn: the run fails, believes nothing, loses nothing,
 * and the next one succeeds. The linker puts the functions below before those of libc for room
 * trust and base; jansson is told about them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/error.h"
#include "repository.h"

/* Allocations until one fails; below 0 for none. */
static long countdown = -1;

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static bool is_out(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_out() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return is_out() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return is_out() ? NULL : __real_reallocarray(p, n, size);
}

static void *json_allocate(size_t size)
{
	return is_out() ? NULL : malloc(size);
}

static int find(struct repository *r, long failing)
{
	struct trust_target target = {};
	int result;

	countdown = failing;
	result = repository_find(r, "b/x", &target);
	if (result == 0 && countdown >= 0)
		failing = -1; /* it was over before memory was */
	countdown = -1;
	if (result == 0)
		assert_int_equal(target.length, strlen("content"));
	trust_target_done(&target);
	return result < 0 ? result : failing < 0 ? 0 : 1;
}

static void test_update_survives_every_lack_of_memory(void **state)
{
	struct repository *r = calloc(1, sizeof *r);
	struct folder fresh = {};
	struct trust_signer *next;
	size_t base;
	long n;

	(void)state;
	assert_non_null(r);
	repository_init(r);
	base = repository_delegate(r, TARGETS, "b", "b/*", true);
	repository_add_target(r, base, "b/x", "content");
	repository_bump(r, TARGETS);
	next = repository_signer(r);
	repository_set_keys(r, TIMESTAMP, &next, 1, 1);
	repository_bump(r, ROOT);
	repository_publish(r, ROOT);
	repository_release(r);
	folder_copy(&fresh, &r->device);
	for (n = 0;; n++) {
		int result;

		folder_copy(&r->device, &fresh);
		result = find(r, n);
		if (result == 0)
			break;
		/* the next run, on what this one left */
		assert_int_equal(find(r, -1), 0);
		assert_int_equal(folder_version(&r->device, "root.json"), 2);
		assert_int_equal(r->device.n_files, 5);
	}
	/* the loop must have met the places it is about */
	assert_true(n > 500);
	folder_done(&fresh);
	repository_done(r);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_update_survives_every_lack_of_memory),
	};

	json_set_alloc_funcs(json_allocate, free);
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
