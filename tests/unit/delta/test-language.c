/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Call sites and types of .gcc_except_table. */
#include "fixture.h"

#include "base/compiler.h"
#include "delta/language.h"

/* Two call sites, the second one with actions that name type 2, then type 1; two types. */
static const uint8_t area[] = {
	0xff, 0x9b, 0x1b, 0x01, 0x0b,             /* no start, pcrel types at +27, 11 bytes of sites */
	0x04, 0x05, 0x00, 0x00,                   /* 4..9: no landing pad */
	0x90, 0x01, 0x07, 0xa0, 0x02, 0x03, 0x00, /* 144..151: lands at 288, action 3 */
	0x01, 0x00, 0x02, 0x7d,                   /* type 1, end; type 2, then the one before */
	0x00, 0x00,                               /* padding */
	0x10, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, /* types 2 and 1 */
};

#define SITES 5
#define SITES_END 16
#define TYPES 22

static struct elf_section section_of(size_t len)
{
	return (struct elf_section){.kind = ELF_SECTION_EXCEPT_TABLE, .bytes = len};
}

static void test_language_reads_sites_and_types(void **state)
{
	struct elf_section s = section_of(sizeof(area));
	struct language_area got;
	struct language_site site;
	uint64_t work = 1000;

	(void)state;
	assert_true(language_parse(area, &s, 0, &work, &got));
	assert_int_equal(got.sites, SITES);
	assert_int_equal(got.sites_end, SITES_END);
	assert_int_equal(got.n_types, 2);
	assert_int_equal(got.types, TYPES);
	assert_true(language_site_at(area, SITES, SITES_END, &site));
	assert_int_equal(site.landing, SITES + 2);
	assert_true(language_site_at(area, site.end, SITES_END, &site));
	assert_int_equal(site.length - site.start, 2);
	assert_int_equal(site.action - site.landing, 2);
	assert_int_equal(site.action_value, 3);
	assert_false(language_site_at(area, site.end, SITES_END, &site));
}

static void check(const uint8_t *data, size_t len)
{
	struct elf_section s = section_of(len);
	uint64_t work = 10 * sizeof(area);
	struct language_area got;

	for (size_t at = 0; at < len; at++) {
		if (!language_parse(data, &s, at, &work, &got))
			continue;
		assert_true(got.sites <= got.sites_end && got.sites_end <= len);
		if (got.n_types)
			assert_true(got.types >= got.sites_end && got.types + 4 * got.n_types <= len);
	}
}

static void test_language_takes_anything(void **state)
{
	(void)state;
	for (size_t len = 0; len <= sizeof(area); len++) {
		uint8_t *copy = malloc(len + !len); /* the sanitizer watches its end */

		assert_non_null(copy);
		memcpy(copy, area, len);
		check(copy, len);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
			check(copy, len);
			copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		free(copy);
	}
}

/* Actions that lead round in a circle, read for ever by nobody. */
static void test_language_work_ends(void **state)
{
	uint8_t circle[sizeof(area)];
	struct elf_section s = section_of(sizeof(area));
	struct language_area got;
	uint64_t work = 20;
	unsigned n = 0;

	(void)state;
	memcpy(circle, area, sizeof(area));
	circle[SITES_END + 1] = 0x01; /* the next one is the one behind */
	while (language_parse(circle, &s, 0, &work, &got))
		assert_true(++n < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_language_reads_sites_and_types),
		cmocka_unit_test(test_language_takes_anything),
		cmocka_unit_test(test_language_work_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
