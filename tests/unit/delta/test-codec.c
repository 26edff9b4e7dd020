/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <stdio.h>

#include "base/compiler.h"
#include "base/digest.h"
#include "delta/elf.h"
#include "delta/encode.h"
#include "delta/pair.h"

static void encode_pair(const struct buffer *old, const struct buffer *new, struct buffer *out)
{
	const struct delta_input reference = {"", old->data ? old->data : (const uint8_t *)"",
					      old->len};
	const struct delta_input_file file = {new->data ? new->data : (const uint8_t *)"", new->len,
					      1, {0}};
	const struct delta_set set = {.references = &reference, .n_references = 1,
				      .files = &file, .n_files = 1, .meta = (const uint8_t *)""};
	struct error e = {0};

	if (delta_encode(&set, NULL, out, &e) < 0)
		fail_msg("%s", e.text);
}

static void check_pair(const struct buffer *old, const struct buffer *new)
{
	AUTO_DONE(buffer) struct buffer delta = buffer_of(64U << 20);
	AUTO_DONE(device) struct device d = {0};
	struct error e = {0};

	encode_pair(old, new, &delta);
	d = device_of(old, 1, &delta);
	if (device_decode(&d, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.made.len, new->len);
	if (new->len)
		assert_memory_equal(d.made.data, new->data, new->len);
}

static void test_codec_small_files(void **state)
{
	struct random r = {1};

	(void)state;
	for (size_t old_len = 0; old_len < 6; old_len++)
		for (size_t new_len = 0; new_len < 6; new_len++) {
			AUTO_DONE(buffer) struct buffer old = random_bytes(&r, old_len);
			AUTO_DONE(buffer) struct buffer new = random_bytes(&r, new_len);

			check_pair(&old, &new);
		}
}

static void test_codec_random_edits(void **state)
{
	struct random r = {2};

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		AUTO_DONE(buffer) struct buffer old = random_bytes(&r, (size_t)random_below(&r, 5000));
		AUTO_DONE(buffer) struct buffer new = random_edits(&r, &old, 1 + i % 6);

		check_pair(&old, &new);
	}
}

/* ELF files that were cut, edited, made to lie: coded all the same. */
static void test_codec_damaged_programs(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer other = fixture_golden("new.elf");
	AUTO_DONE(buffer) struct buffer rich = fixture_golden("rich-old.elf");
	AUTO_DONE(buffer) struct buffer rich_new = fixture_golden("rich-new.elf");
	struct random r = {3};

	(void)state;
	check_pair(&elf, &other);
	check_pair(&other, &elf);
	check_pair(&rich, &rich_new);
	check_pair(&rich_new, &rich);
	for (unsigned i = 0; i < 40; i++) {
		AUTO_DONE(buffer) struct buffer old = random_edits(&r, &elf, 1 + i % 3);
		AUTO_DONE(buffer) struct buffer new = random_edits(&r, &other, 1 + i % 3);

		/* the headers stay, and lie about what follows */
		if (i % 2 && old.len > 1024 && new.len > 1024) {
			memcpy(old.data, elf.data, 1000);
			memcpy(new.data, other.data, 1000);
		}
		if (i % 4 == 1)
			old.len = (size_t)random_below(&r, old.len);
		check_pair(&old, &new);
		check_pair(&elf, &new);
	}
	for (unsigned i = 0; i < 20; i++) {
		AUTO_DONE(buffer) struct buffer old = buffer_of(1U << 20);

		/* tables that lie: bytes anywhere are others */
		buffer_put(&old, rich.data, rich.len);
		for (unsigned k = 0; k < 40; k++)
			old.data[64 + random_below(&r, old.len - 64)] = (uint8_t)random_next(&r);
		check_pair(&old, &rich_new);
	}
}

/* Other programs and objects, and such with bytes anywhere that are others. */
static void test_codec_of_other_machines(void **state)
{
	static const char *const names[][2] = {{"i386-old.elf", "i386-new.elf"},
					       {"object-old.elf", "object-new.elf"},
					       {"object64-old.elf", "object64-new.elf"},
					       {"arm-old.elf", "arm-new.elf"}};
	struct random r = {5};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO_DONE(buffer) struct buffer old = fixture_golden(names[i][0]);
		AUTO_DONE(buffer) struct buffer new = fixture_golden(names[i][1]);

		check_pair(&old, &new);
		check_pair(&new, &old);
		for (unsigned k = 0; k < 40; k++) {
			AUTO_DONE(buffer) struct buffer lying = buffer_of(1U << 20);

			buffer_put(&lying, old.data, old.len);
			for (unsigned n = 0; n < 1 + k; n++)
				lying.data[52 + random_below(&r, lying.len - 52)] =
					(uint8_t)random_next(&r);
			check_pair(&lying, &new);
			check_pair(&new, &lying);
		}
	}
}

/* What the knowledge of them is worth: a fifth less than as bytes, at least. */
static void test_codec_predicts_32_bits_and_objects(void **state)
{
	static const char *const names[][2] = {{"i386-old.elf", "i386-new.elf"},
					       {"object-old.elf", "object-new.elf"},
					       {"object64-old.elf", "object64-new.elf"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO_DONE(buffer) struct buffer old = fixture_golden(names[i][0]);
		AUTO_DONE(buffer) struct buffer new = fixture_golden(names[i][1]);
		AUTO_DONE(buffer) struct buffer known = buffer_of(1U << 20);
		AUTO_DONE(buffer) struct buffer bytes = buffer_of(1U << 20);

		encode_pair(&old, &new, &known);
		/* no ELF file any more */
		old.data[1] = new.data[1] = 'x';
		encode_pair(&old, &new, &bytes);
		assert_true(known.len * 5 < bytes.len * 4);
	}
}

#define SECTIONS_OFFSET_AT 40U
#define SECTION_HEADER_BYTES 64U
#define SECTIONS_N_AT 60U

/* One section over another, sections that end far behind the file, links and entries that lie. */
static void test_codec_lying_sections(void **state)
{
	static const uint64_t lies[] = {0, 1, 7, 64, 0x1000, UINT32_MAX, INT64_MAX, UINT64_MAX};
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer other = fixture_golden("new.elf");
	size_t table = (size_t)elf_u64(elf.data + SECTIONS_OFFSET_AT);
	unsigned n = elf_u16(elf.data + SECTIONS_N_AT);
	struct random r = {37};

	(void)state;
	assert_true(n > 4 && table + n * SECTION_HEADER_BYTES <= elf.len);
	for (unsigned i = 0; i < n; i++) {
		AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
		AUTO_DONE(buffer) struct buffer new = fixture_golden("new.elf");
		uint8_t *header = old.data + table + i * SECTION_HEADER_BYTES;
		const uint8_t *from = elf.data + table + (i + 3) % n * SECTION_HEADER_BYTES;

		/* where another section lies, of this one's kind */
		memcpy(header + 16, from + 16, 24);
		check_pair(&old, &new);
		/* then a field of the header at a time */
		for (unsigned at = 8; at < SECTION_HEADER_BYTES; at += 8) {
			elf_put_u64(header + at, lies[random_below(&r, 8)]);
			memcpy(new.data, old.data, 64);
			check_pair(&old, &new);
		}
		check_pair(&old, &other);
	}
}

static void test_codec_small_patch_is_small(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer new = fixture_golden("new.elf");
	AUTO_DONE(buffer) struct buffer delta = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer none = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer rich = fixture_golden("rich-old.elf");
	AUTO_DONE(buffer) struct buffer rich_new = fixture_golden("rich-new.elf");

	(void)state;
	encode_pair(&old, &new, &delta);
	assert_in_range(delta.len, 60, 260);
	/* tables of symbols, versions, exceptions and packed relocations that all moved */
	buffer_clear(&delta);
	encode_pair(&rich, &rich_new, &delta);
	assert_in_range(delta.len, 200, 450);
	/* the same file again: header, digests and little else */
	encode_pair(&new, &new, &none);
	assert_in_range(none.len, 30, 60);
}

/* One that would be larger than wanted is said to be, wherever the room ends. */
static void test_codec_without_room_is_limit(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer new = fixture_golden("new.elf");
	AUTO_DONE(buffer) struct buffer whole = buffer_of(1U << 20);
	const struct delta_input reference = {.path = "", .data = old.data, .len = old.len};
	const struct delta_input_file file = {.data = new.data, .len = new.len, .n_references = 1};
	const struct delta_set set = {
		.references = &reference, .n_references = 1, .files = &file, .n_files = 1,
		.meta = (const uint8_t *)""};

	(void)state;
	encode_pair(&old, &new, &whole);
	for (size_t room = 0; room < whole.len; room++) {
		AUTO_DONE(buffer) struct buffer delta = buffer_of(room);

		int r = delta_encode(&set, NULL, &delta, NULL);

		if (r != -BSI_E_LIMIT)
			fail_msg("%zu of %zu bytes: %d", room, whole.len, r);
	}
}

static void test_codec_same_input_same_bytes(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer new = fixture_golden("new.elf");
	AUTO_DONE(buffer) struct buffer a = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer b = buffer_of(1U << 20);

	(void)state;
	encode_pair(&old, &new, &a);
	encode_pair(&old, &new, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

/* Deltas of a released version decode for ever. */
/* Deltas of version 2, and the SHA-256 of what they make of which old files: for ever. */
static void test_codec_golden_deltas(void **state)
{
	static const struct {
		const char *delta, *olds[2], *digest;
	} cases[] = {
		{"v2.delta", {"old.elf"},
		 "9f7d4a978df3ed586179bb27acb4eb5350a827584495fc190da3701e6008596c"},
		{"v2-i386.delta", {"i386-old.elf"},
		 "a9047c80bd45a5c9ab7382fe82fd6b6159b1a9ef9d4c5d602c390882ea7ae1be"},
		{"v2-object.delta", {"object-old.elf"},
		 "a5ad6009f32b64f2289003434438fdf86e67902e4156b13f170ed593ca88d011"},
		{"v2-object64.delta", {"object64-old.elf"},
		 "ad53f0b85afe1dc7817fd51c2697bd7e456274fde502adf27307fc884168dc20"},
		{"v2-arm.delta", {"arm-old.elf"},
		 "a5167da2652eada146ec73d5d82ee01287d3fda443a94e34bab5a1daec655aa9"},
		{"v2-rich.delta", {"rich-old.elf"},
		 "ace566e5d9c79ca3e03dcb43375b8e2cce45bbf4796fc9eddc8c88bd6c77f199"},
		{"v2-go.delta", {"go-old.elf"},
		 "b4bbeee52f2013d63d99ce55989c8f69812ed6132d00e1d5bf7d2ccff0516f77"},
		{"v2-a64.delta", {"a64-old.elf"},
		 "2a401eb88df0efc1774b7026e9bfaf21833e7a4e9dde2597d51b139bbe451599"},
		{"v2-objects.delta", {"objects-old.a"},
		 "1a03183fea88263450a193e250553fef2cfda1b4887caed2684aae8b4c678946"},
		{"v2-text.delta", {"text-old"},
		 "6ee73d419c3925e6981f0ad06761f10a173ffb08a2f7b6290e3aad06a5146455"},
		{"v2-folder.delta", {"a64-old.elf", "i386-old.elf"},
		 "1bfeba11d768eff8999abb45645c8da1526fd8f0cb263513449b655d7a2a9ba9"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_DONE(buffer) struct buffer delta = fixture_golden(cases[i].delta);
		AUTO_DONE(device) struct device d = {0};
		struct buffer olds[2] = {0};
		struct digest digest;
		struct error e = {0};
		size_t n = 0;

		for (; n < 2 && cases[i].olds[n]; n++)
			olds[n] = fixture_golden(cases[i].olds[n]);
		d = device_of(olds, n, &delta);
		if (device_decode(&d, &e) < 0)
			fail_msg("%s: %s", cases[i].delta, e.text);
		assert_int_equal(digest_of(d.made.data, d.made.len, &digest), 0);
		assert_string_equal(digest_format(&digest).text, cases[i].digest);
		for (size_t k = 0; k < n; k++)
			buffer_done(&olds[k]);
	}
}

static void test_codec_refuses_every_truncation(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer delta = fixture_golden("v2.delta");
	size_t len = delta.len;

	(void)state;
	for (delta.len = 0; delta.len < len; delta.len++) {
		AUTO_DONE(device) struct device d = device_of(&old, 1, &delta);

		assert_true(device_decode(&d, NULL) <= -BSI_E_FORMAT);
	}
	delta.len = len;
	buffer_put_u8(&delta, 0);
	AUTO_DONE(device) struct device d = device_of(&old, 1, &delta);
	assert_int_equal(device_decode(&d, NULL), -BSI_E_FORMAT);
}

static void test_codec_refuses_every_flipped_bit(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer new = fixture_golden("new.elf");
	AUTO_DONE(buffer) struct buffer delta = fixture_golden("v2.delta");

	(void)state;
	for (size_t bit = 0; bit < 8 * delta.len; bit++) {
		AUTO_DONE(device) struct device d = device_of(&old, 1, &delta);
		int r;

		delta.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		r = device_decode(&d, NULL);
		delta.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		/* more memory or another model size may be named; a wrong result is never let through */
		if (r >= 0) {
			assert_int_equal(d.made.len, new.len);
			assert_memory_equal(d.made.data, new.data, new.len);
		}
	}
}

static void test_codec_says_what_is_wrong(void **state)
{
	AUTO_DONE(buffer) struct buffer old = fixture_golden("old.elf");
	AUTO_DONE(buffer) struct buffer delta = fixture_golden("v2.delta");
	AUTO_DONE(device) struct device d = device_of(&old, 1, &delta);
	AUTO_DONE(device) struct device small = device_of(&old, 1, &delta);
	AUTO_DONE(device) struct device other = device_of(&old, 1, &delta);
	AUTO_DONE(device) struct device early = device_of(&old, 1, &delta);

	(void)state;
	old.data[old.len / 2] ^= 1;
	assert_int_equal(device_decode(&d, NULL), -BSI_E_MISMATCH);
	old.data[old.len / 2] ^= 1;
	small.memory_max = 1U << 20;
	assert_int_equal(device_decode(&small, NULL), -BSI_E_LIMIT);
	assert_int_equal(small.n_loads, 0);
	delta.data[4]++;
	assert_int_equal(device_decode(&other, NULL), -BSI_E_VERSION);
	/* the one before the first release is known to nobody */
	delta.data[4] = 1;
	assert_int_equal(device_decode(&early, NULL), -BSI_E_VERSION);
}

#define N_SMALL 1000U

/* A tree of many small files: meta bytes, one model for all, little spent on each. */
static void test_codec_many_files(void **state)
{
	AUTO_FREE struct buffer *olds = calloc(N_SMALL, sizeof(*olds));
	AUTO_FREE struct delta_input *references = calloc(N_SMALL, sizeof(*references));
	AUTO_FREE struct delta_input_file *files = calloc(N_SMALL, sizeof(*files));
	AUTO_DONE(buffer) struct buffer delta = buffer_of(64U << 20);
	AUTO_DONE(device) struct device d = {0};
	struct delta_set set = {.references = references, .n_references = N_SMALL, .files = files,
				.n_files = N_SMALL, .meta = (const uint8_t *)"meta", .meta_len = 4};
	struct random r = {23};
	struct error e = {0};
	char (*paths)[32] = calloc(N_SMALL, sizeof(*paths));
	size_t at = 0;

	(void)state;
	assert_true(olds && references && files && paths);
	for (size_t i = 0; i < N_SMALL; i++) {
		olds[i] = random_bytes(&r, 100 + (size_t)random_below(&r, 300));
		(void)snprintf(paths[i], sizeof(paths[i]), "usr/share/x/%zu.txt", i);
		references[i] = (struct delta_input){paths[i], olds[i].data, olds[i].len};
		files[i] = (struct delta_input_file){olds[i].data, olds[i].len, 1, {(uint32_t)i}};
	}
	if (delta_encode(&set, NULL, &delta, &e) < 0)
		fail_msg("%s", e.text);
	d = device_of(olds, N_SMALL, &delta);
	if (device_decode(&d, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.meta.len, 4);
	for (size_t i = 0; i < N_SMALL; i++) {
		assert_memory_equal(d.made.data + at, olds[i].data, olds[i].len);
		at += olds[i].len;
	}
	assert_int_equal(d.made.len, at);
	assert_in_range(delta.len, 9 * N_SMALL, 200 + 16 * N_SMALL);
	for (size_t i = 0; i < N_SMALL; i++)
		buffer_done(&olds[i]);
	free(paths);
}

/* A file made from parts of four others, and one made from none. */
static void test_codec_several_references(void **state)
{
	struct random r = {29};
	struct buffer olds[4];
	struct delta_input references[4];
	AUTO_DONE(buffer) struct buffer new = buffer_of(1U << 20);
	AUTO_DONE(buffer) struct buffer delta = buffer_of(1U << 20);
	AUTO_DONE(device) struct device d = {0};
	struct delta_input_file files[2];
	struct delta_set set = {.references = references, .n_references = 4, .files = files,
				.n_files = 2, .meta = (const uint8_t *)""};
	struct error e = {0};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		olds[i] = random_bytes(&r, 3000);
		references[i] = (struct delta_input){"", olds[i].data, olds[i].len};
		buffer_put(&new, olds[i].data + 500, 1500);
	}
	files[0] = (struct delta_input_file){new.data, new.len, 4, {0, 1, 2, 3}};
	files[1] = (struct delta_input_file){olds[2].data, 100, 0, {0}};
	if (delta_encode(&set, NULL, &delta, &e) < 0)
		fail_msg("%s", e.text);
	d = device_of(olds, 4, &delta);
	if (device_decode(&d, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.made.len, new.len + 100);
	assert_memory_equal(d.made.data, new.data, new.len);
	assert_memory_equal(d.made.data + new.len, olds[2].data, 100);
	assert_in_range(delta.len, 60, 300);
	for (unsigned i = 0; i < 4; i++)
		buffer_done(&olds[i]);
}

static void test_pair_reasons(void **state)
{
	AUTO_DONE(buffer) struct buffer elf = fixture_golden("old.elf");
	struct random r = {31};
	AUTO_DONE(buffer) struct buffer a = random_bytes(&r, 4000);
	AUTO_DONE(buffer) struct buffer b = random_edits(&r, &a, 2);
	AUTO_DONE(buffer) struct buffer c = random_bytes(&r, 4000);
	const struct delta_input old[] = {{"a", a.data, a.len}, {"elf", elf.data, elf.len}};
	const struct delta_input new[] = {{"a", c.data, c.len}, {"renamed", elf.data, elf.len},
					  {"like-a", b.data, b.len}, {"other", c.data, c.len}};
	static const struct pair want[] = {{PAIR_PATH, 1, {0}, 0}, {PAIR_CONTENT, 1, {1}, 0},
					   {PAIR_SKETCH, 1, {0}, 0}, {PAIR_EARLIER, 0, {0}, 0}};
	struct pair got[4];

	(void)state;
	assert_int_equal(pair_files(old, 2, new, 4, got), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(got[i].reason, want[i].reason);
		assert_int_equal(got[i].n_old, want[i].n_old);
		assert_int_equal(got[i].old[0], want[i].old[0]);
		assert_int_equal(got[i].earlier, want[i].earlier);
	}
}

/* A library under the name of its next version, and a program that went to another folder. */
static void test_pair_knows_names(void **state)
{
	AUTO_DONE(buffer) struct buffer library = fixture_golden("a64-old.elf");
	AUTO_DONE(buffer) struct buffer later = fixture_golden("a64-new.elf");
	struct random r = {37};
	AUTO_DONE(buffer) struct buffer base = random_bytes(&r, 8000);
	AUTO_DONE(buffer) struct buffer half = random_bytes(&r, 4000);

	(void)state;
	buffer_put(&half, base.data, 4000);
	const struct delta_input old[] = {{"lib/alike", base.data, base.len},
					  {"lib/libshapes.so.1.0.1", library.data, library.len},
					  {"bin/program", half.data, half.len}};
	const struct delta_input new[] = {{"lib/libshapes.so.1.0.2", later.data, later.len},
					  {"sbin/program", base.data, base.len - 1},
					  {"sbin/other", base.data, base.len - 1}};
	static const struct pair want[] = {{PAIR_SONAME, 1, {1}, 0}, {PAIR_NAME, 2, {2, 0}, 0},
					   {PAIR_SKETCH, 1, {0}, 0}};
	struct pair got[3];

	assert_int_equal(pair_files(old, 3, new, 3, got), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(got[i].reason, want[i].reason);
		assert_int_equal(got[i].n_old, want[i].n_old);
		for (unsigned k = 0; k < want[i].n_old; k++)
			assert_int_equal(got[i].old[k], want[i].old[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codec_small_files),
		cmocka_unit_test(test_codec_random_edits),
		cmocka_unit_test(test_codec_damaged_programs),
		cmocka_unit_test(test_codec_of_other_machines),
		cmocka_unit_test(test_codec_predicts_32_bits_and_objects),
		cmocka_unit_test(test_codec_lying_sections),
		cmocka_unit_test(test_codec_small_patch_is_small),
		cmocka_unit_test(test_codec_without_room_is_limit),
		cmocka_unit_test(test_codec_same_input_same_bytes),
		cmocka_unit_test(test_codec_golden_deltas),
		cmocka_unit_test(test_codec_refuses_every_truncation),
		cmocka_unit_test(test_codec_refuses_every_flipped_bit),
		cmocka_unit_test(test_codec_says_what_is_wrong),
		cmocka_unit_test(test_codec_many_files),
		cmocka_unit_test(test_codec_several_references),
		cmocka_unit_test(test_pair_reasons),
		cmocka_unit_test(test_pair_knows_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
