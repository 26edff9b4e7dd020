/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "graft/elf_header.h"

struct program64 {
	Elf64_Ehdr header;
	Elf64_Phdr segments[3];
};

static struct program64 make64(uint32_t type_of_last)
{
	struct program64 p = {.header = {.e_ident = ELFMAG,
				      .e_type = ET_EXEC,
				      .e_phoff = offsetof(struct program64, segments),
				      .e_phentsize = sizeof(Elf64_Phdr),
				      .e_phnum = 3}};

	p.header.e_ident[EI_CLASS] = ELFCLASS64;
	p.header.e_ident[EI_DATA] = ELFDATA2LSB;
	for (size_t i = 0; i < 3; i++)
		p.segments[i].p_type = PT_LOAD;
	p.segments[2].p_type = type_of_last;
	return p;
}

static void test_kind_by_the_interpreter(void **state)
{
	struct program64 dynamic = make64(PT_INTERP), alone = make64(PT_NOTE), other = dynamic;
	struct {
		Elf32_Ehdr header;
		Elf32_Phdr segment;
	} small = {.header = {.e_ident = ELFMAG,
			   .e_phoff = sizeof(Elf32_Ehdr),
			   .e_phentsize = sizeof(Elf32_Phdr),
			   .e_phnum = 1},
		.segment = {.p_type = PT_INTERP}};

	(void)state;
	small.header.e_ident[EI_CLASS] = ELFCLASS32;
	small.header.e_ident[EI_DATA] = ELFDATA2LSB;
	assert_int_equal(elf_header_kind(&dynamic, sizeof dynamic), ELF_INTERPRETED);
	assert_int_equal(elf_header_kind(&alone, sizeof alone), ELF_ALONE);
	assert_int_equal(elf_header_kind(&small, sizeof small), ELF_INTERPRETED);
	assert_int_equal(elf_header_kind("#!/bin/sh\n# no program of this kind", 30), ELF_NONE);
	assert_int_equal(elf_header_kind("", 0), ELF_NONE);
	/* what is not understood is no reason to believe that its libraries are files */
	other.header.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(elf_header_kind(&other, sizeof other), ELF_ALONE);
	other = dynamic;
	other.header.e_phoff = UINT64_MAX - 8;
	assert_int_equal(elf_header_kind(&other, sizeof other), ELF_ALONE);
	other = dynamic;
	other.header.e_phentsize = 0;
	assert_int_equal(elf_header_kind(&other, sizeof other), ELF_ALONE);
}

static void test_kind_of_this_program(void **state)
{
	uint8_t header[ELF_HEADER_BYTES];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, header, sizeof header);

	(void)state;
	(void)close(fd);
	assert_true(n > 0);
	assert_int_equal(elf_header_kind(header, (size_t)n), ELF_INTERPRETED);
}

static void test_kind_survives_truncation_and_bit_flips(void **state)
{
	struct program64 p = make64(PT_INTERP);
	const size_t last = offsetof(struct program64, segments[2]) + sizeof(Elf64_Phdr);

	(void)state;
	for (size_t len = 0; len <= sizeof p; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		enum elf_kind kind;

		assert_non_null(copy);
		memcpy(copy, &p, len);
		kind = elf_header_kind(copy, len);
		assert_int_equal(kind, len < EI_NIDENT ? ELF_NONE :
				       len < last      ? ELF_ALONE :
							 ELF_INTERPRETED);
		free(copy);
	}
	for (size_t bit = 0; bit < sizeof p * 8; bit++) {
		uint8_t *copy = malloc(sizeof p);

		assert_non_null(copy);
		memcpy(copy, &p, sizeof p);
		copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ (1 << bit % 8));
		assert_int_equal(elf_header_kind(copy, sizeof p) == ELF_NONE, bit < SELFMAG * 8);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kind_by_the_interpreter),
		cmocka_unit_test(test_kind_of_this_program),
		cmocka_unit_test(test_kind_survives_truncation_and_bit_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
