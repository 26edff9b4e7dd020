/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"
#include "store/holder.h"
#include "store/layout.h"
#include "store/load.h"
#include "store/space.h"
#include "store/state_file.h"

static const char *const folders[] = {
	LAYOUT_TRUST, LAYOUT_IMAGES, LAYOUT_DOWNLOADS, LAYOUT_GENERATIONS,
};

/* What a run that was killed while it made the layout may have left. */
static const char *const early_names[] = {
	LAYOUT_LOCK, LAYOUT_TRUST, LAYOUT_IMAGES, LAYOUT_DOWNLOADS, LAYOUT_GENERATIONS,
	LAYOUT_NUMBER, LAYOUT_CURRENT, LAYOUT_DENIED, LAYOUT_FLOOR,
	/* not ours, and in every new file system */
	"lost+found",
};

static int check_early_name(void *ctx, const char *name)
{
	struct error *reterr = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(early_names); i++)
		if (strcmp(early_names[i], name) == 0)
			return 0;
	if (name[0] == '.')
		return 0;
	return error_set(reterr, -BSI_E_STATE,
		"the state directory holds \"%s\" but no \"" LAYOUT_FORMAT
		"\": it is damaged or belongs to something else; restore it from a backup or move it "
		"away",
		name);
}

/* Metadata or generations without the format file are no fresh device. */
static int check_empty_name(void *ctx, const char *name)
{
	struct error *reterr = ctx;

	if (name[0] == '.')
		return 0;
	return error_set(reterr, -BSI_E_STATE,
		"the state directory holds trust or generations (\"%s\") but no \"" LAYOUT_FORMAT
		"\": it is damaged; restore it from a backup or move it away",
		name);
}

static int check_fresh(const struct store *s, struct error *reterr)
{
	static const char *const empty[] = {LAYOUT_TRUST, LAYOUT_GENERATIONS};
	int r;

	r = layout_each(s, ".", check_early_name, reterr);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(empty); i++) {
		r = layout_each(s, empty[i], check_empty_name, reterr);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int check_format(const struct store *s, struct error *reterr)
{
	AUTO_JSON json_t *content = NULL;
	int r;

	r = state_load(s, LAYOUT_FORMAT, &state_format, &content, reterr);
	if (r == -ENOENT)
		r = check_fresh(s, reterr);
	return r;
}

int store_open(int dir_fd, struct store **ret, struct error *reterr)
{
	AUTO(store) struct store *s = NULL;
	int r;

	s = malloc(sizeof *s);
	if (!s)
		return -ENOMEM;
	*s = (struct store){.dir_fd = -EBADF, .lock_fd = -EBADF, .load_fd = -EBADF};
	/* opened anew, so that reading works whatever the given one was opened for (O_PATH) */
	s->dir_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0) {
		r = -errno;
		return error_set(reterr, r, "the state directory cannot be opened: %s",
			error_text(r));
	}
	r = check_format(s, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

void store_unlock(struct store *s)
{
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	s->lock_fd = -EBADF;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	store_load_end(s);
	store_unlock(s);
	if (s->dir_fd >= 0)
		(void)close(s->dir_fd);
	free(s);
}

static int save_first(const struct store *s, const char *path, const struct state_kind *kind,
	json_t *content, struct error *reterr)
{
	AUTO_JSON json_t *owned = content, *found = NULL;
	int r;

	if (!owned)
		return -ENOMEM;
	/* never over something that is there: a floor, say */
	r = state_load(s, path, kind, &found, reterr);
	return r == -ENOENT ? state_save(s, path, kind, owned, reterr) : r;
}

static int make_layout(const struct store *s, struct error *reterr)
{
	int r = check_fresh(s, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		r = durable_make_folder(s->dir_fd, folders[i]);
		if (r < 0)
			return error_set(reterr, r, "\"%s\" cannot be made in the state directory: %s",
				folders[i], error_text(r));
	}
	r = save_first(s, LAYOUT_NUMBER, &state_number, json_pack("{s:i}", "last", 0), reterr);
	if (r == 0)
		r = save_first(s, LAYOUT_CURRENT, &state_current,
			json_pack("{s:i, s:i, s:i}", "current", 0, "good", 0, "previous", 0), reterr);
	if (r == 0)
		r = save_first(s, LAYOUT_DENIED, &state_denied, json_pack("{s:[]}", "entries"),
			reterr);
	if (r == 0)
		r = save_first(s, LAYOUT_FLOOR, &state_floor, json_pack("{s:i}", "utc_s", 0), reterr);
	/* last: from now on what is missing is damage */
	if (r == 0)
		r = save_first(s, LAYOUT_FORMAT, &state_format, json_object(), reterr);
	return r;
}

struct sweep {
	const struct store *s;
	const char *folder;
};

static int sweep_name(void *ctx, const char *name)
{
	const struct sweep *sweep = ctx;
	char path[512];
	int n;

	if (name[0] != '.')
		return 0;
	n = snprintf(path, sizeof path, "%s/%s", sweep->folder, name);
	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	return file_remove_tree(sweep->s->dir_fd, path);
}

/*
 * Under the lock nobody is at work, so what begins with a dot was left by a killed run; but for the
 * images, which another may be making.
 */
static int sweep_away(const struct store *s, struct error *reterr)
{
	const int is_loading = store_is_loading_elsewhere(s);
	struct sweep sweep = {s, "."};
	int r;

	r = is_loading < 0 ? is_loading : layout_each(s, ".", sweep_name, &sweep);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++) {
		if (is_loading > 0 && strcmp(folders[i], LAYOUT_IMAGES) == 0)
			continue;
		sweep.folder = folders[i];
		r = layout_each(s, folders[i], sweep_name, &sweep);
	}
	if (r == -ENOENT)
		return error_set(reterr, -BSI_E_STATE,
			"the folder \"%s\" is missing from the state directory; restore it from a backup, "
			"or move the state away and enrol again",
			sweep.folder);
	if (r < 0)
		return error_set(reterr, r, "leftovers in \"%s\" cannot be removed: %s", sweep.folder,
			error_text(r));
	return 0;
}

void store_set_purpose(struct store *s, const char *purpose)
{
	s->purpose = purpose;
}

int store_lock(struct store *s, struct error *reterr)
{
	int r;

	if (s->lock_fd >= 0)
		return 0;
	r = holder_take(s, LAYOUT_LOCK, "is changing the state", &s->lock_fd, reterr);
	if (r < 0)
		return r;
	r = check_format(s, reterr);
	if (r == 0) {
		r = layout_is_made(s);
		r = r == 0 ? make_layout(s, reterr) : r < 0 ? r : sweep_away(s, reterr);
	}
	if (r < 0)
		store_unlock(s);
	return r;
}

bool store_is_locked(const struct store *s)
{
	return s->lock_fd >= 0;
}

int store_space(struct store *s, uint64_t *ret_bytes, struct error *reterr)
{
	int r = space_free(s->dir_fd, ret_bytes);

	if (r < 0)
		return error_set(reterr, r, "free space cannot be found out: %s", error_text(r));
	return 0;
}
