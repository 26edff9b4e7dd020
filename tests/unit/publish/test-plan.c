/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "publish/fixes.h"
#include "publish/plan.h"

/* Base states and a patched state as folders of packages, and the plan over them. */
struct bench {
	char *folders[4];
	size_t n_folders;
	struct state *states[4]; /* the last one is the patched one */
	struct plan_request request;
	struct plan *plan;
};

static void bench_add(struct bench *b, const struct fixture_deb *debs)
{
	char *folder = fixture_folder();
	struct error e = {};

	for (const struct fixture_deb *d = debs; d->package; d++)
		free(fixture_write(folder, d));
	assert_int_equal(state_open(folder, &b->states[b->n_folders], &e), 0);
	b->folders[b->n_folders++] = folder;
}

static void bench_plan(struct bench *b)
{
	struct error e = {};

	b->request.architecture = "amd64";
	b->request.from = b->states;
	b->request.n_from = b->n_folders - 1;
	b->request.to = b->states[b->n_folders - 1];
	assert_int_equal(plan_make(&b->request, &b->plan, &e), 0);
}

static void bench_done(struct bench *b)
{
	plan_free(b->plan);
	for (size_t i = 0; i < b->n_folders; i++) {
		state_free(b->states[i]);
		fixture_remove(b->folders[i]);
	}
}

static const struct plan_note *find_note(const struct plan *p, enum plan_note_kind kind,
	const char *subject)
{
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].kind == kind && strcmp(p->notes[i].subject, subject) == 0)
			return &p->notes[i];
	return NULL;
}

#define FILES(...)                                                                                 \
	(const struct fixture_file[])                                                              \
	{                                                                                          \
		__VA_ARGS__, { 0 }                                                                 \
	}
#define DEBS(...)                                                                                  \
	(const struct fixture_deb[])                                                               \
	{                                                                                          \
		__VA_ARGS__, { 0 }                                                                 \
	}

static void test_plan_one_file(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1.0-1",
		.files = FILES({.path = "./usr/lib/data", .content = "old"},
			{.path = "./usr/lib/same", .content = "same"},
			{.path = "./usr/share/man/man1/x.1", .content = "old"})}));
	bench_add(&b, DEBS({.package = "x", .version = "1.0-2",
		.files = FILES({.path = "./usr/lib/data", .content = "new!", .mode = 0600},
			{.path = "./usr/lib/same", .content = "same"},
			{.path = "./usr/share/man/man1/x.1", .content = "new"})}));
	bench_plan(&b);
	assert_int_equal(plan_check(b.plan, NULL), 0);
	assert_int_equal(b.plan->n_components, 1);
	assert_string_equal(b.plan->components[0].name, "x");
	assert_int_equal(b.plan->components[0].n_files, 1);
	assert_string_equal(b.plan->components[0].files[0].path, "usr/lib/data");
	assert_int_equal(b.plan->components[0].n_sets, 1);
	assert_string_equal(b.plan->components[0].sets[0].name, "x_1.0-1");
	assert_int_equal(b.plan->components[0].activation, ACTIVATION_LIVE);
	assert_non_null(find_note(b.plan, PLAN_LEFT_OUT, "x"));
	bench_done(&b);
}

static void test_plan_documentation_on_request(void **state)
{
	struct bench b = {.request.flags = PLAN_INCLUDE_DOCS};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1",
		.files = FILES({.path = "./usr/share/doc/x/y", .content = "old"})}));
	bench_add(&b, DEBS({.package = "x", .version = "2",
		.files = FILES({.path = "./usr/share/doc/x/y", .content = "new"})}));
	bench_plan(&b);
	assert_int_equal(b.plan->components[0].n_files, 1);
	bench_done(&b);
}

/* Each row changes one file of a package, and the planner says why not. */
static void test_plan_refusals(void **state)
{
	static const struct {
		struct fixture_file old, new;
		const char *subject, *reason, *scripts;
	} rows[] = {
		{{.path = "./etc/x.conf", .content = "a"}, {.path = "./etc/x.conf", .content = "b"},
			"etc/x.conf", "owner", NULL},
		{{.path = "./boot/vmlinuz", .content = "a"},
			{.path = "./boot/vmlinuz", .content = "b"}, "boot/vmlinuz", "kernel", NULL},
		{{.path = "./lib/modules/6.1/a.ko", .content = "a"},
			{.path = "./lib/modules/6.1/a.ko", .content = "b"},
			"usr/lib/modules/6.1/a.ko", "kernel", NULL},
		{{.path = "./var/lib/x", .content = "a"}, {.path = "./var/lib/x", .content = "b"},
			"var/lib/x", "outside", NULL},
		{{.path = "./usr/bin/bsi", .content = "a"}, {.path = "./usr/bin/bsi", .content = "b"},
			"usr/bin/bsi", "attach grafts", NULL},
		{{.path = "./usr/lib/x", .content = "a"}, {.path = "./usr/lib/y", .content = "b"},
			"usr/lib/y", "in no base state", NULL},
		{{.path = "./usr/lib/x", .content = "a"}, {.path = "./usr/lib/y", .content = "b"},
			"usr/lib/x", "vanishes", NULL},
		{{.path = "./usr/lib/x", .content = "a"}, {.path = "./usr/lib/x", .symlink = "y"},
			"usr/lib/x", "type", NULL},
		{{.path = "./usr/lib/x", .symlink = "a"}, {.path = "./usr/lib/x", .symlink = "b"},
			"usr/lib/x", "symlink target", NULL},
		{{.path = "./usr/lib/x", .content = "a"}, {.path = "./usr/lib/x", .is_fifo = 1},
			"usr/lib/x", "type", NULL},
		{{.path = "./usr/lib/x", .content = "a"},
			{.path = "./usr/lib/x", .content = "a", .mode = 0755}, "x",
			"only owners", NULL},

		{{.path = "./usr/bin/ping", .content = "a", .has_capability = 1},
			{.path = "./usr/bin/ping", .content = "b"}, "usr/bin/ping",
			"lose its file capabilities", NULL},
		{{.path = "./bin/ping", .content = "a"}, {.path = "./bin/ping", .content = "b"},
			"usr/bin/ping", "in a script", "setcap cap_net_raw+ep /bin/ping\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench b = {};
		struct error e = {};

		bench_add(&b, DEBS({.package = "x", .version = "1", .files = FILES(rows[i].old)}));
		bench_add(&b, DEBS({.package = "x", .version = "2", .files = FILES(rows[i].new),
			.scripts = rows[i].scripts}));
		bench_plan(&b);
		assert_non_null(find_note(b.plan, PLAN_REFUSED, rows[i].subject));
		assert_non_null(strstr(find_note(b.plan, PLAN_REFUSED, rows[i].subject)->reason,
			rows[i].reason));
		assert_int_equal(plan_check(b.plan, &e), -BSI_E_REFUSED);
		assert_int_equal(error_exit_status(-BSI_E_REFUSED), 13);
		bench_done(&b);
	}
}

/* Whoever installed the old package has the capabilities that its script gave: its file does not. */
static void test_plan_refuses_rights_of_an_old_script(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1",
		.files = FILES({.path = "./bin/ping", .content = "a"}),
		.scripts = "setcap cap_net_raw+ep /bin/ping\n"}));
	bench_add(&b, DEBS({.package = "x", .version = "2",
		.files = FILES({.path = "./bin/ping", .content = "b"})}));
	bench_plan(&b);
	assert_non_null(strstr(find_note(b.plan, PLAN_REFUSED, "usr/bin/ping")->reason,
		"the package of a base state sets"));
	bench_done(&b);
}

/* Each base set says who may do what with its files: states that differ in that alone are two. */
static void test_plan_sets_hold_access(void **state)
{
	struct bench b = {};
	const struct plan_component *c;

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1",
		.files = FILES({.path = "./usr/bin/a", .content = "1", .mode = 04755})}));
	bench_add(&b, DEBS({.package = "x", .version = "2",
		.files = FILES({.path = "./usr/bin/a", .content = "1", .mode = 0755,
			.has_capability = 1})}));
	bench_add(&b, DEBS({.package = "x", .version = "3",
		.files = FILES({.path = "./usr/bin/a", .content = "3", .mode = 0755,
			.has_capability = 1})}));
	bench_plan(&b);
	assert_int_equal(plan_check(b.plan, NULL), 0);
	c = &b.plan->components[0];
	assert_int_equal(c->n_sets, 2);
	assert_int_equal(c->sets[0].files[0].access.mode, 04755);
	assert_false(c->sets[0].files[0].access.has_attributes);
	assert_int_equal(c->sets[1].files[0].access.mode, 0755);
	assert_true(c->sets[1].files[0].access.has_attributes);
	assert_non_null(strstr(find_note(b.plan, PLAN_WARNING, "usr/bin/a")->reason,
		"4755, and devices get 0:0 0755 with capabilities or an ACL"));
	bench_done(&b);
}

/* A mode alone cannot be proved, but it goes along with what can. */
static void test_plan_mode_beside_content(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1",
		.files = FILES({.path = "./usr/bin/a", .content = "1", .mode = 04755},
			{.path = "./usr/bin/b", .content = "1", .mode = 0755})}));
	bench_add(&b, DEBS({.package = "x", .version = "2",
		.files = FILES({.path = "./usr/bin/a", .content = "1", .mode = 0755},
			{.path = "./usr/bin/b", .content = "2", .mode = 0755})}));
	bench_plan(&b);
	assert_int_equal(plan_check(b.plan, NULL), 0);
	assert_int_equal(b.plan->components[0].n_files, 2);
	bench_done(&b);
}

static void test_plan_warnings(void **state)
{
	struct bench b = {};

	(void)state;
	for (int i = 1; i <= 3; i++) {
		const char *text = i == 1 ? "1" : i == 2 ? "2" : "3";

		/* the first state lacks a file that the others have */
		bench_add(&b, DEBS({.package = "x", .version = text,
			.files = FILES({.path = "./usr/lib/python3/dist-packages/x.py", .content = text},
				{.path = i == 1 ? "./usr/lib/old" : "./usr/lib/new",
					.content = text})}));
	}
	bench_plan(&b);
	assert_non_null(strstr(find_note(b.plan, PLAN_WARNING,
				       "usr/lib/python3/dist-packages/x.py")->reason,
		"__pycache__"));
	assert_non_null(strstr(find_note(b.plan, PLAN_WARNING, "usr/lib/new")->reason,
		"does not have this file"));
	assert_non_null(find_note(b.plan, PLAN_REFUSED, "usr/lib/old"));
	bench_done(&b);
}

static void test_plan_leave_out(void **state)
{
	const char *const globs[] = {"/etc/*"};
	struct bench b = {.request.leave_out = globs, .request.n_leave_out = 1};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1",
		.files = FILES({.path = "./etc/a/b", .content = "1"},
			{.path = "./usr/lib/x", .content = "1"})}));
	bench_add(&b, DEBS({.package = "x", .version = "2",
		.files = FILES({.path = "./etc/a/b", .content = "2"},
			{.path = "./usr/lib/x", .content = "2"})}));
	bench_plan(&b);
	assert_int_equal(plan_check(b.plan, NULL), 0);
	assert_non_null(find_note(b.plan, PLAN_LEFT_OUT, "etc/a/b"));
	bench_done(&b);
}

static void test_plan_architecture(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1", .architecture = "i386",
		.files = FILES({.path = "./usr/lib/x", .content = "1"})}));
	bench_add(&b, DEBS({.package = "x", .version = "2", .architecture = "i386",
		.files = FILES({.path = "./usr/lib/x", .content = "2"})}));
	bench_plan(&b);
	assert_non_null(strstr(find_note(b.plan, PLAN_REFUSED, "usr/lib/x")->reason,
		"another architecture"));
	bench_done(&b);
}

static void test_plan_older(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "2",
		.files = FILES({.path = "./usr/lib/x", .content = "2"})}));
	bench_add(&b, DEBS({.package = "x", .version = "1~rc1",
		.files = FILES({.path = "./usr/lib/x", .content = "1"})}));
	bench_plan(&b);
	assert_non_null(strstr(find_note(b.plan, PLAN_REFUSED, "x")->reason, "older"));
	bench_done(&b);
}

static void test_plan_new_package(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1",
		.files = FILES({.path = "./usr/lib/x", .content = "1"})}));
	bench_add(&b, DEBS({.package = "x", .version = "2",
		.files = FILES({.path = "./usr/lib/x", .content = "2"})},
		{.package = "y", .version = "2",
			.files = FILES({.path = "./usr/lib/y", .content = "2"})}));
	bench_plan(&b);
	assert_non_null(find_note(b.plan, PLAN_REFUSED, "y"));
	bench_done(&b);
}

/* The patched state has both packages: whose file a device has is not known. */
static void test_plan_file_of_a_neighbour(void **state)
{
	static const char *const neighbours[] = {"y", "z"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(neighbours); i++) {
		struct bench b = {};
		const struct plan_note *note;

		bench_add(&b, DEBS({.package = "x", .version = "1"},
			{.package = "y", .version = "1",
				.files = FILES({.path = "./usr/bin/d", .content = "y's"})}));
		bench_add(&b, DEBS({.package = "x", .version = "2",
			.files = FILES({.path = "./usr/bin/d", .content = "x's"})},
			{.package = neighbours[i], .version = "2"}));
		bench_plan(&b);
		note = find_note(b.plan, PLAN_REFUSED, "usr/bin/d");
		/* a package that took another's place is what it is now */
		assert_int_equal(note != NULL, i == 0);
		if (note)
			assert_non_null(strstr(note->reason, "another package"));
		bench_done(&b);
	}
}

static void test_plan_nothing(void **state)
{
	struct bench b = {};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		bench_add(&b, DEBS({.package = "x", .version = "1",
			.files = FILES({.path = "./usr/lib/x", .content = "1"})}));
	bench_plan(&b);
	assert_int_equal(b.plan->n_components, 0);
	assert_int_equal(plan_check(b.plan, NULL), -BSI_E_REFUSED);
	bench_done(&b);
}

/* libz.so.1.8 becomes libz.so.1.9: the content takes the base's name, the link is dropped. */
static void test_plan_soname(void **state)
{
	struct bench b = {};
	const struct plan_component *c;

	(void)state;
	bench_add(&b, DEBS({.package = "z", .version = "1.8-1",
		.files = FILES({.path = "./usr/lib/a/libz.so.1", .symlink = "libz.so.1.8"},
			{.path = "./usr/lib/a/libz.so.1.8", .soname = "libz.so.1", .content = "8"})}));
	bench_add(&b, DEBS({.package = "z", .version = "1.9-1",
		.files = FILES({.path = "./usr/lib/a/libz.so.1", .symlink = "libz.so.1.9"},
			{.path = "./usr/lib/a/libz.so.1.9", .soname = "libz.so.1", .content = "9"})}));
	bench_plan(&b);
	assert_int_equal(plan_check(b.plan, NULL), 0);
	c = &b.plan->components[0];
	assert_int_equal(c->n_files, 1);
	assert_string_equal(c->files[0].path, "usr/lib/a/libz.so.1.8");
	assert_string_equal(c->files[0].row->to->path, "usr/lib/a/libz.so.1.9");
	bench_done(&b);
}

/* Two base states with two names: both names are planned, each set knows its own. */
static void test_plan_soname_of_two_states(void **state)
{
	struct bench b = {};
	const struct plan_component *c;

	(void)state;
	bench_add(&b, DEBS({.package = "z", .version = "1.7-1",
		.files = FILES({.path = "./usr/lib/libz.so.1.7", .soname = "libz.so.1",
			.content = "7"})}));
	bench_add(&b, DEBS({.package = "z", .version = "1.8-1",
		.files = FILES({.path = "./usr/lib/libz.so.1.8", .soname = "libz.so.1",
			.content = "8"})}));
	bench_add(&b, DEBS({.package = "z", .version = "1.9-1",
		.files = FILES({.path = "./usr/lib/libz.so.1.9", .soname = "libz.so.1",
			.content = "9"})}));
	bench_plan(&b);
	assert_int_equal(plan_check(b.plan, NULL), 0);
	c = &b.plan->components[0];
	assert_int_equal(c->n_files, 2);
	assert_int_equal(c->n_sets, 2);
	assert_string_equal(c->files[0].path, "usr/lib/libz.so.1.7");
	assert_true(c->sets[0].files[0].present);
	assert_false(c->sets[0].files[1].present);
	assert_false(c->sets[1].files[0].present);
	assert_true(c->sets[1].files[1].present);
	bench_done(&b);
}

static void test_plan_soname_ambiguous(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "z", .version = "1",
		.files = FILES({.path = "./usr/lib/libz.so.1.8", .soname = "libz.so.1",
			.content = "8"})}));
	bench_add(&b, DEBS({.package = "z", .version = "2",
		.files = FILES({.path = "./usr/lib/libz.so.1.9", .soname = "libz.so.1",
			.content = "9"},
			{.path = "./usr/lib/libz.so.1.10", .soname = "libz.so.1",
				.content = "10"})}));
	bench_plan(&b);
	assert_non_null(strstr(find_note(b.plan, PLAN_REFUSED, "usr/lib/libz.so.1.9")->reason,
		"SONAME"));
	assert_non_null(strstr(find_note(b.plan, PLAN_REFUSED, "usr/lib/libz.so.1.10")->reason,
		"SONAME"));
	bench_done(&b);
}

/* In another directory it is another library. */
static void test_plan_soname_elsewhere(void **state)
{
	struct bench b = {};

	(void)state;
	bench_add(&b, DEBS({.package = "z", .version = "1",
		.files = FILES({.path = "./usr/lib/a/libz.so.1.8", .soname = "libz.so.1",
			.content = "8"})}));
	bench_add(&b, DEBS({.package = "z", .version = "2",
		.files = FILES({.path = "./usr/lib/b/libz.so.1.9", .soname = "libz.so.1",
			.content = "9"})}));
	bench_plan(&b);
	assert_int_equal(plan_check(b.plan, NULL), -BSI_E_REFUSED);
	bench_done(&b);
}

static const struct fixture_deb grouped[][4] = {
	{{.package = "lib", .version = "1", .source = "s",
		 .files = (const struct fixture_file[]){{.path = "./usr/lib/lib", .content = "1"},
			 {0}}},
		{.package = "s-dev", .version = "1", .source = "s", .depends = "lib (= 1)",
			.files = (const struct fixture_file[]){
				{.path = "./usr/lib/dev", .content = "1"}, {0}}},
		{.package = "tool", .version = "1", .source = "s", .depends = "lib (>= 1)",
			.files = (const struct fixture_file[]){
				{.path = "./usr/bin/tool", .content = "1"}, {0}}},
		{0}},
	{{.package = "lib", .version = "2", .source = "s",
		 .files = (const struct fixture_file[]){{.path = "./usr/lib/lib", .content = "2"},
			 {0}}},
		{.package = "s-dev", .version = "2", .source = "s", .depends = "lib (= 2)",
			.files = (const struct fixture_file[]){
				{.path = "./usr/lib/dev", .content = "2"}, {0}}},
		{.package = "tool", .version = "2", .source = "s", .depends = "lib (>= 1)",
			.files = (const struct fixture_file[]){
				{.path = "./usr/bin/tool", .content = "2"}, {0}}},
		{0}},
};

static void test_plan_groups(void **state)
{
	struct bench b = {};
	const struct plan_component *c;

	(void)state;
	bench_add(&b, grouped[0]);
	bench_add(&b, grouped[1]);
	bench_plan(&b);
	assert_int_equal(b.plan->n_components, 2);
	assert_non_null(plan_component(b.plan, "tool"));
	c = plan_component(b.plan, "lib");
	assert_non_null(c);
	assert_int_equal(c->n_packages, 2);
	assert_int_equal(c->n_files, 2);
	/* with and without the development package, never that one alone */
	assert_int_equal(c->n_sets, 2);
	assert_true(c->sets[0].files[0].present && c->sets[0].files[1].present);
	assert_int_equal(c->sets[1].files[0].present + c->sets[1].files[1].present, 1);
	bench_done(&b);
}

static void test_plan_group_rules(void **state)
{
	const struct grouping_rule rules[] = {{"all", "lib"}, {"all", "to*"}};
	const struct plan_activation activations[] = {{"all", ACTIVATION_BOOT}};
	struct bench b = {.request = {.rules = rules, .n_rules = 2, .activations = activations,
				  .n_activations = 1}};

	(void)state;
	bench_add(&b, grouped[0]);
	bench_add(&b, grouped[1]);
	bench_plan(&b);
	assert_int_equal(b.plan->n_components, 1);
	assert_string_equal(b.plan->components[0].name, "all");
	assert_int_equal(b.plan->components[0].n_files, 2);
	assert_int_equal(b.plan->components[0].activation, ACTIVATION_BOOT);
	assert_non_null(find_note(b.plan, PLAN_LEFT_OUT, "s-dev"));
	bench_done(&b);
}

static void test_plan_group_rule_errors(void **state)
{
	const struct grouping_rule none[] = {{"a", "nothing*"}};
	const struct grouping_rule both[] = {{"a", "lib"}, {"b", "l*"}};
	struct bench b = {};
	struct error e = {};

	(void)state;
	bench_add(&b, grouped[0]);
	bench_add(&b, grouped[1]);
	bench_plan(&b);
	plan_free(b.plan);
	b.plan = NULL;
	b.request.rules = none;
	b.request.n_rules = 1;
	assert_int_equal(plan_make(&b.request, &b.plan, &e), -BSI_E_USAGE);
	b.request.rules = both;
	b.request.n_rules = 2;
	assert_int_equal(plan_make(&b.request, &b.plan, &e), -BSI_E_USAGE);
	bench_done(&b);
}

/* Providers before users, whatever their names are; data before programs. */
static void test_plan_order(void **state)
{
	struct bench b = {};
	const struct plan_component *c;

	(void)state;
	bench_add(&b, DEBS({.package = "o", .version = "1",
		.files = FILES(
			{.path = "./usr/bin/a", .needed = "libb.so", .is_program = 1, .content = "1"},
			{.path = "./usr/lib/b.so", .soname = "libb.so", .needed = "libc.so", .content = "1"},
			{.path = "./usr/lib/c.so", .soname = "libc.so", .content = "1"},
			{.path = "./usr/share/d", .content = "1"})}));
	bench_add(&b, DEBS({.package = "o", .version = "2",
		.files = FILES(
			{.path = "./usr/bin/a", .needed = "libb.so", .is_program = 1, .content = "2"},
			{.path = "./usr/lib/b.so", .soname = "libb.so", .needed = "libc.so", .content = "2"},
			{.path = "./usr/lib/c.so", .soname = "libc.so", .content = "2"},
			{.path = "./usr/share/d", .content = "2"})}));
	bench_plan(&b);
	c = &b.plan->components[0];
	assert_int_equal(c->n_files, 4);
	assert_string_equal(c->files[0].path, "usr/lib/c.so");
	assert_string_equal(c->files[1].path, "usr/lib/b.so");
	assert_string_equal(c->files[2].path, "usr/share/d");
	assert_string_equal(c->files[3].path, "usr/bin/a");
	bench_done(&b);
}

static void test_plan_component_order(void **state)
{
	struct bench b = {};

	(void)state;
	for (int i = 1; i <= 2; i++) {
		const char *text = i == 1 ? "1" : "2";

		bench_add(&b, DEBS({.package = "a-user", .version = text,
			.files = FILES({.path = "./usr/bin/a", .needed = "libz.so",
				.is_program = 1, .content = text})},
			{.package = "z-lib", .version = text,
				.files = FILES({.path = "./usr/lib/z", .soname = "libz.so",
					.content = text})}));
	}
	bench_plan(&b);
	assert_int_equal(b.plan->n_components, 2);
	assert_string_equal(b.plan->components[0].name, "z-lib");
	bench_done(&b);
}

static void test_plan_activation(void **state)
{
	static const struct {
		const char *package, *from, *to, *second;
		enum activation wanted;
	} rows[] = {
		{"x", "1.0-1", "1.0-2", "./usr/libexec/h", ACTIVATION_LIVE},
		{"x", "1.0-1", "1.1-1", "./usr/libexec/h", ACTIVATION_IDLE},
		{"x", "1.0-1", "1.1-1", "./usr/share/d", ACTIVATION_LIVE},
		{"libwebkit2gtk-4.1-0", "1.0-1", "1.0-2", "./usr/share/d", ACTIVATION_IDLE},
		{"libc6", "1.0-1", "1.0-2", "./usr/lib/ld-linux-x86-64.so.2", ACTIVATION_BOOT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench b = {};

		for (int k = 1; k <= 2; k++) {
			const char *text = k == 1 ? rows[i].from : rows[i].to;
			int is_program = strstr(rows[i].second, "libexec") != NULL;

			bench_add(&b, DEBS({.package = rows[i].package, .version = text,
				.files = FILES({.path = "./usr/lib/l", .soname = "l",
					.content = text},
					{.path = rows[i].second, .is_program = is_program,
						.content = text})}));
		}
		bench_plan(&b);
		assert_int_equal(b.plan->components[0].activation, rows[i].wanted);
		bench_done(&b);
	}
}

static void test_plan_privileged(void **state)
{
	struct bench b = {};
	const struct plan_component *c;

	(void)state;
	for (int i = 1; i <= 2; i++) {
		const char *text = i == 1 ? "1" : "2";

		bench_add(&b, DEBS({.package = "x", .version = text,
			.files = FILES({.path = "./usr/bin/a", .mode = 04755, .content = text},
				{.path = "./usr/bin/b", .mode = 0755, .content = text,
					.has_capability = 1},
				{.path = "./usr/bin/c", .mode = 0755, .content = text},
				{.path = "./usr/bin/d", .hardlink = "./usr/bin/b"})}));
	}
	bench_plan(&b);
	c = &b.plan->components[0];
	assert_int_equal(c->n_files, 4);
	assert_true(c->files[0].is_privileged && c->files[1].is_privileged);
	assert_false(c->files[2].is_privileged);
	/* another name of the file with capabilities */
	assert_true(c->files[3].is_privileged);
	bench_done(&b);
}

static void test_plan_fixes(void **state)
{
	static const char log[] = "x (2) s; urgency=high\n\n  * CVE-2026-0001: fixed.\n"
				  "  * CVE-2026-0002: reverted.\n\n -- A <a@b>  now\n\n"
				  "x (1) s; urgency=low\n\n  * CVE-2025-0009\n\n -- A <a@b>  now\n";
	const char *const confirmed[] = {"CVE-2026-0002", "CVE-2026-7777"};
	const char *const denied[] = {"CVE-2026-0001"}, *const unknown[] = {"CVE-2026-0003"};
	const char *const bad[] = {"CVE-26-1"};
	struct fixes_choice choice = {.confirmed = confirmed, .n_confirmed = 2, .denied = denied,
		.n_denied = 1, .flags = FIXES_NAMED};
	struct bench b = {};
	struct error e = {};
	const struct plan_component *c;

	(void)state;
	bench_add(&b, DEBS({.package = "x", .version = "1",
		.files = FILES({.path = "./usr/lib/x", .content = "1"})}));
	bench_add(&b, DEBS({.package = "x", .version = "2", .changelog = log,
		.files = FILES({.path = "./usr/lib/x", .content = "2"})}));
	bench_plan(&b);
	assert_int_equal(fixes_find(b.plan, &b.request, &e), 0);
	c = &b.plan->components[0];
	assert_int_equal(c->n_fixes, 2);
	assert_false(c->fixes[0].is_check || c->fixes[0].is_confirmed);
	assert_true(c->fixes[1].is_check);
	assert_int_equal(fixes_confirm(b.plan, &choice, &e), 0);
	assert_int_equal(c->n_fixes, 3);
	assert_false(c->fixes[0].is_confirmed);
	assert_true(c->fixes[1].is_confirmed && c->fixes[2].is_confirmed);
	choice = (struct fixes_choice){.denied = unknown, .n_denied = 1};
	assert_int_equal(fixes_confirm(b.plan, &choice, &e), -BSI_E_USAGE);
	choice = (struct fixes_choice){.confirmed = bad, .n_confirmed = 1};
	assert_int_equal(fixes_confirm(b.plan, &choice, &e), -BSI_E_USAGE);
	bench_done(&b);
}

/* What the letter before fixed, and the newer changelog takes back, is for the publisher to say. */
static void test_plan_contested_fixes(void **state)
{
	static const char log[] = "x (2) s; urgency=high\n\n  * Revert:\n    - CVE-2026-0001\n"
				  "  * CVE-2026-0002\n\n -- A <a@b>  now\n";
	char name[] = "x", one[] = "CVE-2026-0001", two[] = "CVE-2026-0002", *cves[] = {one, two};
	struct component old = {.name = name, .cves = cves, .n_cves = 2};
	const struct manifest before = {.components = &old, .n_components = 1};
	const char *const ids[] = {one};
	const struct fixes_choice choices[] = {{.confirmed = ids, .n_confirmed = 1},
		{.denied = ids, .n_denied = 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		const struct fixes_choice named = {.flags = FIXES_NAMED};
		struct bench b = {};
		struct error e = {};
		const struct plan_component *c;

		bench_add(&b, DEBS({.package = "x", .version = "1",
			.files = FILES({.path = "./usr/lib/x", .content = "1"})}));
		bench_add(&b, DEBS({.package = "x", .version = "2", .changelog = log,
			.files = FILES({.path = "./usr/lib/x", .content = "2"})}));
		bench_plan(&b);
		assert_int_equal(fixes_find(b.plan, &b.request, &e), 0);
		assert_int_equal(fixes_carry(b.plan, &before, &e), 0);
		c = &b.plan->components[0];
		assert_false(c->fixes[0].is_confirmed);
		assert_true(c->fixes[1].is_confirmed);
		assert_int_equal(fixes_confirm(b.plan, &named, &e), 0);
		assert_int_equal(fixes_check(b.plan, &e), -BSI_E_REFUSED);
		assert_non_null(strstr(e.text, "CVE-2026-0001"));
		assert_int_equal(fixes_confirm(b.plan, &choices[i], &e), 0);
		assert_int_equal(fixes_check(b.plan, &e), 0);
		assert_int_equal(c->fixes[0].is_confirmed, i == 0);
		bench_done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_one_file),
		cmocka_unit_test(test_plan_documentation_on_request),
		cmocka_unit_test(test_plan_refusals),
		cmocka_unit_test(test_plan_refuses_rights_of_an_old_script),
		cmocka_unit_test(test_plan_sets_hold_access),
		cmocka_unit_test(test_plan_mode_beside_content),
		cmocka_unit_test(test_plan_warnings),
		cmocka_unit_test(test_plan_leave_out),
		cmocka_unit_test(test_plan_architecture),
		cmocka_unit_test(test_plan_older),
		cmocka_unit_test(test_plan_new_package),
		cmocka_unit_test(test_plan_file_of_a_neighbour),
		cmocka_unit_test(test_plan_nothing),
		cmocka_unit_test(test_plan_soname),
		cmocka_unit_test(test_plan_soname_of_two_states),
		cmocka_unit_test(test_plan_soname_ambiguous),
		cmocka_unit_test(test_plan_soname_elsewhere),
		cmocka_unit_test(test_plan_groups),
		cmocka_unit_test(test_plan_group_rules),
		cmocka_unit_test(test_plan_group_rule_errors),
		cmocka_unit_test(test_plan_order),
		cmocka_unit_test(test_plan_component_order),
		cmocka_unit_test(test_plan_activation),
		cmocka_unit_test(test_plan_privileged),
		cmocka_unit_test(test_plan_fixes),
		cmocka_unit_test(test_plan_contested_fixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
