/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/boot.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

#define SWITCH "bsi.attach="

struct boot_plan boot_plan_make(const struct boot_facts *f)
{
	uint64_t attempts = f->count.generation == f->current ? f->count.attempts : 0;

	if (f->is_switched_off)
		return (struct boot_plan){.action = BOOT_SKIP};
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
	return !f->is_switched_off && f->current != 0 && f->count.generation == f->current &&
	       f->count.attempts > 0 && f->count.attempts <= BOOT_ATTEMPTS;
}

static bool is_no(const char *value, size_t len)
{
	static const char *const words[] = {"no", "off", "0", "false"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == len && memcmp(words[i], value, len) == 0)
			return true;
	return false;
}

/* Rescue and emergency mode, as systemd reads them: nothing of that boot speaks for or against. */
static bool is_for_repair(const char *word, size_t len)
{
	static const char *const words[] = {"single", "s", "S", "1", "-s", "rescue", "emergency",
		"-b", "systemd.unit=rescue.target", "systemd.unit=emergency.target"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == len && memcmp(words[i], word, len) == 0)
			return true;
	return false;
}

bool boot_is_switched_off(const char *command_line)
{
	static const char blanks[] = " \t\n";
	bool is_off = false, is_said = false, is_repair = false;

	for (const char *at = command_line + strspn(command_line, blanks); *at;
		at += strspn(at, blanks)) {
		size_t len = strcspn(at, blanks);

		if (len >= sizeof SWITCH - 1 && memcmp(at, SWITCH, sizeof SWITCH - 1) == 0) {
			is_off = is_no(at + sizeof SWITCH - 1, len - (sizeof SWITCH - 1));
			is_said = true;
		}
		is_repair |= is_for_repair(at, len);
		at += len;
	}
	return is_said ? is_off : is_repair;
}
