/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/since.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void since_done(struct since *s)
{
	for (size_t i = 0; i < s->n_generations; i++)
		generation_free(s->generations[i]);
	free(s->generations);
	*s = (struct since){0};
}

/* The kept generations up to the current one, in the order in which they were made. */
static int load_generations(struct agent *a, uint64_t current, struct since *s)
{
	AUTO_FREE uint64_t *numbers = NULL;
	size_t n = 0;

	if (current == 0 || store_generation_list(a->store, &numbers, &n, NULL) < 0)
		return 0;
	s->generations = calloc(n + 1, sizeof(struct generation *));
	if (!s->generations)
		return -ENOMEM;
	for (size_t i = 0; i < n && numbers[i] <= current; i++)
		if (store_generation_load(a->store, numbers[i], &s->generations[s->n_generations],
			    NULL) == 0)
			s->n_generations++;
	return 0;
}

int since_load(struct agent *a, struct since *ret)
{
	uint64_t current = 0;
	int r;

	*ret = (struct since){.now_utc_s = a->settings.now_utc_s};
	if (store_current_get(a->store, &current, NULL) < 0)
		return 0;
	r = load_generations(a, current, ret);
	if (r == 0 && ret->n_generations > 0)
		ret->changed_utc_s = ret->generations[ret->n_generations - 1]->created_utc_s;
	else if (r == 0)
		(void)!store_current_changed(a->store, &ret->changed_utc_s);
	return r;
}

static const struct generation_component *find(const struct generation *g, const char *name)
{
	for (size_t i = 0; i < g->n_components; i++)
		if (strcmp(g->components[i].name, name) == 0)
			return &g->components[i];
	return NULL;
}

/* When the image that a component has now came first: later letters may have left it alone. */
static int64_t component_utc_s(const struct since *s, const char *name)
{
	const struct generation_component *now = NULL;
	int64_t utc_s = s->changed_utc_s;

	for (size_t i = s->n_generations; i-- > 0;) {
		const struct generation_component *c = find(s->generations[i], name);

		if (!c || (now && !digest_equal(&c->image, &now->image)))
			break;
		now = c;
		utc_s = s->generations[i]->created_utc_s;
	}
	return utc_s;
}

static int64_t started_utc_s(const struct since *s, uint64_t start_ticks)
{
	long per_second = sysconf(_SC_CLK_TCK);
	struct timespec up;

	if (per_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &up) < 0)
		return 0;
	return s->now_utc_s - up.tv_sec + (int64_t)(start_ticks / (uint64_t)per_second);
}

int64_t since_utc_s(const struct since *s, const json_t *components, uint64_t start_ticks)
{
	int64_t started = started_utc_s(s, start_ticks), changed = INT64_MAX;

	for (size_t i = 0; i < json_array_size(components); i++) {
		const char *name = json_string_value(json_array_get(components, i));
		int64_t utc_s = name ? component_utc_s(s, name) : INT64_MAX;

		changed = utc_s < changed ? utc_s : changed;
	}
	if (changed == INT64_MAX)
		changed = s->changed_utc_s;
	/* a clock that was set back since then must not make it a time to come */
	if (changed > s->now_utc_s)
		changed = started;
	return changed > started ? changed : started;
}
