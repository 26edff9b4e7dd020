/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "delta/elf.h"

#define DYNAMIC_SONAME 14
/* A sketch: the smallest hashes of all eight-byte pieces that a hash picks. */
#define SKETCH_HASHES 32U
#define SKETCH_PICK 31U
#define SKETCH_ALIKE_MIN 4U
/* A base file that is looked through for a small new one costs the device time. */
#define PAIR_SIZE_FACTOR_MAX 4U

struct sketch {
	uint64_t hashes[SKETCH_HASHES]; /* ascending */
	unsigned n;
	struct digest digest;
	const char *soname; /* into the file, or NULL */
};

static const char *sketch_soname(const struct delta_input *in)
{
	const struct elf_section *dynamic, *names;
	AUTO_FREE struct elf *e = malloc(sizeof(*e));

	if (!e || !elf_parse(e, in->data, in->len))
		return NULL;
	dynamic = elf_find(e, ELF_SECTION_DYNAMIC);
	names = elf_find(e, ELF_SECTION_DYNSTR);
	if (!dynamic || !names)
		return NULL;
	for (uint64_t i = 0; i + 16 <= dynamic->bytes; i += 16) {
		uint64_t at = elf_u64(in->data + dynamic->offset + i + 8);

		if (elf_u64(in->data + dynamic->offset + i) != DYNAMIC_SONAME || at >= names->bytes)
			continue;
		if (!memchr(in->data + names->offset + at, 0, (size_t)(names->bytes - at)))
			return NULL;
		return (const char *)in->data + names->offset + at;
	}
	return NULL;
}

static void sketch_add(struct sketch *s, uint64_t hash)
{
	unsigned at = s->n;

	for (unsigned i = 0; i < s->n; i++)
		if (s->hashes[i] == hash)
			return;
	if (s->n == SKETCH_HASHES && hash >= s->hashes[s->n - 1])
		return;
	if (s->n < SKETCH_HASHES)
		s->n++;
	else
		at--;
	while (at && s->hashes[at - 1] > hash) {
		s->hashes[at] = s->hashes[at - 1];
		at--;
	}
	s->hashes[at] = hash;
}

static int sketch_make(const struct delta_input *in, struct sketch *s)
{
	s->n = 0;
	s->soname = sketch_soname(in);
	for (size_t at = 0; at + 8 <= in->len; at++) {
		uint64_t h = elf_u64(in->data + at) * UINT64_C(0x9e3779b97f4a7c15);

		h ^= h >> 32;
		h *= UINT64_C(0xd6e8feb86659fd93);
		if ((h >> 56) > SKETCH_PICK || !h)
			continue;
		sketch_add(s, h);
	}
	return digest_of(in->data, in->len, &s->digest);
}

static unsigned sketch_alike(const struct sketch *a, const struct sketch *b)
{
	unsigned n = 0;

	for (unsigned i = 0, j = 0; i < a->n && j < b->n;) {
		if (a->hashes[i] == b->hashes[j]) {
			n++;
			i++;
			j++;
		} else if (a->hashes[i] < b->hashes[j]) {
			i++;
		} else {
			j++;
		}
	}
	return n;
}

static bool pair_is_fair(const struct delta_input *old, const struct delta_input *new)
{
	return old->len / PAIR_SIZE_FACTOR_MAX <= new->len;
}

static struct pair pair_find(const struct delta_input *old, const struct sketch *old_sketches,
			     size_t n_old, const struct delta_input *new, const struct sketch *s)
{
	struct pair best = {PAIR_NONE, 0};
	unsigned alike = SKETCH_ALIKE_MIN - 1;

	for (size_t i = 0; i < n_old; i++)
		if (strcmp(old[i].path, new->path) == 0)
			return (struct pair){PAIR_PATH, i};
	for (size_t i = 0; i < n_old; i++)
		if (old[i].len == new->len && digest_equal(&old_sketches[i].digest, &s->digest))
			return (struct pair){PAIR_CONTENT, i};
	for (size_t i = 0; i < n_old; i++)
		if (s->soname && old_sketches[i].soname && pair_is_fair(&old[i], new) &&
		    strcmp(s->soname, old_sketches[i].soname) == 0)
			return (struct pair){PAIR_SONAME, i};
	for (size_t i = 0; i < n_old; i++) {
		unsigned n = sketch_alike(&old_sketches[i], s);

		if (n > alike && pair_is_fair(&old[i], new)) {
			alike = n;
			best = (struct pair){PAIR_SKETCH, i};
		}
	}
	return best;
}

int pair_files(const struct delta_input *old, size_t n_old, const struct delta_input *new,
	       size_t n_new, struct pair *ret)
{
	AUTO_FREE struct sketch *sketches = calloc(n_old + 1, sizeof(*sketches));

	if (!sketches)
		return -ENOMEM;
	for (size_t i = 0; i < n_old; i++) {
		int r = sketch_make(&old[i], &sketches[i]);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n_new; i++) {
		struct sketch s;
		int r = sketch_make(&new[i], &s);

		if (r < 0)
			return r;
		ret[i] = pair_find(old, sketches, n_old, &new[i], &s);
	}
	return 0;
}
