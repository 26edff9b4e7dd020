/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include "base/compiler.h"
#include "delta/elf.h"
#include "delta/equivalent.h"

static bool check(const struct buffer *a, const struct buffer *b, struct difference *d)
{
	bool equal = true;

	assert_int_equal(equivalent_check(a->data, a->len, b->data, b->len, &equal, d), 0);
	return equal;
}

static const struct elf_section *section_named(const struct elf *e, const char *name)
{
	for (unsigned i = 0; i < e->n_sections; i++)
		if (strcmp(e->sections[i].name, name) == 0)
			return &e->sections[i];
	fail_msg("no section %s", name);
	return NULL;
}

static void test_equivalent_sets_aside_what_is_not_loaded(void **state)
{
	static const struct {
		const char *section;
		uint64_t offset;
		bool is_equal;
	} cases[] = {
		{".note.gnu.build-id", 20, true},
		{".comment", 3, true},
		/* a name says what the section is */
		{".shstrtab", 1, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
		AUTO_DONE(buffer) struct buffer new = fixture_golden("old.elf");
		struct difference d;
		struct elf e;

		assert_true(check(&old, &new, &d));
		assert_true(elf_parse(&e, new.data, new.len));
		new.data[section_named(&e, cases[i].section)->offset + cases[i].offset] ^= 0x01;
		assert_int_equal(check(&old, &new, &d), cases[i].is_equal);
	}
}

/* One of each kind of thing that makes a program another program. */
static void test_equivalent_finds_every_mutation(void **state)
{
	static const struct {
		const char *what, *section;
		uint64_t offset;
	} cases[] = {
		{"an instruction", ".text", 0x10}, {"a constant", ".data", 0},
		{"a string", ".rodata", 5},        {"an export", ".dynsym", 24 + 4},
		{"an init_array entry", ".init_array", 0}, {"a relocation", ".rela.dyn", 0},
		{"a relocation's addend", ".rela.dyn", 16}, {"a PLT slot's symbol", ".rela.plt", 12},
		{"a flag of .dynamic", ".dynamic", 8},      {"a frame", ".eh_frame", 17},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
		AUTO_DONE(buffer) struct buffer new = fixture_golden("old.elf");
		const struct elf_section *s;
		struct difference d;
		struct elf e;

		assert_true(elf_parse(&e, new.data, new.len));
		s = section_named(&e, cases[i].section);
		new.data[s->offset + cases[i].offset] ^= 0x08;
		if (check(&old, &new, &d))
			fail_msg("%s was not found", cases[i].what);
		assert_non_null(d.what);
	}
}

/* Flip bits of a byte of the new file, one mask after the other; each must be seen, or none. */
static void check_byte(const struct buffer *old, struct buffer *new, uint64_t at, bool every_bit,
		       bool aside)
{
	static const uint8_t some[] = {0x40, 0x01}, each[] = {1, 2, 4, 8, 16, 32, 64, 128};
	const uint8_t *masks = every_bit ? each : some;
	size_t n = every_bit ? sizeof(each) : sizeof(some);
	struct difference d;

	for (size_t i = 0; i < n; i++) {
		new->data[at] ^= masks[i];
		if (check(old, new, &d) != aside)
			fail_msg("byte 0x%lx, bits 0x%x", (unsigned long)at, masks[i]);
		new->data[at] ^= masks[i];
	}
}

/* Every byte that is loaded counts: each one changed is found, but for the build-id. Go has none. */
static void check_every_byte(const char *old_name, const char *new_name)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden(old_name);
	AUTO_DONE(buffer) struct buffer new = fixture_golden(new_name);
	const struct elf_section *id;
	struct difference d;
	struct elf e;

	if (!check(&old, &new, &d))
		fail_msg("%s, %s+0x%lx: %s", new_name, d.section, (unsigned long)d.offset, d.what);
	assert_true(elf_parse(&e, new.data, new.len));
	id = elf_find(&e, ELF_SECTION_BUILD_ID);
	for (unsigned i = 0; i < e.n_segments; i++)
		for (uint64_t at = e.segments[i].offset;
		     at < e.segments[i].offset + e.segments[i].file_bytes; at++) {
			const struct elf_section *s = elf_section_at(&e, at);
			bool aside = id && at >= id->offset && at - id->offset < id->bytes;
			/* where the tables of sections and segments lie is no loaded meaning */
			bool header = (at >= 32 && at < 48) || (at >= 52 && at < 64);

			if (!header)
				check_byte(&old, &new, at, s && s->kind == ELF_SECTION_CODE, aside);
		}
}

static void test_equivalent_sees_every_loaded_byte(void **state)
{
	static const char *const names[] = {"old.elf", "rich-old.elf", "arm-old.elf",
					  "a64-old.elf", "go-old.elf"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		check_every_byte(names[i], names[i]);
}

/*
 * The same programs with what follows .text higher up: absolute addresses, distances, pages, a
 * jump table and frames have changed, and mean the same.
 */
static void test_equivalent_sees_every_byte_that_moved(void **state)
{
	static const char *const pairs[][2] = {
		{"moved-old.elf", "moved-new.elf"}, {"a64-old.elf", "a64-moved.elf"},
		{"go-old.elf", "go-moved.elf"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		check_every_byte(pairs[i][0], pairs[i][1]);
		check_every_byte(pairs[i][1], pairs[i][0]);
	}
}

/*
 * A program of AArch64 in which .rodata alone moved, and by less than a page. Which instruction adds
 * the low bits to which page is a guess then, so it is no answer that all guesses fit.
 */
static void test_equivalent_doubts_parts_of_pages(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("a64-old.elf");
	AUTO_DONE(buffer) struct buffer new = fixture_golden("a64-near.elf");
	struct difference d;

	(void)state;
	assert_false(check(&old, &new, &d));
	assert_string_equal(d.section, ".text");
	assert_false(check(&new, &old, &d));
}

static void test_equivalent_takes_anything(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	struct random r = {41};

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		AUTO_DONE(buffer) struct buffer new = random_edits(&r, &old, 1);
		struct difference d;
		uint8_t *exact = malloc(new.len + 1);
		bool equal;

		assert_non_null(exact);
		memcpy(exact, new.data, new.len);
		assert_int_equal(equivalent_check(old.data, old.len, exact, new.len, &equal, &d), 0);
		assert_int_equal(equivalent_check(exact, new.len, old.data, old.len, &equal, &d), 0);
		free(exact);
	}
}

static void test_equivalent_compares_other_files_by_bytes(void **state)
{
	AUTO_DONE(buffer) struct buffer a = buffer_of(100);
	AUTO_DONE(buffer) struct buffer b = buffer_of(100);
	struct difference d;

	(void)state;
	buffer_put_text(&a, "some text");
	buffer_put_text(&b, "some test");
	assert_true(check(&a, &a, &d));
	assert_false(check(&a, &b, &d));
	assert_int_equal(d.offset, 7);
}

/* Of objects and 32-bit programs too little is known to say that a change means nothing. */
static void test_equivalent_doubts_what_is_not_compared(void **state)
{
	static const char *const names[] = {"i386-old.elf", "object-old.elf"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO_DONE(buffer) struct buffer old = fixture_golden(names[i]);
		AUTO_DONE(buffer) struct buffer new = fixture_golden(names[i]);
		struct difference d;

		assert_true(check(&old, &new, &d));
		/* the ninth byte of an ELF file means nothing */
		new.data[8] ^= 1;
		assert_false(check(&old, &new, &d));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equivalent_sets_aside_what_is_not_loaded),
		cmocka_unit_test(test_equivalent_finds_every_mutation),
		cmocka_unit_test(test_equivalent_sees_every_loaded_byte),
		cmocka_unit_test(test_equivalent_sees_every_byte_that_moved),
		cmocka_unit_test(test_equivalent_doubts_parts_of_pages),
		cmocka_unit_test(test_equivalent_takes_anything),
		cmocka_unit_test(test_equivalent_compares_other_files_by_bytes),
		cmocka_unit_test(test_equivalent_doubts_what_is_not_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
