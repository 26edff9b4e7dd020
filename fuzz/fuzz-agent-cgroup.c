/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of /proc/PID/cgroup: whatever it is, a unit is a name and nothing else. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cgroup g;

	if (cgroup_parse((const char *)data, size, &g) < 0)
		return 0;
	if ((g.kind == CGROUP_NONE) != (g.unit[0] == '\0') ||
		(g.kind == CGROUP_SESSION) != (g.user != (uid_t)-1) || strlen(g.unit) >= CGROUP_UNIT_MAX)
		abort();
	for (const char *c = g.unit; *c; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("/;$`'\"&|<>()*?", *c))
			abort();
	return 0;
}
