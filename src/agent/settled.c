/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/settled.h"

#include <string.h>

#include "agent/run_dir.h"
#include "graft/state.h"

#define SETTLED_NAME "settled.json"

/* What is mounted, in one text: any difference is a reason to look again. */
static int mounts_stamp(const struct agent *a, struct digest *ret)
{
	AUTO(graft_state) struct graft_state *state = NULL;
	AUTO(hasher) struct hasher *h = NULL;
	struct graft_host host;
	int r;

	r = context_host(a, &host, NULL);
	if (r == 0)
		r = graft_state_read(&host, &state, NULL);
	if (r == 0)
		r = hasher_new(&h);
	if (r < 0)
		return r;
	for (size_t i = 0; i < state->n_mounts; i++) {
		const struct graft_mount *m = &state->mounts[i];

		hasher_update(h, m->component, strlen(m->component) + 1);
		hasher_update(h, m->digest.bytes, sizeof m->digest.bytes);
		hasher_update(h, m->path, strlen(m->path) + 1);
	}
	return hasher_final(h, ret);
}

void settled_mark(struct agent *a, uint64_t generation, const struct packages_stamp *packages)
{
	AUTO_JSON json_t *document = NULL;
	struct digest mounts;

	if (mounts_stamp(a, &mounts) < 0)
		return;
	document = json_pack("{s:I, s:s, s:s}", "generation", (json_int_t)generation, "packages",
		packages->text, "mounts", digest_format(&mounts).text);
	if (document)
		run_dir_save(a->settings.run, SETTLED_NAME, document, 0600);
}

static bool is_text(const json_t *document, const char *key, const char *text)
{
	const char *found = json_string_value(json_object_get(document, key));

	return found && strcmp(found, text) == 0;
}

bool settled_is(struct agent *a)
{
	AUTO_JSON json_t *document = NULL;
	struct digest mounts;
	uint64_t current = 0, marked = 0;

	if (run_dir_load(a->settings.run, SETTLED_NAME, &document) < 0 ||
		json_get_u64(document, "generation", UINT64_MAX, &marked, NULL) < 0 ||
		store_current_get(a->store, &current, NULL) < 0 || mounts_stamp(a, &mounts) < 0)
		return false;
	return current == marked && is_text(document, "packages", packages_stamp(a->root_fd).text) &&
	       is_text(document, "mounts", digest_format(&mounts).text);
}
