/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What asking ahead stands on: trust files that change no store, and answers that are told again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../store/scratch.h"
#include "agent/answers.h"
#include "agent/trial.h"
#include "store/trust_files.h"

static void expect(struct trial *t, const char *name, const char *text)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(64);
	int r = trial_load(t, name, 64, &out);

	assert_int_equal(r, text ? 0 : -ENOENT);
	assert_int_equal(out.len, text ? strlen(text) : 0);
	if (text)
		assert_memory_equal(out.data, text, out.len);
}

static void test_trial_hides_the_store_and_leaves_it(void **state)
{
	AUTO(store) struct store *s = scratch_lock(*state);
	AUTO_DONE(trial) struct trial over = {.below = s}, alone = {0};
	AUTO_DONE(buffer) struct buffer out = buffer_of(64);

	assert_int_equal(store_trust_save(s, "root.json", "one", 3), 0);
	assert_int_equal(store_trust_save(s, "timestamp.json", "old", 3), 0);
	store_unlock(s);
	expect(&over, "root.json", "one");
	expect(&over, "snapshot.json", NULL);
	expect(&alone, "root.json", NULL);
	assert_int_equal(trial_save(&over, "root.json", "two!", 4), 0);
	assert_int_equal(trial_drop(&over, "timestamp.json"), 0);
	assert_int_equal(trial_drop(&over, "snapshot.json"), 0);
	expect(&over, "root.json", "two!");
	expect(&over, "timestamp.json", NULL);
	expect(&over, "snapshot.json", NULL);
	assert_int_equal(trial_load(&over, "root.json", 3, &out), -BSI_E_LIMIT);
	assert_int_equal(trial_save(&over, "timestamp.json", "new", 3), 0);
	expect(&over, "timestamp.json", "new");
	assert_int_equal(store_trust_load(s, "root.json", 64, &out), 0);
	assert_int_equal(store_trust_load(s, "timestamp.json", 64, &out), 0);
	assert_int_equal(out.len, 6);
	assert_memory_equal(out.data, "oneold", 6);
}

static void test_trial_is_bounded(void **state)
{
	AUTO_DONE(trial) struct trial t = {0};
	char name[2] = "a";

	(void)state;
	for (unsigned i = 0; i < TRIAL_FILES_MAX; i++, name[0]++)
		assert_int_equal(trial_save(&t, name, "x", 1), 0);
	assert_int_equal(trial_save(&t, name, "x", 1), -BSI_E_LIMIT);
	assert_int_equal(trial_save(&t, "a", "y", 1), 0);
	expect(&t, "a", "y");
}

static void test_answers_are_told_as_they_came(void **state)
{
	AUTO_DONE(answers) struct answers a = {0};
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(64), none = buffer_of(64), out = buffer_of(64);
	struct error why = {0}, e = {0};

	(void)state;
	buffer_put(&bytes, "good", 4);
	(void)error_set(&why, -BSI_E_MISSING, "not there");
	answers_add(&a, "http://x/1", &bytes, NULL);
	answers_add(&a, "http://x/2", &none, &why);
	assert_null(answers_find(&a, "http://x/3"));
	assert_int_equal(answer_tell(answers_find(&a, "http://x/1"), 3, &out, &e), -BSI_E_LIMIT);
	assert_int_equal(out.len, 0);
	assert_int_equal(answer_tell(answers_find(&a, "http://x/1"), 4, &out, &e), 0);
	assert_memory_equal(out.data, "good", 4);
	assert_int_equal(answer_tell(answers_find(&a, "http://x/2"), 4, &out, &e), -BSI_E_MISSING);
	assert_string_equal(e.text, "not there");
	assert_int_equal(out.len, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_trial_hides_the_store_and_leaves_it),
		cmocka_unit_test(test_trial_is_bounded),
		cmocka_unit_test(test_answers_are_told_as_they_came),
	};

	return cmocka_run_group_tests_name("agent/ahead", tests, NULL, NULL);
}
