/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which generation is current, which one was before, which one is known good; what is kept. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"
#include "store/generation.h"
#include "store/layout.h"
#include "store/state_file.h"

/* One file, so that the three change in one step. */
struct pointers {
	uint64_t current, good, previous;
};

static int load(const struct store *s, struct pointers *ret, struct error *reterr)
{
	AUTO_JSON json_t *content = NULL;
	struct pointers p = {0};
	struct error reason = {0};
	int r;

	r = state_load(s, LAYOUT_CURRENT, &state_current, &content, reterr);
	if (r == -ENOENT) {
		*ret = p; /* a fresh device */
		return 0;
	}
	if (r < 0)
		return r;
	r = json_get_u64(content, "current", INT64_MAX, &p.current, &reason);
	if (r == 0)
		r = json_get_u64(content, "good", INT64_MAX, &p.good, &reason);
	if (r == 0)
		r = json_get_u64(content, "previous", INT64_MAX, &p.previous, &reason);
	if (r < 0)
		return state_damaged(LAYOUT_CURRENT, &state_current, reason.text, reterr);
	*ret = p;
	return 0;
}

static int save(const struct store *s, const struct pointers *p, struct error *reterr)
{
	AUTO_JSON json_t *content = json_pack("{s:I, s:I, s:I}", "current",
		(json_int_t)p->current, "good", (json_int_t)p->good, "previous",
		(json_int_t)p->previous);

	if (!content)
		return -ENOMEM;
	return state_save(s, LAYOUT_CURRENT, &state_current, content, reterr);
}

int store_current_get(struct store *s, uint64_t *ret_number, struct error *reterr)
{
	struct pointers p;
	int r = load(s, &p, reterr);

	if (r == 0)
		*ret_number = p.current;
	return r;
}

int store_current_changed(struct store *s, int64_t *ret_utc_s)
{
	struct stat st;

	if (fstatat(s->dir_fd, LAYOUT_CURRENT, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret_utc_s = st.st_mtim.tv_sec;
	return 0;
}

int store_previous_get(struct store *s, uint64_t *ret_number, struct error *reterr)
{
	struct pointers p;
	int r = load(s, &p, reterr);

	if (r == 0)
		*ret_number = p.previous;
	return r;
}

int store_good_get(struct store *s, uint64_t *ret_number, struct error *reterr)
{
	struct pointers p;
	int r = load(s, &p, reterr);

	if (r == 0)
		*ret_number = p.good;
	return r;
}

/* What a pointer may name: the base, or a generation that can be read. */
static int check_target(struct store *s, uint64_t number, struct error *reterr)
{
	AUTO(generation) struct generation *g = NULL;

	return number == 0 ? 0 : store_generation_load(s, number, &g, reterr);
}

/* The pointers as they are, before one of them is to say number. */
static int begin_change(struct store *s, uint64_t number, struct pointers *ret,
	struct error *reterr)
{
	int r = store_check_locked(s, reterr);

	if (r == 0)
		r = check_target(s, number, reterr);
	return r < 0 ? r : load(s, ret, reterr);
}

int store_current_set(struct store *s, uint64_t number, struct error *reterr)
{
	struct pointers p;
	int r;

	r = begin_change(s, number, &p, reterr);
	if (r < 0)
		return r;
	if (p.current != number)
		p.previous = p.current;
	p.current = number;
	/* also when nothing changes: the run that wrote it may have been killed before its fsync */
	return save(s, &p, reterr);
}

int store_current_revert(struct store *s, uint64_t number, uint64_t previous,
	struct error *reterr)
{
	struct pointers p;
	int r;

	r = begin_change(s, number, &p, reterr);
	if (r < 0)
		return r;
	p.current = number;
	p.previous = previous;
	return save(s, &p, reterr);
}

int store_current_reset(struct store *s, struct error *reterr)
{
	const struct pointers base = {0};
	int r;

	r = store_check_locked(s, reterr);
	return r < 0 ? r : save(s, &base, reterr);
}

int store_good_set(struct store *s, uint64_t number, struct error *reterr)
{
	struct pointers p;
	int r;

	r = begin_change(s, number, &p, reterr);
	if (r < 0)
		return r;
	p.good = number;
	return save(s, &p, reterr);
}

#define KEPT_MAX 3 /* current, previous, good */

struct keeping {
	const struct store *s;
	struct digest images[KEPT_MAX * GENERATION_COMPONENTS_MAX];
	size_t n_images;
};

/* A pointer may name a generation that a killed collection took away: then there is no image. */
static int keep_images_of(struct store *s, uint64_t number, uint64_t current,
	struct keeping *keep, struct error *reterr)
{
	AUTO(generation) struct generation *g = NULL;
	int r;

	if (number == 0)
		return 0;
	r = store_generation_load(s, number, &g, reterr);
	if (r == -ENOENT && number != current)
		return 0;
	if (r < 0)
		return r == -ENOENT ? state_damaged(LAYOUT_CURRENT, &state_current,
					       "the generation that it names is missing", reterr)
				    : r;
	for (size_t i = 0; i < g->n_components; i++)
		keep->images[keep->n_images++] = g->components[i].image;
	return 0;
}

static int remove_unused_image(void *ctx, const char *name)
{
	const struct keeping *keep = ctx;
	struct digest digest;

	/* what begins with a dot is being made; what is no digest is not ours */
	if (digest_parse(name, &digest) < 0)
		return 0;
	for (size_t i = 0; i < keep->n_images; i++)
		if (digest_equal(&keep->images[i], &digest))
			return 0;
	return durable_remove(keep->s->dir_fd, layout_image(&digest).text);
}

static int remove_generations(struct store *s, const struct pointers *p, struct error *reterr)
{
	AUTO_FREE uint64_t *numbers = NULL;
	size_t n;
	int r;

	r = store_generation_list(s, &numbers, &n, reterr);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (numbers[i] == p->current || numbers[i] == p->good || numbers[i] == p->previous)
			continue;
		r = durable_remove_folder(s->dir_fd, layout_generation(numbers[i]).text,
			LAYOUT_OLD_GENERATION);
		if (r < 0)
			return error_set(reterr, r, "generation %" PRIu64 " cannot be removed: %s",
				numbers[i], error_text(r));
	}
	return r;
}

int store_collect(struct store *s, struct error *reterr)
{
	AUTO_FREE struct keeping *keep = NULL;
	struct pointers p;
	int r;

	r = store_check_locked(s, reterr);
	if (r == 0)
		r = load(s, &p, reterr);
	if (r < 0)
		return r;
	keep = calloc(1, sizeof *keep);
	if (!keep)
		return -ENOMEM;
	keep->s = s;
	/* all of these can be read, or nothing is removed */
	r = keep_images_of(s, p.current, p.current, keep, reterr);
	if (r == 0)
		r = keep_images_of(s, p.good, p.current, keep, reterr);
	if (r == 0)
		r = keep_images_of(s, p.previous, p.current, keep, reterr);
	/* generations first: none is ever without its images */
	if (r == 0)
		r = remove_generations(s, &p, reterr);
	if (r < 0)
		return r;
	/* what another has loaded is of no generation yet */
	r = store_is_loading_elsewhere(s);
	if (r > 0)
		return 0;
	if (r == 0)
		r = layout_each(s, LAYOUT_IMAGES, remove_unused_image, keep);
	if (r < 0)
		return error_set(reterr, r, "unused images cannot be removed: %s", error_text(r));
	return 0;
}
