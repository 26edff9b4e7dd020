/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/status.h"

#define NAME "Debian GNU/Linux 12"

static const struct {
	struct status_facts facts;
	enum status_state state;
	const char *sentence;
} rows[] = {
	{{.base_name = NAME}, STATUS_NOT_ENROLLED,
		NAME ": not enrolled; 'bsi enroll URL --root FILE' names a repository"},
	{{.base_name = NAME, .damage = "generation 1 is damaged"}, STATUS_DAMAGED,
		NAME ": what is installed cannot be read: generation 1 is damaged"},
	{{.base_name = NAME, .is_enrolled = true}, STATUS_BASE,
		NAME ": the base, no improvement attached"},
	{{.base_name = NAME, .is_enrolled = true, .reason = "automatic installation is off"},
		STATUS_BASE, NAME ": the base, no improvement attached: automatic installation is off"},
	{{.base_name = NAME, .is_enrolled = true, .n_exposed = 1}, STATUS_EXPOSED,
		NAME ": the base, not yet in effect: 1 process still runs code that was taken off"},
	{{.base_name = NAME, .letter = "a", .is_enrolled = true, .n_attached = 1, .is_scanned = true},
		STATUS_PROTECTED, NAME " (a): protected"},
	/* the base contains the fix by itself */
	{{.base_name = NAME, .letter = "a", .is_enrolled = true, .is_scanned = true},
		STATUS_PROTECTED, NAME " (a): protected"},
	{{.base_name = NAME, .letter = "a", .n_attached = 1, .is_scanned = true, .n_exposed = 3},
		STATUS_EXPOSED, NAME " (a): attached, not yet in effect: 3 processes still run old code"},
	{{.base_name = NAME, .letter = "a", .n_attached = 1}, STATUS_UNCHECKED,
		NAME " (a): attached, not yet checked"},
	{{.base_name = NAME, .letter = "a", .n_attached = 1, .is_scanned = true, .n_unknown = 2},
		STATUS_UNCHECKED,
		NAME " (a): attached; of 2 processes it cannot be told whether they run old code; "
		     "'bsi exposure' says why"},
	{{.base_name = NAME, .letter = "a", .n_detached = 1}, STATUS_DETACHED,
		NAME " (a): not attached since boot; 'bsi run' attaches it"},
	{{.base_name = NAME, .letter = "a", .n_detached = 1, .was_attached_since_boot = true},
		STATUS_DETACHED, NAME " (a): not attached; 'bsi run' attaches it"},
	/* a reason says what helps, and for what nothing helps no advice is given */
	{{.base_name = NAME, .letter = "a", .n_detached = 1,
		 .why_detached = "bsi.attach=no on the kernel's command line"},
		STATUS_DETACHED,
		NAME " (a): not attached since boot: bsi.attach=no on the kernel's command line"},
	{{.base_name = NAME, .letter = "a", .n_detached = 1, .was_attached_since_boot = true,
		 .why_detached = "its image is not here; 'bsi run' brings it"},
		STATUS_DETACHED, NAME " (a): not attached: its image is not here; 'bsi run' brings it"},
	{{.base_name = NAME, .letter = "a", .n_open = 1, .first_open = "libz"}, STATUS_PARTIAL,
		NAME " (a): not attached since boot: libz does not fit this device's files, its CVEs "
		     "stay open"},
	{{.base_name = NAME, .letter = "a", .n_open = 1, .first_open = "libz",
		 .was_attached_since_boot = true},
		STATUS_PARTIAL,
		NAME " (a): not attached: libz does not fit this device's files, its CVEs stay open"},
	{{.base_name = NAME, .letter = "a", .n_attached = 1, .n_detached = 1, .first_detached = "libz"},
		STATUS_PARTIAL, NAME " (a): attached in part: libz is not attached"},
	{{.base_name = NAME, .letter = "a", .n_attached = 1, .n_open = 1, .first_open = "libz",
		 .is_scanned = true},
		STATUS_PARTIAL,
		NAME " (a): attached in part: libz does not fit this device's files, its CVEs stay open"},
	{{.base_name = NAME, .letter = "a", .n_held = 1, .first_held = "webkit"}, STATUS_HELD,
		NAME " (a): held: webkit waits for its programs to be closed, or for the next boot"},
	{{.base_name = NAME, .is_enrolled = true, .n_held = 1, .first_held = "webkit"}, STATUS_HELD,
		NAME ": going back to the base: webkit waits for its programs to be closed, or for the "
		     "next boot"},
	{{.base_name = NAME, .letter = "a", .n_held = 1, .first_held = "webkit",
		 .held_due_utc_s = 1700000000},
		STATUS_HELD,
		NAME " (a): held: webkit waits for its programs to be closed, or for the next boot; due "
		     "2023-11-14T22:13:20Z"},
	{{.base_name = NAME, .is_enrolled = true, .n_held = 1, .first_held = "webkit",
		 .held_due_utc_s = 1700000000, .is_overdue = true},
		STATUS_HELD,
		NAME ": going back to the base: webkit waits for its programs to be closed, or for the "
		     "next boot; overdue since 2023-11-14T22:13:20Z"},
	{{.base_name = NAME, .letter = "a", .n_attached = 1, .is_scanned = true, .is_withdrawn = true},
		STATUS_WITHDRAWN, NAME " (a): withdrawn by the publisher; 'bsi run' takes it off"},
};

static void test_sentences(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char sentence[STATUS_SENTENCE_MAX];

		assert_int_equal(status_sentence(&rows[i].facts, sentence), rows[i].state);
		assert_string_equal(sentence, rows[i].sentence);
		assert_non_null(status_state_text(rows[i].state));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
