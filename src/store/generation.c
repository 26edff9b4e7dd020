/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/utc.h"
#include "store/durable.h"
#include "store/image.h"
#include "store/layout.h"
#include "store/state_file.h"

#define GENERATION_FILE "generation.json"
#define MANIFEST_FILE "manifest.json"

void generation_free(struct generation *g)
{
	if (!g)
		return;
	free(g->base);
	free(g->letter);
	for (size_t i = 0; g->components && i < g->n_components; i++) {
		free(g->components[i].name);
		free(g->components[i].set);
	}
	free(g->components);
	free(g->manifest);
	free(g);
}

struct numbers {
	uint64_t *at;
	size_t n;
};

/* Decimal without leading zeros and above 0; 0 for any other name. */
static uint64_t number_of(const char *name)
{
	uint64_t number = 0;

	if (name[0] == '0' || name[0] == '\0')
		return 0;
	for (; *name; name++) {
		if (*name < '0' || *name > '9' || __builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(*name - '0'), &number))
			return 0;
	}
	return number;
}

static int take_number(void *ctx, const char *name)
{
	struct numbers *numbers = ctx;
	uint64_t number = number_of(name);

	if (number == 0)
		return 0;
	if (numbers->n == GENERATION_COUNT_MAX)
		return -BSI_E_LIMIT;
	numbers->at[numbers->n++] = number;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int store_generation_list(struct store *s, uint64_t **ret, size_t *ret_n, struct error *reterr)
{
	AUTO_FREE uint64_t *at = calloc(GENERATION_COUNT_MAX, sizeof *at);
	struct numbers numbers = {at, 0};
	int r;

	if (!at)
		return -ENOMEM;
	r = layout_each(s, LAYOUT_GENERATIONS, take_number, &numbers);
	if (r == -ENOENT && layout_is_made(s) == 0)
		r = 0; /* a fresh device */
	if (r < 0)
		return error_set(reterr, r, "the generations cannot be listed: %s", error_text(r));
	qsort(at, numbers.n, sizeof *at, compare_numbers);
	*ret = take_ptr(at);
	*ret_n = numbers.n;
	return 0;
}

/* The next number, burnt before it is used: a run that is killed in between leaves a gap. */
static int take_next_number(struct store *s, uint64_t *ret, struct error *reterr)
{
	AUTO_JSON json_t *content = NULL, *next = NULL;
	AUTO_FREE uint64_t *numbers = NULL;
	struct error reason = {0};
	uint64_t last = 0;
	size_t n = 0;
	int r;

	r = state_load(s, LAYOUT_NUMBER, &state_number, &content, reterr);
	if (r < 0)
		return r;
	if (json_get_u64(content, "last", INT64_MAX - 1, &last, &reason) < 0)
		r = state_damaged(LAYOUT_NUMBER, &state_number, reason.text, reterr);
	else
		r = store_generation_list(s, &numbers, &n, reterr);
	if (r < 0)
		return r;
	if (n > 0 && numbers[n - 1] > last)
		return state_damaged(LAYOUT_NUMBER, &state_number,
			"it is behind the generations that are there", reterr);
	last++;
	next = json_pack("{s:I}", "last", (json_int_t)last);
	if (!next)
		return -ENOMEM;
	r = state_save(s, LAYOUT_NUMBER, &state_number, next, reterr);
	if (r == 0)
		*ret = last;
	return r;
}

static int check_generation(struct store *s, const struct generation *g, struct error *reterr)
{
	if (!g->base || !g->letter || g->build == 0 || g->build > INT64_MAX || !g->manifest)
		return error_set(reterr, -EINVAL, "a generation without base, letter, build or manifest");
	if (g->n_components > GENERATION_COMPONENTS_MAX ||
		g->manifest_len > GENERATION_MANIFEST_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "a generation with too much in it");
	for (size_t i = 0; i < g->n_components; i++) {
		const struct generation_component *c = &g->components[i];

		if (!c->name || !c->set)
			return error_set(reterr, -EINVAL, "a component without name or base set");
		if (!store_has_image(s, &c->image))
			return error_set(reterr, -ENOENT,
				"component \"%s\": image %s is not in the store", c->name,
				digest_format(&c->image).text);
	}
	return 0;
}

static json_t *components_json(const struct generation *g)
{
	AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; array && i < g->n_components; i++) {
		const struct generation_component *c = &g->components[i];
		json_t *o = json_pack("{s:s, s:s, s:s}", "name", c->name, "image",
			digest_format(&c->image).text, "set", c->set);

		if (json_array_append_new(array, o) < 0)
			return NULL;
	}
	return take_ptr(array);
}

static int encode(const struct generation *g, uint64_t number, json_t **ret)
{
	struct utc_text created = utc_format(g->created_utc_s);
	struct digest digest;
	int r;

	r = digest_of(g->manifest, g->manifest_len, &digest);
	if (r < 0)
		return r;
	*ret = json_pack("{s:I, s:s, s:s, s:I, s:s, s:s, s:o}", "number", (json_int_t)number, "base",
		g->base, "letter", g->letter, "build", (json_int_t)g->build, "created",
		created.text, "manifest", digest_format(&digest).text, "components",
		components_json(g));
	return *ret ? 0 : -ENOMEM;
}

/* Everything into a folder that nobody reads, which then gets its number in one step. */
static int write_folder(struct store *s, const struct generation *g, uint64_t number,
	const json_t *content, struct error *reterr)
{
	int r;

	r = file_remove_tree(s->dir_fd, LAYOUT_NEW_GENERATION);
	if (r == 0)
		r = durable_make_folder(s->dir_fd, LAYOUT_NEW_GENERATION);
	if (r == 0)
		r = durable_replace(s->dir_fd, LAYOUT_NEW_GENERATION "/" MANIFEST_FILE, g->manifest,
			g->manifest_len);
	if (r < 0)
		return error_set(reterr, r, "generation %" PRIu64 " cannot be written: %s", number,
			error_text(r));
	r = state_save(s, LAYOUT_NEW_GENERATION "/" GENERATION_FILE, &state_generation, content,
		reterr);
	if (r < 0)
		return r;
	r = durable_rename(s->dir_fd, LAYOUT_NEW_GENERATION, layout_generation(number).text);
	if (r < 0)
		return error_set(reterr, r, "generation %" PRIu64 " cannot be stored: %s", number,
			error_text(r));
	return 0;
}

int store_generation_write(struct store *s, const struct generation *g, uint64_t *ret_number,
	struct error *reterr)
{
	AUTO_JSON json_t *content = NULL;
	uint64_t number = 0;
	int r;

	r = store_check_locked(s, reterr);
	if (r == 0)
		r = check_generation(s, g, reterr);
	if (r < 0)
		return r;
	/* an image whose run was killed between its rename and the folder's fsync */
	r = durable_sync_folder(s->dir_fd, LAYOUT_IMAGES);
	if (r < 0)
		return error_set(reterr, r, "the images cannot be made durable: %s", error_text(r));
	r = take_next_number(s, &number, reterr);
	if (r < 0)
		return r;
	r = encode(g, number, &content);
	if (r == 0)
		r = write_folder(s, g, number, content, reterr);
	if (r < 0) {
		int removed = file_remove_tree(s->dir_fd, LAYOUT_NEW_GENERATION);

		(void)removed; /* the next one that takes the lock does it */
		return r;
	}
	*ret_number = number;
	return 0;
}

static int decode_components(const json_t *content, struct generation *g, struct error *reterr)
{
	json_t *array;
	int r;

	r = json_get_array(content, "components", GENERATION_COMPONENTS_MAX, &array, reterr);
	if (r < 0)
		return r;
	g->components = calloc(json_array_size(array) + 1, sizeof *g->components);
	if (!g->components)
		return -ENOMEM;
	g->n_components = json_array_size(array);
	for (size_t i = 0; r == 0 && i < g->n_components; i++) {
		struct generation_component *c = &g->components[i];
		const json_t *o = json_array_get(array, i);

		r = json_copy_text(o, "name", &c->name, reterr);
		if (r == 0)
			r = json_get_digest(o, "image", &c->image, reterr);
		if (r == 0)
			r = json_copy_text(o, "set", &c->set, reterr);
	}
	return r;
}

static int decode(const json_t *content, struct generation *g, struct digest *ret_manifest,
	struct error *reterr)
{
	const char *created;
	int r;

	r = json_get_u64(content, "number", INT64_MAX, &g->number, reterr);
	if (r == 0)
		r = json_copy_text(content, "base", &g->base, reterr);
	if (r == 0)
		r = json_copy_text(content, "letter", &g->letter, reterr);
	if (r == 0)
		r = json_get_u64(content, "build", INT64_MAX, &g->build, reterr);
	if (r == 0)
		r = json_get_text(content, "created", &created, reterr);
	if (r == 0 && utc_parse(created, &g->created_utc_s) < 0)
		r = error_set(reterr, -BSI_E_FORMAT, "\"created\" is not a time");
	if (r == 0)
		r = json_get_digest(content, "manifest", ret_manifest, reterr);
	if (r == 0)
		r = decode_components(content, g, reterr);
	return r;
}

static int load_manifest(const struct store *s, uint64_t number, const struct digest *want,
	struct generation *g, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(GENERATION_MANIFEST_MAX_BYTES);
	struct layout_path path = layout_generation_file(number, MANIFEST_FILE);
	struct digest found;
	int r;

	r = file_read(s->dir_fd, path.text, GENERATION_MANIFEST_MAX_BYTES, &bytes);
	if (r == -ENOENT || r == -BSI_E_LIMIT)
		return state_damaged(path.text, &state_generation, "it is missing or too large",
			reterr);
	if (r == 0)
		r = digest_of(bytes.data, bytes.len, &found);
	if (r < 0)
		return error_set(reterr, r, "state file \"%s\" cannot be read: %s", path.text,
			error_text(r));
	if (!digest_equal(&found, want))
		return state_damaged(path.text, &state_generation, "it is not what was written",
			reterr);
	g->manifest = buffer_take(&bytes, &g->manifest_len);
	return 0;
}

int store_generation_load(struct store *s, uint64_t number, struct generation **ret,
	struct error *reterr)
{
	struct layout_path folder = layout_generation(number);
	struct layout_path path = layout_generation_file(number, GENERATION_FILE);
	AUTO(generation) struct generation *g = NULL;
	AUTO_JSON json_t *content = NULL;
	struct error reason = {0};
	struct digest manifest;
	struct stat st;
	int r;

	r = state_load(s, path.text, &state_generation, &content, reterr);
	if (r == -ENOENT) {
		if (fstatat(s->dir_fd, folder.text, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return error_set(reterr, r, "there is no generation %" PRIu64, number);
		return state_damaged(path.text, &state_generation, "it is missing", reterr);
	}
	if (r < 0)
		return r;
	g = calloc(1, sizeof *g);
	if (!g)
		return -ENOMEM;
	r = decode(content, g, &manifest, &reason);
	if (r == 0 && g->number != number)
		r = error_set(&reason, -BSI_E_FORMAT, "it is of generation %" PRIu64, g->number);
	if (r == -BSI_E_FORMAT || r == -BSI_E_LIMIT)
		return state_damaged(path.text, &state_generation, reason.text, reterr);
	if (r == 0)
		r = load_manifest(s, number, &manifest, g, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(g);
	return 0;
}
