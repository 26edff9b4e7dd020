/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/policy.h"
#include "base/error.h"

static char a[] = "a", b[] = "b", name[] = "Debian GNU/Linux 12", why[] = "crashes";
static char manifest[] = "manifest-1.json";

struct row {
	const char *what;
	enum withdraw_action withdrawn_a, withdrawn_b;
	bool has_b;
	const char *minimum;
	uint64_t installed, denied; /* builds: 1 is (a), 2 is (b) */
	const char *asked;
	bool is_asked, is_automatic, is_unsealable;
	const char *held;
	bool is_overdue;
	const char *says;
	enum decision_action action;
	const char *letter, *id;
	int code;
};

static const struct row rows[] = {
	{.what = "takes what is new", .is_automatic = true, .action = DECISION_INSTALL,
		.letter = "a", .id = "available"},
	{.what = "holds when automatic is off", .action = DECISION_HOLD, .letter = "a",
		.id = "automatic-off"},
	{.what = "is done when it has it", .installed = 1, .is_automatic = true,
		.action = DECISION_NOTHING, .letter = "a", .id = "up-to-date"},
	{.what = "says what it waits for", .installed = 1, .is_automatic = true, .held = "webkit",
		.action = DECISION_HOLD, .letter = "a", .id = "relaunch-wanted",
		.says = "webkit waits for its programs to be closed, or for the next boot; due 2023-11-14"},
	{.what = "and since when that is over", .installed = 1, .held = "webkit", .is_overdue = true,
		.action = DECISION_HOLD, .letter = "a", .id = "relaunch-wanted",
		.says = "overdue since 2023-11-14"},
	{.what = "goes to a newer one although the old one waits", .has_b = true, .installed = 1,
		.is_automatic = true, .held = "webkit", .action = DECISION_INSTALL, .letter = "b",
		.id = "available"},
	{.what = "goes to the newer one", .has_b = true, .installed = 1, .is_automatic = true,
		.action = DECISION_INSTALL, .letter = "b", .id = "available"},
	{.what = "does not take a denied one by itself", .denied = 1, .is_automatic = true,
		.action = DECISION_HOLD, .letter = "a", .id = "denied"},
	{.what = "takes a denied one when it is named", .denied = 1, .is_asked = true,
		.asked = "a", .action = DECISION_INSTALL, .letter = "a", .id = "asked"},
	{.what = "refuses a denied one that is not named", .denied = 1, .is_asked = true,
		.action = DECISION_REFUSE, .letter = "a", .id = "denied", .code = -BSI_E_DENIED},
	{.what = "refuses a withdrawn letter", .withdrawn_a = WITHDRAW_STOP, .is_asked = true,
		.asked = "a", .action = DECISION_REFUSE, .letter = "a", .id = "withdrawn",
		.code = -BSI_E_WITHDRAWN},
	{.what = "refuses an unknown letter", .is_asked = true, .asked = "z",
		.action = DECISION_REFUSE, .id = "unknown-letter", .code = -BSI_E_MISSING},
	{.what = "refuses below the minimum", .has_b = true, .minimum = "b", .is_asked = true,
		.asked = "a", .action = DECISION_REFUSE, .letter = "a", .id = "below-minimum",
		.code = -BSI_E_HELD},
	{.what = "takes off what was withdrawn with remove", .withdrawn_a = WITHDRAW_REMOVE,
		.installed = 1, .is_automatic = true, .action = DECISION_REMOVE, .letter = "a",
		.id = "withdrawn"},
	{.what = "takes it off although automatic is off", .withdrawn_a = WITHDRAW_REMOVE,
		.installed = 1, .action = DECISION_REMOVE, .letter = "a", .id = "withdrawn"},
	{.what = "replaces a withdrawn one", .withdrawn_a = WITHDRAW_REMOVE, .has_b = true,
		.installed = 1, .is_automatic = true, .action = DECISION_INSTALL, .letter = "b",
		.id = "replaces-withdrawn"},
	{.what = "does not replace it by a denied one", .withdrawn_a = WITHDRAW_REMOVE,
		.has_b = true, .installed = 1, .denied = 2, .is_automatic = true,
		.action = DECISION_REMOVE, .letter = "a", .id = "withdrawn"},
	{.what = "keeps what was withdrawn with stop", .withdrawn_b = WITHDRAW_STOP, .has_b = true,
		.installed = 2, .is_automatic = true, .action = DECISION_NOTHING, .letter = "b",
		.id = "newer-installed"},
	{.what = "does not go below it when asked without a letter", .withdrawn_b = WITHDRAW_STOP,
		.has_b = true, .installed = 2, .is_asked = true, .action = DECISION_NOTHING,
		.letter = "b", .id = "newer-installed"},
	{.what = "goes below it when the letter is named", .withdrawn_b = WITHDRAW_STOP,
		.has_b = true, .installed = 2, .is_asked = true, .asked = "a",
		.action = DECISION_INSTALL, .letter = "a", .id = "asked"},
	{.what = "does not know a build that another publisher numbered", .installed = 7,
		.is_automatic = true, .action = DECISION_INSTALL, .letter = "a", .id = "available"},
	{.what = "does not take what was withdrawn with stop", .withdrawn_a = WITHDRAW_STOP,
		.is_automatic = true, .action = DECISION_NOTHING, .id = "none-published"},
	{.what = "goes from a (b) that is taken back to (a), as a fresh device would",
		.withdrawn_b = WITHDRAW_REMOVE, .has_b = true, .installed = 2,
		.is_automatic = true, .action = DECISION_INSTALL, .letter = "a",
		.id = "replaces-withdrawn"},
	{.what = "holds what no seal can be had for, before it asks for more", .is_unsealable = true,
		.action = DECISION_HOLD, .letter = "a", .id = "unsealable"},
	{.what = "refuses it when it is asked for, named or not", .is_unsealable = true,
		.is_asked = true, .asked = "a", .action = DECISION_REFUSE, .letter = "a",
		.id = "unsealable", .code = -BSI_E_UNSUPPORTED},
	{.what = "has nothing to say of what is installed", .is_unsealable = true, .installed = 1,
		.is_automatic = true, .action = DECISION_NOTHING, .letter = "a", .id = "up-to-date"},
	{.what = "goes to the base where the replacement could not be sealed",
		.withdrawn_a = WITHDRAW_REMOVE, .has_b = true, .installed = 1, .is_automatic = true,
		.is_unsealable = true, .action = DECISION_REMOVE, .letter = "a", .id = "withdrawn"},
	{.what = "and to the base when automatic is off", .withdrawn_b = WITHDRAW_REMOVE,
		.has_b = true, .installed = 2, .action = DECISION_REMOVE, .letter = "b",
		.id = "withdrawn"},
};

static void check_row(const struct row *row)
{
	struct index_entry entries[] = {
		{.letter = a, .build = 1, .manifest = manifest, .withdrawn = row->withdrawn_a,
			.reason = row->withdrawn_a ? why : NULL},
		{.letter = b, .build = 2, .manifest = manifest, .withdrawn = row->withdrawn_b,
			.reason = row->withdrawn_b ? why : NULL},
	};
	struct index index = {.name = name,
		.entries = entries,
		.n_entries = row->has_b ? 2 : 1,
		.minimum = row->minimum ? b : NULL};
	struct decision_facts facts = {.index = &index,
		.installed = row->installed,
		.denied = &row->denied,
		.n_denied = row->denied ? 1 : 0,
		.unsealable = row->is_unsealable ? "no seal" : "",
		.is_automatic = row->is_automatic,
		.is_asked = row->is_asked,
		.held = row->held,
		.held_due_utc_s = row->held ? 1700000000 : 0,
		.is_overdue = row->is_overdue,
		.asked = row->asked};
	struct decision d = policy_decide(&facts);

	if (d.action != row->action || strcmp(d.id, row->id) != 0 || d.code != row->code)
		fail_msg("%s: action %d, id %s, code %d", row->what, (int)d.action, d.id, d.code);
	if (row->letter)
		assert_string_equal(d.entry->letter, row->letter);
	assert_true(strlen(d.reason) > 0);
	assert_true(!row->says || strstr(d.reason, row->says));
}

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}

static void test_minimum(void **state)
{
	struct index index = {.minimum = b};

	(void)state;
	assert_true(policy_is_below_minimum(&index, NULL));
	assert_true(policy_is_below_minimum(&index, "a"));
	assert_false(policy_is_below_minimum(&index, "b"));
	assert_false(policy_is_below_minimum(&index, "aa"));
	index.minimum = NULL;
	assert_false(policy_is_below_minimum(&index, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_minimum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
