/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/pair.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "delta/elf.h"
#include "delta/sketch.h"
#include "delta/window.h"

#define DYNAMIC_SONAME 14
/* Alike: at least one piece in so many, and a few. */
#define ALIKE_PART 8U
#define ALIKE_HASHES_MIN 4U
/* A further file must hold one piece in so many that no other has. */
#define FURTHER_PART 16U
#define FURTHER_HASHES_MIN 8U
/* Pieces that so many old files have tell none of them from another. */
#define COMMON_FILES 64U
/* A base file that is looked through for a small new one costs the device time. */
#define PAIR_SIZE_FACTOR_MAX 4U
#define EARLIER_FILES_MAX 64U

const char *const pair_reason_names[PAIR_REASON_MAX] = {
	"none", "path", "content", "soname", "name", "sketch", "earlier"};

/* Of one file. */
struct look {
	struct sketch sketch;
	struct digest digest;
	const char *soname, *name; /* into file and path; no SONAME: NULL */
};

struct piece {
	uint64_t hash;
	uint32_t file;
};

struct pairing {
	const struct delta_input *old, *new;
	size_t n_old, n_new;
	struct look *olds, *news;
	struct piece *pieces; /* of all old files, by hash */
	size_t n_pieces;
	uint32_t *counts;      /* for each old file: pieces of the new one at hand */
	bool *is_named;        /* an old file that a pair uses */
	uint64_t named, made, work; /* bytes: see DELTA_WORK_FACTOR */
};

static const char *look_soname(const struct delta_input *in)
{
	const struct elf_section *dynamic, *names;
	AUTO_FREE struct elf *e = malloc(sizeof(*e));

	if (!e || !elf_parse(e, in->data, in->len))
		return NULL;
	dynamic = elf_find(e, ELF_SECTION_DYNAMIC);
	names = elf_find(e, ELF_SECTION_DYNSTR);
	if (!dynamic || !names)
		return NULL;
	for (uint64_t i = 0; i + 2 * e->shape->word <= dynamic->bytes; i += 2 * e->shape->word) {
		const uint8_t *entry = in->data + dynamic->offset + i;
		uint64_t at = elf_word(e, entry + e->shape->word);

		if (elf_word(e, entry) != DYNAMIC_SONAME || at >= names->bytes)
			continue;
		if (!memchr(in->data + names->offset + at, 0, (size_t)(names->bytes - at)))
			return NULL;
		return (const char *)in->data + names->offset + at;
	}
	return NULL;
}

static int look_at(const struct delta_input *in, struct look *ret)
{
	const char *slash = strrchr(in->path, '/');
	int r = sketch_make(in->data, in->len, &ret->sketch);

	ret->soname = look_soname(in);
	ret->name = slash ? slash + 1 : in->path;
	return r < 0 ? r : digest_of(in->data, in->len, &ret->digest);
}

static void looks_free(struct look *looks, size_t n)
{
	for (size_t i = 0; looks && i < n; i++)
		sketch_done(&looks[i].sketch);
	free(looks);
}

static int piece_order(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->file < y->file ? -1 : x->file > y->file;
}

static int pairing_index(struct pairing *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_old; i++)
		n += p->olds[i].sketch.n;
	p->pieces = calloc(n + 1, sizeof(*p->pieces));
	if (!p->pieces)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_old; i++)
		for (unsigned j = 0; j < p->olds[i].sketch.n; j++)
			p->pieces[p->n_pieces++] =
				(struct piece){p->olds[i].sketch.hashes[j], (uint32_t)i};
	qsort(p->pieces, p->n_pieces, sizeof(p->pieces[0]), piece_order);
	return 0;
}

/* The old files that have a piece: [*ret, *ret + n). */
static size_t pairing_having(const struct pairing *p, uint64_t hash, const struct piece **ret)
{
	size_t low = 0, high = p->n_pieces, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->pieces[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < p->n_pieces && p->pieces[low + n].hash == hash)
		n++;
	*ret = p->pieces + low;
	return n;
}

static int hash_order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool pairing_has(const struct pairing *p, size_t old, uint64_t hash)
{
	const struct sketch *s = &p->olds[old].sketch;

	return bsearch(&hash, s->hashes, s->n, sizeof(hash), hash_order) != NULL;
}

/* Count for each old file the pieces of a new one that it has and the files of the pair lack. */
static void pairing_count(struct pairing *p, const struct sketch *s, const struct pair *pair)
{
	memset(p->counts, 0, p->n_old * sizeof(p->counts[0]));
	for (unsigned i = 0; i < s->n; i++) {
		const struct piece *having;
		size_t n = pairing_having(p, s->hashes[i], &having);
		bool covered = n > COMMON_FILES;

		for (unsigned j = 0; j < pair->n_old && !covered; j++)
			covered = pairing_has(p, pair->old[j], s->hashes[i]);
		for (size_t j = 0; j < n && !covered; j++)
			p->counts[having[j].file]++;
	}
}

/* Of a sketch, the pieces up to a limit. */
static unsigned sketch_below(const struct sketch *s, uint64_t limit)
{
	unsigned n = s->n;

	while (n && s->hashes[n - 1] > limit)
		n--;
	return n;
}

/* How much of the new file an old one has, in 1/1024; 0 where that is chance. */
static unsigned pairing_share(const struct pairing *p, const struct sketch *new, size_t old,
			      unsigned part, unsigned least)
{
	uint64_t limit = sketch_limit(&p->olds[old].sketch), own = sketch_limit(new);
	unsigned all = sketch_below(new, limit < own ? limit : own);

	if (p->counts[old] < least || p->counts[old] * part < all || !all)
		return 0;
	return p->counts[old] * 1024U / all;
}

static bool pair_is_fair(const struct delta_input *old, const struct delta_input *new)
{
	return old->len && old->len / PAIR_SIZE_FACTOR_MAX <= new->len;
}

/* The most alike of the old files, or of those that have the new one's name. */
static bool pairing_alike(const struct pairing *p, size_t new, bool by_name, size_t *ret)
{
	unsigned most = 0;

	for (size_t i = 0; i < p->n_old; i++) {
		unsigned share;

		if (!p->counts[i] || !pair_is_fair(&p->old[i], &p->new[new]) ||
		    (by_name && strcmp(p->olds[i].name, p->news[new].name) != 0))
			continue;
		share = pairing_share(p, &p->news[new].sketch, i, ALIKE_PART, ALIKE_HASHES_MIN);
		if (share > most) {
			most = share;
			*ret = i;
		}
	}
	return most > 0;
}

static enum pair_reason pairing_first(struct pairing *p, size_t new, size_t *ret)
{
	const struct look *look = &p->news[new];
	const struct pair none = {0};

	for (size_t i = 0; i < p->n_old; i++)
		if (p->old[i].len && strcmp(p->old[i].path, p->new[new].path) == 0) {
			*ret = i;
			return PAIR_PATH;
		}
	for (size_t i = 0; i < p->n_old; i++)
		if (p->old[i].len == p->new[new].len &&
		    digest_equal(&p->olds[i].digest, &look->digest)) {
			*ret = i;
			return PAIR_CONTENT;
		}
	for (size_t i = 0; i < p->n_old; i++)
		if (look->soname && p->olds[i].soname && pair_is_fair(&p->old[i], &p->new[new]) &&
		    strcmp(look->soname, p->olds[i].soname) == 0) {
			*ret = i;
			return PAIR_SONAME;
		}
	pairing_count(p, &look->sketch, &none);
	if (pairing_alike(p, new, true, ret))
		return PAIR_NAME;
	return pairing_alike(p, new, false, ret) ? PAIR_SKETCH : PAIR_NONE;
}

/* Take an old file into the pair; its bytes are read once and looked through once. */
static void pairing_take(struct pairing *p, struct pair *pair, size_t old)
{
	pair->old[pair->n_old++] = old;
	p->work += 2 * (uint64_t)p->old[old].len;
	if (!p->is_named[old])
		p->named += p->old[old].len;
	p->is_named[old] = true;
}

/* Old files that hold much of what the pair lacks, as long as the device's work stays bounded. */
static void pairing_further(struct pairing *p, size_t new, struct pair *pair)
{
	while (pair->n_old && pair->n_old < DELTA_FILE_REFERENCES_MAX) {
		unsigned most = 0;
		uint64_t bytes = 0;
		size_t best = 0;

		for (unsigned i = 0; i < pair->n_old; i++)
			bytes += p->old[pair->old[i]].len;
		pairing_count(p, &p->news[new].sketch, pair);
		for (size_t i = 0; i < p->n_old; i++) {
			unsigned share;

			if (!p->counts[i] || !pair_is_fair(&p->old[i], &p->new[new]) ||
			    bytes + p->old[i].len > DELTA_FILE_BYTES_MAX ||
			    p->work + 2 * (uint64_t)p->old[i].len >
				    DELTA_WORK_FACTOR * (p->named + p->made))
				continue;
			share = pairing_share(p, &p->news[new].sketch, i, FURTHER_PART,
					      FURTHER_HASHES_MIN);
			if (share > most) {
				most = share;
				best = i;
			}
		}
		if (!most)
			return;
		pairing_take(p, pair, best);
	}
}

static unsigned sketch_common(const struct sketch *a, const struct sketch *b)
{
	unsigned n = 0;

	for (unsigned i = 0, j = 0; i < a->n && j < b->n;) {
		n += a->hashes[i] == b->hashes[j];
		if (a->hashes[i] < b->hashes[j])
			i++;
		else
			j++;
	}
	return n;
}

/* An earlier new file, half of whose pieces this one has, and that the device still remembers. */
static bool pairing_earlier(const struct pairing *p, size_t new, size_t *ret)
{
	const struct sketch *s = &p->news[new].sketch;
	uint64_t back = 0;
	unsigned most = s->n / 2;

	for (size_t i = new; i-- && new - i <= EARLIER_FILES_MAX;) {
		unsigned n;

		back += p->new[i].len;
		if (back > WINDOW_KEPT_BYTES)
			break;
		n = sketch_common(s, &p->news[i].sketch);
		if (n > most && n >= ALIKE_HASHES_MIN) {
			most = n;
			*ret = i;
		}
	}
	return most > s->n / 2;
}

static void pairing_pair(struct pairing *p, size_t new, struct pair *ret)
{
	size_t first;

	*ret = (struct pair){0};
	if (!p->new[new].len)
		return;
	ret->reason = pairing_first(p, new, &first);
	if (ret->reason == PAIR_NONE) {
		if (pairing_earlier(p, new, &ret->earlier))
			ret->reason = PAIR_EARLIER;
		return;
	}
	pairing_take(p, ret, first);
	if (!digest_equal(&p->olds[first].digest, &p->news[new].digest))
		pairing_further(p, new, ret);
}

static int pairing_run(struct pairing *p, struct pair *ret)
{
	int r = 0;

	for (size_t i = 0; i < p->n_old && r >= 0; i++)
		r = look_at(&p->old[i], &p->olds[i]);
	for (size_t i = 0; i < p->n_new && r >= 0; i++)
		r = look_at(&p->new[i], &p->news[i]);
	if (r >= 0)
		r = pairing_index(p);
	for (size_t i = 0; i < p->n_new; i++)
		p->made += p->new[i].len;
	for (size_t i = 0; i < p->n_new && r >= 0; i++)
		pairing_pair(p, i, &ret[i]);
	return r;
}

int pair_files(const struct delta_input *old, size_t n_old, const struct delta_input *new,
	       size_t n_new, struct pair *ret)
{
	struct pairing p = {.old = old, .new = new, .n_old = n_old, .n_new = n_new};
	int r = -ENOMEM;

	p.olds = calloc(n_old + 1, sizeof(*p.olds));
	p.news = calloc(n_new + 1, sizeof(*p.news));
	p.counts = calloc(n_old + 1, sizeof(*p.counts));
	p.is_named = calloc(n_old + 1, sizeof(*p.is_named));
	if (p.olds && p.news && p.counts && p.is_named)
		r = pairing_run(&p, ret);
	looks_free(p.olds, n_old);
	looks_free(p.news, n_new);
	free(p.counts);
	free(p.is_named);
	free(p.pieces);
	return r;
}
