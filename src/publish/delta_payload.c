/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/delta_payload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delta/encode.h"
#include "delta/pair.h"
#include "publish/layout.h"

/* A whole file in memory. */
struct content {
	uint8_t *data;
	size_t len;
};

struct contents {
	struct content *list;
	size_t n;
};

static void contents_done(struct contents *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->list[i].data);
	free(c->list);
}

/* The file of a base state that a planned file replaces under the same name; NULL if there is none. */
static struct state_file *base_file(const struct plan_file *f, size_t from)
{
	struct state_file *base = f->row->base[from];

	return base && strcmp(base->path, f->path) == 0 ? base : NULL;
}

static bool is_state_of(const struct plan_component *c, const struct base_set *set, size_t from)
{
	for (size_t i = 0; i < c->n_files; i++) {
		const struct state_file *base = base_file(&c->files[i], from);

		if (set->files[i].present &&
			(!base || !digest_equal(&base->digest, &set->files[i].digest)))
			return false;
	}
	return true;
}

static int find_state(const struct plan *p, const struct plan_component *c,
	const struct base_set *set, size_t *ret)
{
	for (size_t from = 0; from < p->compare.n_from; from++)
		if (is_state_of(c, set, from)) {
			*ret = from;
			return 0;
		}
	return -ENOENT;
}

static int load(struct state *s, const struct state_file *file, struct contents *to,
	struct error *reterr)
{
	struct content *c = &to->list[to->n];

	c->len = (size_t)file->size_bytes;
	c->data = malloc(c->len + 1);
	if (!c->data)
		return -ENOMEM;
	to->n++;
	return state_read(s, file, 0, c->data, c->len, reterr);
}

/* The base files of the set, under the names that the device knows them by. */
static int load_base(struct state *from_state, const struct plan_component *c,
	const struct base_set *set, size_t from, struct contents *ret, const char **names,
	struct error *reterr)
{
	AUTO_FREE struct state_file **files = calloc(c->n_files + 1, sizeof *files);
	size_t n = 0;
	int r;

	ret->list = calloc(c->n_files + 1, sizeof *ret->list);
	if (!files || !ret->list)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_files; i++)
		if (set->files[i].present)
			files[n++] = base_file(&c->files[i], from);
	if (n == 0)
		return -ENOENT;
	r = state_spool(from_state, files, n, reterr);
	for (size_t i = 0; r == 0 && i < c->n_files; i++) {
		if (!set->files[i].present)
			continue;
		names[ret->n] = c->files[i].path;
		r = load(from_state, base_file(&c->files[i], from), ret, reterr);
	}
	return r;
}

/* The contents of the image's extents, in their order. */
static int load_new(struct state *to, const struct plan_component *c, const struct layout *l,
	struct contents *ret, struct error *reterr)
{
	int r = 0;

	ret->list = calloc(l->recipe.n_extents + 1, sizeof *ret->list);
	if (!ret->list)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < l->recipe.n_extents; i++)
		r = load(to, c->files[l->recipe.extents[i].entry].row->to, ret, reterr);
	return r;
}

/* Which base files each new one is made from: its own first, then any other of the set. */
static int pair(const struct plan_component *c, const struct layout *l,
	const struct delta_input *references, size_t n_references, struct delta_input_file *files,
	size_t n_files)
{
	AUTO_FREE struct delta_input *news = calloc(n_files + 1, sizeof *news);
	AUTO_FREE struct pair *pairs = calloc(n_files + 1, sizeof *pairs);
	int r;

	if (!news || !pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n_files; i++)
		news[i] = (struct delta_input){.path = c->files[l->recipe.extents[i].entry].path,
			.data = files[i].data,
			.len = files[i].len};
	r = pair_files(references, n_references, news, n_files, pairs);
	for (size_t i = 0; i < n_files && r == 0; i++) {
		files[i].n_references = pairs[i].n_old;
		for (unsigned j = 0; j < pairs[i].n_old; j++)
			files[i].references[j] = (uint32_t)pairs[i].old[j];
		files[i].has_earlier = pairs[i].reason == PAIR_EARLIER;
		files[i].earlier = pairs[i].earlier;
	}
	return r;
}

/* How far the encoder is with a component. */
struct encoding {
	const struct build_progress *progress;
	const char *component;
	uint64_t done_bytes, total_bytes;
};

static void show_encoding(const struct encoding *e)
{
	if (e->progress && e->progress->show)
		e->progress->show(e->progress->ctx, e->component, e->done_bytes, e->total_bytes);
}

static void encoding_step(void *ctx, enum encode_step step, uint64_t bytes)
{
	struct encoding *e = ctx;

	(void)step;
	e->done_bytes += bytes;
	show_encoding(e);
}

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 1 ? (unsigned)n : 1;
}

static int encode(const struct plan_component *c, const struct layout *l,
	const struct contents *base, const char *const *names, const struct contents *new,
	const struct build_progress *progress, struct buffer *out, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer recipe = buffer_of(IMAGE_RECIPE_MAX_BYTES);
	AUTO_FREE struct delta_input *references = calloc(base->n + 1, sizeof *references);
	AUTO_FREE struct delta_input_file *files = calloc(new->n + 1, sizeof *files);
	struct encoding encoding = {.progress = progress, .component = c->name};
	const struct delta_encode_options options = {
		.progress = encoding_step, .ctx = &encoding, .n_threads = processors()};
	struct delta_set set = {.references = references,
		.n_references = base->n,
		.files = files,
		.n_files = new->n};
	int r;

	if (!references || !files)
		return -ENOMEM;
	for (size_t i = 0; i < base->n; i++)
		references[i] = (struct delta_input){
			.path = names[i], .data = base->list[i].data, .len = base->list[i].len};
	for (size_t i = 0; i < new->n; i++) {
		files[i] = (struct delta_input_file){
			.data = new->list[i].data, .len = new->list[i].len};
		encoding.total_bytes += ENCODE_STEP_MAX * (uint64_t)new->list[i].len;
	}
	show_encoding(&encoding);
	r = pair(c, l, references, base->n, files, new->n);
	if (r == 0)
		r = image_recipe_encode(&l->recipe, &recipe);
	if (r < 0)
		return r;
	set.meta = recipe.data;
	set.meta_len = recipe.len;
	return delta_encode(&set, &options, out, reterr);
}

int delta_payload_make(const struct plan *plan, struct state *to, const struct plan_component *c,
	size_t set, const struct build_progress *progress, struct buffer *out,
	uint64_t *ret_memory_bytes, struct error *reterr)
{
	__attribute__((cleanup(contents_done))) struct contents base = {0}, new = {0};
	AUTO_DONE(layout) struct layout l = {0};
	AUTO_FREE const char **names = calloc(c->n_files + 1, sizeof *names);
	struct delta_header header;
	size_t from, used;
	int r;

	if (!names)
		return -ENOMEM;
	r = find_state(plan, c, &c->sets[set], &from);
	if (r == 0)
		r = layout_make(to, c, &l, reterr);
	if (r == 0)
		r = load_base(plan->compare.from[from], c, &c->sets[set], from, &base, names, reterr);
	if (r == 0)
		r = load_new(to, c, &l, &new, reterr);
	if (r == 0)
		r = encode(c, &l, &base, names, &new, progress, out, reterr);
	if (r == 0)
		r = delta_header_decode(out->data, out->len, &header, &used, reterr);
	if (r == 0)
		*ret_memory_bytes = header.memory_bytes;
	return r;
}
