/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/boot.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

#define SWITCH "bsi.attach="

struct boot_plan boot_plan_make(const struct boot_facts *f)
{
	uint64_t attempts = f->count.generation == f->current ? f->count.attempts : 0;

	if (f->current == 0)
		return (struct boot_plan){.action = BOOT_NOTHING};
	if (attempts < BOOT_ATTEMPTS)
		return (struct boot_plan){.action = BOOT_ATTACH,
			.count = {.generation = f->current, .attempts = attempts + 1}};
	if (f->current == f->good)
		return (struct boot_plan){.action = BOOT_GIVE_UP,
			.count = {.generation = f->current, .attempts = BOOT_GAVE_UP_ATTEMPTS}};
	return (struct boot_plan){.action = BOOT_FALL_BACK, .generation = f->good};
}

bool boot_is_proof(const struct boot_facts *f)
{
	return f->current != 0 && f->count.generation == f->current &&
	       f->count.attempts > 0 && f->count.attempts <= BOOT_ATTEMPTS;
}

static bool is_one_of(const char *const *words, const char *word, size_t len)
{
	for (; *words; words++)
		if (strlen(*words) == len && memcmp(*words, word, len) == 0)
			return true;
	return false;
}

const char *boot_why_off(const char *command_line)
{
	static const char blanks[] = " \t\n";
	static const char *const no[] = {"no", "off", "0", "false", NULL};
	/* nothing of such a boot speaks for or against an improvement */
	static const char *const repair[] = {"single", "s", "S", "1", "-s", "rescue", "emergency", "-b",
		"systemd.unit=rescue.target", "systemd.unit=emergency.target", NULL};
	const char *why = NULL;
	bool is_said = false;

	for (const char *at = command_line + strspn(command_line, blanks); *at;
		at += strspn(at, blanks)) {
		size_t len = strcspn(at, blanks);

		if (len >= sizeof SWITCH - 1 && memcmp(at, SWITCH, sizeof SWITCH - 1) == 0) {
			is_said = true;
			why = is_one_of(no, at + sizeof SWITCH - 1, len - (sizeof SWITCH - 1)) ?
				      "bsi.attach=no on the kernel's command line" :
				      NULL;
		} else if (!is_said && is_one_of(repair, at, len)) {
			why = "a boot for repair, by the kernel's command line";
		}
		at += len;
	}
	return why;
}
