/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/rebuilt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "delta/equivalent.h"
#include "publish/rules.h"

static int load(struct state *s, const struct state_file *f, uint8_t **ret, struct error *reterr)
{
	AUTO_FREE uint8_t *data = malloc((size_t)f->size_bytes + 1);
	int r;

	if (!data)
		return -ENOMEM;
	r = state_read(s, f, 0, data, (size_t)f->size_bytes, reterr);
	if (r == 0)
		*ret = take_ptr(data);
	return r;
}

/* Whether all but the content is the same, and the content is what the packages shipped. */
static bool is_candidate(const struct compare *c, const struct compare_row *row)
{
	bool has_base = false;

	if (!S_ISREG(row->to->mode) || !row->elf.is_elf || row->to->is_altered)
		return false;
	for (size_t i = 0; i < c->n_from; i++) {
		const struct state_file *base = row->base[i];
		bool both_kinds = (c->from[i]->root_fd < 0) == (c->to->root_fd < 0);

		if (!base)
			continue;
		has_base = true;
		if (base->is_altered || !compare_is_same_kind(row->to, base, both_kinds))
			return false;
	}
	return has_base;
}

/* Content of the base's files: one more pass over its packages. */
static int spool(struct compare *c, size_t from, struct error *reterr)
{
	AUTO_FREE struct state_file **files = calloc(c->n_rows + 1, sizeof *files);
	size_t n = 0;

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_rows; i++)
		if (c->rows[i].is_equivalent && c->rows[i].base[from])
			files[n++] = c->rows[i].base[from];
	return state_spool(c->from[from], files, n, reterr);
}

static int compare_content(struct compare *c, struct compare_row *row, struct error *reterr)
{
	AUTO_FREE uint8_t *new = NULL;
	int r = load(c->to, row->to, &new, reterr);

	for (size_t i = 0; r == 0 && row->is_equivalent && i < c->n_from; i++) {
		AUTO_FREE uint8_t *old = NULL;
		struct difference difference;

		if (!row->base[i] || digest_equal(&row->base[i]->digest, &row->to->digest))
			continue;
		r = load(c->from[i], row->base[i], &old, reterr);
		if (r == 0)
			r = equivalent_check(old, (size_t)row->base[i]->size_bytes, new,
				(size_t)row->to->size_bytes, &row->is_equivalent, &difference);
	}
	return r;
}

/* "libx" of "libx.so.1", "x" of "x" and of ".x.hmac". */
static size_t stem(const char **name)
{
	*name += **name == '.';
	return strcspn(*name, ".");
}

static bool is_named_after(const char *voucher, const char *file)
{
	const char *a = path_name(voucher), *b = path_name(file);
	size_t len = stem(&a);

	return len > 0 && len == stem(&b) && memcmp(a, b, len) == 0;
}

/* Documentation names everything and checks nothing. */
static bool is_voucher(const struct compare_row *row)
{
	return S_ISREG(row->to->mode) && !row->elf.is_elf &&
		!rules_is_documentation(row->to->path);
}

/* The voucher's content names the file, or its own name does. */
static bool vouches(const struct compare_row *voucher, const uint8_t *content,
	const struct compare_row *row)
{
	const char *name = path_name(row->to->path);

	return is_named_after(voucher->to->path, row->to->path) ||
		memmem(content, (size_t)voucher->to->size_bytes, name, strlen(name));
}

static int heed_voucher(struct compare *c, const struct compare_row *voucher,
	struct error *reterr)
{
	AUTO_FREE uint8_t *content = NULL;
	int r = load(c->to, voucher->to, &content, reterr);

	for (size_t i = 0; r == 0 && i < c->n_rows; i++)
		if (c->rows[i].is_equivalent && vouches(voucher, content, &c->rows[i]))
			c->rows[i].is_equivalent = false;
	return r;
}

int rebuilt_find(struct compare *c, const bool *is_taken, struct error *reterr)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < c->n_rows; i++) {
		c->rows[i].is_equivalent = is_taken[i] && is_candidate(c, &c->rows[i]);
		n += c->rows[i].is_equivalent;
	}
	if (n == 0)
		return 0;
	for (size_t i = 0; r == 0 && i < c->n_from; i++)
		r = spool(c, i, reterr);
	for (size_t i = 0; r == 0 && i < c->n_rows; i++)
		if (c->rows[i].is_equivalent)
			r = compare_content(c, &c->rows[i], reterr);
	for (size_t i = 0; r == 0 && i < c->n_rows; i++)
		if (is_taken[i] && is_voucher(&c->rows[i]))
			r = heed_voucher(c, &c->rows[i], reterr);
	return r;
}
