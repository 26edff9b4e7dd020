/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"

static size_t count_all(const struct graft_state *state)
{
	return state->n_mounts + state->n_lids;
}

/* Of all, the lids last. */
static const struct graft_mount *mount_at(const struct graft_state *state, size_t i)
{
	return i < state->n_mounts ? &state->mounts[i] : &state->lids[i - state->n_mounts];
}

static const struct graft_mount *find_id(const struct graft_state *state, int id)
{
	for (size_t i = 0; i < count_all(state); i++)
		if (mount_at(state, i)->id == id)
			return mount_at(state, i);
	return NULL;
}

static const struct graft_mount *find_top(const struct graft_state *state, const char *path)
{
	for (size_t i = 0; i < count_all(state); i++)
		if (mount_at(state, i)->visible && strcmp(mount_at(state, i)->path, path) == 0)
			return mount_at(state, i);
	return NULL;
}

/* How many of ours lie on each other under top, top included, and what the lowest lies on. */
static void measure_stack(const struct graft_state *state, const struct graft_mount *top,
	struct graft_step *step)
{
	const struct graft_mount *at = top;

	step->old_id = top->id;
	for (step->n_old = 1; at->over_ours && step->n_old <= count_all(state); step->n_old++) {
		const struct graft_mount *below = find_id(state, at->parent_id);

		if (!below)
			break;
		at = below;
	}
	step->parent_shared = at->parent_shared;
}

static void decide_wanted(const struct graft_state *state, struct graft_step *step)
{
	const struct graft_mount *top = find_top(state, step->path);
	bool is_right;

	if (!top) {
		step->action = GRAFT_ATTACH;
		return;
	}
	measure_stack(state, top, step);
	is_right = strcmp(top->component, step->layer->component) == 0 &&
		digest_equal(&top->digest, &step->layer->digest) &&
		(top->seal != GRAFT_MEASURED || !(step->layer->flags & GRAFT_LAYER_SEALED));

	/* A cut exchange leaves the old one under the right one. Pushing once more and taking both
	 * away needs no other machinery; where nothing can go from beneath, the stack stays. */
	if (is_right && (step->n_old == 1 || !step->parent_shared))
		step->action = GRAFT_KEEP;
	else
		step->action = GRAFT_EXCHANGE;
}

static int compare_paths(const void *a, const void *b)
{
	const struct graft_step *const *left = a, *const *right = b;

	return strcmp((*left)->path, (*right)->path);
}

static int check_layer(const struct graft_layer *layer, struct error *reterr)
{
	size_t len = strlen(layer->component);

	if (len == 0 || len > GRAFT_COMPONENT_MAX ||
		strspn(layer->component, "abcdefghijklmnopqrstuvwxyz0123456789.+-") != len)
		return error_set(reterr, -BSI_E_PATH, "component name '%s' is malformed",
			layer->component);
	for (size_t i = 0; i < layer->n_files; i++)
		if (path_check(layer->files[i].path) < 0)
			return error_set(reterr, -BSI_E_PATH, "component %s: path '%s' is malformed",
				layer->component, layer->files[i].path);
	return 0;
}

static int check_want(const struct graft_layer *want, size_t n_want, size_t *ret_n_files,
	struct error *reterr)
{
	size_t n_files = 0;

	for (size_t i = 0; i < n_want; i++) {
		int r = check_layer(&want[i], reterr);

		if (r < 0)
			return r;
		if (want[i].n_files > GRAFT_FILES_MAX - n_files)
			return error_set(reterr, -BSI_E_LIMIT, "more than %d files in one change",
				GRAFT_FILES_MAX);
		n_files += want[i].n_files;
	}
	*ret_n_files = n_files;
	return 0;
}

/* The wanted steps by path, for lookups; an error if a path is wanted twice. */
static int sort_wanted(struct graft_plan *plan, struct graft_step ***ret, struct error *reterr)
{
	AUTO_FREE struct graft_step **sorted = calloc(plan->n_steps + 1, sizeof(struct graft_step *));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_steps; i++)
		sorted[i] = &plan->steps[i];
	qsort(sorted, plan->n_steps, sizeof *sorted, compare_paths);
	for (size_t i = 1; i < plan->n_steps; i++)
		if (strcmp(sorted[i - 1]->path, sorted[i]->path) == 0)
			return error_set(reterr, -BSI_E_PATH, "'%s' is wanted twice",
				sorted[i]->path);
	*ret = take_ptr(sorted);
	return 0;
}

/* Mounts that lie visible where nothing is wanted, the last attached first. */
static int plan_off(const struct graft_state *state, struct graft_plan *plan, struct error *reterr)
{
	AUTO_FREE struct graft_step **wanted = NULL;
	size_t n_wanted = plan->n_steps;
	int r = sort_wanted(plan, &wanted, reterr);

	if (r < 0)
		return r;
	for (size_t i = count_all(state); i-- > 0;) {
		const struct graft_mount *mount = mount_at(state, i);
		struct graft_step step = {.action = GRAFT_OFF, .path = mount->path}, *key = &step;

		if (!mount->visible)
			continue;
		if (bsearch(&key, wanted, n_wanted, sizeof *wanted, compare_paths))
			continue;
		measure_stack(state, mount, &step);
		plan->steps[plan->n_steps++] = step;
	}
	return 0;
}

/* What is neither visible nor in the stack under a visible one of ours. */
static size_t count_hidden(const struct graft_state *state, const struct graft_plan *plan)
{
	size_t n_reached = 0;

	for (size_t i = 0; i < plan->n_steps; i++)
		n_reached += plan->steps[i].n_old;
	return n_reached < count_all(state) ? count_all(state) - n_reached : 0;
}

int graft_plan_make(const struct graft_state *state, const struct graft_layer *want, size_t n_want,
	struct graft_plan **ret, struct error *reterr)
{
	AUTO(graft_plan) struct graft_plan *plan = calloc(1, sizeof *plan);
	size_t n_files = 0;
	int r = check_want(want, n_want, &n_files, reterr);

	if (r < 0)
		return r;
	if (plan)
		plan->steps = calloc(n_files + count_all(state) + 1, sizeof *plan->steps);
	if (!plan || !plan->steps)
		return error_set(reterr, -ENOMEM, "no memory for %zu files", n_files);

	for (size_t i = 0; i < n_want; i++)
		for (size_t k = 0; k < want[i].n_files; k++) {
			struct graft_step *step = &plan->steps[plan->n_steps++];

			step->layer = &want[i];
			step->file = &want[i].files[k];
			step->path = step->file->path;
			decide_wanted(state, step);
		}
	r = plan_off(state, plan, reterr);
	if (r < 0)
		return r;
	plan->n_hidden = count_hidden(state, plan);
	*ret = take_ptr(plan);
	return 0;
}

void graft_plan_free(struct graft_plan *plan)
{
	if (!plan)
		return;
	free(plan->steps);
	free(plan);
}
