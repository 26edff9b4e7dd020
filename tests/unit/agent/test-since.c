/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/since.h"

#define NOW 2000000000

/* The clock of the kernel, so that a process can have started long before or after a change. */
static uint64_t ticks_at(int64_t utc_s)
{
	struct timespec up;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &up), 0);
	return (uint64_t)(utc_s - NOW + up.tv_sec) * (uint64_t)sysconf(_SC_CLK_TCK);
}

static int64_t since_of(const struct since *s, const char *a, const char *b, uint64_t ticks)
{
	json_t *components = json_array();
	int64_t r;

	assert_non_null(components);
	if (a)
		(void)json_array_append_new(components, json_string(a));
	if (b)
		(void)json_array_append_new(components, json_string(b));
	r = since_utc_s(s, components, ticks);
	json_decref(components);
	return r;
}

static void test_since_is_the_later_of_start_and_change(void **state)
{
	struct generation_component first[] = {{.name = (char[]){"tls"}, .image = {{1}}}},
		second[] = {{.name = (char[]){"tls"}, .image = {{1}}},
			{.name = (char[]){"xml"}, .image = {{2}}}},
		third[] = {{.name = (char[]){"tls"}, .image = {{1}}},
			{.name = (char[]){"xml"}, .image = {{3}}}};
	struct generation g[] = {
		{.created_utc_s = NOW - 3, .components = first, .n_components = 1},
		{.created_utc_s = NOW - 2, .components = second, .n_components = 2},
		{.created_utc_s = NOW - 1, .components = third, .n_components = 2},
	};
	struct generation *list[] = {&g[0], &g[1], &g[2]};
	const struct since s = {.now_utc_s = NOW,
		.changed_utc_s = NOW - 1,
		.generations = list,
		.n_generations = 3};
	struct since set_back = {.now_utc_s = NOW, .changed_utc_s = NOW + 500};
	/* with the machine, which takes longer than three seconds to get here */
	const uint64_t first_ticks = 0, now = ticks_at(NOW);

	(void)state;
	/* untouched since the first letter, changed with the last one, both, and neither */
	assert_int_equal(since_of(&s, "tls", NULL, first_ticks), NOW - 3);
	assert_int_equal(since_of(&s, "xml", NULL, first_ticks), NOW - 1);
	assert_int_equal(since_of(&s, "xml", "tls", first_ticks), NOW - 3);
	assert_int_equal(since_of(&s, "gone", NULL, first_ticks), NOW - 1);
	assert_int_equal(since_of(&s, NULL, NULL, first_ticks), NOW - 1);
	/* it started after the change */
	assert_in_range(since_of(&s, "tls", NULL, now), NOW - 1, NOW);
	/* a clock that was set back since */
	assert_in_range(since_of(&set_back, NULL, NULL, now), NOW - 1, NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_since_is_the_later_of_start_and_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
