/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands for the static launcher: links the base view with nothing but libc, and enters one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "graft/base_view.h"
#include "graft/mount_table.h"

int main(void)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO_CLOSE int host_ns_fd = -EBADF;
	size_t component_len, n_ours = 0;
	int r = base_view_enter(BASE_VIEW_PRIVATE, &host_ns_fd);

	if (r == -EPERM) {
		printf("1..0 # SKIP needs root\n");
		return EXIT_SUCCESS;
	}
	if (r == 0)
		r = mount_table_load("/proc/self/mountinfo", &table);
	for (size_t i = 0; r == 0 && i < table->n_rows; i++)
		n_ours += mount_row_component(&table->rows[i], &component_len) != NULL;
	printf("%s 1 - a static program enters a base view (%d, %zu)\n1..1\n",
		r == 0 && host_ns_fd >= 0 && n_ours == 0 ? "ok" : "not ok", r, n_ours);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
