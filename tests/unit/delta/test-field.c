/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scan of old files, and what is derived of new ones. */
#include "fixture.h"

#include "base/compiler.h"
#include "delta/derive.h"
#include "delta/field.h"
#include "delta/object.h"
#include "delta/reference.h"

/* The switch statement of old.elf has seven cases; its calls and jumps that are four bytes long. */
#define GOLDEN_TABLE_ENTRIES 6
#define GOLDEN_BRANCHES 12
/* rich-old.elf: entries of .hash that are not 0, names in .gnu.version_d, entries of .relr.dyn */
#define RICH_SYMBOLS 31
#define RICH_VERSION_NAMES 4
#define RICH_PACKED 3
/* types in the tables of catch clauses, and functions with such tables */
#define RICH_TYPES 6
#define RICH_AREAS 5
/* i386-old.elf: calls and jumps of four bytes; displacements from the GOT; functions that fetch it */
#define I386_BRANCHES 12
#define I386_GOTOFFS 21
#define I386_GOTS 4
#define I386_GOT 0x162c
#define I386_SYMBOLS 7
/* object-old.elf: relocations, and those of them that name a section */
#define OBJECT_RELOCATIONS 36
#define OBJECT_OF_SECTIONS 24
/* object64-old.elf: relocations that name a section, and those of code */
#define OBJECT64_OF_SECTIONS 25
#define OBJECT64_OF_CODE 6

static size_t count_fields(const struct field_map *m, enum field_kind kind)
{
	size_t n = 0;

	for (size_t at = 0; (at = field_next(m, at, m->len)) < m->len; at++)
		n += field_at(m, at) == kind;
	return n;
}

/* Counted in the listing of objdump -d. */
static void test_scan_finds_the_references_of_a_program(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	AUTO(field_map) struct field_map *m = NULL;

	(void)state;
	assert_int_equal(field_map_new(elf.data, elf.len, &m), 0);
	assert_int_equal(m->elf.machine, ELF_MACHINE_X86_64);
	assert_int_equal(count_fields(m, FIELD_TABLE_START), 1);
	assert_int_equal(count_fields(m, FIELD_TABLE), GOLDEN_TABLE_ENTRIES);
	assert_int_equal(count_fields(m, FIELD_BRANCH), GOLDEN_BRANCHES);
	assert_int_equal(count_fields(m, FIELD_SITE), 0);
}

static size_t count_in(const struct field_map *m, enum elf_section_kind section,
		       enum field_kind kind)
{
	const struct elf_section *s = elf_find(&m->elf, section);
	size_t n = 0;

	assert_non_null(s);
	for (size_t at = (size_t)s->offset; at < s->offset + s->bytes; at++)
		n += field_at(m, at) == kind;
	return n;
}

/* Counted in what readelf shows of hashes, versions, relocations and .gcc_except_table. */
static void test_scan_finds_the_tables_of_a_library(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("rich-old.elf");
	AUTO(field_map) struct field_map *m = NULL;
	struct field_site site;
	size_t at;

	(void)state;
	assert_int_equal(field_map_new(elf.data, elf.len, &m), 0);
	assert_int_equal(count_in(m, ELF_SECTION_HASH, FIELD_SYMBOL32), RICH_SYMBOLS);
	assert_int_equal(count_in(m, ELF_SECTION_VERSIONS_MADE, FIELD_SPECIAL32), RICH_VERSION_NAMES);
	assert_int_equal(count_in(m, ELF_SECTION_RELR, FIELD_SPECIAL64), RICH_PACKED);
	assert_int_equal(count_in(m, ELF_SECTION_POINTERS, FIELD_ADDR64), 2);
	assert_int_equal(count_in(m, ELF_SECTION_EXCEPT_TABLE, FIELD_PCREL32), RICH_TYPES);
	assert_int_equal(m->n_areas, RICH_AREAS);
	/* every number of a call site is found again from each of its bytes */
	at = (size_t)elf_find(&m->elf, ELF_SECTION_EXCEPT_TABLE)->offset;
	for (; at < elf.len; at++) {
		if (field_at(m, at) != FIELD_SITE)
			continue;
		assert_true(field_site_at(m, at, &site));
		assert_in_range(at, site.at, site.end - 1);
		assert_int_equal(site.to - site.from, site.value);
	}
}

/* Counted in the listings of objdump -d and readelf. */
static void test_scan_knows_32_bits(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("i386-old.elf");
	AUTO(field_map) struct field_map *m = NULL;

	(void)state;
	assert_int_equal(field_map_new(elf.data, elf.len, &m), 0);
	assert_int_equal(m->elf.machine, ELF_MACHINE_I386);
	assert_int_equal(m->got, I386_GOT);
	assert_int_equal(count_fields(m, FIELD_BRANCH), I386_BRANCHES);
	assert_int_equal(count_fields(m, FIELD_I386_GOTOFF), I386_GOTOFFS);
	assert_int_equal(count_fields(m, FIELD_I386_GOT), I386_GOTS);
	assert_int_equal(count_fields(m, FIELD_TABLE_START), 1);
	assert_int_equal(count_fields(m, FIELD_TABLE), GOLDEN_TABLE_ENTRIES);
	assert_int_equal(count_in(m, ELF_SECTION_DYNSYM, FIELD_SPECIAL32), I386_SYMBOLS);
	assert_int_equal(count_fields(m, FIELD_ADDR64), 0);
	assert_int_equal(count_fields(m, FIELD_SPECIAL64), 0);
}

/* Two switch statements: seven cases by bytes, five by halfwords, in the listing of llvm-objdump. */
static void test_scan_knows_jump_tables_of_aarch64(void **state)
{
	static const unsigned bytes[] = {0x2ac, 0x2b4, 0x2bc, 0x2c0, 0x2c8, 0x2d4, 0x2dc};
	static const unsigned halves[] = {0x30c, 0x314, 0x54c, 0x5f4, 0x30c};
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("arm-old.elf");
	AUTO(field_map) struct field_map *m = NULL;
	size_t n[2] = {0};

	(void)state;
	assert_int_equal(field_map_new(elf.data, elf.len, &m), 0);
	assert_int_equal(m->n_tables, 2);
	for (size_t at = 0; (at = field_next(m, at, elf.len)) < elf.len; at++) {
		enum field_kind kind = field_at(m, at);
		bool is_byte = kind == FIELD_A64_ENTRY8;
		uint64_t target;

		if (!field_is_entry(m, kind))
			continue;
		assert_true(reference_target(m, at, kind, &target));
		assert_in_range(n[is_byte], 0, is_byte ? ARRAY_SIZE(bytes) - 1 : ARRAY_SIZE(halves) - 1);
		assert_int_equal(target, is_byte ? bytes[n[1]] : halves[n[0]]);
		n[is_byte]++;
	}
	assert_int_equal(n[1], ARRAY_SIZE(bytes));
	assert_int_equal(n[0], ARRAY_SIZE(halves));
}

static void test_scan_knows_objects(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("object-old.elf");
	AUTO(field_map) struct field_map *m = NULL;
	size_t n = 0, n_of_sections = 0;

	(void)state;
	assert_int_equal(field_map_new(elf.data, elf.len, &m), 0);
	assert_true(m->elf.is_object);
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		const struct elf_section *s = &m->elf.sections[i];

		if (s->kind != ELF_SECTION_RELA)
			continue;
		for (size_t at = (size_t)s->offset; at < s->offset + s->bytes; at += 8) {
			struct object_base base;
			size_t place;

			n++;
			assert_true(object_place(m, s, at, &place));
			if (field_at(m, place) == FIELD_NONE)
				continue;
			n_of_sections++;
			assert_int_equal(field_at(m, place), FIELD_ADDR32);
			assert_true(object_base_of(m, place, &base));
			assert_true(elf_u32(m->data + place) <= m->elf.sections[base.section].bytes);
		}
	}
	assert_int_equal(n, OBJECT_RELOCATIONS);
	assert_int_equal(n_of_sections, OBJECT_OF_SECTIONS);
}

/* Of x86-64: what is added stands in the table. Counted in what readelf shows. */
static void test_scan_knows_objects_of_64_bits(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("object64-old.elf");
	AUTO(field_map) struct field_map *m = NULL;
	size_t n = 0, n_of_code = 0;

	(void)state;
	assert_int_equal(field_map_new(elf.data, elf.len, &m), 0);
	assert_true(m->elf.is_object);
	for (unsigned i = 0; i < m->elf.n_sections; i++) {
		const struct elf_section *s = &m->elf.sections[i];

		if (s->kind != ELF_SECTION_RELA)
			continue;
		for (size_t at = (size_t)s->offset; at < s->offset + s->bytes; at += 24) {
			struct object_base base;

			assert_int_equal(field_at(m, at), FIELD_ADDR64);
			if (field_at(m, at + 16) == FIELD_NONE)
				continue;
			n++;
			assert_true(object_base_of(m, at + 16, &base));
			assert_true(elf_u64(m->data + at + 16) + base.more <=
				    m->elf.sections[base.section].bytes);
			/* in code distances are from the instruction's end */
			assert_int_equal(base.more, strcmp(s->name, ".rela.text") == 0 ? 4 : 0);
			n_of_code += base.more == 4;
		}
	}
	assert_int_equal(n, OBJECT64_OF_SECTIONS);
	assert_int_equal(n_of_code, OBJECT64_OF_CODE);
}

/* A hostile object: whatever a table, a link or a symbol says, nothing outside is looked at. */
static void test_scan_takes_any_object(void **state)
{
	AUTO_DONE(buffer) struct buffer small = fixture_golden("object-old.elf");
	AUTO_DONE(buffer) struct buffer large = fixture_golden("object64-old.elf");
	struct random r = {19};

	(void)state;
	for (unsigned i = 0; i < 8000; i++) {
		struct buffer elf = i % 3 ? small : large;
		size_t len = i % 4 ? elf.len : (size_t)random_below(&r, elf.len);
		uint8_t *copy = malloc(len + 1);
		AUTO(field_map) struct field_map *m = NULL;

		assert_non_null(copy);
		memcpy(copy, elf.data, len);
		for (unsigned k = 0; k < 1 + i % 5 && len > 1200; k++)
			copy[i % 2 ? len - 1 - random_below(&r, 900) : 468 + random_below(&r, len - 468)] =
				(uint8_t)random_next(&r);
		assert_int_equal(field_map_new(copy, len, &m), 0);
		for (size_t at = 0; (at = field_next(m, at, len)) < len; at++) {
			struct object_base base;

			assert_true(field_width(m, field_at(m, at)) <= len - at);
			if (m->elf.is_object && object_base_of(m, at, &base))
				assert_true(base.section < m->elf.n_sections);
		}
		free(copy);
	}
}

static void test_scan_takes_anything(void **state)
{
	AUTO_DONE(buffer) struct buffer plain = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer rich = fixture_golden("rich-old.elf");
	AUTO_DONE(buffer) struct buffer small = fixture_golden("i386-old.elf");
	AUTO_DONE(buffer) struct buffer arm = fixture_golden("arm-old.elf");
	struct random r = {17};

	(void)state;
	for (unsigned i = 0; i < 8000; i++) {
		struct buffer elf = i % 5 == 2 ? small : i % 5 == 4 ? arm : i % 2 ? rich : plain;
		size_t len = i % 4 ? elf.len : (size_t)random_below(&r, elf.len);
		uint8_t *copy = malloc(len + 1); /* the sanitizer watches its end */
		AUTO(field_map) struct field_map *m = NULL;

		assert_non_null(copy);
		memcpy(copy, elf.data, len);
		/* headers, section headers, or anywhere; and as AArch64 too */
		for (unsigned k = 0; k < 1 + i % 5 && len > 64; k++) {
			size_t room = k & 1 ? 1024 : len, from = i % 3 && len > 2200 ? len - 2200 : 0;

			copy[(from + random_below(&r, room)) % len] = (uint8_t)random_next(&r);
		}
		if (i % 3 == 0 && len > 20)
			copy[18] = 183;
		assert_int_equal(field_map_new(copy, len, &m), 0);
		for (size_t at = 0; (at = field_next(m, at, len)) < len; at++) {
			struct field_site site;

			assert_true(field_width(m, field_at(m, at)) <= len - at);
			if (field_at(m, at) == FIELD_SITE && field_site_at(m, at, &site))
				assert_in_range(at, site.at, site.end - 1);
			if (field_is_entry(m, field_at(m, at)))
				assert_true(field_entry_base(m, at, &(uint64_t){0}));
		}
		free(copy);
	}
}

static void test_derive_makes_what_was_there(void **state)
{
	static const char *const names[] = {"old.elf", "new.elf", "i386-old.elf", "i386-new.elf"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO_DONE(buffer) struct buffer elf = fixture_golden(names[i]);
		AUTO_DONE(buffer) struct buffer copy = buffer_of(1U << 20);
		struct derive_range ranges[DERIVE_RANGES_MAX];
		unsigned n = derive_ranges(elf.data, elf.len, ranges);

		buffer_put(&copy, elf.data, elf.len);
		assert_int_equal(n, 2); /* .gnu.hash and .eh_frame_hdr */
		for (unsigned k = 0; k < n; k++) {
			memset(copy.data + ranges[k].at, 0xee, ranges[k].len);
			assert_int_equal(derive_fill(copy.data, copy.len, &ranges[k]), 0);
			assert_memory_equal(copy.data, elf.data, elf.len);
		}
	}
}

static void test_derive_refuses_other_ranges(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	struct derive_range ranges[DERIVE_RANGES_MAX];
	unsigned n = derive_ranges(elf.data, elf.len, ranges);

	(void)state;
	assert_true(n > 0);
	ranges[0].len--;
	assert_int_equal(derive_fill(elf.data, elf.len, &ranges[0]), -BSI_E_FORMAT);
	elf.data[0] = 0;
	assert_int_equal(derive_fill(elf.data, elf.len, &ranges[0]), -BSI_E_FORMAT);
}

static void test_derive_takes_anything(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("new.elf");
	struct random r = {19};

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		uint8_t *copy = malloc(elf.len);
		struct derive_range ranges[DERIVE_RANGES_MAX];
		unsigned n;

		assert_non_null(copy);
		memcpy(copy, elf.data, elf.len);
		for (unsigned k = 0; k < 1 + i % 4; k++)
			copy[64 + random_below(&r, elf.len - 64)] = (uint8_t)random_next(&r);
		n = derive_ranges(copy, elf.len, ranges);
		for (unsigned k = 0; k < n; k++)
			assert_true(derive_fill(copy, elf.len, &ranges[k]) <= 0);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_finds_the_references_of_a_program),
		cmocka_unit_test(test_scan_finds_the_tables_of_a_library),
		cmocka_unit_test(test_scan_knows_32_bits),
		cmocka_unit_test(test_scan_knows_jump_tables_of_aarch64),
		cmocka_unit_test(test_scan_knows_objects),
		cmocka_unit_test(test_scan_knows_objects_of_64_bits),
		cmocka_unit_test(test_scan_takes_any_object),
		cmocka_unit_test(test_scan_takes_anything),
		cmocka_unit_test(test_derive_makes_what_was_there),
		cmocka_unit_test(test_derive_refuses_other_ranges),
		cmocka_unit_test(test_derive_takes_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
