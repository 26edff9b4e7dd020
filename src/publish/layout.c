/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/layout.h"

#include <errno.h>
#include <stdlib.h>

void layout_done(struct layout *l)
{
	image_recipe_done(&l->recipe);
	free(l->entries);
	free(l->xattrs);
}

/* Files that are one inode in the package, or one file under several base names. */
static bool is_same_inode(const struct state *to, const struct plan_file *a,
	const struct plan_file *b)
{
	const struct state_file *x = a->row->to, *y = b->row->to;

	if (x->hardlink_to)
		x = state_find(to, x->hardlink_to);
	if (y->hardlink_to)
		y = state_find(to, y->hardlink_to);
	return x == y;
}

static int fill_entries(struct state *to, const struct plan_component *c, struct layout *l)
{
	size_t n_xattrs = 0;

	for (size_t i = 0; i < c->n_files; i++)
		n_xattrs += c->files[i].row->to->n_xattrs;
	l->entries = calloc(c->n_files + 1, sizeof *l->entries);
	l->xattrs = calloc(n_xattrs + 1, sizeof *l->xattrs);
	if (!l->entries || !l->xattrs)
		return -ENOMEM;
	n_xattrs = 0;
	for (size_t i = 0; i < c->n_files; i++) {
		const struct state_file *f = c->files[i].row->to;
		struct image_entry *e = &l->entries[l->n_entries++];

		*e = (struct image_entry){.path = c->files[i].path,
			.mode = f->mode,
			.uid = f->uid,
			.gid = f->gid,
			.size = f->size_bytes,
			.xattrs = l->xattrs + n_xattrs,
			.n_xattrs = f->n_xattrs};
		for (size_t k = 0; k < f->n_xattrs; k++)
			l->xattrs[n_xattrs++] = (struct image_xattr){.name = f->xattrs[k].name,
				.value = f->xattrs[k].value,
				.value_len = f->xattrs[k].value_bytes};
		for (size_t k = 0; k < i && !e->hardlink_to; k++)
			if (!l->entries[k].hardlink_to &&
				is_same_inode(to, &c->files[k], &c->files[i]))
				e->hardlink_to = l->entries[k].path;
	}
	return 0;
}

int layout_make(struct state *to, const struct plan_component *c, struct layout *l,
	struct error *reterr)
{
	int r;

	r = fill_entries(to, c, l);
	if (r < 0)
		return r;
	r = image_recipe_plan(l->entries, l->n_entries, &l->recipe, reterr);
	if (r < 0 && reterr)
		error_prefix(reterr, "component %s", c->name);
	return r;
}
