/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Single moves that were learned: a cache, newest wins. */
#define LEARNED_BITS_MIN 8U
#define LEARNED_BITS_MAX 16U
/* Moves of what the alignment does not cover (zeroed memory above all): sorted break points. */
#define BREAKS_MAX 4096U
/* The index over old offsets that makes a lookup short: one entry for each block. */
#define BLOCK_BITS 9U

struct learned {
	uint64_t old, new;
	unsigned n_seen; /* a copied place is believed to have gone elsewhere when seen twice */
};

struct move_map {
	struct interval *intervals; /* disjoint, by old */
	size_t n_intervals;
	uint32_t *blocks; /* first interval that ends behind the block's start */
	size_t n_blocks;
	const struct elf *old_elf, *new_elf;
	const struct op *ops;
	uint32_t *starts; /* of each operation in the new file */
	size_t n_ops;
	struct learned *learned;
	unsigned learned_bits;
	struct learned breaks[BREAKS_MAX];
	size_t n_breaks;
};

void move_map_free(struct move_map *m)
{
	if (!m)
		return;
	free(m->intervals);
	free(m->blocks);
	free(m->starts);
	free(m->learned);
	free(m);
}

static int interval_by_old(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;

	if (x->old != y->old)
		return x->old < y->old ? -1 : 1;
	if (x->len != y->len)
		return x->len > y->len ? -1 : 1;
	return x->new < y->new ? -1 : x->new > y->new;
}

/* Longer copies speak for a place that was copied more than once. */
static bool heap_before(const struct interval *a, const struct interval *b)
{
	if (a->len != b->len)
		return a->len > b->len;
	return a->new < b->new;
}

static void heap_push(struct interval *heap, size_t *n, struct interval add)
{
	size_t i = (*n)++;

	while (i && heap_before(&add, &heap[(i - 1) / 2])) {
		heap[i] = heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap[i] = add;
}

static void heap_pop(struct interval *heap, size_t *n)
{
	struct interval last = heap[--*n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= *n)
			break;
		if (child + 1 < *n && heap_before(&heap[child + 1], &heap[child]))
			child++;
		if (!heap_before(&heap[child], &last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	if (*n)
		heap[i] = last;
}

/* Add [from, to) of a copy; pieces that continue the last one are joined. */
static void interval_add(struct move_map *m, const struct interval *of, uint32_t from, uint32_t to)
{
	struct interval *last = m->n_intervals ? &m->intervals[m->n_intervals - 1] : NULL;
	uint32_t new = of->new + (from - of->old);

	if (last && last->old + last->len == from && last->new + last->len == new) {
		last->len += to - from;
		return;
	}
	m->intervals[m->n_intervals++] = (struct interval){from, to - from, new};
}

/* Sweep over the copies by old offset; at each place the longest copy there wins. */
static int move_map_fill(struct move_map *m, struct interval *copies, size_t n)
{
	AUTO_FREE struct interval *heap = calloc(n + 1, sizeof(*heap));
	size_t next = 0, n_heap = 0;
	uint32_t at = 0;

	m->intervals = calloc(2 * n + 1, sizeof(*m->intervals));
	if (!heap || !m->intervals)
		return -ENOMEM;
	qsort(copies, n, sizeof(*copies), interval_by_old);
	while (next < n || n_heap) {
		uint32_t end;

		while (n_heap && heap[0].old + heap[0].len <= at)
			heap_pop(heap, &n_heap);
		if (!n_heap) {
			if (next == n)
				break;
			if (at < copies[next].old)
				at = copies[next].old;
		}
		while (next < n && copies[next].old <= at) {
			if (copies[next].old + copies[next].len > at)
				heap_push(heap, &n_heap, copies[next]);
			next++;
		}
		if (!n_heap)
			continue;
		end = heap[0].old + heap[0].len;
		if (next < n && copies[next].old < end)
			end = copies[next].old;
		if (end > at)
			interval_add(m, &heap[0], at, end);
		at = end;
	}
	return 0;
}

static int move_map_index(struct move_map *m, size_t old_len)
{
	size_t at = 0;

	m->n_blocks = (old_len >> BLOCK_BITS) + 1;
	m->blocks = calloc(m->n_blocks, sizeof(*m->blocks));
	if (!m->blocks)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_blocks; i++) {
		while (at < m->n_intervals && m->intervals[at].old + m->intervals[at].len <=
						      (uint64_t)i << BLOCK_BITS)
			at++;
		m->blocks[i] = (uint32_t)at;
	}
	return 0;
}

int move_map_new(const struct op *ops, size_t n_ops, size_t old_len, const struct elf *old_elf,
		 struct move_map **ret)
{
	AUTO(move_map) struct move_map *m = calloc(1, sizeof(*m));
	AUTO_FREE struct interval *copies = calloc(n_ops + 1, sizeof(*copies));
	size_t n = 0;
	uint32_t new = 0;
	int r;

	if (!m || !copies)
		return -ENOMEM;
	m->starts = calloc(n_ops + 1, sizeof(*m->starts));
	if (!m->starts)
		return -ENOMEM;
	m->ops = ops;
	m->n_ops = n_ops;
	for (size_t i = 0; i < n_ops; i++) {
		m->starts[i] = new;
		if (ops[i].copy_len)
			copies[n++] = (struct interval){ops[i].old, ops[i].copy_len, new};
		new += ops[i].copy_len + ops[i].rest_len;
	}
	m->old_elf = old_elf;
	m->learned_bits = LEARNED_BITS_MIN;
	while (m->learned_bits < LEARNED_BITS_MAX && old_len >> (m->learned_bits + 6))
		m->learned_bits++;
	m->learned = calloc((size_t)1 << m->learned_bits, sizeof(*m->learned));
	if (!m->learned)
		return -ENOMEM;
	r = move_map_fill(m, copies, n);
	if (r >= 0)
		r = move_map_index(m, old_len);
	if (r < 0)
		return r;
	*ret = take_ptr(m);
	return 0;
}

void move_map_set_new(struct move_map *m, const struct elf *new_elf)
{
	m->new_elf = new_elf;
}

/* The interval that contains old or, where none does, the last one before it; n if there is none. */
static size_t move_find(const struct move_map *m, uint64_t old)
{
	size_t block = (size_t)(old >> BLOCK_BITS), low, high;

	if (block >= m->n_blocks) {
		low = high = m->n_intervals;
	} else {
		low = m->blocks[block];
		high = block + 1 < m->n_blocks ? m->blocks[block + 1] + 1 : m->n_intervals;
		if (high > m->n_intervals)
			high = m->n_intervals;
	}
	/* first interval that starts behind old */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->intervals[middle].old <= old)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : m->n_intervals;
}

static bool move_covered(const struct move_map *m, uint64_t old, uint64_t *ret_new)
{
	size_t i = move_find(m, old);

	if (i == m->n_intervals) {
		*ret_new = old;
		return false;
	}
	*ret_new = m->intervals[i].new + (old - m->intervals[i].old);
	return old - m->intervals[i].old < m->intervals[i].len;
}

uint64_t move_offset(const struct move_map *m, uint64_t old)
{
	uint64_t new;

	(void)move_covered(m, old, &new);
	return new;
}

bool move_back(const struct move_map *m, uint64_t new, uint64_t *ret_old, uint64_t *ret_left)
{
	size_t low = 0, high = m->n_ops;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->starts[middle] <= new)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || new - m->starts[low - 1] >= m->ops[low - 1].copy_len)
		return false;
	*ret_old = m->ops[low - 1].old + (new - m->starts[low - 1]);
	*ret_left = m->ops[low - 1].copy_len - (new - m->starts[low - 1]);
	return true;
}

uint64_t move_end_offset(const struct move_map *m, uint64_t old_end)
{
	return old_end ? move_offset(m, old_end - 1) + 1 : 0;
}

static struct learned *move_slot(const struct move_map *m, uint64_t old)
{
	uint32_t h = (uint32_t)old * 0x9e3779b1U ^ (uint32_t)(old >> 32);

	return &m->learned[h >> (32 - m->learned_bits)];
}

/* An address of the new file for one of its offsets; old_addr is where it came from. */
static uint64_t move_new_addr(const struct move_map *m, uint64_t new_offset, uint64_t old_offset,
			      uint64_t old_addr)
{
	uint64_t addr;

	if (m->new_elf && elf_addr_of(m->new_elf, new_offset, &addr))
		return addr;
	return new_offset + (old_addr - old_offset);
}

/* Last break point at or before old, or n_breaks. */
static size_t move_break(const struct move_map *m, uint64_t old)
{
	size_t low = 0, high = m->n_breaks;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (m->breaks[middle].old <= old)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : m->n_breaks;
}

/* By alignment; returns whether the place itself was copied. */
static bool move_by_alignment(const struct move_map *m, uint64_t old, uint64_t *ret)
{
	const struct elf_segment *last = NULL;
	uint64_t offset, new_offset;
	bool covered;

	if (elf_offset_of(m->old_elf, old, &offset)) {
		covered = move_covered(m, offset, &new_offset);
		*ret = move_new_addr(m, new_offset, offset, old);
		return covered;
	}
	/* behind the file's bytes: as the last byte of the segment before it */
	for (unsigned i = 0; i < m->old_elf->n_segments; i++)
		if (m->old_elf->segments[i].addr <= old && m->old_elf->segments[i].file_bytes)
			last = &m->old_elf->segments[i];
	*ret = old;
	if (last) {
		uint64_t end = last->offset + last->file_bytes - 1;
		uint64_t end_addr = last->addr + last->file_bytes - 1;

		new_offset = move_offset(m, end);
		*ret = old + (move_new_addr(m, new_offset, end, end_addr) - end_addr);
	}
	return false;
}

uint64_t move_addr(const struct move_map *m, uint64_t old)
{
	const struct learned *exact = move_slot(m, old);
	uint64_t aligned, offset;
	size_t i;

	if (exact->old == old && exact->n_seen > 1)
		return exact->new;
	if (move_by_alignment(m, old, &aligned))
		return aligned;
	if (exact->old == old && exact->n_seen)
		return exact->new;
	i = move_break(m, old);
	if (i == m->n_breaks)
		return aligned;
	if (elf_offset_of(m->old_elf, old, &offset)) {
		size_t at = move_find(m, offset);

		/* a copy that ends behind the break point is the nearer neighbour */
		if (at < m->n_intervals && offset - m->intervals[at].old - m->intervals[at].len <
						   old - m->breaks[i].old)
			return aligned;
	}
	return old + (m->breaks[i].new - m->breaks[i].old);
}

uint64_t move_end_addr(const struct move_map *m, uint64_t old_end)
{
	return old_end ? move_addr(m, old_end - 1) + 1 : 0;
}

uint64_t move_addr_second(const struct move_map *m, uint64_t old)
{
	const struct learned *exact = move_slot(m, old);
	uint64_t aligned, first = move_addr(m, old);
	size_t i;

	(void)move_by_alignment(m, old, &aligned);
	if (aligned != first)
		return aligned;
	if (exact->old == old && exact->n_seen && exact->new != first)
		return exact->new;
	i = move_break(m, old);
	i = i == m->n_breaks ? 0 : i + 1;
	if (i < m->n_breaks)
		return old + (m->breaks[i].new - m->breaks[i].old);
	return aligned;
}

void move_learn(struct move_map *m, uint64_t old, uint64_t new)
{
	struct learned *exact;
	uint64_t aligned;
	size_t i;

	if (move_addr(m, old) == new)
		return;
	exact = move_slot(m, old);
	if (exact->old == old && exact->new == new) {
		exact->n_seen++;
	} else {
		exact->old = old;
		exact->new = new;
		exact->n_seen = 1;
	}
	if (move_by_alignment(m, old, &aligned))
		return;
	i = move_break(m, old);
	if (i < m->n_breaks && m->breaks[i].old == old) {
		m->breaks[i].new = new;
		return;
	}
	if (m->n_breaks == BREAKS_MAX)
		return;
	i = i == m->n_breaks ? 0 : i + 1;
	memmove(&m->breaks[i + 1], &m->breaks[i], (m->n_breaks - i) * sizeof(m->breaks[0]));
	m->breaks[i] = (struct learned){old, new, 1};
	m->n_breaks++;
}
