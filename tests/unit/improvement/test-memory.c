/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each allocation fails in turn: an error and nothing handed out, or the right result. Leaks are
 * the address sanitizer's to find. Our own calls come here by the linker's --wrap, the JSON
 * reader's by its hooks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "example.h"
#include "improvement/base_id.h"

/* names that the linker gives */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *text);

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

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

static int run_manifest(const struct buffer *bytes)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = NULL;
	struct error e;
	int r;

	r = manifest_decode(bytes->data, bytes->len, &m, &e);
	assert_true((r == 0) == (m != NULL));
	if (r == 0)
		r = manifest_encode(m, &out, &e);
	if (r == 0) {
		assert_int_equal(out.len, bytes->len);
		assert_memory_equal(out.data, bytes->data, out.len);
	}
	return r;
}

static int run_index(const struct buffer *bytes)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(INDEX_MAX_BYTES);
	AUTO(index) struct index *index = NULL;
	struct error e;
	int r;

	r = index_decode(bytes->data, bytes->len, &index, &e);
	assert_true((r == 0) == (index != NULL));
	if (r == 0)
		r = index_encode(index, &out, &e);
	if (r == 0) {
		assert_int_equal(out.len, bytes->len);
		assert_memory_equal(out.data, bytes->data, out.len);
	}
	return r;
}

static int run_os_release(const struct buffer *bytes)
{
	AUTO_FREE char *base = NULL;
	struct error e;
	int r = base_id_from_os_release(bytes->data, bytes->len, "amd64", &base, &e);

	assert_true((r == 0) == (base != NULL));
	return r;
}

static void fail_each(int (*run)(const struct buffer *bytes), const struct buffer *bytes)
{
	unsigned long n, failed = 0;

	countdown = 0;
	n_allocations = 0;
	assert_int_equal(run(bytes), 0);
	n = n_allocations;
	for (unsigned long i = 1; i <= n; i++) {
		countdown = i;
		failed += run(bytes) < 0;
	}
	countdown = 0;
	assert_int_equal(run(bytes), 0);
	/* every one of them is needed */
	assert_in_range(n, 2, 100000);
	assert_int_equal(failed, n);
}

static void test_memory_manifest(void **state)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = example_manifest();

	(void)state;
	assert_int_equal(manifest_encode(m, &bytes, NULL), 0);
	fail_each(run_manifest, &bytes);
}

static void test_memory_index(void **state)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(INDEX_MAX_BYTES);
	AUTO(index) struct index *index = example_index();

	(void)state;
	assert_int_equal(index_encode(index, &bytes, NULL), 0);
	fail_each(run_index, &bytes);
}

static void test_memory_os_release(void **state)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(100);

	(void)state;
	buffer_put_text(&bytes, "ID=debian\nVERSION_ID=12\nBUILD_ID='x'\n");
	fail_each(run_os_release, &bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_manifest),
		cmocka_unit_test(test_memory_index),
		cmocka_unit_test(test_memory_os_release),
	};

	json_set_alloc_funcs(__wrap_malloc, free);
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
