/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a boot attaches: the decision alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/boot.h"
#include "base/compiler.h"

static const struct row {
	const char *what;
	struct boot_facts facts;
	struct boot_plan plan;
	bool is_proof; /* were the boot complete with these facts, after the plan's count */
} rows[] = {
	{"the base has nothing to attach", {.current = 0, .good = 3}, {.action = BOOT_NOTHING}, false},
	{"a new generation is counted and attached", {.current = 2, .good = 1},
		{.action = BOOT_ATTACH, .count = {2, 1}}, true},
	{"the second boot of it", {.current = 2, .good = 1, .count = {2, 1}},
		{.action = BOOT_ATTACH, .count = {2, 2}}, true},
	{"the third goes back to the good one", {.current = 2, .good = 1, .count = {2, 2}},
		{.action = BOOT_FALL_BACK, .generation = 1}, true},
	{"or to the base, where none is good", {.current = 2, .count = {2, 2}},
		{.action = BOOT_FALL_BACK, .generation = 0}, true},
	{"what completed a boot stays, and is left out once",
		{.current = 2, .good = 2, .count = {2, 2}},
		{.action = BOOT_GIVE_UP, .count = {2, BOOT_GAVE_UP_ATTEMPTS}}, false},
	{"and again as long as no boot completes",
		{.current = 2, .good = 2, .count = {2, BOOT_GAVE_UP_ATTEMPTS}},
		{.action = BOOT_GIVE_UP, .count = {2, BOOT_GAVE_UP_ATTEMPTS}}, false},
	{"boots of another generation do not count", {.current = 3, .good = 1, .count = {2, 2}},
		{.action = BOOT_ATTACH, .count = {3, 1}}, true},
};

static void test_plan_follows_the_count(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct boot_facts after = rows[i].facts;
		struct boot_plan plan = boot_plan_make(&rows[i].facts);

		if (plan.action != rows[i].plan.action ||
			plan.generation != rows[i].plan.generation ||
			plan.count.generation != rows[i].plan.count.generation ||
			plan.count.attempts != rows[i].plan.count.attempts)
			fail_msg("%s: action %d", rows[i].what, (int)plan.action);
		if (plan.count.generation != 0)
			after.count = plan.count;
		if (boot_is_proof(&after) != rows[i].is_proof)
			fail_msg("%s: proof", rows[i].what);
	}
}

/* Whatever the count says: a boot that hangs each time ends on the base within five boots. */
static void test_hanging_boots_reach_the_base(void **state)
{
	(void)state;
	for (uint64_t good = 0; good <= 2; good++) {
		struct boot_facts f = {.current = 2, .good = good};
		bool is_attached = true;

		for (unsigned boot = 1; boot <= 5; boot++) {
			struct boot_plan plan = boot_plan_make(&f);

			if (plan.action == BOOT_FALL_BACK) {
				f.current = plan.generation;
				plan = boot_plan_make(&f);
			}
			if (plan.count.generation != 0)
				f.count = plan.count;
			is_attached = plan.action == BOOT_ATTACH;
			if (good == 0 && boot >= 3)
				assert_false(is_attached);
		}
		assert_false(is_attached);
		/* what completed a boot once is never given up for good */
		if (good == 2)
			assert_int_equal(f.current, 2);
	}
}

static void test_switch_is_a_word_of_its_own(void **state)
{
	static const struct {
		const char *line;
		bool is_off;
	} lines[] = {
		{"", false},
		{"\n", false},
		{"quiet ro", false},
		{"bsi.attach=no", true},
		{"quiet bsi.attach=no ro\n", true},
		{"quiet\tbsi.attach=off\n", true},
		{"bsi.attach=0", true},
		{"bsi.attach=false", true},
		{"bsi.attach=yes", false},
		{"bsi.attach=", false},
		{"bsi.attach", false},
		{"bsi.attach=nothing", false},
		{"bsi.attach=n", false},
		{"xbsi.attach=no", false},
		{"a=bsi.attach=no", false},
		{"bsi.attach=no bsi.attach=yes", false},
		{"bsi.attach=yes bsi.attach=no", true},
		{"  bsi.attach=no", true},
		{"ro single quiet\n", true},
		{"ro s quiet\n", true},
		{"ro S quiet\n", true},
		{"ro 1 quiet\n", true},
		{"ro -s quiet\n", true},
		{"ro rescue quiet\n", true},
		{"ro emergency quiet\n", true},
		{"ro -b quiet\n", true},
		{"ro systemd.unit=rescue.target quiet\n", true},
		{"ro systemd.unit=emergency.target quiet\n", true},
		{"single bsi.attach=yes", false},
		{"bsi.attach=yes rescue", false},
		{"bsi.attach=no single", true},
		{"x=single singles 11 systemd.unit=multi-user.target", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if ((boot_why_off(lines[i].line) != NULL) != lines[i].is_off)
			fail_msg("\"%s\"", lines[i].line);
}

static void test_the_reason_is_the_one_that_counts(void **state)
{
	(void)state;
	assert_string_equal(boot_why_off("single bsi.attach=no ro"), "bsi.attach=no on the kernel's command line");
	assert_string_equal(boot_why_off("bsi.attach=no single ro"), "bsi.attach=no on the kernel's command line");
	assert_string_equal(boot_why_off("ro single"), "a boot for repair, by the kernel's command line");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_follows_the_count),
		cmocka_unit_test(test_hanging_boots_reach_the_base),
		cmocka_unit_test(test_switch_is_a_word_of_its_own),
		cmocka_unit_test(test_the_reason_is_the_one_that_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
