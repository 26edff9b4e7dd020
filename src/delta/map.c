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
/* The places of the operations between are counted from the one before. */
#define START_STEP 16U

struct learned {
	uint64_t old, new;
	unsigned n_seen; /* a copied place is believed to have gone elsewhere when seen twice */
};

struct move_map {
	const struct op *ops;
	size_t n_ops;
	uint32_t *starts; /* of every START_STEPth operation, in the new file */
	/*
	 * Copies by their place in the old file, those that no longer one hides. What can be seen of
	 * each is one range: where a longer one overlaps it, that goes beyond its start or its end.
	 */
	uint32_t *seen;
	size_t n_seen;
	uint32_t *blocks; /* the first of these that ends behind the block's start */
	size_t n_blocks;
	const struct elf *old_elf, *new_elf;
	struct learned *learned;
	unsigned learned_bits;
	struct learned breaks[BREAKS_MAX];
	size_t n_breaks;
};

void move_map_free(struct move_map *m)
{
	if (!m)
		return;
	free(m->starts);
	free(m->seen);
	free(m->blocks);
	free(m->learned);
	free(m);
}

/* Where an operation starts in the new file. */
static uint32_t move_start(const struct move_map *m, size_t op)
{
	uint32_t at = m->starts[op / START_STEP];

	for (size_t i = op - op % START_STEP; i < op; i++)
		at += m->ops[i].copy_len + m->ops[i].rest_len;
	return at;
}

static uint32_t copy_end(const struct move_map *m, uint32_t op)
{
	return m->ops[op].old + m->ops[op].copy_len;
}

/* Longer copies speak for a place that was copied more than once; then the first in the new file. */
static bool copy_hides(const struct move_map *m, uint32_t a, uint32_t b)
{
	if (m->ops[a].copy_len != m->ops[b].copy_len)
		return m->ops[a].copy_len > m->ops[b].copy_len;
	return a < b;
}

/* By place in the old file, the one that hides the other first. */
static bool copy_before(const struct move_map *m, uint32_t a, uint32_t b)
{
	if (m->ops[a].old != m->ops[b].old)
		return m->ops[a].old < m->ops[b].old;
	return copy_hides(m, a, b);
}

static void copy_sift(const struct move_map *m, uint32_t *heap, size_t i, size_t n)
{
	uint32_t moved = heap[i];

	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && copy_before(m, heap[child], heap[child + 1]))
			child++;
		if (!copy_before(m, moved, heap[child]))
			break;
		heap[i] = heap[child];
	}
	heap[i] = moved;
}

/* In place: qsort() of glibc may take as much memory again, and hides it. */
static void copy_sort(const struct move_map *m, uint32_t *copies, size_t n)
{
	for (size_t i = n / 2; i--;)
		copy_sift(m, copies, i, n);
	for (size_t i = n; i > 1; i--) {
		uint32_t last = copies[i - 1];

		copies[i - 1] = copies[0];
		copies[0] = last;
		copy_sift(m, copies, 0, i - 1);
	}
}

/* The range of the old file in which a copy is seen. */
static uint32_t seen_from(const struct move_map *m, size_t i)
{
	uint32_t from = m->ops[m->seen[i]].old, end = i ? copy_end(m, m->seen[i - 1]) : 0;

	return end > from && copy_hides(m, m->seen[i - 1], m->seen[i]) ? end : from;
}

static uint32_t seen_end(const struct move_map *m, size_t i)
{
	uint32_t end = copy_end(m, m->seen[i]), next = i + 1 < m->n_seen ? seen_from(m, i + 1) : end;

	return next < end ? next : end;
}

/* Does a copy hide the last one that is kept, or is it hidden itself? Sorted copies come in turn. */
static void move_map_show(struct move_map *m, uint32_t copy)
{
	while (m->n_seen) {
		uint32_t last = m->seen[m->n_seen - 1];

		if (copy_end(m, last) <= m->ops[copy].old)
			break;
		if (copy_hides(m, last, copy)) {
			if (copy_end(m, copy) <= copy_end(m, last))
				return;
			break;
		}
		if (seen_from(m, m->n_seen - 1) < m->ops[copy].old)
			break;
		m->n_seen--;
	}
	m->seen[m->n_seen++] = copy;
}

static int move_map_fill(struct move_map *m)
{
	size_t n = 0;
	uint32_t new = 0;

	m->starts = calloc(m->n_ops / START_STEP + 1, sizeof(*m->starts));
	m->seen = calloc(m->n_ops + 1, sizeof(*m->seen));
	if (!m->starts || !m->seen)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_ops; i++) {
		if (i % START_STEP == 0)
			m->starts[i / START_STEP] = new;
		if (m->ops[i].copy_len)
			m->seen[n++] = (uint32_t)i;
		new += m->ops[i].copy_len + m->ops[i].rest_len;
	}
	copy_sort(m, m->seen, n);
	/* what is kept never reaches beyond what is looked at */
	for (size_t i = 0; i < n; i++)
		move_map_show(m, m->seen[i]);
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
		while (at < m->n_seen && seen_end(m, at) <= (uint64_t)i << BLOCK_BITS)
			at++;
		m->blocks[i] = (uint32_t)at;
	}
	return 0;
}

int move_map_new(const struct op *ops, size_t n_ops, size_t old_len, const struct elf *old_elf,
		 struct move_map **ret)
{
	AUTO(move_map) struct move_map *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->ops = ops;
	m->n_ops = n_ops;
	m->old_elf = old_elf;
	m->learned_bits = LEARNED_BITS_MIN;
	while (m->learned_bits < LEARNED_BITS_MAX && old_len >> (m->learned_bits + 6))
		m->learned_bits++;
	m->learned = calloc((size_t)1 << m->learned_bits, sizeof(*m->learned));
	if (!m->learned)
		return -ENOMEM;
	r = move_map_fill(m);
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

/* The copy that old is in or, where it is in none, the last one before it; n_seen if there is none. */
static size_t move_find(const struct move_map *m, uint64_t old)
{
	size_t block = (size_t)(old >> BLOCK_BITS), low, high;

	if (block >= m->n_blocks) {
		low = high = m->n_seen;
	} else {
		low = m->blocks[block];
		high = block + 1 < m->n_blocks ? m->blocks[block + 1] + 1 : m->n_seen;
		if (high > m->n_seen)
			high = m->n_seen;
	}
	/* the first that starts behind old */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (seen_from(m, middle) <= old)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : m->n_seen;
}

static bool move_covered(const struct move_map *m, uint64_t old, uint64_t *ret_new)
{
	size_t i = move_find(m, old);
	uint32_t op;

	if (i == m->n_seen) {
		*ret_new = old;
		return false;
	}
	op = m->seen[i];
	*ret_new = move_start(m, op) + (old - m->ops[op].old);
	return old < seen_end(m, i);
}

uint64_t move_offset(const struct move_map *m, uint64_t old)
{
	uint64_t new;

	(void)move_covered(m, old, &new);
	return new;
}

bool move_back(const struct move_map *m, uint64_t new, uint64_t *ret_old, uint64_t *ret_left)
{
	size_t low = 0, high = (m->n_ops + START_STEP - 1) / START_STEP;
	uint64_t start;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->starts[middle] <= new)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return false;
	start = m->starts[low - 1];
	for (size_t i = (low - 1) * START_STEP; i < m->n_ops; i++) {
		const struct op *op = &m->ops[i];

		if (new - start < (uint64_t)op->copy_len + op->rest_len) {
			*ret_old = op->old + (new - start);
			*ret_left = op->copy_len - (new - start);
			return new - start < op->copy_len;
		}
		start += (uint64_t)op->copy_len + op->rest_len;
	}
	return false;
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
		if (at < m->n_seen && offset - seen_end(m, at) < old - m->breaks[i].old)
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
