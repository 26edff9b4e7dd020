/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/status.h"

#include <stdio.h>

#include "base/utc.h"

static const char *const state_texts[] = {
	[STATUS_NOT_ENROLLED] = "not-enrolled",
	[STATUS_BASE] = "base",
	[STATUS_PROTECTED] = "protected",
	[STATUS_EXPOSED] = "exposed",
	[STATUS_UNCHECKED] = "unchecked",
	[STATUS_PARTIAL] = "partial",
	[STATUS_DETACHED] = "detached",
	[STATUS_WITHDRAWN] = "withdrawn",
	[STATUS_HELD] = "held",
	[STATUS_DAMAGED] = "damaged",
};

const char *status_state_text(enum status_state state)
{
	return state_texts[state];
}

/* ", due 2026-12-01T10:00:00Z"; nothing where nobody knows. */
struct due {
	char text[64];
};

static struct due due_of(const struct status_facts *f)
{
	struct due due = {""};

	if (f->held_due_utc_s > 0)
		(void)snprintf(due.text, sizeof due.text, "%s %s",
			f->is_overdue ? "; overdue since" : "; due", utc_format(f->held_due_utc_s).text);
	return due;
}

static const char *not_attached(const struct status_facts *f)
{
	return f->was_attached_since_boot ? "not attached" : "not attached since boot";
}

#define SAY(...) ((void)snprintf(ret_sentence, STATUS_SENTENCE_MAX, __VA_ARGS__))

static enum status_state say_base(const struct status_facts *f,
	char ret_sentence[static STATUS_SENTENCE_MAX])
{
	if (!f->is_enrolled) {
		SAY("%s: not enrolled; 'bsi enroll URL --root FILE' names a repository", f->base_name);
		return STATUS_NOT_ENROLLED;
	}
	if (f->n_held > 0) {
		SAY("%s: going back to the base: %s waits for its programs to be closed, or for the next "
			"boot%s",
			f->base_name, f->first_held, due_of(f).text);
		return STATUS_HELD;
	}
	/* code that was taken off may still run */
	if (f->n_exposed > 0) {
		SAY("%s: the base, not yet in effect: %zu process%s still run%s code that was taken off",
			f->base_name, f->n_exposed, f->n_exposed == 1 ? "" : "es",
			f->n_exposed == 1 ? "s" : "");
		return STATUS_EXPOSED;
	}
	SAY("%s: the base, no improvement attached%s%s", f->base_name, f->reason ? ": " : "",
		f->reason ? f->reason : "");
	return STATUS_BASE;
}

/* The weightiest thing first: what is not there, what does not fit, who runs old code. */
enum status_state status_sentence(const struct status_facts *f,
	char ret_sentence[static STATUS_SENTENCE_MAX])
{
	if (f->damage) {
		SAY("%s: what is installed cannot be read: %s", f->base_name, f->damage);
		return STATUS_DAMAGED;
	}
	if (!f->letter)
		return say_base(f, ret_sentence);
	if (f->n_detached > 0 && f->n_attached == 0) {
		/* a reason says itself what helps; 'bsi run' need not */
		SAY("%s (%s): %s%s%s", f->base_name, f->letter, not_attached(f),
			f->why_detached ? ": " : "; ",
			f->why_detached ? f->why_detached : "'bsi run' attaches it");
		return STATUS_DETACHED;
	}
	if (f->is_withdrawn) {
		SAY("%s (%s): withdrawn by the publisher; 'bsi run' takes it off", f->base_name,
			f->letter);
		return STATUS_WITHDRAWN;
	}
	if (f->n_held > 0) {
		SAY("%s (%s): %s: %s waits for its programs to be closed, or for the next boot%s",
			f->base_name, f->letter, f->n_attached > 0 ? "attached in part" : "held",
			f->first_held, due_of(f).text);
		return STATUS_HELD;
	}
	if (f->n_detached > 0) {
		SAY("%s (%s): attached in part: %s is not attached", f->base_name, f->letter,
			f->first_detached);
		return STATUS_PARTIAL;
	}
	if (f->n_open > 0) {
		SAY("%s (%s): %s: %s does not fit this device's files, its CVEs stay open",
			f->base_name, f->letter,
			f->n_attached > 0 ? "attached in part" : not_attached(f), f->first_open);
		return STATUS_PARTIAL;
	}
	if (!f->is_scanned) {
		SAY("%s (%s): attached, not yet checked", f->base_name, f->letter);
		return STATUS_UNCHECKED;
	}
	if (f->n_exposed > 0) {
		SAY("%s (%s): attached, not yet in effect: %zu process%s still run%s old code",
			f->base_name, f->letter, f->n_exposed, f->n_exposed == 1 ? "" : "es",
			f->n_exposed == 1 ? "s" : "");
		return STATUS_EXPOSED;
	}
	if (f->n_unknown > 0) {
		SAY("%s (%s): attached; of %zu process%s it cannot be told whether %s old code; "
			"'bsi exposure' says why", f->base_name, f->letter, f->n_unknown,
			f->n_unknown == 1 ? "" : "es", f->n_unknown == 1 ? "it runs" : "they run");
		return STATUS_UNCHECKED;
	}
	SAY("%s (%s): protected", f->base_name, f->letter);
	return STATUS_PROTECTED;
}
