/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Go programs know about themselves, in a program of three functions and one type. */
#include "fixture.h"

#include "base/compiler.h"
#include "delta/derive.h"
#include "delta/encode.h"
#include "delta/field.h"

#define BASE UINT64_C(0x400000)
#define TEXT 0x100U
#define TEXT_BYTES 0x400U
/* behind the code, which is longer by what was put in */
#define TYPES 0x400U
#define TYPES_BYTES 0x200U
#define LINKS 0x600U
#define DATA 0x610U
#define BUCKETS 0x650U
#define TABLE 0x700U
#define RECORD 0xa00U
#define NAMES 0xc00U
#define SECTIONS 0xd00U
#define PROGRAM_BYTES 0x1000U
#define GAP_BYTES 0x20U
#define GAP_BYTES_MAX 0x40U

#define FUNCTIONS 0x70U
#define FIRST_FUNCTION 0x20U
#define FUNCTION_BYTES 0x38U
#define N_FUNCTIONS 3U

static const char section_names[] = "\0.text\0.rodata\0.gopclntab\0.noptrdata\0.shstrtab";

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put_section(uint8_t *p, unsigned name, unsigned type, unsigned flags, uint64_t at,
			uint64_t bytes)
{
	elf_put_u32(p, name);
	elf_put_u32(p + 4, type);
	elf_put_u64(p + 8, flags);
	elf_put_u64(p + 16, BASE + at);
	elf_put_u64(p + 24, at);
	elf_put_u64(p + 32, bytes);
}

static void put_table(uint8_t *p, unsigned added)
{
	const uint32_t starts[N_FUNCTIONS + 1] = {0, 0x40, 0x200 + added, TEXT_BYTES + added};

	elf_put_u32(p, 0xfffffff0U);
	p[6] = 1;
	p[7] = 8;
	elf_put_u64(p + 8, N_FUNCTIONS);
	elf_put_u64(p + 24, BASE + TEXT);
	elf_put_u64(p + 32, 0x48); /* names */
	elf_put_u64(p + 40, 0x58); /* units: one */
	elf_put_u64(p + 48, 0x5c); /* files */
	elf_put_u64(p + 56, 0x60); /* values */
	elf_put_u64(p + 64, FUNCTIONS);
	memcpy(p + 0x49, "main\0other", 10);
	elf_put_u32(p + 0x58, 1);
	for (unsigned i = 0; i <= N_FUNCTIONS; i++) {
		uint8_t *f = p + FUNCTIONS + FIRST_FUNCTION + i * FUNCTION_BYTES;

		elf_put_u32(p + FUNCTIONS + 8 * i, starts[i]);
		if (i == N_FUNCTIONS)
			break;
		elf_put_u32(p + FUNCTIONS + 8 * i + 4, FIRST_FUNCTION + i * FUNCTION_BYTES);
		elf_put_u32(f, starts[i]);
		elf_put_u32(f + 4, 1 + 5 * (i & 1));
		for (unsigned k = 16; k < 28; k += 4)
			elf_put_u32(f + k, i + k);
		elf_put_u32(f + 28, 2); /* tables */
		f[39] = 2;              /* pieces of data: the second is none */
		elf_put_u32(f + 40, 3);
		elf_put_u32(f + 44, 4);
		elf_put_u32(f + 48, 8 * i + 8);
		elf_put_u32(f + 52, 0xffffffffU);
	}
}

/* A struct type with one method. */
static void put_type(uint8_t *p, uint64_t types, unsigned added)
{
	uint8_t *type = p + 16;

	elf_put_u64(type, 16);
	type[20] = 1;
	type[21] = type[22] = 8;
	type[23] = 25;
	elf_put_u64(type + 24, BASE + TEXT);
	elf_put_u64(type + 32, types);
	elf_put_u32(type + 40, 0x100);
	elf_put_u32(type + 80, 0x110);
	put16(type + 84, 1);
	elf_put_u32(type + 88, 16);
	elf_put_u32(type + 96, 0x120);
	elf_put_u32(type + 100, 16);
	elf_put_u32(type + 104, 0x40);
	elf_put_u32(type + 108, 0x200 + added);
}

static void put_record(uint8_t *p, uint64_t behind, unsigned added)
{
	uint64_t table = BASE + behind + TABLE;

	elf_put_u64(p, table);
	elf_put_u64(p + 8, table + 0x48);
	elf_put_u64(p + 8 * 13, table + FUNCTIONS);
	elf_put_u64(p + 8 * 19, BASE + behind + BUCKETS);
	elf_put_u64(p + 8 * 20, BASE + TEXT);
	elf_put_u64(p + 8 * 21, BASE + TEXT + TEXT_BYTES + added);
	elf_put_u64(p + 8 * 22, BASE + TEXT);
	elf_put_u64(p + 8 * 35, BASE + behind + TYPES);
	elf_put_u64(p + 8 * 36, BASE + behind + TYPES + TYPES_BYTES);
	elf_put_u64(p + 8 * 38, BASE + behind + DATA);
	elf_put_u64(p + 8 * 42, BASE + behind + LINKS);
	elf_put_u64(p + 8 * 43, 1);
}

/*
 * added: bytes of code that are put into the second function; gap: zeros behind the code, of which
 * the end of the file has the rest.
 */
static struct buffer program_apart(unsigned added, unsigned gap)
{
	static const uint8_t head[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	struct buffer b = buffer_of(1U << 20);
	size_t len = PROGRAM_BYTES + added + GAP_BYTES_MAX, behind = TEXT + added + gap;
	size_t end = TEXT + added + GAP_BYTES_MAX;
	struct random r = {61};
	uint8_t *p;

	assert_true(buffer_grow(&b, len));
	p = b.data;
	memset(p, 0, len);
	memcpy(p, head, sizeof(head));
	put16(p + 16, 2);
	put16(p + 18, 62);
	elf_put_u64(p + 32, 64);
	elf_put_u64(p + 40, end + SECTIONS);
	put16(p + 54, 56);
	put16(p + 56, 1);
	put16(p + 58, 64);
	put16(p + 60, 6);
	put16(p + 62, 5);
	elf_put_u32(p + 64, 1);
	elf_put_u32(p + 68, 7);
	elf_put_u64(p + 80, BASE);
	elf_put_u64(p + 96, end + NAMES);
	elf_put_u64(p + 104, end + NAMES);
	for (unsigned i = 0; i < TEXT_BYTES + added; i++)
		p[TEXT + i] = 0x90;
	for (unsigned i = 0; i < TEXT_BYTES; i += 0x10)
		p[TEXT + i + (i >= 0x80 ? added : 0)] = (uint8_t)(0x50 + random_below(&r, 16));
	put_type(p + behind + TYPES, BASE + behind + TYPES, added);
	elf_put_u32(p + behind + LINKS, 16);
	put_table(p + behind + TABLE, added);
	put_record(p + behind + RECORD, behind, added);
	memcpy(p + end + NAMES, section_names, sizeof(section_names));
	p += end + SECTIONS;
	put_section(p + 64, 1, 1, 6, TEXT, TEXT_BYTES + added);
	put_section(p + 128, 7, 1, 2, behind + TYPES, TABLE - TYPES);
	put_section(p + 192, 15, 1, 2, behind + TABLE, RECORD - TABLE);
	put_section(p + 256, 26, 1, 3, behind + RECORD, NAMES - RECORD);
	put_section(p + 320, 37, 3, 0, end + NAMES, sizeof(section_names));
	return b;
}

static struct buffer program(unsigned added)
{
	return program_apart(added, 0);
}

static size_t count_fields(const struct field_map *m, size_t from, size_t to, enum field_kind kind)
{
	size_t n = 0;

	for (size_t at = from; at < to; at++)
		n += field_at(m, at) == kind;
	return n;
}

static void test_go_finds_the_fields(void **state)
{
	AUTO_DONE(buffer) struct buffer b = program(0);
	AUTO(field_map) struct field_map *m = NULL;
	size_t functions = TEXT + TABLE + FUNCTIONS, function = functions + FIRST_FUNCTION;
	uint64_t base;

	(void)state;
	assert_int_equal(field_map_new(b.data, b.len, &m), 0);
	assert_true(m->go.is_known);
	/* starts of functions twice, the end of code, two places of a method */
	assert_int_equal(count_fields(m, 0, b.len, FIELD_TEXT32), 2 * N_FUNCTIONS + 1 + 2);
	/* places of records; of each: name, three tables, two more, one piece of data; one file */
	assert_int_equal(count_fields(m, functions - 0x20, b.len, FIELD_SPECIAL32),
			 N_FUNCTIONS * (1 + 1 + 3 + 2 + 1) + 1);
	/* name, package, method's name and type; one link */
	assert_int_equal(count_fields(m, TEXT + TYPES, TEXT + TABLE, FIELD_SPECIAL32), 4 + 1);
	assert_true(go_base(m, functions + 4, &base));
	assert_int_equal(base, BASE + functions);
	assert_true(go_base(m, function + FUNCTION_BYTES + 4, &base));
	assert_int_equal(base, BASE + TEXT + TABLE + 0x48);
	assert_true(go_base(m, function + 44, &base));
	assert_int_equal(base, BASE + TEXT + TABLE + 0x60);
	assert_true(go_base(m, function + 48, &base));
	assert_int_equal(base, BASE + TEXT + DATA);
	assert_true(go_base(m, function, &base));
	assert_int_equal(base, BASE + TEXT);
}

static void test_go_makes_the_buckets(void **state)
{
	static const uint8_t want[] = {0, 0, 0, 0, 0, 1, 2, 2};
	AUTO_DONE(buffer) struct buffer b = program(0);
	struct derive_range ranges[DERIVE_RANGES_MAX];

	(void)state;
	assert_int_equal(derive_ranges(b.data, b.len, ranges), 1);
	assert_int_equal(ranges[0].at, TEXT + BUCKETS);
	assert_int_equal(ranges[0].len, sizeof(want));
	memset(b.data + ranges[0].at, 0xee, ranges[0].len);
	assert_int_equal(derive_fill(b.data, b.len, &ranges[0]), 0);
	assert_memory_equal(b.data + ranges[0].at, want, sizeof(want));
}

static void check(const uint8_t *data, size_t len)
{
	AUTO(field_map) struct field_map *m = NULL;
	struct derive_range ranges[DERIVE_RANGES_MAX];
	unsigned n;
	uint8_t *copy = malloc(len + 1); /* the sanitizer watches its end */

	assert_non_null(copy);
	memcpy(copy, data, len);
	assert_int_equal(field_map_new(copy, len, &m), 0);
	for (size_t at = 0; (at = field_next(m, at, len)) < len; at++) {
		uint64_t base;

		assert_true(field_width(m, field_at(m, at)) <= len - at);
		(void)go_base(m, at, &base);
	}
	n = derive_ranges(copy, len, ranges);
	for (unsigned i = 0; i < n; i++)
		assert_true(derive_fill(copy, len, &ranges[i]) <= 0);
	free(copy);
}

static void test_go_takes_anything(void **state)
{
	AUTO_DONE(buffer) struct buffer b = program(0);
	struct random r = {67};

	(void)state;
	for (size_t len = 0; len < b.len; len++)
		check(b.data, len);
	for (size_t bit = 8 * (TEXT + TYPES); bit < 8 * (TEXT + NAMES); bit++) {
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		check(b.data, b.len);
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (unsigned i = 0; i < 2000; i++) {
		AUTO_DONE(buffer) struct buffer bad = program(0);

		/* large numbers are what breaks bounds */
		for (unsigned k = 0; k < 1 + i % 4; k++)
			bad.data[TEXT + TYPES + random_below(&r, NAMES - TYPES)] =
				(uint8_t)(random_next(&r) | 0x80);
		check(bad.data, bad.len);
	}
}

/* All that names a place of code or types moves with it. */
static void test_go_moves(void **state)
{
	AUTO_DONE(buffer) struct buffer old = program(0);
	AUTO_DONE(buffer) struct buffer new = program(32);
	AUTO_DONE(buffer) struct buffer delta = buffer_of(1U << 20);
	AUTO_DONE(device) struct device d = {0};
	const struct delta_input reference = {"", old.data, old.len};
	const struct delta_input_file file = {new.data, new.len, 1, {0}};
	const struct delta_set set = {.references = &reference, .n_references = 1, .files = &file,
				      .n_files = 1, .meta = (const uint8_t *)""};
	struct delta_file_stats stats = {0};
	struct delta_encode_options options = {.stats = &stats};
	struct error e = {0};

	(void)state;
	if (delta_encode(&set, &options, &delta, &e) < 0)
		fail_msg("%s", e.text);
	d = device_of(&old, 1, &delta);
	if (device_decode(&d, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.made.len, new.len);
	assert_memory_equal(d.made.data, new.data, new.len);
	assert_int_equal(stats.body.fields[FIELD_TEXT32], 2 * N_FUNCTIONS + 1 + 2);
	assert_int_equal(stats.body.missed[FIELD_TEXT32], 0);
}

/* Other tests, and tools/golden, take these programs from files. */
static void test_go_is_what_the_files_hold(void **state)
{
	static const struct {
		const char *name;
		unsigned added, gap;
	} files[] = {{"go-old.elf", 0, GAP_BYTES}, {"go-new.elf", 32, GAP_BYTES},
	       {"go-moved.elf", 0, GAP_BYTES_MAX}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		AUTO_DONE(buffer) struct buffer want = program_apart(files[i].added, files[i].gap);
		AUTO_DONE(buffer) struct buffer file = fixture_golden(files[i].name);

		assert_int_equal(file.len, want.len);
		assert_memory_equal(file.data, want.data, want.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_go_finds_the_fields),
		cmocka_unit_test(test_go_makes_the_buckets),
		cmocka_unit_test(test_go_takes_anything),
		cmocka_unit_test(test_go_moves),
		cmocka_unit_test(test_go_is_what_the_files_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
