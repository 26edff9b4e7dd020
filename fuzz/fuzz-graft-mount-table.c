/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A mount table: rows, stacks, walks, and the state and plan that follow from it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "graft/mount_table.h"
#include "graft/plan.h"
#include "graft/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plan(const struct graft_state *state)
{
	static const struct graft_file files[] = {{.path = "usr/lib/x"}, {.path = "usr/lib/y"}};
	const struct graft_layer layer = {
		.component = "scene", .image_fd = -1, .files = files, .n_files = 2};
	AUTO(graft_plan) struct graft_plan *plan = NULL;
	size_t n_wanted = 0;

	if (graft_plan_make(state, &layer, 1, &plan, NULL) < 0)
		return;
	for (size_t i = 0; i < plan->n_steps; i++) {
		n_wanted += plan->steps[i].action != GRAFT_OFF;
		if (plan->steps[i].action == GRAFT_OFF && plan->steps[i].n_old == 0)
			abort();
	}
	if (n_wanted != 2)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	AUTO(graft_state) struct graft_state *state = NULL;

	if (mount_table_parse((const char *)data, size, &table) < 0)
		return 0;
	for (size_t i = 0; i < table->n_rows; i++) {
		(void)mount_table_over(table, &table->rows[i]);
		(void)mount_row_is_in_place(&table->rows[i]);
		(void)mount_table_is_ours(table, &table->rows[i]);
		(void)mount_table_resolve(table, table->rows[i].point);
	}
	if (graft_state_of(table, "", &state) == 0)
		check_plan(state);
	return 0;
}
