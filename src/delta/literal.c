/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/literal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "delta/mix.h"
#include "delta/x86.h"

#define N_INPUTS 10U
/* Of these, what a repeat suggests. */
#define INPUT_REPEAT 5U
#define INPUT_REPEAT_LAST 7U
#define INPUTS_PLAIN (~(1U << INPUT_REPEAT | 1U << INPUT_REPEAT_LAST))
#define N_REPLACE_INPUTS 10U
#define REPLACE_BITS 18U
/* Repeats: the last place where these many bytes stood. */
#define MATCH_MIN 4U
/* The same for longer repeats, that many short ones would hide. */
#define MATCH_LONG 12U
#define MATCH_VERIFY_MAX 32U
#define MATCH_TABLE_BITS_MAX 20U
#define MATCH_TABLE_BITS_MIN 10U
/* Both tables of what was sent grow with the model: each has a quarter of its slots. */
#define HISTORY_BITS_LESS 2U
/* From this length on one decision says that the byte is as expected. */
#define MATCH_SURE 24U
#define MATCH_NONE UINT32_MAX

enum match_in {
	MATCH_IN_NOTHING,
	MATCH_IN_OLD,
	MATCH_IN_NEW,
};

struct literal {
	struct mix *mix, *replace;
	const uint8_t *old, *new;
	size_t old_len;
	size_t behind;       /* bytes that can be read before new */
	uint32_t new_place;  /* of new among all that was ever made, modulo 2^32 */
	enum literal_class class;
	bool is_32; /* code is 32-bit x86 */
	/* repeats: of the old file, by place; of sent bytes, by place among all that was made */
	uint32_t *table, *history, *history_long;
	unsigned table_bits, history_bits;
	enum match_in match_in;
	int64_t match;         /* a place of old, or of new: there less than 0 before its start */
	unsigned match_len;
	unsigned match_misses; /* the last eight: a bit for each byte that was not as expected */
	struct bit_model sure[16];
	/* the instruction that the next byte belongs to */
	size_t instruction;
	uint32_t last_opcode;
	/* the last byte that was replaced */
	uint8_t last_replaced, last_by;
};

void literal_free(struct literal *l)
{
	if (!l)
		return;
	mix_free(l->mix);
	mix_free(l->replace);
	free(l->table);
	free(l->history);
	free(l->history_long);
	free(l);
}

int literal_new(unsigned model_bits, struct literal **ret)
{
	AUTO(literal) struct literal *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	r = mix_new(model_bits, N_INPUTS, &l->mix);
	if (r >= 0)
		r = mix_new(REPLACE_BITS, N_REPLACE_INPUTS, &l->replace);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < 16; i++)
		bit_model_init(&l->sure[i], 64000, BIT_LIMIT_SLOW);
	l->history_bits = model_bits - HISTORY_BITS_LESS;
	l->history = malloc(sizeof(*l->history) << l->history_bits);
	l->history_long = malloc(sizeof(*l->history_long) << l->history_bits);
	if (!l->history || !l->history_long)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)1 << l->history_bits; i++)
		l->history[i] = l->history_long[i] = MATCH_NONE;
	*ret = take_ptr(l);
	return 0;
}

static uint32_t literal_match_hash(const uint8_t *before, unsigned n, unsigned bits)
{
	uint32_t h = 0;

	for (unsigned i = 1; i <= n; i++)
		h = (h + before[-(ptrdiff_t)i] + 1) * 0x2c9277b5U;
	return (h ^ h >> 15) * 0x9e3779b1U >> (32 - bits);
}

static void literal_match_drop(struct literal *l)
{
	l->match_in = MATCH_IN_NOTHING;
	l->match_len = 0;
}

int literal_start(struct literal *l, const uint8_t *old, size_t old_len,
		  const struct literal_new *new, bool with_old)
{
	size_t step = 1;

	l->old = old;
	l->old_len = old_len;
	l->new = new->data;
	l->behind = new->behind;
	l->is_32 = new->is_32;
	l->new_place = new->place;
	literal_match_drop(l);
	free(l->table);
	l->table = NULL;
	if (!with_old || !old_len)
		return 0;
	l->table_bits = MATCH_TABLE_BITS_MIN;
	while (l->table_bits < MATCH_TABLE_BITS_MAX && old_len >> l->table_bits)
		l->table_bits++;
	while (old_len / step > (size_t)1 << l->table_bits)
		step *= 2;
	l->table = malloc(sizeof(*l->table) << l->table_bits);
	if (!l->table)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)1 << l->table_bits; i++)
		l->table[i] = MATCH_NONE;
	for (size_t at = MATCH_MIN; at < old_len; at += step)
		l->table[literal_match_hash(old + at, MATCH_MIN, l->table_bits)] = (uint32_t)at;
	return 0;
}

void literal_begin(struct literal *l, size_t at, enum literal_class class)
{
	l->class = class;
	l->instruction = at;
	l->last_opcode = 0;
	literal_match_drop(l);
	l->match_misses = 0;
}

/* Bytes before two places that are the same, up to MATCH_VERIFY_MAX. */
static unsigned literal_match_verify(const struct literal *l, enum match_in match_in, int64_t match,
				     size_t at)
{
	const uint8_t *in = match_in == MATCH_IN_NEW ? l->new : l->old, *here = l->new + at;
	int64_t first = match_in == MATCH_IN_NEW ? -(int64_t)l->behind : 0;
	unsigned n = 0;

	while (n < MATCH_VERIFY_MAX && match - first > n && at + l->behind > n &&
	       in[match - n - 1] == here[-(ptrdiff_t)n - 1])
		n++;
	return n;
}

/* Follow this repeat from here on if it is longer than the one at hand. */
static void literal_match_try(struct literal *l, enum match_in match_in, int64_t match, size_t at)
{
	unsigned n;

	if (match_in == l->match_in && match == l->match)
		return;
	n = literal_match_verify(l, match_in, match, at);
	if (n < MATCH_MIN || n <= l->match_len)
		return;
	l->match_in = match_in;
	l->match = match;
	l->match_len = n;
	l->match_misses = 0;
}

/* Where the tables say that the bytes before a place stood before. */
struct repeats {
	uint32_t *sent_long, *old, *sent;
};

static struct repeats literal_repeats(const struct literal *l, size_t at)
{
	struct repeats r = {0};
	const uint8_t *here = l->new + at;

	if (l->match_len >= 16 || at + l->behind < MATCH_MIN)
		return r;
	if (at + l->behind >= MATCH_LONG)
		r.sent_long = &l->history_long[literal_match_hash(here, MATCH_LONG, l->history_bits)];
	if (l->table)
		r.old = &l->table[literal_match_hash(here, MATCH_MIN, l->table_bits)];
	r.sent = &l->history[literal_match_hash(here, MATCH_MIN, l->history_bits)];
	return r;
}

/* How far back a place is that was sent; 0: it is none, or has left the memory, or means another. */
static size_t literal_back(const struct literal *l, uint32_t sent, size_t at)
{
	uint32_t here = l->new_place + (uint32_t)at;

	return sent != MATCH_NONE && here - sent <= at + l->behind ? here - sent : 0;
}

/* Tables are far from the processor, and what they lead to is again: ask before it is needed. */
static void repeats_fetch_tables(const struct repeats *r)
{
	if (r->sent_long)
		__builtin_prefetch(r->sent_long, 1);
	if (r->old)
		__builtin_prefetch(r->old);
	if (r->sent)
		__builtin_prefetch(r->sent, 1);
}

static void literal_fetch_places(const struct literal *l, const struct repeats *r, size_t at)
{
	if (r->sent_long)
		__builtin_prefetch(l->new + at - literal_back(l, *r->sent_long, at));
	if (r->old && *r->old != MATCH_NONE)
		__builtin_prefetch(l->old + *r->old);
	if (r->sent)
		__builtin_prefetch(l->new + at - literal_back(l, *r->sent, at));
}

/* A repeat of sent bytes; and this place is the next one's. */
static void literal_match_sent(struct literal *l, uint32_t *sent, size_t at)
{
	size_t back = literal_back(l, *sent, at);

	if (back)
		literal_match_try(l, MATCH_IN_NEW, (int64_t)at - (int64_t)back, at);
	*sent = l->new_place + (uint32_t)at;
}

/* The byte expected at a place of the new file, or -1. */
static int literal_match_find(struct literal *l, const struct repeats *r, size_t at)
{
	if (r->sent_long)
		literal_match_sent(l, r->sent_long, at);
	if (r->old && *r->old != MATCH_NONE)
		literal_match_try(l, MATCH_IN_OLD, *r->old, at);
	if (r->sent)
		literal_match_sent(l, r->sent, at);
	switch (l->match_in) {
	case MATCH_IN_OLD:
		return l->match < (int64_t)l->old_len ? l->old[l->match] : -1;
	case MATCH_IN_NEW:
		return l->match < (int64_t)at ? l->new[l->match] : -1;
	default:
		return -1;
	}
}

static void literal_match_step(struct literal *l, int expected, uint8_t value)
{
	if (l->match_in == MATCH_IN_NOTHING)
		return;
	if (expected < 0) {
		literal_match_drop(l);
		return;
	}
	l->match++;
	l->match_misses = (l->match_misses << 1 | (value != expected)) & 0xff;
	if (value == expected) {
		l->match_len++;
	} else {
		l->match_len /= 4;
		/* an address may differ in the midst of a repeat; a repeat that fails is dropped */
		if (__builtin_popcount(l->match_misses) > 5)
			literal_match_drop(l);
	}
}

/* Move the start of the instruction on until it contains the byte at a place. */
static void literal_follow(struct literal *l, const uint8_t *buffer, size_t at)
{
	while (l->instruction < at) {
		uint8_t bytes[16] = {0};
		size_t have = at - l->instruction;
		struct x86_instruction in;

		memcpy(bytes, buffer + l->instruction, have < 15 ? have : 15);
		in = x86_decode(bytes, 15, l->is_32);
		if (in.length > have)
			return;
		l->last_opcode = l->last_opcode << 8 | bytes[in.opcode];
		l->instruction += in.length;
	}
}

/* Hashes of the contexts of the byte at a place that no repeat is needed for. */
static void literal_contexts(struct literal *l, const uint8_t *buffer, size_t at, uint32_t *hashes)
{
	uint8_t last[8] = {0};
	uint32_t h = 0, order[7];

	for (size_t i = 0; i < 8 && i < at; i++)
		last[i] = buffer[at - 1 - i];
	for (unsigned i = 0; i < 6; i++)
		order[i + 1] = h = mix_hash(h, last[i] + 256U);
	hashes[0] = mix_hash(1, last[0]);
	hashes[1] = mix_hash(2, order[2]);
	hashes[2] = mix_hash(3, order[3]);
	hashes[3] = mix_hash(4, order[4]);
	hashes[4] = mix_hash(5, order[6]);
	hashes[6] = mix_hash(7, (uint32_t)last[1] << 8 | last[2]);
	if (l->class == LITERAL_CODE) {
		uint32_t so_far = (uint32_t)(at - l->instruction);

		literal_follow(l, buffer, at);
		so_far = (uint32_t)(at - l->instruction);
		h = 0;
		for (size_t i = l->instruction; i < at; i++)
			h = mix_hash(h, buffer[i] + 256U);
		hashes[8] = mix_hash(9, mix_hash(h, l->last_opcode & 0xff));
		hashes[9] = mix_hash(10, mix_hash(h, l->last_opcode & 0xffffff) + so_far);
	} else {
		hashes[8] = mix_hash(11, (uint32_t)(at & 7) << 16 | (uint32_t)last[7] << 8 | last[3]);
		hashes[9] = mix_hash(12, (uint32_t)(at & 3) << 16 | (uint32_t)last[3] << 8 | last[0]);
	}
}

/* The others: what the repeat at hand suggests. */
static void literal_repeat_contexts(const struct literal *l, uint8_t last, int expected,
				    uint32_t *hashes)
{
	uint32_t len = l->match_len > 15 ? 15 : l->match_len;

	hashes[INPUT_REPEAT] =
		mix_hash(6, (uint32_t)(expected + 1) << 12 | len << 8 | l->match_misses);
	hashes[INPUT_REPEAT_LAST] = mix_hash(8, (uint32_t)(expected + 1) << 8 | last);
}

uint8_t literal_code(struct literal *l, struct coder *c, size_t at, uint8_t value)
{
	bool has_contexts = l->match_len < MATCH_SURE;
	struct repeats repeats = literal_repeats(l, at);
	uint32_t hashes[N_INPUTS];
	int expected;
	unsigned set;

	/* slots and repeats lie anywhere in large tables: ask for all before any is needed */
	if (has_contexts) {
		repeats_fetch_tables(&repeats);
		literal_contexts(l, l->new, at, hashes);
		literal_fetch_places(l, &repeats, at);
		mix_fetch(l->mix, hashes, INPUTS_PLAIN);
	}
	expected = literal_match_find(l, &repeats, at);

	if (expected >= 0 && l->match_len >= MATCH_SURE) {
		unsigned bucket = l->match_len / 16;
		bool same = coder_bit(c, &l->sure[bucket > 15 ? 15 : bucket], value == expected);

		if (same) {
			literal_match_step(l, expected, (uint8_t)expected);
			return (uint8_t)expected;
		}
	}
	if (!has_contexts)
		literal_contexts(l, l->new, at, hashes);
	literal_repeat_contexts(l, at ? l->new[at - 1] : 0, expected, hashes);
	set = (unsigned)l->class * 64 + (expected < 0 ? 0 : 1 + (l->match_len > 15 ? 15 : l->match_len));
	value = mix_byte(l->mix, c, hashes, set, MIX_SET_NODE, value);
	literal_match_step(l, expected, value);
	return value;
}

bool literal_is_field(struct literal *l, size_t at, unsigned *ret_tail, size_t *ret_repeat)
{
	uint8_t bytes[16] = {0};
	struct repeats repeats;
	struct x86_instruction in;
	size_t have;

	if (l->class != LITERAL_CODE)
		return false;
	literal_follow(l, l->new, at);
	have = at - l->instruction;
	if (!have || have > 14)
		return false;
	memcpy(bytes, l->new + l->instruction, have);
	in = x86_decode(bytes, 15, l->is_32);
	if (!in.field || in.field != have)
		return false;
	*ret_tail = in.tail;
	repeats = literal_repeats(l, at);
	(void)literal_match_find(l, &repeats, at);
	*ret_repeat = l->match_in == MATCH_IN_OLD ? (size_t)l->match : SIZE_MAX;
	return true;
}

void literal_skip_field(struct literal *l, size_t at)
{
	(void)at;
	/* the distance differs from place to place: a repeat goes on behind it */
	if (l->match_in != MATCH_IN_NOTHING)
		l->match += 4;
}

void literal_train(struct literal *l, size_t from, size_t to, enum literal_class class)
{
	uint32_t hashes[2][N_INPUTS];

	literal_begin(l, from, class);
	/* one byte ahead, as all are known */
	for (size_t at = from; at <= to; at++) {
		uint32_t *next = hashes[at & 1];

		if (at < to) {
			literal_contexts(l, l->old, at, next);
			literal_repeat_contexts(l, at ? l->old[at - 1] : 0, -1, next);
			mix_fetch_byte(l->mix, next, l->old[at]);
		}
		if (at > from)
			(void)mix_byte(l->mix, NULL, hashes[(at - 1) & 1], (unsigned)class * 64,
				       MIX_SET_NODE, l->old[at - 1]);
	}
}

/* The old byte, moved as the byte n places before was. */
static uint8_t literal_shifted(const struct literal *l, size_t at, size_t old_at, size_t n)
{
	if (at < n || old_at < n)
		return 0;
	return (uint8_t)(l->old[old_at] + l->new[at - n] - l->old[old_at - n]);
}

uint8_t literal_replace(struct literal *l, struct coder *c, size_t at, size_t old_at,
			enum literal_class class, uint8_t value)
{
	uint8_t replaced = l->old[old_at];
	uint8_t before = at ? l->new[at - 1] : 0, before2 = at > 1 ? l->new[at - 2] : 0;
	uint8_t guess = (uint8_t)(replaced + (l->last_by - l->last_replaced));
	uint32_t four = literal_shifted(l, at, old_at, 4), eight = literal_shifted(l, at, old_at, 8);
	uint32_t hashes[N_REPLACE_INPUTS] = {
		mix_hash(1, replaced),
		mix_hash(2, (uint32_t)replaced << 8 | before),
		mix_hash(3, (uint32_t)before << 8 | before2),
		mix_hash(4, guess),
		mix_hash(5, (uint32_t)replaced << 16 | (uint32_t)before << 8 | before2),
		mix_hash(6, class),
		mix_hash(7, (uint32_t)guess << 8 | replaced),
		mix_hash(8, eight),
		mix_hash(9, eight << 8 | four),
		mix_hash(10, four << 3 | (at & 7)),
	};

	value = mix_byte(l->replace, c, hashes, (unsigned)class, MIX_SET_NODE, value);
	l->last_replaced = replaced;
	l->last_by = value;
	return value;
}
