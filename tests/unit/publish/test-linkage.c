/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "fixture.h"
#include "publish/linkage.h"

static int read_memory(void *ctx, uint64_t offset, void *out, size_t len)
{
	const struct buffer *b = ctx;

	assert_true(offset <= b->len && len <= b->len - offset);
	memcpy(out, b->data + offset, len);
	return 0;
}

static int read_buffer(struct buffer *b, size_t len, struct linkage *ret)
{
	struct buffer part = *b;
	struct linkage_source source = {.ctx = &part, .size_bytes = len, .read = read_memory};

	part.len = len;
	return linkage_read(&source, ret);
}

static void test_elf_names(void **state)
{
	struct buffer b = buffer_of(65536);
	struct linkage e;

	(void)state;
	fixture_elf(&b, "libx.so.1", "libc.so.6", 0, "tail");
	assert_int_equal(read_buffer(&b, b.len, &e), 0);
	assert_true(e.is_elf && e.is_64 && !e.is_program && !e.is_big_endian);
	assert_string_equal(e.soname, "libx.so.1");
	assert_int_equal(e.n_needed, 1);
	assert_string_equal(e.needed[0], "libc.so.6");
	assert_true(linkage_is_for(&e, "amd64"));
	assert_false(linkage_is_for(&e, "arm64"));
	assert_false(linkage_is_for(&e, "i386"));
	assert_true(linkage_is_for(&e, "sparc128"));
	linkage_done(&e);
	buffer_done(&b);
}

static void test_elf_program(void **state)
{
	struct buffer b = buffer_of(65536);
	struct linkage e;

	(void)state;
	fixture_elf(&b, NULL, "libx.so.1", 1, "");
	assert_int_equal(read_buffer(&b, b.len, &e), 0);
	assert_true(e.is_program);
	assert_null(e.soname);
	linkage_done(&e);
	buffer_done(&b);
}

static void test_elf_other_files(void **state)
{
	static const char *const texts[] = {"", "#!/bin/sh\n", "\177EL", "0123456789abcdef0123"};
	struct linkage e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct buffer b = buffer_of(64);

		buffer_put_text(&b, texts[i]);
		assert_int_equal(read_buffer(&b, b.len, &e), 0);
		assert_false(e.is_elf);
		linkage_done(&e);
		buffer_done(&b);
	}
}

/* Every prefix is either refused or no ELF file yet; none is read beyond its end. */
static void test_elf_truncation(void **state)
{
	struct buffer b = buffer_of(65536);
	struct linkage e;

	(void)state;
	fixture_elf(&b, "libx.so.1", "libc.so.6", 1, NULL);
	for (size_t len = 0; len < b.len; len++) {
		int r = read_buffer(&b, len, &e);

		assert_true(len < 16 ? r == 0 && !e.is_elf : r == -BSI_E_FORMAT);
	}
	buffer_done(&b);
}

static void test_elf_bit_flips(void **state)
{
	struct buffer b = buffer_of(65536);
	size_t n_refused = 0;

	(void)state;
	fixture_elf(&b, "libx.so.1", "libc.so.6", 1, NULL);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		struct linkage e;
		int r;

		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		r = read_buffer(&b, b.len, &e);
		assert_true(r == 0 || r == -BSI_E_FORMAT || r == -BSI_E_LIMIT);
		n_refused += r < 0;
		if (r == 0)
			linkage_done(&e);
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_true(n_refused > 100);
	buffer_done(&b);
}

static void test_elf_hostile_counts(void **state)
{
	struct buffer b = buffer_of(65536);
	struct linkage e;

	(void)state;
	fixture_elf(&b, "libx.so.1", "libc.so.6", 0, NULL);
	b.data[56] = 0xff;
	b.data[57] = 0xff; /* e_phnum */
	assert_int_equal(read_buffer(&b, b.len, &e), -BSI_E_LIMIT);
	b.data[56] = 2;
	b.data[57] = 0;
	memset(b.data + 64 + 56 + 32, 0xff, 8); /* size of the dynamic segment */
	assert_int_equal(read_buffer(&b, b.len, &e), -BSI_E_LIMIT);
	buffer_done(&b);
}

/* This program itself is a real one. */
static void test_elf_real(void **state)
{
	struct buffer b = buffer_of(64 << 20);
	struct linkage e;
	bool needs_libc = false;
	int fd;

	(void)state;
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_read_fd(fd, 64 << 20, &b), 0);
	close(fd);
	assert_int_equal(read_buffer(&b, b.len, &e), 0);
	assert_true(e.is_elf && e.is_program);
	for (size_t i = 0; i < e.n_needed; i++)
		needs_libc |= strcmp(e.needed[i], "libc.so.6") == 0;
	assert_true(needs_libc);
	linkage_done(&e);
	buffer_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf_names),
		cmocka_unit_test(test_elf_program),
		cmocka_unit_test(test_elf_other_files),
		cmocka_unit_test(test_elf_truncation),
		cmocka_unit_test(test_elf_bit_flips),
		cmocka_unit_test(test_elf_hostile_counts),
		cmocka_unit_test(test_elf_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
