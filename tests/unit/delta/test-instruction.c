/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include "base/compiler.h"
#include "delta/a64.h"
#include "delta/elf.h"
#include "delta/x86.h"

/* As GNU as assembles them. */
static const struct {
	const char *text;
	uint8_t bytes[15];
	uint8_t length, field, tail, is_branch;
} x86_cases[] = {
	{"call rel32", {0xe8, 1, 2, 3, 4}, 5, 1, 0, 1},
	{"jmp rel32", {0xe9, 1, 2, 3, 4}, 5, 1, 0, 1},
	{"jne rel32", {0x0f, 0x85, 1, 2, 3, 4}, 6, 2, 0, 1},
	{"jne rel8", {0x75, 1}, 2, 0, 0, 0},
	{"lea disp(%rip),%rax", {0x48, 0x8d, 0x05, 1, 2, 3, 4}, 7, 3, 0, 0},
	{"movl $5,disp(%rip)", {0xc7, 0x05, 1, 2, 3, 4, 5, 0, 0, 0}, 10, 2, 4, 0},
	{"movw $5,disp(%rip)", {0x66, 0xc7, 0x05, 1, 2, 3, 4, 5, 0}, 9, 3, 2, 0},
	{"cmpb $5,disp(%rip)", {0x80, 0x3d, 1, 2, 3, 4, 5}, 7, 2, 1, 0},
	{"testb $1,disp(%rip)", {0xf6, 0x05, 1, 2, 3, 4, 1}, 7, 2, 1, 0},
	{"negb disp(%rip)", {0xf6, 0x1d, 1, 2, 3, 4}, 6, 2, 0, 0},
	{"jmp *disp(%rip)", {0xff, 0x25, 1, 2, 3, 4}, 6, 2, 0, 0},
	{"movss disp(%rip),%xmm0", {0xf3, 0x0f, 0x10, 0x05, 1, 2, 3, 4}, 8, 4, 0, 0},
	{"pshufb disp(%rip),%xmm0", {0x66, 0x0f, 0x38, 0x00, 0x05, 1, 2, 3, 4}, 9, 5, 0, 0},
	{"palignr $3,disp(%rip),%xmm0", {0x66, 0x0f, 0x3a, 0x0f, 0x05, 1, 2, 3, 4, 3}, 10, 5, 1, 0},
	{"vmovaps disp(%rip),%xmm0", {0xc5, 0xf8, 0x28, 0x05, 1, 2, 3, 4}, 8, 4, 0, 0},
	{"vpshufb disp(%rip),%ymm1,%ymm0", {0xc4, 0xe2, 0x75, 0x00, 0x05, 1, 2, 3, 4}, 9, 5, 0, 0},
	{"vzeroupper", {0xc5, 0xf8, 0x77}, 3, 0, 0, 0},
	{"movabs $imm,%rax", {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 10, 0, 0, 0},
	{"mov $imm,%eax", {0xb8, 1, 2, 3, 4}, 5, 0, 0, 0},
	{"mov 8(%rsp),%rax", {0x48, 0x8b, 0x44, 0x24, 8}, 5, 0, 0, 0},
	{"mov disp(,%rax,8),%rax", {0x48, 0x8b, 0x04, 0xc5, 1, 2, 3, 4}, 8, 0, 0, 0},
	{"mov disp(%rbx),%rax", {0x48, 0x8b, 0x83, 1, 2, 3, 4}, 7, 0, 0, 0},
	{"nopw 0(%rax,%rax,1)", {0x66, 0x0f, 0x1f, 0x44, 0, 0}, 6, 0, 0, 0},
	{"endbr64", {0xf3, 0x0f, 0x1e, 0xfa}, 4, 0, 0, 0},
	{"ret", {0xc3}, 1, 0, 0, 0},
	{"ret $8", {0xc2, 8, 0}, 3, 0, 0, 0},
	{"enter $8,$1", {0xc8, 8, 0, 1}, 4, 0, 0, 0},
	{"invalid in 64 bits", {0x06}, 1, 0, 0, 0},
};

static void test_x86_lengths_and_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(x86_cases); i++) {
		struct x86_instruction in = x86_decode(x86_cases[i].bytes, 15, false);

		if (in.length != x86_cases[i].length || in.field != x86_cases[i].field ||
		    in.tail != x86_cases[i].tail || in.is_branch != x86_cases[i].is_branch)
			fail_msg("%s: length %u, field %u, tail %u", x86_cases[i].text, in.length,
				 in.field, in.tail);
	}
}

/* As GNU as --32 assembles them. */
static const struct {
	const char *text;
	uint8_t bytes[15];
	uint8_t length, field, displacement, immediate;
} i386_cases[] = {
	{"call rel32", {0xe8, 1, 2, 3, 4}, 5, 1, 0, 0},
	{"jne rel32", {0x0f, 0x85, 1, 2, 3, 4}, 6, 2, 0, 0},
	{"inc %eax", {0x40}, 1, 0, 0, 0},
	{"dec %edi", {0x4f}, 1, 0, 0, 0},
	{"push %es", {0x06}, 1, 0, 0, 0},
	{"pusha", {0x60}, 1, 0, 0, 0},
	{"mov addr,%eax", {0xa1, 1, 2, 3, 4}, 5, 0, 1, 0},
	{"mov addr,%ecx", {0x8b, 0x0d, 1, 2, 3, 4}, 6, 0, 2, 0},
	{"movl $5,addr", {0xc7, 0x05, 1, 2, 3, 4, 5, 0, 0, 0}, 10, 0, 2, 6},
	{"mov disp(%ebx),%eax", {0x8b, 0x83, 1, 2, 3, 4}, 6, 0, 2, 0},
	{"mov disp(%ebx,%eax,4),%ecx", {0x8b, 0x8c, 0x83, 1, 2, 3, 4}, 7, 0, 3, 0},
	{"mov addr(,%eax,4),%eax", {0x8b, 0x04, 0x85, 1, 2, 3, 4}, 7, 0, 3, 0},
	{"add $imm,%ebx", {0x81, 0xc3, 1, 2, 3, 4}, 6, 0, 0, 2},
	{"add $imm,%eax", {0x05, 1, 2, 3, 4}, 5, 0, 0, 1},
	{"mov $imm,%ecx", {0xb9, 1, 2, 3, 4}, 5, 0, 0, 1},
	{"mov $imm,%cx", {0x66, 0xb9, 1, 2}, 4, 0, 0, 0},
	{"ljmp $seg,$addr", {0xea, 1, 2, 3, 4, 8, 0}, 7, 0, 0, 0},
	{"lcall $seg,$addr", {0x9a, 1, 2, 3, 4, 8, 0}, 7, 0, 0, 0},
	{"les (%eax),%ecx", {0xc4, 0x08}, 2, 0, 0, 0},
	{"lds (%eax),%ecx", {0xc5, 0x08}, 2, 0, 0, 0},
	{"bound %eax,(%ecx)", {0x62, 0x01}, 2, 0, 0, 0},
	{"vmovaps addr,%xmm0", {0xc5, 0xf8, 0x28, 0x05, 1, 2, 3, 4}, 8, 0, 4, 0},
	{"aam", {0xd4, 0x0a}, 2, 0, 0, 0},
	{"mov 8(%bp),%ax", {0x67, 0x66, 0x8b, 0x46, 8}, 5, 0, 0, 0},
	{"mov addr16,%ecx", {0x67, 0x8b, 0x0e, 1, 2}, 5, 0, 0, 0},
	{"mov (%si),%ecx", {0x67, 0x8b, 0x0c}, 3, 0, 0, 0},
	{"mov disp(%bx),%ecx", {0x67, 0x8b, 0x8f, 1, 2}, 5, 0, 0, 0},
	{"mov addr16,%eax", {0x67, 0xa1, 1, 2}, 4, 0, 0, 0},
	{"endbr32", {0xf3, 0x0f, 0x1e, 0xfb}, 4, 0, 0, 0},
};

static void test_i386_lengths_and_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(i386_cases); i++) {
		struct x86_instruction in = x86_decode(i386_cases[i].bytes, 15, true);

		if (in.length != i386_cases[i].length || in.field != i386_cases[i].field ||
		    in.displacement != i386_cases[i].displacement ||
		    in.immediate != i386_cases[i].immediate)
			fail_msg("%s: length %u, field %u, displacement %u, immediate %u",
				 i386_cases[i].text, in.length, in.field, in.displacement,
				 in.immediate);
	}
}

static void test_x86_never_reads_beyond(void **state)
{
	struct random r = {3};

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		size_t len = (size_t)random_below(&r, 15) + 1;
		uint8_t *exact = malloc(len); /* the sanitizer watches its end */
		struct x86_instruction in;

		assert_non_null(exact);
		for (size_t k = 0; k < len; k++)
			exact[k] = (uint8_t)random_next(&r);
		in = x86_decode(exact, len, i & 1);
		assert_in_range(in.length, 1, len);
		if (in.field)
			assert_int_equal(in.field + 4U + in.tail, in.length);
		free(exact);
	}
}

static const struct {
	uint32_t instruction;
	enum a64_kind kind;
	uint64_t target; /* from address 0x10000; of LOW12 the bytes it adds */
} a64_cases[] = {
	{0x94000010, A64_BRANCH26, 0x10040}, /* bl +0x40 */
	{0x17fffffe, A64_BRANCH26, 0xfff8},  /* b -8 */
	{0x54000080, A64_BRANCH19, 0x10010}, /* b.eq +16 */
	{0xb4ffffe0, A64_BRANCH19, 0xfffc},  /* cbz x0, -4 */
	{0x36080040, A64_BRANCH14, 0x10008}, /* tbz w0, #1, +8 */
	{0x10000040, A64_ADR, 0x10008},      /* adr x0, +8 */
	{0xb0000000, A64_PAGE, 0x11000},     /* adrp x0, +1 page */
	{0x58000040, A64_BRANCH19, 0x10008}, /* ldr x0, +8 */
	{0x91004000, A64_LOW12, 16},         /* add x0, x0, #16 */
	{0xf9400800, A64_LOW12, 16},         /* ldr x0, [x0, #16] */
	{0xb9401000, A64_LOW12, 16},         /* ldr w0, [x0, #16] */
	{0x3dc00400, A64_LOW12, 16},         /* ldr q0, [x0, #16] */
	{0xd65f03c0, A64_NONE, 0},           /* ret */
	{0xd503201f, A64_NONE, 0},           /* nop */
};

static void test_a64_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(a64_cases); i++) {
		uint32_t in = a64_cases[i].instruction;
		enum a64_kind kind = a64_decode(in);

		assert_int_equal(kind, a64_cases[i].kind);
		if (kind == A64_NONE)
			continue;
		assert_int_equal(a64_target(kind, in, 0x10000), a64_cases[i].target);
		assert_int_equal(a64_with_target(kind, in, 0x10000, a64_cases[i].target), in);
	}
}

/* As gcc writes a switch statement: of bytes, of halfwords, and with a part that is another. */
static void test_a64_finds_jumps_through_tables(void **state)
{
	static const uint32_t code[] = {
		0x7100283f, /* cmp w1, #10 */
		0x540000e8, /* b.hi */
		0x90000000, /* adrp x0 */
		0x91324000, /* add x0, x0, #0xc90 */
		0x38614800, /* ldrb w0, [x0, w1, uxtw] */
		0x10000061, /* adr x1, +12 */
		0x8b208820, /* add x0, x1, w0, sxtb #2 */
		0xd61f0000, /* br x0 */
	};
	static const struct {
		unsigned at;
		uint32_t instruction;
		unsigned entry_bytes;
	} other[] = {
		{1, 0x540000e8, 1}, /* nothing is another */
		{0, 0x7100285f, 0}, /* cmp of another register */
		{3, 0xf9432400, 0}, /* the address was loaded */
		{3, 0x10fffe80, 1}, /* the address by an adr */
		{3, 0x91324022, 0}, /* another register holds it */
		{4, 0x78615800, 0}, /* halfwords, added as bytes */
		{4, 0x38616800, 1}, /* an index of 64 bits */
		{5, 0x10000062, 0}, /* adr of another register */
		{6, 0x8b208c20, 0}, /* times 8 */
		{6, 0x8b20c820, 0}, /* words */
		{7, 0xd63f0000, 0}, /* a call */
		{7, 0xd61f0020, 0}, /* through another register */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		uint8_t bytes[sizeof(code)];
		struct a64_table table;

		for (unsigned k = 0; k < ARRAY_SIZE(code); k++)
			elf_put_u32(bytes + (size_t)4 * k,
				    k == other[i].at ? other[i].instruction : code[k]);
		if (!other[i].entry_bytes) {
			assert_false(a64_find_table(bytes, 0, 28, &table));
			continue;
		}
		assert_true(a64_find_table(bytes, 0, 28, &table));
		assert_int_equal(table.entry_bytes, other[i].entry_bytes);
		assert_int_equal(table.n, 11);
		assert_int_equal(table.address_at, 12);
		/* nothing before the start counts */
		assert_false(a64_find_table(bytes, 4, 28, &table));
		assert_false(a64_find_table(bytes, 24, 28, &table));
	}
}

static void test_a64_other_targets_come_back(void **state)
{
	struct random r = {5};

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t in = (uint32_t)random_next(&r), other;
		enum a64_kind kind = a64_decode(in);
		uint64_t target;

		if (kind == A64_NONE)
			continue;
		target = a64_target(kind, (uint32_t)random_next(&r), 0x40000000);
		if (kind == A64_LOW12)
			target &= ~UINT64_C(15) & 0xfff;
		other = a64_with_target(kind, in, 0x40000000, target);
		assert_int_equal(a64_decode(other), kind);
		assert_int_equal(a64_target(kind, other, 0x40000000), target);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x86_lengths_and_fields),
		cmocka_unit_test(test_i386_lengths_and_fields),
		cmocka_unit_test(test_x86_never_reads_beyond),
		cmocka_unit_test(test_a64_targets),
		cmocka_unit_test(test_a64_finds_jumps_through_tables),
		cmocka_unit_test(test_a64_other_targets_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
