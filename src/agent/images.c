/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/images.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "store/image.h"

static int drop_damaged(struct agent *a, struct fit_component *c, int why, struct error *reterr)
{
	(void)snprintf(c->problem, sizeof c->problem,
		"its image in the store is damaged (%s); 'bsi run' brings it again",
		error_text(why));
	return store_image_remove(a->store, &c->component->image.digest, reterr);
}

int images_measure(struct agent *a, struct fit_component *c, struct error *reterr)
{
	const struct image_ref *ref = &c->component->image;
	AUTO_CLOSE int fd = -EBADF;
	struct digest found;
	uint64_t size;
	int r;

	if (c->match.verdict != MATCH_SET || c->image_fd >= 0)
		return 0;
	r = store_image_open(a->store, &ref->digest, &fd);
	if (r == -ENOENT) {
		(void)snprintf(c->problem, sizeof c->problem,
			"its image is not here; 'bsi run' brings it");
		return 0;
	}
	if (r == 0)
		r = file_digest(fd, &found, &size);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && (size != ref->size || !digest_equal(&found, &ref->digest)))
		r = -BSI_E_DIGEST;
	if (r < 0)
		return drop_damaged(a, c, r, reterr);
	c->problem[0] = '\0';
	c->image_fd = take_fd(&fd);
	return 0;
}

bool images_are_whole(const struct fit *fit)
{
	for (size_t i = 0; fit && i < fit->n_components; i++)
		if (fit->components[i].match.verdict == MATCH_SET &&
			fit->components[i].image_fd < 0)
			return false;
	return true;
}
