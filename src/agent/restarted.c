/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/restarted.h"

#include <string.h>

#include "agent/run_dir.h"
#include "store/generation.h"

#define NAME "restarted.json"

static json_t *load_for(struct agent *a, uint64_t generation)
{
	AUTO_JSON json_t *document = NULL;
	json_t *units;

	if (run_dir_load(a->settings.run, NAME, &document) < 0 ||
		json_integer_value(json_object_get(document, "generation")) != (json_int_t)generation)
		return json_array();
	units = json_object_get(document, "units");
	return json_is_array(units) ? json_incref(units) : json_array();
}

static void save(struct agent *a, uint64_t generation, json_t *units)
{
	AUTO_JSON json_t *document = json_pack("{s:I, s:O}", "generation", (json_int_t)generation,
		"units", units);

	if (document)
		run_dir_save(a->settings.run, NAME, document, 0600);
}

json_t *restarted_load(struct agent *a)
{
	uint64_t generation = 0;

	return store_current_get(a->store, &generation, NULL) < 0 ? json_array() :
								    load_for(a, generation);
}

bool restarted_has(const json_t *restarted, const char *unit)
{
	for (size_t i = 0; i < json_array_size(restarted); i++) {
		const char *name = json_string_value(json_array_get(restarted, i));

		if (name && strcmp(name, unit) == 0)
			return true;
	}
	return false;
}

void restarted_add(struct agent *a, const char *unit)
{
	AUTO_JSON json_t *units = NULL;
	uint64_t generation = 0;

	if (store_current_get(a->store, &generation, NULL) < 0)
		return;
	units = load_for(a, generation);
	if (units && !restarted_has(units, unit) &&
		json_array_append_new(units, json_string(unit)) == 0)
		save(a, generation, units);
}

void restarted_forget_others(struct agent *a, uint64_t generation)
{
	AUTO_JSON json_t *units = load_for(a, generation);

	if (units)
		save(a, generation, units);
}
