/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Where a process stands, so that it can come back: its mount namespace, and its root in it, which setns()
 * forgets. Needs libc alone.
 */
#include "base/compiler.h"

struct place {
	int ns_fd, root_fd;
};

#define PLACE_NOWHERE ((struct place){.ns_fd = -1, .root_fd = -1})

/* 0 or -errno. The caller ends it with place_close(), after a failure too. */
int place_remember(struct place *ret) MUST_CHECK;
/* Stand there, in the directory "/". For a process with one thread. 0 or -errno. */
int place_enter(const struct place *place) MUST_CHECK;
void place_close(struct place *place);
