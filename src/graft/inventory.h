/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What is attached, as a text: one line "COMPONENT-DIGEST PATH" for each mount of ours, in the order of
 * the mount table, and "lid PATH" for what an off left there that was cut. The engine leaves it behind where every file of the improvement is attached; as
 * long as the table says the same, package work cannot have changed one of them (the kernel takes the
 * mount off a file that is replaced), and the launcher need not start the engine. Needs libc alone.
 */
#include <stdbool.h>

#include "base/compiler.h"
#include "graft/mount_table.h"

#define INVENTORY_NAME "attached"

/* The text of a table, for a host whose root is "/"; the caller frees it. NULL without memory. */
char *inventory_text(const struct mount_table *table);

/* Leave it in run_dir, whole or not at all; 0 or -errno. */
int inventory_save(const char *run_dir, const char *text) MUST_CHECK;

/* Nothing is known any more. */
void inventory_drop(const char *run_dir);

/* Whether the calling process's namespace has exactly what was left in run_dir. */
bool inventory_is_true(const char *run_dir);
