/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/user_ns.h"

#include <sys/stat.h>

/* PROC_USER_INIT_INO (include/linux/proc_ns.h), which nsfs gives the first one on every kernel. */
#define INITIAL_INO 0xEFFFFFFDU

bool user_ns_is_initial(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) < 0 || st.st_ino == INITIAL_INO;
}
