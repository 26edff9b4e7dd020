/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans over a real library, rebuilt without a change and with one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/file.h"
#include "delta/elf.h"
#include "fixture.h"
#include "publish/plan.h"

/* The library as it was, and as it was built again: another build-id. */
struct pair {
	struct buffer old, new;
};

static struct buffer golden(void)
{
	struct buffer b = buffer_of(1 << 20);
	AUTO_CLOSE int fd = open(GOLDEN, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_read_fd(fd, 1 << 20, &b), 0);
	return b;
}

static uint8_t *section(struct buffer *b, const char *name)
{
	struct elf e;

	assert_true(elf_parse(&e, b->data, b->len));
	for (unsigned i = 0; i < e.n_sections; i++)
		if (strcmp(e.sections[i].name, name) == 0)
			return b->data + e.sections[i].offset;
	fail_msg("no section %s", name);
	return NULL;
}

static int pair_make(void **state)
{
	struct pair *p = calloc(1, sizeof *p);

	assert_non_null(p);
	p->old = golden();
	p->new = golden();
	section(&p->new, ".note.gnu.build-id")[20] ^= 0xff;
	*state = p;
	return 0;
}

static int pair_free(void **state)
{
	struct pair *p = *state;

	buffer_done(&p->old);
	buffer_done(&p->new);
	free(p);
	return 0;
}

#define ROWS 8

/* Base states, the last one patched: a package each, unless it is said otherwise. */
struct scene {
	struct fixture_file files[3][ROWS];
	struct fixture_deb debs[3][3];
	size_t n_states;
	enum plan_flags flags;
	char *folders[3];
	struct state *states[3];
	struct plan *plan;
};

static void scene_plan(struct scene *s)
{
	struct plan_request request = {.architecture = "amd64", .from = s->states,
		.n_from = s->n_states - 1, .flags = s->flags};
	struct error e = {};

	for (size_t i = 0; i < s->n_states; i++) {
		s->folders[i] = fixture_folder();
		if (!s->debs[i][0].package)
			s->debs[i][0] = (struct fixture_deb){.package = "x",
				.version = i == 0 ? "1" : i == 1 ? "2" : "3", .files = s->files[i]};
		for (size_t k = 0; s->debs[i][k].package; k++)
			free(fixture_write(s->folders[i], &s->debs[i][k]));
		assert_int_equal(state_open(s->folders[i], &s->states[i], &e), 0);
	}
	request.to = s->states[s->n_states - 1];
	if (plan_make(&request, &s->plan, &e) < 0)
		fail_msg("%s", e.text);
}

static void scene_done(struct scene *s)
{
	plan_free(s->plan);
	for (size_t i = 0; i < s->n_states; i++) {
		state_free(s->states[i]);
		fixture_remove(s->folders[i]);
	}
}

static const struct plan_note *find_note(const struct plan *p, const char *subject)
{
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].kind == PLAN_EQUIVALENT && strcmp(p->notes[i].subject, subject) == 0)
			return &p->notes[i];
	return NULL;
}

#define LIBRARY "./usr/lib/libx.so.1"

/* A library rebuilt beside data that changes. */
static struct scene scene_of(const struct pair *p)
{
	return (struct scene){.n_states = 2,
		.files = {{{.path = LIBRARY, .bytes = &p->old},
				  {.path = "./usr/lib/data", .content = "1"}},
			{{.path = LIBRARY, .bytes = &p->new},
				{.path = "./usr/lib/data", .content = "2"}}}};
}

static void test_rebuilt_is_left_out(void **state)
{
	const struct pair *p = *state;
	struct scene s = scene_of(p);
	const struct plan_component *c;

	scene_plan(&s);
	assert_int_equal(plan_check(s.plan, NULL), 0);
	c = &s.plan->components[0];
	assert_int_equal(c->n_files, 1);
	assert_string_equal(c->files[0].path, "usr/lib/data");
	assert_int_equal(c->n_equivalent, 1);
	assert_non_null(strstr(find_note(s.plan, "usr/lib/libx.so.1")->reason, "--keep-equivalent"));
	assert_int_equal(find_note(s.plan, "usr/lib/libx.so.1")->component, 0);
	/* a device is asked for the files of its set, and the library is none */
	assert_int_equal(c->n_sets, 1);
	assert_true(c->sets[0].files[0].present);
	scene_done(&s);
}

static void test_rebuilt_is_kept_on_request(void **state)
{
	struct scene s = scene_of(*state);

	s.flags = PLAN_KEEP_EQUIVALENT;
	scene_plan(&s);
	assert_int_equal(s.plan->components[0].n_files, 2);
	assert_null(find_note(s.plan, "usr/lib/libx.so.1"));
	scene_done(&s);
}

/* One instruction, constant, string, export, init_array entry, relocation: each is published. */
static void test_rebuilt_with_a_change_is_published(void **state)
{
	static const struct {
		const char *section;
		size_t offset;
	} changes[] = {{".text", 0x10}, {".data", 0}, {".rodata", 5}, {".dynsym", 24 + 4},
		{".init_array", 0}, {".rela.dyn", 16}};
	struct pair *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct scene s = scene_of(p);
		uint8_t *at = section(&p->new, changes[i].section) + changes[i].offset;

		*at ^= 0x08;
		scene_plan(&s);
		if (s.plan->components[0].n_files != 2)
			fail_msg("%s", changes[i].section);
		*at ^= 0x08;
		scene_done(&s);
	}
}

/* Owner, mode, a file capability, another name of a library: what is not content counts, too. */
static void test_rebuilt_with_other_rights_is_published(void **state)
{
	struct scene a = scene_of(*state), b = scene_of(*state), c = scene_of(*state);

	a.files[1][0].mode = 04755;
	scene_plan(&a);
	assert_int_equal(a.plan->components[0].n_files, 2);
	scene_done(&a);
	b.files[1][0].uid = 7;
	scene_plan(&b);
	assert_int_equal(b.plan->components[0].n_files, 2);
	scene_done(&b);
	c.files[1][0].has_capability = 1;
	scene_plan(&c);
	assert_int_equal(c.plan->components[0].n_files, 2);
	scene_done(&c);
}

/* Where one base state has another program, all get the new one. */
static void test_rebuilt_must_hold_for_every_state(void **state)
{
	const struct pair *p = *state;
	struct buffer other = golden();
	struct scene s = {.n_states = 3,
		.files = {{{.path = LIBRARY, .bytes = &p->old},
				  {.path = "./usr/lib/data", .content = "1"}},
			{{.path = LIBRARY, .bytes = &other},
				{.path = "./usr/lib/data", .content = "2"}},
			{{.path = LIBRARY, .bytes = &p->new},
				{.path = "./usr/lib/data", .content = "3"}}}};
	struct scene same = s;

	section(&other, ".rodata")[5] ^= 0x08;
	scene_plan(&s);
	assert_int_equal(s.plan->components[0].n_files, 2);
	scene_done(&s);
	section(&other, ".rodata")[5] ^= 0x08;
	section(&other, ".note.gnu.build-id")[20] ^= 0x55;
	scene_plan(&same);
	assert_int_equal(same.plan->components[0].n_files, 1);
	scene_done(&same);
	buffer_done(&other);
}

/* A file that may hold a digest or signature of the library goes with it, and it with that. */
static void test_rebuilt_is_published_with_what_vouches_for_it(void **state)
{
	static const struct {
		const char *path, *content;
		size_t n_files;
	} rows[] = {
		{"./usr/lib/libx.chk", "signature", 3},
		{"./usr/lib/.libx.so.1.hmac", "hmac", 3},
		{"./usr/share/x/sums", "0123 libx.so.1\n", 3},
		{"./usr/lib/libxy.chk", "signature of another", 2},
		{"./usr/share/x/sums", "0123 liby.so.1\n", 2},
		/* documentation checks nothing, and is asked for here */
		{"./usr/share/doc/x/libx.README", "of libx.so.1\n", 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s = scene_of(*state);
		char changed[64];

		(void)snprintf(changed, sizeof changed, "new %s", rows[i].content);
		s.flags = PLAN_INCLUDE_DOCS;
		s.files[0][2] = (struct fixture_file){
			.path = rows[i].path, .content = rows[i].content};
		s.files[1][2] = (struct fixture_file){.path = rows[i].path, .content = changed};
		scene_plan(&s);
		if (s.plan->components[0].n_files != rows[i].n_files)
			fail_msg("%s: %zu", rows[i].path, s.plan->components[0].n_files);
		scene_done(&s);
	}
}

static void test_rebuilt_alone_is_no_component(void **state)
{
	const struct pair *p = *state;
	struct scene s = {.n_states = 2,
		.files = {{{.path = LIBRARY, .bytes = &p->old}}, {{.path = LIBRARY, .bytes = &p->new}}}};
	struct error e = {};

	scene_plan(&s);
	assert_int_equal(s.plan->n_components, 0);
	assert_true(plan_is_all_equivalent(s.plan, "x"));
	assert_false(plan_is_all_equivalent(s.plan, "y"));
	assert_non_null(strstr(find_note(s.plan, "x")->reason, "1 rebuilt file"));
	assert_int_equal(find_note(s.plan, "x")->component, GROUPING_NONE);
	assert_int_equal(plan_check(s.plan, &e), -BSI_E_REFUSED);
	assert_non_null(strstr(e.text, "--keep-equivalent"));
	scene_done(&s);
}

/*
 * A package of which nothing is replaced says nothing about the fix: a device that has an old one
 * beside a new library is not in want of it.
 */
static void test_rebuilt_package_is_no_part(void **state)
{
	const struct pair *p = *state;
	struct scene s = {.n_states = 2,
		.files = {{{.path = LIBRARY, .bytes = &p->old}}, {{.path = LIBRARY, .bytes = &p->new}}},
		.debs = {{{.package = "a", .version = "1", .source = "s",
				 .files = (struct fixture_file[]){
					 {.path = "./usr/lib/data", .content = "1"}, {0}}}},
			{{.package = "a", .version = "2", .source = "s",
				.files = (struct fixture_file[]){
					{.path = "./usr/lib/data", .content = "2"}, {0}}}}}};

	for (size_t i = 0; i < 2; i++)
		s.debs[i][1] = (struct fixture_deb){.package = "x", .version = i == 0 ? "1" : "2",
			.source = "s", .depends = i == 0 ? "a (= 1)" : "a (= 2)", .files = s.files[i]};
	scene_plan(&s);
	assert_int_equal(s.plan->n_components, 1);
	assert_int_equal(s.plan->components[0].n_files, 1);
	assert_int_equal(s.plan->components[0].n_packages, 1);
	assert_string_equal(s.plan->components[0].packages[0].name, "a");
	scene_done(&s);
}

/* ld.so and libc change at boot, whether ld.so is another one or not. */
static void test_rebuilt_linker_still_wants_boot(void **state)
{
	struct scene s = scene_of(*state);

	for (size_t i = 0; i < 2; i++)
		s.files[i][0].path = "./usr/lib/ld-linux-x86-64.so.2";
	scene_plan(&s);
	assert_int_equal(s.plan->components[0].n_files, 1);
	assert_int_equal(s.plan->components[0].activation, ACTIVATION_BOOT);
	scene_done(&s);
}

/* Of a file that stays as it is, nothing is refused: here it would lose a capability's script. */
static void test_rebuilt_is_not_refused(void **state)
{
	struct scene s = scene_of(*state);

	for (size_t i = 0; i < 2; i++)
		s.debs[i][0] = (struct fixture_deb){.package = "x", .version = i == 0 ? "1" : "2",
			.files = s.files[i], .scripts = "setcap cap_net_raw+ep /usr/lib/libx.so.1\n"};
	scene_plan(&s);
	assert_int_equal(plan_check(s.plan, NULL), 0);
	assert_int_equal(s.plan->components[0].n_files, 1);
	scene_done(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_make, pair_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rebuilt_is_left_out),
		TEST(test_rebuilt_is_kept_on_request),
		TEST(test_rebuilt_with_a_change_is_published),
		TEST(test_rebuilt_with_other_rights_is_published),
		TEST(test_rebuilt_must_hold_for_every_state),
		TEST(test_rebuilt_is_published_with_what_vouches_for_it),
		TEST(test_rebuilt_alone_is_no_component),
		TEST(test_rebuilt_package_is_no_part),
		TEST(test_rebuilt_linker_still_wants_boot),
		TEST(test_rebuilt_is_not_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
