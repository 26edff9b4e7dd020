/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What to attach at boot: a pure function of facts. Boots that were begun are counted before
 * anything is attached; two that did not complete are enough to go back.
 */
#include <stdbool.h>
#include <stdint.h>

#include "store/boot.h"

#define BOOT_ATTEMPTS 2        /* begun and not completed: then another way is taken */
#define BOOT_GAVE_UP_ATTEMPTS (BOOT_ATTEMPTS + 1) /* the count of a boot that went on without */

enum boot_action {
	BOOT_NOTHING,   /* there is nothing to attach */
	BOOT_ATTACH,    /* attach current */
	BOOT_FALL_BACK, /* current never completed a boot: leave it for another generation */
	BOOT_GIVE_UP,   /* current did once, so it stays; this boot goes on without it */
};

struct boot_facts {
	uint64_t current, good;  /* generations; 0 is the base */
	struct boot_count count; /* as it was found */
};

struct boot_plan {
	enum boot_action action;
	uint64_t generation;     /* what to go to, for BOOT_FALL_BACK; 0 is the base */
	struct boot_count count; /* what to write first; generation 0: nothing */
};

struct boot_plan boot_plan_make(const struct boot_facts *facts);

/* Whether a boot that is complete now proves its generation good. */
bool boot_is_proof(const struct boot_facts *facts);

/*
 * Why nothing is to be attached in a boot with these words in /proc/cmdline, as static text; NULL if
 * something is. Of "bsi.attach=" the last counts (no, off, 0, false); without any, a boot for repair
 * has nothing attached: "single", "rescue", "emergency" and what means the same (systemd(1)).
 */
const char *boot_why_off(const char *command_line);
