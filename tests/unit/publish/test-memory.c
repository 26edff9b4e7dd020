/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each allocation fails in turn: an error and nothing half done, or the right result. Leaks are the
 * address sanitizer's to find. Our own calls come here by the linker's --wrap, those of the JSON
 * library by its hooks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "fixture.h"
#include "publish/commit.h"
#include "publish/fixes.h"
#include "publish/foundation.h"
#include "publish/issue.h"
#include "publish/verify.h"

#define BASE "debian:12:amd64"
#define NOW 1800000000

/* names that the linker gives */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

static unsigned long countdown; /* the allocation that fails; 0: none */
static unsigned long n_allocations;

static bool fails(void)
{
	n_allocations++;
	return countdown > 0 && --countdown == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
	return fails() ? NULL : __real_strndup(text, len);
}

/* Everything that the runs need is made before anything fails. */
struct scene {
	char *folder, *from, *to;
	char repository[256], keys[256], online[256];
	struct keyring base_keys, snapshot_keys, timestamp_keys;
};

static int plan_states(const struct scene *s, struct state **states, struct plan **ret)
{
	struct plan_request request = {
		.architecture = "amd64", .from = states, .n_from = 1};
	struct error e = {};
	int r;

	r = state_open(s->from, &states[0], &e);
	if (r == 0)
		r = state_open(s->to, &states[1], &e);
	if (r < 0)
		return r;
	request.to = states[1];
	r = plan_make(&request, ret, &e);
	return r < 0 ? r : fixes_find(*ret, &request, &e);
}

static int run_plan(const struct scene *s)
{
	struct state *states[2] = {};
	struct plan *p = NULL;
	int r;

	r = plan_states(s, states, &p);
	if (r == 0) {
		assert_int_equal(plan_check(p, NULL), 0);
		assert_int_equal(p->n_components, 1);
		assert_int_equal(p->components[0].n_files, 3);
		assert_int_equal(p->components[0].n_fixes, 1);
	}
	plan_free(p);
	state_free(states[0]);
	state_free(states[1]);
	return r;
}

static int change(const struct scene *s, int (*what)(const struct issue *issue))
{
	AUTO(repository) struct repository *r = NULL;
	struct issue issue = {.base_keys = &s->base_keys, .snapshot_keys = &s->snapshot_keys,
		.timestamp_keys = &s->timestamp_keys, .now_utc_s = NOW + 1};
	struct error e = {};
	int result;

	result = repository_open(s->repository, REPOSITORY_LOCK, &r, &e);
	if (result < 0)
		return result;
	issue.repository = r;
	result = repository_base(r, BASE, &issue.base, &e);
	return result < 0 ? result : what(&issue);
}

static int do_minimum(const struct issue *issue)
{
	return issue_minimum(issue, NULL, NULL);
}

static int run_change(const struct scene *s)
{
	return change(s, do_minimum);
}

static const struct scene *adding; /* for the callback below */

static int do_add(const struct issue *issue)
{
	struct state *states[2] = {};
	struct manifest *m = NULL;
	struct plan *p = NULL;
	struct issue_letter letter = {0};
	int r;

	r = plan_states(adding, states, &p);
	letter.plan = p;
	letter.to = states[1];
	if (r == 0)
		r = issue_add(issue, &letter, &m, NULL);
	manifest_free(m);
	plan_free(p);
	state_free(states[0]);
	state_free(states[1]);
	return r;
}

static int run_add(const struct scene *s)
{
	adding = s;
	return change(s, do_add);
}

static void load_keys(const char *path, const char *role, struct keyring *ret)
{
	struct keyring_folder folder = {.path = path};
	struct error e = {};

	folder.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(keyring_load(&folder, role, ret, &e), 0);
	close(folder.fd);
}

static int set_up(void **state)
{
	static const char log[] = "x (2) s; urgency=high\n\n  * CVE-2026-0001\n\n -- a <a@b>  now\n";
	const struct fixture_file old[] = {{.path = "./usr/lib/a", .content = "1", .has_capability = 1},
		{.path = "./usr/lib/l.so.1.1", .soname = "l.so.1", .content = "1"},
		{.path = "./usr/bin/b", .hardlink = "./usr/lib/a"}, {0}};
	const struct fixture_file new[] = {{.path = "./usr/lib/a", .content = "2", .has_capability = 1},
		{.path = "./usr/lib/l.so.1.2", .soname = "l.so.1", .content = "2"},
		{.path = "./usr/bin/b", .hardlink = "./usr/lib/a"}, {0}};
	const struct fixture_deb from = {.package = "x", .version = "1", .files = old};
	const struct fixture_deb to = {
		.package = "x", .version = "2", .files = new, .changelog = log};
	static const struct foundation_base base = {.id = BASE};
	static struct scene s;
	struct foundation f = {
		.bases = &base, .n_bases = 1, .threshold = 1, .n_keys = 1, .now_utc_s = NOW};
	struct error e = {};

	s.folder = fixture_folder();
	s.from = fixture_write(s.folder, &from);
	s.to = fixture_write(s.folder, &to);
	(void)snprintf(s.repository, sizeof s.repository, "%s/r", s.folder);
	(void)snprintf(s.keys, sizeof s.keys, "%s/k", s.folder);
	(void)snprintf(s.online, sizeof s.online, "%s/o", s.folder);
	f.path = s.repository;
	f.keys_path = s.keys;
	f.online_path = s.online;
	assert_int_equal(foundation_lay(&f, &e), 0);
	load_keys(s.keys, BASE, &s.base_keys);
	load_keys(s.online, "snapshot", &s.snapshot_keys);
	load_keys(s.online, "timestamp", &s.timestamp_keys);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	keyring_done(&s->base_keys);
	keyring_done(&s->snapshot_keys);
	keyring_done(&s->timestamp_keys);
	free(s->from);
	free(s->to);
	fixture_remove(s->folder);
	return 0;
}

/* Whatever failed, readers have a whole repository. */
static void assert_whole(const struct scene *s)
{
	struct verify_report report;
	struct error e = {};

	if (verify_repository(s->repository, NOW + 2, NULL, &report, &e) < 0)
		fail_msg("%s", e.text);
}

/* Fail every stride-th allocation until a run needs fewer than that. */
static void fail_each(const struct scene *s, int (*run)(const struct scene *s),
	unsigned long stride)
{
	unsigned long n, n_failed = 0;

	n_allocations = 0;
	countdown = 0;
	assert_int_equal(run(s), 0);
	n = n_allocations;
	assert_true(n > 20);
	for (unsigned long i = 1; i <= n; i += stride) {
		int r;

		countdown = i;
		r = run(s);
		countdown = 0;
		assert_true(r <= 0);
		n_failed += r < 0;
		if (run != run_plan && i % 16 == 1)
			assert_whole(s);
	}
	assert_true(n_failed * 10 > n / stride);
	assert_whole(s);
}

static void test_memory_plan(void **state)
{
	fail_each(*state, run_plan, 1);
}

static void test_memory_change(void **state)
{
	fail_each(*state, run_change, 1);
}

/* Compressing takes its time, so not every one of them. */
static void test_memory_add(void **state)
{
	fail_each(*state, run_add, 97);
}

static void test_memory_foundation(void **state)
{
	static const struct foundation_base base = {.id = BASE};
	const struct scene *s = *state;
	char repository[300], keys[300], online[300];
	struct foundation f = {.path = repository, .keys_path = keys, .online_path = online,
		.bases = &base, .n_bases = 1, .threshold = 1, .n_keys = 1, .now_utc_s = NOW};
	int r = -1;

	(void)snprintf(repository, sizeof repository, "%s/r2", s->folder);
	(void)snprintf(keys, sizeof keys, "%s/k2", s->folder);
	(void)snprintf(online, sizeof online, "%s/o2", s->folder);
	for (unsigned long i = 1; r < 0; i++) {
		assert_true(i < 10000);
		countdown = i;
		r = foundation_lay(&f, NULL);
		countdown = 0;
		/* keys without a repository are of no use: the next run may begin anew */
		if (r < 0) {
			assert_true(faccessat(AT_FDCWD, repository, F_OK, 0) < 0);
			assert_int_equal(file_remove_tree(AT_FDCWD, keys), 0);
			assert_int_equal(file_remove_tree(AT_FDCWD, online), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_plan),
		cmocka_unit_test(test_memory_change),
		cmocka_unit_test(test_memory_add),
		cmocka_unit_test(test_memory_foundation),
	};

	json_set_alloc_funcs(__wrap_malloc, free);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
