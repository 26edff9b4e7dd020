/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/utc.h"
#include "improvement/letter.h"

static struct decision decide(enum decision_action action, const struct index_entry *entry,
	const char *id, const char *fmt, ...) PRINTF_LIKE(4, 5);

static struct decision decide(enum decision_action action, const struct index_entry *entry,
	const char *id, const char *fmt, ...)
{
	struct decision d = {.action = action, .entry = entry, .id = id};
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(d.reason, sizeof d.reason, fmt, args);
	va_end(args);
	return d;
}

static struct decision refused(int code, struct decision d)
{
	d.code = code;
	return d;
}

static bool is_denied(const struct decision_facts *facts, const struct index_entry *entry)
{
	for (size_t i = 0; i < facts->n_denied; i++)
		if (facts->denied[i] == entry->build)
			return true;
	return false;
}

static bool is_unsealable(const struct decision_facts *facts)
{
	return facts->unsealable && facts->unsealable[0];
}

static bool is_installed(const struct decision_facts *facts, const struct index_entry *entry)
{
	return facts->installed != 0 && facts->installed == entry->build;
}

/* What is installed as the index knows it; NULL on the base. */
static const struct index_entry *installed_entry(const struct decision_facts *facts)
{
	return facts->installed ? index_find_build(facts->index, facts->installed) : NULL;
}

/* A withdrawal that only stops new installs leaves the higher letter where it is. */
static bool is_newer_installed(const struct index_entry *installed,
	const struct index_entry *current)
{
	return installed && installed->build > current->build &&
	       installed->withdrawn != WITHDRAW_REMOVE;
}

static struct decision newer_installed(const struct index_entry *installed,
	const struct index_entry *current)
{
	return decide(DECISION_NOTHING, installed, "newer-installed",
		"(%s) is installed; the publisher offers (%s) to new devices", installed->letter,
		current->letter);
}

bool policy_is_below_minimum(const struct index *index, const char *letter)
{
	if (!index->minimum)
		return false;
	return !letter || letter_compare(letter, index->minimum) < 0;
}

static struct decision decide_asked(const struct decision_facts *facts)
{
	const struct index *index = facts->index;
	const struct index_entry *entry =
		facts->asked ? index_find(index, facts->asked) : index_current(index);

	if (!entry && !facts->asked)
		return decide(DECISION_NOTHING, NULL, "none-published",
			"no improvement is published for %s", index->name);
	if (!entry)
		return refused(-BSI_E_MISSING,
			decide(DECISION_REFUSE, NULL, "unknown-letter",
				"%s (%s) is not published; 'bsi check' shows what is", index->name,
				facts->asked));
	if (entry->withdrawn != WITHDRAW_NONE)
		return refused(-BSI_E_WITHDRAWN,
			decide(DECISION_REFUSE, entry, "withdrawn",
				"%s (%s) was withdrawn by the publisher: %s", index->name,
				entry->letter, entry->reason));
	if (policy_is_below_minimum(index, entry->letter))
		return refused(-BSI_E_HELD,
			decide(DECISION_REFUSE, entry, "below-minimum",
				"%s (%s) is below the publisher's minimum (%s)", index->name,
				entry->letter, index->minimum));
	/* naming the letter is the owner's word that it may come again */
	if (!facts->asked && is_denied(facts, entry))
		return refused(-BSI_E_DENIED,
			decide(DECISION_REFUSE, entry, "denied",
				"%s (%s) was taken off on this device; 'bsi install %s' takes it again",
				index->name, entry->letter, entry->letter));
	if (is_installed(facts, entry))
		return decide(DECISION_NOTHING, entry, "up-to-date", "%s (%s) is installed",
			index->name, entry->letter);
	if (!facts->asked && is_newer_installed(installed_entry(facts), entry))
		return newer_installed(installed_entry(facts), entry);
	if (is_unsealable(facts))
		return refused(-BSI_E_UNSUPPORTED,
			decide(DECISION_REFUSE, entry, "unsealable", "%s (%s) is not taken: %s",
				index->name, entry->letter, facts->unsealable));
	return decide(DECISION_INSTALL, entry, "asked", "(%s) was asked for", entry->letter);
}

/*
 * The installed letter was taken back with action "remove". What a fresh device would get now is
 * what this one gets: another letter, a lower one too, or the base.
 */
static struct decision decide_removal(const struct decision_facts *facts,
	const struct index_entry *withdrawn)
{
	const struct index_entry *current = index_current(facts->index);
	struct decision d;

	if (current && facts->is_automatic && !is_denied(facts, current) && !is_unsealable(facts))
		d = decide(DECISION_INSTALL, current, "replaces-withdrawn",
			"(%s) was withdrawn by the publisher (%s); (%s) replaces it",
			withdrawn->letter, withdrawn->reason, current->letter);
	else
		d = decide(DECISION_REMOVE, withdrawn, "withdrawn",
			"(%s) was withdrawn by the publisher: %s", withdrawn->letter,
			withdrawn->reason);
	d.withdrawn = withdrawn;
	return d;
}

/* It is here, and a part of it may not change under the programs that run. */
static struct decision decide_installed(const struct decision_facts *facts,
	const struct index_entry *current)
{
	const int64_t due = facts->held_due_utc_s;

	if (!facts->held)
		return decide(DECISION_NOTHING, current, "up-to-date", "%s (%s) is installed",
			facts->index->name, current->letter);
	return decide(DECISION_HOLD, current, "relaunch-wanted",
		"(%s) is here; %s waits for its programs to be closed, or for the next boot%s%s",
		current->letter, facts->held,
		due == 0	      ? "" :
		    facts->is_overdue ? "; overdue since " :
					"; due ",
		due == 0 ? "" : utc_format(due).text);
}

static struct decision decide_by_itself(const struct decision_facts *facts)
{
	const struct index *index = facts->index;
	const struct index_entry *current = index_current(index);
	const struct index_entry *installed = installed_entry(facts);

	if (!current)
		return decide(DECISION_NOTHING, NULL, "none-published",
			"no improvement is published for %s", index->name);
	if (is_installed(facts, current))
		return decide_installed(facts, current);
	if (is_newer_installed(installed, current))
		return newer_installed(installed, current);
	if (is_denied(facts, current))
		return decide(DECISION_HOLD, current, "denied",
			"(%s) was taken off on this device; 'bsi install %s' takes it again",
			current->letter, current->letter);
	if (is_unsealable(facts))
		return decide(DECISION_HOLD, current, "unsealable", "%s", facts->unsealable);
	if (!facts->is_automatic)
		return decide(DECISION_HOLD, current, "automatic-off",
			"automatic installation is off; 'bsi install' takes it");
	return decide(DECISION_INSTALL, current, "available", "(%s) is available",
		current->letter);
}

struct decision policy_decide(const struct decision_facts *facts)
{
	const struct index_entry *installed = installed_entry(facts);

	if (facts->is_asked)
		return decide_asked(facts);
	if (installed && installed->withdrawn == WITHDRAW_REMOVE)
		return decide_removal(facts, installed);
	return decide_by_itself(facts);
}
