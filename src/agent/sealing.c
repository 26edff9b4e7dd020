/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/sealing.h"

#include <errno.h>
#include <stdio.h>

#include "graft/sealing.h"
#include "store/image.h"
#include "store/settings.h"

bool sealing_is_required(const struct agent *a)
{
	AUTO_JSON json_t *config = NULL;

	if (store_config_load(a->store, &config, NULL) < 0)
		return true;
	return json_is_true(json_object_get(config, "require-seal"));
}

int sealing_look(const struct agent *a, char ret_reason[static FIT_PROBLEM_MAX],
	struct error *reterr)
{
	enum graft_seal seal = GRAFT_MEASURED;
	AUTO_CLOSE int folder_fd = -EBADF;
	struct graft_host host;
	int r;

	ret_reason[0] = '\0';
	/* where mounts cannot be changed at all, that is said elsewhere */
	if (!sealing_is_required(a) || context_host(a, &host, NULL) < 0)
		return 0;
	r = store_image_folder(a->store, &folder_fd);
	if (r < 0)
		return error_set(reterr, r, "the store's images: %s", error_text(r));
	r = sealing_probe(&host, folder_fd, &seal, reterr);
	if (r == 0 && seal == GRAFT_MEASURED)
		(void)snprintf(ret_reason, FIT_PROBLEM_MAX,
			"require-seal is set, and this kernel can check no read of an image: it has no "
			"dm-verity, and the file system of %s no fs-verity; 'bsi config require-seal no' "
			"lets images be attached that are measured only",
			a->settings.state);
	return r;
}

int sealing_bar(const struct agent *a, struct fit *fit, struct error *reterr)
{
	char reason[FIT_PROBLEM_MAX];
	bool is_told = false;
	int r = fit ? sealing_look(a, reason, reterr) : 0;

	if (r < 0 || !fit || reason[0] == '\0')
		return r;
	for (size_t i = 0; i < fit->n_components; i++) {
		struct fit_component *c = &fit->components[i];

		if (c->match.verdict != MATCH_SET || c->problem[0])
			continue;
		c->is_barred = true;
		(void)snprintf(c->problem, sizeof c->problem, "%s", reason);
		if (!is_told)
			context_note(a, "%s", reason);
		is_told = true;
	}
	return 0;
}
