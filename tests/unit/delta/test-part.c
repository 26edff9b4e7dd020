/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that are coded in parts: archives with programs in them, and what lies in reach. */
#include "fixture.h"

#include <stdio.h>

#include "delta/elf.h"
#include "delta/encode.h"
#include "delta/member.h"
#include "delta/part.h"
#include "delta/window.h"

static void put_text(struct buffer *b, const char *text, size_t width)
{
	size_t len = strlen(text);

	buffer_put(b, text, len);
	while (len++ < width)
		buffer_put_u8(b, ' ');
}

static void put_ar_member(struct buffer *b, const char *name, const void *data, size_t len)
{
	char size[16];

	(void)snprintf(size, sizeof(size), "%zu", len);
	put_text(b, name, 16);
	put_text(b, "0", 12);
	put_text(b, "0", 6);
	put_text(b, "0", 6);
	put_text(b, "100644", 8);
	put_text(b, size, 10);
	put_text(b, "`\n", 2);
	buffer_put(b, data, len);
	if (len & 1)
		buffer_put_u8(b, '\n');
}

static void put_u16(struct buffer *b, unsigned v)
{
	buffer_put_u8(b, (uint8_t)v);
	buffer_put_u8(b, (uint8_t)(v >> 8));
}

static void put_u32(struct buffer *b, uint32_t v)
{
	put_u16(b, v & 0xffff);
	put_u16(b, v >> 16);
}

/* A zip archive of stored members; method: of the last one. */
static void put_zip(struct buffer *b, const struct buffer *members, size_t n, unsigned method)
{
	uint32_t places[8], start;

	for (size_t i = 0; i < n; i++) {
		places[i] = (uint32_t)b->len;
		put_u32(b, 0x04034b50);
		put_u16(b, 10);
		put_u16(b, 0);
		put_u16(b, i + 1 == n ? method : 0);
		for (unsigned j = 0; j < 4; j++)
			put_u16(b, 0);
		put_u32(b, (uint32_t)members[i].len);
		put_u32(b, (uint32_t)members[i].len);
		put_u16(b, 2);
		put_u16(b, 0);
		buffer_put_u8(b, 'm');
		buffer_put_u8(b, (uint8_t)('0' + i));
		buffer_put(b, members[i].data, members[i].len);
	}
	start = (uint32_t)b->len;
	for (size_t i = 0; i < n; i++) {
		put_u32(b, 0x02014b50);
		put_u32(b, 10);
		put_u16(b, 0);
		put_u16(b, i + 1 == n ? method : 0);
		put_u32(b, 0);
		put_u32(b, 0);
		put_u32(b, (uint32_t)members[i].len);
		put_u32(b, (uint32_t)members[i].len);
		put_u16(b, 2);
		for (unsigned j = 0; j < 6; j++)
			put_u16(b, 0);
		put_u32(b, places[i]);
		buffer_put_u8(b, 'm');
		buffer_put_u8(b, (uint8_t)('0' + i));
	}
	put_u32(b, 0x06054b50);
	put_u32(b, 0);
	put_u16(b, (unsigned)n);
	put_u16(b, (unsigned)n);
	put_u32(b, (uint32_t)b->len - start);
	put_u32(b, start);
	put_u16(b, 0);
}

/* Three programs and a text, old or new. */
static struct buffer made_archive(const char *program, unsigned seed, bool zip)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden(program);
	struct random r = {seed};
	AUTO_DONE(buffer) struct buffer text = random_bytes(&r, 6000);
	struct buffer b = buffer_of(1U << 20);
	struct buffer members[] = {elf, text, elf, elf};

	/* the text is the same on both sides but for its end */
	memset(text.data + 5000, (int)seed, 1000);
	if (zip) {
		put_zip(&b, members, 4, 0);
		return b;
	}
	buffer_put(&b, "!<arch>\n", 8);
	put_ar_member(&b, "one.so/", elf.data, elf.len);
	put_ar_member(&b, "text/", text.data, text.len);
	put_ar_member(&b, "two.so/", elf.data, elf.len);
	put_ar_member(&b, "three.so/", elf.data, elf.len);
	return b;
}

static void encode_files(const struct delta_set *set, struct buffer *out,
			 struct delta_file_stats *stats)
{
	const struct delta_encode_options options = {.stats = stats};
	struct error e = {0};

	if (delta_encode(set, &options, out, &e) < 0)
		fail_msg("%s", e.text);
}

static void check_made(const struct buffer *olds, size_t n, const struct buffer *delta,
		       const struct buffer *want)
{
	AUTO_DONE(device) struct device d = device_of(olds, n, delta);
	struct error e = {0};

	if (device_decode(&d, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.made.len, want->len);
	assert_memory_equal(d.made.data, want->data, want->len);
}

static void check_archive(bool zip)
{
	AUTO_DONE(buffer) struct buffer old = made_archive("old.elf", 1, zip);
	AUTO_DONE(buffer) struct buffer new = made_archive("new.elf", 1, zip);
	AUTO_DONE(buffer) struct buffer delta = buffer_of(1U << 20);
	const struct delta_input reference = {"", old.data, old.len};
	const struct delta_input_file file = {.data = new.data, .len = new.len, .n_references = 1};
	const struct delta_set set = {.references = &reference, .n_references = 1, .files = &file,
				      .n_files = 1, .meta = (const uint8_t *)""};
	struct delta_file_stats stats = {0};

	encode_files(&set, &delta, &stats);
	check_made(&old, 1, &delta, &new);
	/* each program is seen as one */
	assert_int_equal(stats.n_parts, 5);
	assert_false(stats.is_plain);
	assert_true(stats.body.fields[FIELD_BRANCH] >= 3 * 10);
	assert_int_equal(stats.body.missed[FIELD_BRANCH], 0);
	assert_in_range(delta.len, 100, 500);
}

static void test_part_programs_in_ar(void **state)
{
	(void)state;
	check_archive(false);
}

static void test_part_programs_in_zip(void **state)
{
	(void)state;
	check_archive(true);
}

static void test_member_lists(void **state)
{
	AUTO_DONE(buffer) struct buffer ar = made_archive("old.elf", 1, false);
	AUTO_DONE(buffer) struct buffer zip = made_archive("old.elf", 1, true);
	AUTO_DONE(buffer) struct buffer deflated = buffer_of(1U << 20);
	struct buffer two[2] = {{.data = (uint8_t *)(uintptr_t)"abc", .len = 3},
				{.data = (uint8_t *)(uintptr_t)"defg", .len = 4}};
	struct member *list;
	size_t n;

	(void)state;
	assert_int_equal(member_find(ar.data, ar.len, &list, &n), 0);
	assert_int_equal(n, 4);
	assert_memory_equal(list[1].name, "text/", 5);
	assert_int_equal(list[1].len, 6000);
	assert_memory_equal(ar.data + list[3].at, "\177ELF", 4);
	free(list);
	assert_int_equal(member_find(zip.data, zip.len, &list, &n), 0);
	assert_int_equal(n, 4);
	assert_memory_equal(list[3].name, "m3", 2);
	assert_int_equal(list[3].name_len, 2);
	assert_memory_equal(zip.data + list[3].at, "\177ELF", 4);
	free(list);
	put_zip(&deflated, two, 2, 8);
	assert_int_equal(member_find(deflated.data, deflated.len, &list, &n), 0);
	assert_int_equal(n, 1);
	free(list);
}

/* Archives that are cut or lie: members lie inside, in order, and share no byte. */
static void check_members(const uint8_t *data, size_t len)
{
	AUTO_FREE uint8_t *copy = malloc(len + 1);
	struct member *list;
	size_t n, end = 0;

	assert_non_null(copy);
	memcpy(copy, data, len);
	assert_int_equal(member_find(copy, len, &list, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(list[i].at >= end);
		assert_true(list[i].at <= len && list[i].len <= len - list[i].at);
		assert_true(list[i].name >= copy && list[i].name + list[i].name_len <= copy + len);
		end = list[i].at + list[i].len;
	}
	free(list);
}

static void test_member_damaged_archives(void **state)
{
	struct buffer members[2] = {{.data = (uint8_t *)(uintptr_t)"first member", .len = 12},
				    {.data = (uint8_t *)(uintptr_t)"second", .len = 6}};
	struct buffer archives[2] = {buffer_of(1U << 16), buffer_of(1U << 16)};

	(void)state;
	put_zip(&archives[0], members, 2, 0);
	buffer_put(&archives[1], "!<arch>\n", 8);
	put_ar_member(&archives[1], "first/", members[0].data, members[0].len);
	put_ar_member(&archives[1], "second/", members[1].data, members[1].len);
	for (unsigned a = 0; a < 2; a++) {
		struct buffer *b = &archives[a];

		for (size_t len = 0; len <= b->len; len++)
			check_members(b->data, len);
		for (size_t bit = 0; bit < 8 * b->len; bit++) {
			b->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
			check_members(b->data, b->len);
			b->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		buffer_done(b);
	}
}

/* New files without an old one: the second is made from the first. */
static void test_part_earlier_file(void **state)
{
	struct random r = {5};
	AUTO_DONE(buffer) struct buffer first = random_bytes(&r, 20000);
	AUTO_DONE(buffer) struct buffer second = random_edits(&r, &first, 2);
	AUTO_DONE(buffer) struct buffer all = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer delta = buffer_of(1U << 20);
	const struct delta_input_file files[] = {
		{.data = first.data, .len = first.len},
		{.data = second.data, .len = second.len, .has_earlier = true, .earlier = 0}};
	const struct delta_set set = {.files = files, .n_files = 2, .meta = (const uint8_t *)""};
	struct delta_file_stats stats[2];

	(void)state;
	buffer_put(&all, first.data, first.len);
	buffer_put(&all, second.data, second.len);
	encode_files(&set, &delta, stats);
	check_made(NULL, 0, &delta, &all);
	assert_in_range(delta.len, first.len, first.len + 1200);
	assert_int_equal(stats[1].n_parts, 1);
}

/* Repeats are found in a file that came before; the memory moves on below them. */
static void test_part_repeats_of_earlier_files(void **state)
{
	struct random r = {7};
	AUTO_DONE(buffer) struct buffer piece = random_bytes(&r, 3000);
	AUTO_DONE(buffer) struct buffer wide = random_bytes(&r, 2 * WINDOW_KEPT_BYTES + 4096);
	AUTO_DONE(buffer) struct buffer delta = buffer_of(8U << 20);
	AUTO_DONE(buffer) struct buffer all = buffer_of(8U << 20);
	const struct delta_input reference = {"", wide.data, wide.len};
	const struct delta_input_file files[] = {
		{.data = piece.data, .len = piece.len},
		{.data = piece.data, .len = piece.len},
		{.data = wide.data, .len = wide.len, .n_references = 1},
		{.data = piece.data, .len = piece.len}};
	const struct delta_set set = {.references = &reference, .n_references = 1, .files = files,
				      .n_files = 4, .meta = (const uint8_t *)""};
	struct delta_file_stats stats[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		buffer_put(&all, files[i].data, files[i].len);
	encode_files(&set, &delta, stats);
	check_made(&wide, 1, &delta, &all);
	assert_in_range(stats[0].bytes, 2900, 3200);
	assert_in_range(stats[1].bytes, 1, 400);
	assert_in_range(stats[2].bytes, 1, 100);
}

static void test_window_moves(void **state)
{
	struct window w;
	uint64_t made = 0, before = 0;

	(void)state;
	assert_int_equal(window_init(&w, 300000, UINT64_C(1) << 30), 0);
	for (unsigned i = 0; i < 200; i++) {
		size_t len = 1 + i * 7919 % 300000;
		uint8_t *at = window_begin(&w, len);

		assert_int_equal(window_reach(&w), made < WINDOW_KEPT_BYTES ? made : WINDOW_KEPT_BYTES);
		if (before)
			assert_int_equal(elf_u64(at - 8), before);
		memset(at, 0, len);
		before = len >= 8 ? i + 1 : 0;
		if (len >= 8)
			elf_put_u64(at + len - 8, before);
		made += len;
	}
	window_done(&w);
	/* never more than all files together */
	assert_int_equal(window_bytes(10, 10), 10);
	assert_int_equal(window_bytes(10, 1U << 30), 10 + 2 * WINDOW_KEPT_BYTES);
}

/* What a part may say of itself, as a hostile encoder would. */
static int part_told(bool divided, struct part part, size_t old_len, size_t reach)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(1U << 16);
	struct part_place place = part_place_of(100000, old_len, reach);
	struct part_models m;
	struct coder c;

	part_models_init(&m);
	coder_init_encode(&c, &out);
	(void)part_code_divided(&m, &c, divided);
	return part_code(&m, &c, divided, &place, &part);
}

static void test_part_bounds(void **state)
{
	static const struct {
		struct part part;
		int result;
	} cases[] = {
		{{100000, PART_SOURCE_OLD, 0, 5000}, 0},
		{{100000, PART_SOURCE_OLD, 1, 5000}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_OLD, 4999, 1}, 0},
		{{100000, PART_SOURCE_OLD, 5000, 1}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_OLD, 10, 0}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_OLD, SIZE_MAX - 10, 20}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_OLD, 20, SIZE_MAX - 10}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_NONE, 0, 0}, 0},
		{{100001, PART_SOURCE_NONE, 0, 0}, -BSI_E_FORMAT},
		{{0, PART_SOURCE_NONE, 0, 0}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_MADE, 300, 300}, 0},
		{{100000, PART_SOURCE_MADE, 301, 300}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_MADE, 200, 201}, -BSI_E_FORMAT},
		{{100000, PART_SOURCE_MADE, 0, 1}, -BSI_E_FORMAT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (part_told(true, cases[i].part, 5000, 300) != cases[i].result)
			fail_msg("case %zu", i);
	assert_int_equal(part_told(false, (struct part){0}, 5000, 300), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_part_programs_in_ar),
		cmocka_unit_test(test_part_programs_in_zip),
		cmocka_unit_test(test_member_lists),
		cmocka_unit_test(test_member_damaged_archives),
		cmocka_unit_test(test_part_earlier_file),
		cmocka_unit_test(test_part_repeats_of_earlier_files),
		cmocka_unit_test(test_window_moves),
		cmocka_unit_test(test_part_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
