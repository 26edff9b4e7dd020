/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"

const struct package *compare_base_package(const struct compare *c, size_t from, size_t package)
{
	return c->base_packages[from][package];
}

static int find_packages(struct compare *c)
{
	for (size_t from = 0; from < c->n_from; from++) {
		const struct package **found =
			calloc(c->to->n_packages + 1, sizeof(const struct package *));

		if (!found)
			return -ENOMEM;
		c->base_packages[from] = found;
		for (size_t i = 0; i < c->to->n_packages; i++)
			found[i] = state_package(c->from[from], c->to->packages[i].name,
				c->to->packages[i].architecture);
	}
	return 0;
}

static bool same_xattrs(const struct state_file *a, const struct state_file *b)
{
	if (a->n_xattrs != b->n_xattrs)
		return false;
	for (size_t i = 0; i < a->n_xattrs; i++)
		if (strcmp(a->xattrs[i].name, b->xattrs[i].name) != 0 ||
			a->xattrs[i].value_bytes != b->xattrs[i].value_bytes ||
			memcmp(a->xattrs[i].value, b->xattrs[i].value,
				a->xattrs[i].value_bytes) != 0)
			return false;
	return true;
}

bool compare_is_same_kind(const struct state_file *a, const struct state_file *b, bool with_xattrs)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
		(!with_xattrs || same_xattrs(a, b));
}

bool compare_is_same(const struct state_file *a, const struct state_file *b, bool with_xattrs)
{
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		return false;
	if (S_ISLNK(a->mode))
		return strcmp(a->symlink_target, b->symlink_target) == 0;
	if (S_ISREG(a->mode) &&
		(a->size_bytes != b->size_bytes || !digest_equal(&a->digest, &b->digest)))
		return false;
	return compare_is_same_kind(a, b, with_xattrs);
}

static int measure_pair(struct compare *c, size_t from, struct state_file *a, struct state_file *b,
	struct error *reterr)
{
	int r = state_measure(c->to, a, reterr);

	return r < 0 ? r : state_measure(c->from[from], b, reterr);
}

static int add_row(struct compare *c, const struct compare_row *row)
{
	if (c->n_rows == c->rows_allocated) {
		size_t wanted = c->rows_allocated ? 2 * c->rows_allocated : 64;
		struct compare_row *grown = reallocarray(c->rows, wanted, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		c->rows = grown;
		c->rows_allocated = wanted;
	}
	c->rows[c->n_rows++] = *row;
	return 0;
}

static int add_lost(struct compare *c, const struct compare_lost *lost)
{
	if (c->n_lost == c->lost_allocated) {
		size_t wanted = c->lost_allocated ? 2 * c->lost_allocated : 64;
		struct compare_lost *grown = reallocarray(c->lost, wanted, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		c->lost = grown;
		c->lost_allocated = wanted;
	}
	c->lost[c->n_lost++] = *lost;
	return 0;
}

/* One file of the patched state against every base state. */
static int compare_file(struct compare *c, struct state_file *f, struct error *reterr)
{
	struct compare_row row = {.to = f, .package = f->package};
	bool differs = false;

	for (size_t i = 0; i < c->n_from; i++) {
		struct state_file *base = state_find(c->from[i], f->path);
		bool both_kinds = (c->from[i]->root_fd < 0) == (c->to->root_fd < 0);
		int r;

		row.base[i] = base;
		/* a state without the package says nothing about its files */
		if (!base) {
			differs |= compare_base_package(c, i, f->package) != NULL;
			continue;
		}
		r = measure_pair(c, i, f, base, reterr);
		if (r < 0)
			return r;
		differs |= !compare_is_same(f, base, both_kinds);
	}
	return differs ? add_row(c, &row) : 0;
}

/* For each package of a base state: its number in the patched state, SIZE_MAX where it is gone. */
static size_t *number_packages(const struct compare *c, size_t from)
{
	const struct state *s = c->from[from];
	size_t *numbers = malloc((s->n_packages + 1) * sizeof *numbers);

	for (size_t i = 0; numbers && i < s->n_packages; i++)
		numbers[i] = SIZE_MAX;
	for (size_t i = 0; numbers && i < c->to->n_packages; i++) {
		const struct package *p = compare_base_package(c, from, i);

		if (p)
			numbers[p - s->packages] = i;
	}
	return numbers;
}

static int find_lost(struct compare *c, const bool *is_wanted, size_t from)
{
	const struct state *s = c->from[from];
	AUTO_FREE size_t *numbers = number_packages(c, from);

	if (!numbers)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_files; i++) {
		struct state_file *f = &s->files[i];
		struct compare_lost lost = {
			.base = f, .from = from, .package = numbers[f->package]};
		int r;

		if (lost.package == SIZE_MAX || !is_wanted[lost.package] ||
			state_find(c->to, f->path))
			continue;
		r = add_lost(c, &lost);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Make every row's content readable, and that of lost files which may be libraries. */
static int spool(struct compare *c, struct error *reterr)
{
	size_t n_max = c->n_rows > c->n_lost ? c->n_rows : c->n_lost, n = 0;
	AUTO_FREE struct state_file **files = calloc(n_max + 1, sizeof *files);
	int r;

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_rows; i++)
		if (S_ISREG(c->rows[i].to->mode))
			files[n++] = c->rows[i].to;
	r = state_spool(c->to, files, n, reterr);
	for (size_t from = 0; r == 0 && from < c->n_from; from++) {
		n = 0;
		for (size_t i = 0; i < c->n_lost; i++)
			if (c->lost[i].from == from && S_ISREG(c->lost[i].base->mode) &&
				strstr(path_name(c->lost[i].base->path), ".so"))
				files[n++] = c->lost[i].base;
		r = state_spool(c->from[from], files, n, reterr);
	}
	return r;
}

static bool same_directory(const char *a, const char *b)
{
	size_t len = (size_t)(path_name(a) - a);

	return len == (size_t)(path_name(b) - b) && strncmp(a, b, len) == 0;
}

/* The one row that may take the place of a lost library; NULL for none, -EEXIST for several. */
static int find_partner(struct compare *c, const struct compare_lost *lost, const char *soname,
	struct compare_row **ret)
{
	struct compare_row *found = NULL;

	for (size_t i = 0; i < c->n_rows; i++) {
		struct compare_row *row = &c->rows[i];

		if (row->package != lost->package || !row->elf.soname ||
			strcmp(row->elf.soname, soname) != 0 ||
			!same_directory(row->to->path, lost->base->path))
			continue;
		/* a file that has its own name on both sides is no candidate */
		if (row->base[lost->from] && !row->is_paired)
			continue;
		if (found || row->base[lost->from]) {
			row->is_ambiguous = true;
			if (found)
				found->is_ambiguous = true;
			return -EEXIST;
		}
		found = row;
	}
	*ret = found;
	return 0;
}

static int pair_lost(struct compare *c, struct compare_lost *lost, struct error *reterr)
{
	struct state *s = c->from[lost->from];
	struct compare_row *row = NULL;
	struct linkage elf;
	int r;

	if (!S_ISREG(lost->base->mode) || !strstr(path_name(lost->base->path), ".so"))
		return 0;
	r = state_elf(s, lost->base, &elf, reterr);
	if (r < 0)
		return r;
	r = elf.soname ? find_partner(c, lost, elf.soname, &row) : 0;
	linkage_done(&elf);
	if (r == -EEXIST || !row)
		return 0;
	r = state_measure(s, lost->base, reterr);
	if (r < 0)
		return r;
	row->base[lost->from] = lost->base;
	row->is_paired = true;
	lost->is_paired = true;
	return 0;
}

static int read_elves(struct compare *c, struct error *reterr)
{
	for (size_t i = 0; i < c->n_rows; i++) {
		int r = state_elf(c->to, c->rows[i].to, &c->rows[i].elf, reterr);

		if (r < 0)
			return r;
	}
	return 0;
}

int compare_make(struct state *const *from, size_t n_from, struct state *to,
	const bool *is_wanted, struct compare *ret, struct error *reterr)
{
	struct compare c = {.from = from, .n_from = n_from, .to = to};
	int r;

	if (n_from == 0 || n_from > COMPARE_FROM_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "between 1 and %d base states can be compared",
			COMPARE_FROM_MAX);
	r = find_packages(&c);
	for (size_t i = 0; r == 0 && i < to->n_files; i++)
		if (is_wanted[to->files[i].package])
			r = compare_file(&c, &to->files[i], reterr);
	for (size_t i = 0; r == 0 && i < n_from; i++)
		r = find_lost(&c, is_wanted, i);
	if (r == 0)
		r = spool(&c, reterr);
	if (r == 0)
		r = read_elves(&c, reterr);
	for (size_t i = 0; r == 0 && i < c.n_lost; i++)
		r = pair_lost(&c, &c.lost[i], reterr);
	if (r < 0) {
		compare_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void compare_done(struct compare *c)
{
	for (size_t i = 0; i < c->n_rows; i++)
		linkage_done(&c->rows[i].elf);
	for (size_t i = 0; i < c->n_from; i++)
		free(c->base_packages[i]);
	free(c->rows);
	free(c->lost);
	*c = (struct compare){};
}

/* The path that a symlink beside it names: only plain names, as libraries' links are. */
static bool names(const struct state_file *link, const char *path)
{
	return same_directory(link->path, path) &&
		strcmp(link->symlink_target, path_name(path)) == 0;
}

bool compare_follows_pairing(const struct compare *c, const struct compare_row *row, size_t from)
{
	const struct state_file *base = row->base[from];

	if (!base || !S_ISLNK(row->to->mode) || !S_ISLNK(base->mode))
		return false;
	for (size_t i = 0; i < c->n_rows; i++) {
		const struct compare_row *pair = &c->rows[i];

		if (pair->is_paired && pair->base[from] && names(row->to, pair->to->path) &&
			names(base, pair->base[from]->path))
			return true;
	}
	return false;
}
