/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/align.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/elf.h"
#include "delta/label.h"
#include "delta/suffix.h"

/* Costs in 1/16 bit, measured on what the coder needs. */
#define COST_DIFFER (14 * 16)
#define COST_DIFFER_AGAIN (9 * 16)
#define AGAIN_BYTES 12U
#define COST_FIELD (22 * 16)
#define COST_SENT_BYTE (3 * 16 + 8)
#define COST_SENT_START (11 * 16)
#define COST_SEEK (17 * 16)
#define COST_LARGE (1 << 20)
#define COST_NEVER (1 << 30)
#define COST_BYTE 128U
/* How far the search runs ahead of the walk, and how far back a match is extended. */
#define AHEAD_BYTES 64U
#define MATCH_MIN_BYTES 8U
#define MATCH_GOOD_BYTES 32U
#define DIAGONALS_MAX 20U
#define SEEDS_MAX 1024U

struct node {
	int64_t diagonal; /* old less new; SENT for bytes that are sent */
	uint32_t start, previous;
};

#define SENT INT64_MIN

#define NODE_NONE UINT32_MAX

struct seed {
	int64_t diagonal;
	size_t start;
};

/* The track of bytes that are sent comes behind those of diagonals. */
#define TRACK_SENT DIAGONALS_MAX
/* For so many bytes it is found out at once where a track differs. */
#define DIFFERS_BITS 32U

/*
 * Ways through the files, each on a diagonal of its own. What every byte looks at lies side by side
 * in 32 bits, so that compilers make vectors of it: no more than this is done for each byte.
 */
struct tracks {
	int32_t cost[DIAGONALS_MAX + 1];
	int32_t last_differed[DIAGONALS_MAX], used[DIAGONALS_MAX];
	/* from the place of the walk on: a bit for each byte that differs, or is not in the old file */
	uint32_t differs[DIAGONALS_MAX], beyond[DIAGONALS_MAX];
	int32_t seek[DIAGONALS_MAX]; /* what it costs to get there from seek_from */
	/* where it was entered and from what; a node is made of it only when one is needed */
	uint32_t start[DIAGONALS_MAX + 1], previous[DIAGONALS_MAX + 1], node[DIAGONALS_MAX + 1];
	int64_t diagonal[DIAGONALS_MAX + 1];
	unsigned n;
};

struct walk {
	const uint8_t *old, *new; /* labelled */
	size_t old_len, new_len;
	const struct field_map *new_fields;
	const struct suffix *suffix;
	struct node *nodes;
	size_t n_nodes, nodes_allocated;
	struct tracks t;
	size_t differs_end; /* how far t.differs and t.beyond go */
	bool is_any_beyond;
	int64_t seek_from;
	bool has_seek;
	struct seed seeds[SEEDS_MAX];
	unsigned n_seeds;
	size_t scan;
	int64_t scan_diagonal;
	/* the last run of the best track */
	int64_t run_diagonal;
	size_t run_end;
	size_t field_end; /* bytes before this belong to a field that was counted */
	uint64_t spent;   /* costs that were taken off all tracks, or belong to earlier pieces */
	int err;
};

static uint32_t walk_node(struct walk *w, int64_t diagonal, size_t start, uint32_t previous)
{
	if (w->n_nodes == w->nodes_allocated) {
		size_t more = w->nodes_allocated ? w->nodes_allocated * 2 : 4096;
		struct node *nodes = more > UINT32_MAX / 2 ?
					     NULL : realloc(w->nodes, more * sizeof(*nodes));

		if (!nodes) {
			w->err = -ENOMEM;
			return 0;
		}
		w->nodes = nodes;
		w->nodes_allocated = more;
	}
	w->nodes[w->n_nodes] = (struct node){diagonal, (uint32_t)start, previous};
	return (uint32_t)w->n_nodes++;
}

static bool walk_same(const struct walk *w, int64_t diagonal, size_t at)
{
	int64_t old_at = (int64_t)at + diagonal;

	return old_at >= 0 && (uint64_t)old_at < w->old_len && w->old[old_at] == w->new[at];
}

static size_t walk_run(const struct walk *w, int64_t diagonal, size_t at, size_t end)
{
	size_t n = 0, most, old_at = (size_t)((int64_t)at + diagonal);
	const uint8_t *old, *new;

	/* a place before the old file's start is far behind its end, too */
	if (diagonal == SENT || old_at >= w->old_len || at >= end)
		return 0;
	old = w->old + old_at;
	new = w->new + at;
	most = end - at;
	if (most > w->old_len - old_at)
		most = w->old_len - old_at;
	for (; most - n >= sizeof(uint64_t); n += sizeof(uint64_t)) {
		uint64_t differs = elf_u64(old + n) ^ elf_u64(new + n);

		if (differs)
			return n + (size_t)__builtin_ctzll(differs) / 8;
	}
	while (n < most && old[n] == new[n])
		n++;
	return n;
}

static void walk_seed(struct walk *w, int64_t diagonal, size_t at, size_t floor)
{
	size_t start = at, best = at, misses = 0;

	for (unsigned i = 0; i < w->n_seeds; i++)
		if (w->seeds[i].diagonal == diagonal)
			return;
	/* back over what matches, and over a few differences if matches follow */
	while (start > floor && at - start < AHEAD_BYTES && misses < 4) {
		start--;
		if (walk_same(w, diagonal, start))
			best = start;
		else
			misses++;
	}
	if (w->n_seeds < SEEDS_MAX)
		w->seeds[w->n_seeds++] = (struct seed){diagonal, best};
}

/* The search relies on a diagonal that runs ahead: see to it that the walk follows it. */
static void walk_keep_seed(struct walk *w, size_t at)
{
	for (unsigned i = 0; i < w->t.n; i++)
		if (w->t.diagonal[i] == w->scan_diagonal)
			return;
	walk_seed(w, w->scan_diagonal, at, at);
}

/* Search from the scan position until it is behind `to`. */
static void walk_search(struct walk *w, size_t at, size_t to, size_t end)
{
	if (w->scan > to && w->scan_diagonal != SENT)
		walk_keep_seed(w, at);
	while (w->scan < to && w->scan < end) {
		size_t run = walk_run(w, w->scan_diagonal, w->scan, end), place, n, near_at;
		size_t least = run < MATCH_MIN_BYTES ? MATCH_MIN_BYTES : run + 1;
		int64_t diagonal;

		if (run >= MATCH_GOOD_BYTES) {
			w->scan += run - 4;
			if (w->scan + 4 >= end)
				w->scan = end;
			else if (walk_run(w, w->scan_diagonal, w->scan + 5, end) >= MATCH_GOOD_BYTES)
				w->scan += 5;
			continue;
		}
		near_at = (size_t)((int64_t)w->scan + (w->scan_diagonal == SENT ? 0 : w->scan_diagonal));
		n = suffix_longest(w->suffix, w->new + w->scan, end - w->scan, least, near_at,
				   &place);
		if (n < least) {
			w->scan++;
			continue;
		}
		diagonal = (int64_t)place - (int64_t)w->scan;
		walk_seed(w, diagonal, w->scan, at);
		if (n >= MATCH_GOOD_BYTES)
			w->scan_diagonal = diagonal;
		w->scan++;
	}
}

static int32_t walk_seek_cost(int64_t from, int64_t to)
{
	uint64_t d = from == SENT || from == to ? 0 : (uint64_t)(from > to ? from - to : to - from);
	unsigned bits = d ? 64 - (unsigned)__builtin_clzll(d) : 0;

	return COST_SEEK + (int32_t)bits * 16;
}

/* The diagonal that a track is on, or was on before bytes were sent. */
static int64_t walk_diagonal_of(const struct walk *w, unsigned track)
{
	uint32_t node = w->t.previous[TRACK_SENT];

	if (track != TRACK_SENT)
		return w->t.diagonal[track];
	while (node != NODE_NONE && w->nodes[node].diagonal == SENT)
		node = w->nodes[node].previous;
	return node == NODE_NONE ? SENT : w->nodes[node].diagonal;
}

/* The cheapest track: of equal ones what is sent, else the first. */
static unsigned walk_best(const struct walk *w)
{
	int32_t least = COST_NEVER;
	unsigned i = 0;

	for (unsigned j = 0; j < DIAGONALS_MAX; j++)
		least = w->t.cost[j] < least ? w->t.cost[j] : least;
	if (w->t.cost[TRACK_SENT] <= least)
		return TRACK_SENT;
	while (w->t.cost[i] != least)
		i++;
	return i;
}

static uint32_t walk_track_node(struct walk *w, unsigned track)
{
	struct tracks *t = &w->t;

	if (t->node[track] == NODE_NONE)
		t->node[track] = walk_node(w, t->diagonal[track], t->start[track], t->previous[track]);
	return t->node[track];
}

/* Of eight bytes: a bit for each that is not zero. */
static uint32_t bytes_set(uint64_t bytes)
{
	const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
	uint64_t high = (((bytes & low) + low) | bytes) & ~low;

	return (uint32_t)((high >> 7) * UINT64_C(0x0102040810204080) >> 56);
}

/* Where a track differs from a place on. */
static void walk_look(struct walk *w, unsigned track, size_t at)
{
	size_t old_at = (size_t)((int64_t)at + w->t.diagonal[track]);
	uint32_t differs = 0, beyond = 0;

	if (old_at < w->old_len && w->old_len - old_at >= DIFFERS_BITS && w->new_len - at >= DIFFERS_BITS) {
		for (unsigned i = 0; i < DIFFERS_BITS; i += 8)
			differs |= bytes_set(elf_u64(w->old + old_at + i) ^ elf_u64(w->new + at + i)) << i;
	} else {
		for (unsigned i = 0; i < DIFFERS_BITS && at + i < w->new_len; i++) {
			bool is_beyond = old_at + i >= w->old_len;

			beyond |= (uint32_t)is_beyond << i;
			if (is_beyond || w->old[old_at + i] != w->new[at + i])
				differs |= 1U << i;
		}
		w->is_any_beyond = w->is_any_beyond || beyond;
	}
	w->t.differs[track] = differs;
	w->t.beyond[track] = beyond;
}

static void walk_look_all(struct walk *w, size_t at)
{
	w->is_any_beyond = false;
	for (unsigned i = 0; i < w->t.n; i++)
		walk_look(w, i, at);
	w->differs_end = at + DIFFERS_BITS;
}

/* A track of its own for a diagonal, in place of the worst when there is no room. */
static void walk_enter(struct walk *w, int64_t diagonal, size_t at)
{
	struct tracks *t = &w->t;
	unsigned slot = t->n;

	if (t->n < DIAGONALS_MAX) {
		t->n++;
	} else {
		uint32_t worst = 0;

		for (unsigned i = 0; i < t->n; i++) {
			uint32_t badness = (uint32_t)t->cost[i] / 16 +
					   ((uint32_t)at - (uint32_t)t->used[i]) / 8;
			if (badness >= worst) {
				worst = badness;
				slot = i;
			}
		}
	}
	t->diagonal[slot] = diagonal;
	t->cost[slot] = COST_NEVER;
	t->last_differed[slot] = 0;
	t->used[slot] = (int32_t)at;
	t->start[slot] = t->previous[slot] = 0;
	t->node[slot] = NODE_NONE;
	w->has_seek = false;
	walk_look(w, slot, at);
}

/* Start seeds that are due. */
static void walk_start_seeds(struct walk *w, size_t at)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < w->n_seeds; i++) {
		struct seed s = w->seeds[i];
		unsigned j;

		if (s.start > at) {
			w->seeds[kept++] = s;
			continue;
		}
		for (j = 0; j < w->t.n && w->t.diagonal[j] != s.diagonal; j++)
			;
		if (j < w->t.n)
			w->t.used[j] = (int32_t)at;
		else
			walk_enter(w, s.diagonal, at);
	}
	w->n_seeds = kept;
}

/* What it costs to get from a diagonal to each; nobody gets to a track that is not there. */
static void walk_seek_costs(struct walk *w, int64_t from)
{
	if (w->has_seek && w->seek_from == from)
		return;
	for (unsigned i = 0; i < DIAGONALS_MAX; i++)
		w->t.seek[i] = i < w->t.n ? walk_seek_cost(from, w->t.diagonal[i]) : COST_NEVER;
	w->seek_from = from;
	w->has_seek = true;
}

/* From the cheapest way so far to every diagonal, where that is cheaper than staying on it. */
static unsigned walk_relax(struct walk *w, size_t at)
{
	struct tracks *t = &w->t;
	unsigned best = walk_best(w);
	int32_t cost = t->cost[best], any = cost + COST_SENT_START < t->cost[TRACK_SENT];
	uint32_t node;

	walk_seek_costs(w, walk_diagonal_of(w, best));
	for (unsigned i = 0; i < DIAGONALS_MAX; i++)
		any |= cost + t->seek[i] < t->cost[i];
	if (!any)
		return best;
	node = walk_track_node(w, best);
	for (unsigned i = 0; i < DIAGONALS_MAX; i++) {
		int32_t by_seek = cost + t->seek[i], enter = by_seek < t->cost[i] ? -1 : 0;
		uint32_t mask = (uint32_t)enter;

		t->cost[i] = (by_seek & enter) | (t->cost[i] & ~enter);
		t->start[i] = ((uint32_t)at & mask) | (t->start[i] & ~mask);
		t->previous[i] = (node & mask) | (t->previous[i] & ~mask);
		t->node[i] = (NODE_NONE & mask) | (t->node[i] & ~mask);
		t->last_differed[i] &= ~enter;
	}
	if (cost + COST_SENT_START < t->cost[TRACK_SENT]) {
		t->cost[TRACK_SENT] = cost + COST_SENT_START;
		t->start[TRACK_SENT] = (uint32_t)at;
		t->previous[TRACK_SENT] = node;
		t->node[TRACK_SENT] = NODE_NONE;
	}
	return best;
}

/* What a byte costs that differs: the first one, and one behind another. */
static void walk_differ_costs(struct walk *w, size_t at, int32_t *ret_first, int32_t *ret_again)
{
	enum field_kind kind = FIELD_NONE;

	*ret_first = *ret_again = 0;
	if (at < w->field_end)
		return;
	*ret_first = COST_DIFFER;
	*ret_again = COST_DIFFER_AGAIN;
	if (w->new_fields->elf.machine != ELF_MACHINE_NONE)
		kind = field_at(w->new_fields, at);
	if (kind == FIELD_NONE)
		return;
	w->field_end = at + field_width(w->new_fields, kind);
	if (field_width(w->new_fields, kind) > 2) {
		*ret_first = COST_FIELD;
		*ret_again = COST_FIELD - 4 * 16;
	}
}

/* Costs are differences: keep them small. */
static void walk_lower_costs(struct walk *w)
{
	int32_t least = w->t.cost[walk_best(w)];

	if (least <= COST_LARGE)
		return;
	for (unsigned i = 0; i < DIAGONALS_MAX; i++)
		w->t.cost[i] -= w->t.cost[i] == COST_NEVER ? 0 : least;
	w->t.cost[TRACK_SENT] -= least;
	w->spent += (uint32_t)least;
}

static void walk_step(struct walk *w, size_t at)
{
	struct tracks *t = &w->t;
	int32_t here = (int32_t)at, recent = at > AGAIN_BYTES ? here - (int32_t)AGAIN_BYTES : 0;
	int32_t sent = t->cost[TRACK_SENT], first, again;

	if (at == w->differs_end)
		walk_look_all(w, at);
	walk_differ_costs(w, at, &first, &again);
	for (unsigned i = 0; i < DIAGONALS_MAX; i++) {
		int32_t differs = -(int32_t)(t->differs[i] & 1);
		int32_t more = t->last_differed[i] > recent ? again : first;
		int32_t use = ~differs & (t->cost[i] < sent ? -1 : 0);

		t->used[i] = use ? here : t->used[i];
		t->last_differed[i] = differs ? here : t->last_differed[i];
		t->cost[i] += differs & more;
		t->differs[i] >>= 1;
	}
	if (w->is_any_beyond) {
		for (unsigned i = 0; i < DIAGONALS_MAX; i++) {
			t->cost[i] = t->beyond[i] & 1 ? COST_NEVER : t->cost[i];
			t->beyond[i] >>= 1;
		}
	}
	if (sent > COST_LARGE)
		walk_lower_costs(w);
	t->cost[TRACK_SENT] += COST_SENT_BYTE;
}

/* Where one diagonal matches for long nothing else is worth a look: skip. */
static size_t walk_skip(struct walk *w, unsigned best, size_t at, size_t end)
{
	size_t run;

	if (best == TRACK_SENT)
		return 0;
	if (w->run_diagonal != w->t.diagonal[best] || at >= w->run_end) {
		w->run_diagonal = w->t.diagonal[best];
		w->run_end = at + walk_run(w, w->run_diagonal, at, end);
	}
	run = w->run_end - at;
	if (run < 4 * AHEAD_BYTES)
		return 0;
	run -= AHEAD_BYTES + 8;
	for (unsigned i = 0; i <= TRACK_SENT; i++)
		if (i != best)
			w->t.cost[i] = COST_NEVER;
	w->n_seeds = 0;
	w->scan = at + run;
	w->scan_diagonal = w->t.diagonal[best];
	walk_look_all(w, at + run);
	return run;
}

/* Walk over [at, end) of the new file, from a node; returns the node at the end. */
static uint32_t walk_piece(struct walk *w, size_t at, size_t end, uint32_t from)
{
	for (unsigned i = 0; i < DIAGONALS_MAX; i++)
		w->t.cost[i] = COST_NEVER;
	w->t.cost[TRACK_SENT] = 0;
	w->t.diagonal[TRACK_SENT] = SENT;
	w->t.start[TRACK_SENT] = (uint32_t)at;
	w->t.previous[TRACK_SENT] = from;
	w->t.node[TRACK_SENT] = NODE_NONE;
	w->n_seeds = 0;
	w->scan = at;
	w->field_end = at;
	w->run_end = at;
	walk_look_all(w, at);
	while (at < end && !w->err) {
		size_t skip;
		unsigned best;

		walk_search(w, at, at + AHEAD_BYTES, end);
		walk_start_seeds(w, at);
		best = walk_relax(w, at);
		if (w->err)
			break;
		skip = walk_skip(w, best, at, end);
		if (skip) {
			at += skip;
			continue;
		}
		walk_step(w, at);
		at++;
	}
	w->spent += (uint32_t)w->t.cost[walk_best(w)];
	return walk_track_node(w, walk_best(w));
}

/* The way back from a node, as pieces in new-file order. */
static int walk_collect(const struct walk *w, uint32_t node, size_t end, struct node **ret,
			size_t *ret_n)
{
	size_t n = 0, at;
	struct node *list;

	for (uint32_t i = node; i != UINT32_MAX; i = w->nodes[i].previous)
		n++;
	list = calloc(n + 2, sizeof(*list));
	if (!list)
		return -ENOMEM;
	at = n;
	for (uint32_t i = node; i != UINT32_MAX; i = w->nodes[i].previous)
		list[--at] = w->nodes[i];
	list[n] = (struct node){SENT, (uint32_t)end, 0};
	*ret = list;
	*ret_n = n;
	return 0;
}

static bool is_derived(const struct derive_range *derived, unsigned n, size_t at)
{
	for (unsigned i = 0; i < n; i++)
		if (at >= derived[i].at && at - derived[i].at < derived[i].len)
			return true;
	return false;
}

/* Pieces to operations. */
static int walk_operations(const struct node *list, size_t n, const struct derive_range *derived,
			   unsigned n_derived, struct op **ret, size_t *ret_n)
{
	struct op *ops = calloc(n + 1, sizeof(*ops));
	size_t n_ops = 0;
	uint32_t old_end = 0;

	if (!ops)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t len = list[i + 1].start - list[i].start;
		struct op *last = n_ops ? &ops[n_ops - 1] : NULL;
		unsigned rest = OP_REST_BYTES;

		if (!len)
			continue;
		if (list[i].diagonal != SENT) {
			uint32_t old = (uint32_t)((int64_t)list[i].start + list[i].diagonal);

			if (last && !last->rest_len && last->old + last->copy_len == old) {
				last->copy_len += len;
			} else {
				ops[n_ops++] = (struct op){old, len, 0, 0};
			}
			old_end = old + len;
			continue;
		}
		if (is_derived(derived, n_derived, list[i].start))
			rest = OP_REST_DERIVED;
		if (last && last->rest_len && last->rest == rest) {
			last->rest_len = (last->rest_len + len) & DELTA_FILE_BYTES_MAX;
			continue;
		}
		if (!last || last->rest_len) {
			last = &ops[n_ops++];
			last->old = old_end;
		}
		last->rest_len = len & DELTA_FILE_BYTES_MAX;
		last->rest = rest & 1;
	}
	*ret = ops;
	*ret_n = n_ops;
	return 0;
}

static int align_pass(struct walk *w, const struct derive_range *derived, unsigned n_derived,
		      struct alignment *ret)
{
	AUTO_FREE struct node *list = NULL;
	AUTO(suffix) struct suffix *suffix = NULL;
	uint32_t node = UINT32_MAX;
	size_t at = 0, n;
	int r;

	r = suffix_new(w->old, w->old_len, &suffix);
	if (r < 0)
		return r;
	w->suffix = suffix;
	w->n_nodes = 0;
	w->t = (struct tracks){0};
	w->has_seek = false;
	w->spent = 0;
	w->scan_diagonal = SENT;
	for (unsigned i = 0; i <= n_derived; i++) {
		size_t end = i < n_derived ? derived[i].at : w->new_len;

		node = walk_piece(w, at, end, node);
		if (i < n_derived) {
			node = walk_node(w, SENT, end, node);
			at = end + derived[i].len;
		}
		if (w->err)
			return w->err;
	}
	r = walk_collect(w, node, w->new_len, &list, &n);
	if (r < 0)
		return r;
	ret->guess = w->spent / COST_BYTE;
	return walk_operations(list, n, derived, n_derived, &ret->ops, &ret->n_ops);
}

int align_plan(const struct field_map *old, const struct field_map *new,
	       const struct derive_range *derived, unsigned n_derived, struct alignment *ret)
{
	AUTO_FREE uint8_t *old_labels = malloc(old->len + 1), *new_labels = malloc(new->len + 1);
	AUTO_FREE struct walk *w = calloc(1, sizeof(*w));
	struct alignment first = {0};
	int r;

	if (!old_labels || !new_labels || !w)
		return -ENOMEM;
	w->old = old_labels;
	w->old_len = old->len;
	w->new = new_labels;
	w->new_len = new->len;
	w->new_fields = new;
	r = label_by_content(old, old_labels);
	if (r >= 0)
		r = label_by_content(new, new_labels);
	if (r >= 0)
		r = align_pass(w, derived, n_derived, &first);
	if (r >= 0 && old->elf.machine != ELF_MACHINE_NONE && new->elf.machine != ELF_MACHINE_NONE) {
		r = label_by_target(old, old_labels);
		if (r >= 0)
			r = label_by_alignment(old, new, first.ops, first.n_ops, new_labels);
		if (r >= 0)
			r = align_pass(w, derived, n_derived, ret);
		free(first.ops);
	} else if (r >= 0) {
		*ret = first;
	}
	free(w->nodes);
	return r;
}
