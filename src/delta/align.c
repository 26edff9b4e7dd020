/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/align.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/label.h"
#include "delta/suffix.h"

/* Costs in 1/16 bit, measured on what the coder needs. */
#define COST_DIFFER (14U * 16U)
#define COST_DIFFER_AGAIN (9U * 16U)
#define COST_FIELD (22U * 16U)
#define COST_SENT_BYTE (3U * 16U + 8U)
#define COST_SENT_START (11U * 16U)
#define COST_SEEK (17U * 16U)
#define COST_NEVER (1U << 30)
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

struct track {
	int64_t diagonal;
	uint32_t cost, last_differed, used;
	/* where it was entered and from what; a node is made of it only when one is needed */
	uint32_t start, previous, node;
};

#define NODE_NONE UINT32_MAX

struct seed {
	int64_t diagonal;
	size_t start;
};

struct walk {
	const uint8_t *old, *new; /* labelled */
	size_t old_len, new_len;
	const struct field_map *new_fields;
	const struct suffix *suffix;
	struct node *nodes;
	size_t n_nodes, nodes_allocated;
	struct track tracks[DIAGONALS_MAX];
	unsigned n_tracks;
	struct track sent;
	struct seed seeds[SEEDS_MAX];
	unsigned n_seeds;
	size_t scan;
	int64_t scan_diagonal;
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
	size_t n = 0;

	if (diagonal == SENT)
		return 0;
	while (at + n < end && walk_same(w, diagonal, at + n))
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
	for (unsigned i = 0; i < w->n_tracks; i++)
		if (w->tracks[i].diagonal == w->scan_diagonal)
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

static uint32_t walk_seek_cost(int64_t from, int64_t to)
{
	uint64_t d = from == SENT || from == to ? 0 : (uint64_t)(from > to ? from - to : to - from);
	unsigned bits = d ? 64 - (unsigned)__builtin_clzll(d) : 0;

	return COST_SEEK + bits * 16;
}

static int64_t walk_diagonal_of(const struct walk *w, uint32_t node)
{
	while (w->nodes[node].diagonal == SENT && w->nodes[node].previous != UINT32_MAX)
		node = w->nodes[node].previous;
	return w->nodes[node].diagonal;
}

static struct track *walk_best(struct walk *w)
{
	struct track *best = &w->sent;

	for (unsigned i = 0; i < w->n_tracks; i++)
		if (w->tracks[i].cost < best->cost)
			best = &w->tracks[i];
	return best;
}

static uint32_t walk_track_node(struct walk *w, struct track *t)
{
	if (t->node == NODE_NONE)
		t->node = walk_node(w, t->diagonal, t->start, t->previous);
	return t->node;
}

/* Start seeds that are due, in place of the worst track when there is no room. */
static void walk_start_seeds(struct walk *w, size_t at)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < w->n_seeds; i++) {
		struct seed s = w->seeds[i];
		unsigned slot = w->n_tracks, j;

		if (s.start > at) {
			w->seeds[kept++] = s;
			continue;
		}
		for (j = 0; j < w->n_tracks && w->tracks[j].diagonal != s.diagonal; j++)
			;
		if (j < w->n_tracks) {
			w->tracks[j].used = (uint32_t)at;
			continue;
		}
		if (w->n_tracks < DIAGONALS_MAX) {
			w->n_tracks++;
		} else {
			uint32_t worst = 0;

			for (j = 0; j < w->n_tracks; j++) {
				uint32_t badness = w->tracks[j].cost / 16 +
						   ((uint32_t)at - w->tracks[j].used) / 8;
				if (badness >= worst) {
					worst = badness;
					slot = j;
				}
			}
		}
		w->tracks[slot] = (struct track){s.diagonal, COST_NEVER, 0, (uint32_t)at, 0, 0, NODE_NONE};
	}
	w->n_seeds = kept;
}

/* From the cheapest way so far to every diagonal, where that is cheaper than staying on it. */
static void walk_relax(struct walk *w, size_t at)
{
	struct track *best = walk_best(w);
	uint32_t best_cost = best->cost, node = NODE_NONE;
	int64_t from = SENT;

	for (unsigned i = 0; i <= w->n_tracks; i++) {
		struct track *t = i < w->n_tracks ? &w->tracks[i] : &w->sent;
		uint32_t cost;

		if (t == best || best_cost + (t == &w->sent ? COST_SENT_START : COST_SEEK) >= t->cost)
			continue;
		if (node == NODE_NONE) {
			node = walk_track_node(w, best);
			if (w->err)
				return;
			from = walk_diagonal_of(w, node);
		}
		cost = best_cost + (t == &w->sent ? COST_SENT_START :
						   walk_seek_cost(from, t->diagonal));
		if (cost >= t->cost)
			continue;
		t->cost = cost;
		t->start = (uint32_t)at;
		t->previous = node;
		t->node = NODE_NONE;
		t->last_differed = 0;
	}
}

static uint32_t walk_differ_cost(const struct walk *w, struct track *t, size_t at, bool in_field)
{
	bool again = t->last_differed && at - t->last_differed < 12;
	enum field_kind kind = FIELD_NONE;

	t->last_differed = (uint32_t)at;
	if (in_field)
		return 0;
	if (w->new_fields->elf.machine != ELF_MACHINE_NONE)
		kind = field_at(w->new_fields, at);
	if (kind != FIELD_NONE && field_width(w->new_fields, kind) > 2)
		return again ? COST_FIELD - 4 * 16 : COST_FIELD;
	return again ? COST_DIFFER_AGAIN : COST_DIFFER;
}

static void walk_step(struct walk *w, size_t at)
{
	bool in_field = at < w->field_end;
	uint32_t least = w->sent.cost;

	for (unsigned i = 0; i < w->n_tracks; i++) {
		struct track *t = &w->tracks[i];
		int64_t old_at = (int64_t)at + t->diagonal;

		if (old_at < 0 || (uint64_t)old_at >= w->old_len)
			t->cost = COST_NEVER;
		else if (w->old[old_at] != w->new[at])
			t->cost += walk_differ_cost(w, t, at, in_field);
		else if (t->cost < w->sent.cost)
			t->used = (uint32_t)at;
		if (t->cost < least)
			least = t->cost;
	}
	if (!in_field && w->new_fields->elf.machine != ELF_MACHINE_NONE &&
	    field_at(w->new_fields, at))
		w->field_end = at + field_width(w->new_fields, field_at(w->new_fields, at));
	w->sent.cost += COST_SENT_BYTE;
	/* costs are differences: keep them small */
	if (least > 1U << 20) {
		for (unsigned i = 0; i < w->n_tracks; i++)
			w->tracks[i].cost -= w->tracks[i].cost == COST_NEVER ? 0 : least;
		w->sent.cost -= least;
		w->spent += least;
	}
}

/* Where one diagonal matches for long nothing else is worth a look: skip. */
static size_t walk_skip(struct walk *w, size_t at, size_t end)
{
	struct track *best = walk_best(w);
	size_t run;

	if (best == &w->sent)
		return 0;
	run = walk_run(w, best->diagonal, at, end);
	if (run < 4 * AHEAD_BYTES)
		return 0;
	run -= AHEAD_BYTES + 8;
	for (unsigned i = 0; i < w->n_tracks; i++)
		if (&w->tracks[i] != best)
			w->tracks[i].cost = COST_NEVER;
	w->sent.cost = COST_NEVER;
	w->n_seeds = 0;
	w->scan = at + run;
	w->scan_diagonal = best->diagonal;
	return run;
}

/* Walk over [at, end) of the new file, from a node; returns the node at the end. */
static uint32_t walk_piece(struct walk *w, size_t at, size_t end, uint32_t from)
{
	w->sent = (struct track){SENT, 0, 0, 0, (uint32_t)at, from, NODE_NONE};
	for (unsigned i = 0; i < w->n_tracks; i++)
		w->tracks[i].cost = COST_NEVER;
	w->n_seeds = 0;
	w->scan = at;
	w->field_end = at;
	while (at < end && !w->err) {
		size_t skip;

		walk_search(w, at, at + AHEAD_BYTES, end);
		walk_start_seeds(w, at);
		walk_relax(w, at);
		if (w->err)
			break;
		skip = walk_skip(w, at, end);
		if (skip) {
			at += skip;
			continue;
		}
		walk_step(w, at);
		at++;
	}
	w->spent += walk_best(w)->cost;
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
	w->n_tracks = 0;
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
