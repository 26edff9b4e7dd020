/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Whose root this is: the machine's, or one of a user namespace only. The kernel mounts images for
 * the first alone, and mounts of the machine that a user namespace inherits are locked in it. Needs
 * libc alone: the static launcher links it.
 */
#include <stdbool.h>

/* Also true where the kernel has no user namespaces, or /proc does not tell. */
bool user_ns_is_initial(void);
