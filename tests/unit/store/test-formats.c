/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The examples in docs/formats are what they say: they are taken, and their digests hold. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "improvement/index.h"
#include "improvement/manifest.h"
#include "scratch.h"

static const char *formats; /* the folder, from the command line */

struct example {
	char *page;
	struct buffer bytes; /* the canonical form of the page's first example */
};

static void example_done(struct example *e)
{
	free(e->page);
	buffer_done(&e->bytes);
}

static struct example example_of(const char *page)
{
	static const char open_fence[] = "```json\n", close_fence[] = "\n```";
	AUTO_DONE(buffer) struct buffer text = buffer_of(1 << 20);
	AUTO_CLOSE int dir = open(formats, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct example e = {NULL, buffer_of(1 << 20)};
	AUTO_JSON json_t *root = NULL;
	const char *start, *end;

	assert_int_equal(file_read(dir, page, 1 << 20, &text), 0);
	buffer_put_u8(&text, 0);
	e.page = (char *)buffer_take(&text, NULL);
	start = strstr(e.page, open_fence);
	assert_non_null(start);
	start += strlen(open_fence);
	end = strstr(start, close_fence);
	assert_non_null(end);
	assert_int_equal(json_parse(start, (size_t)(end - start), page, &root, NULL), 0);
	assert_int_equal(json_canonical(root, &e.bytes), 0);
	return e;
}

static void check_said(const struct example *e)
{
	struct digest digest;
	char len[32];

	assert_int_equal(digest_of(e->bytes.data, e->bytes.len, &digest), 0);
	if (!strstr(e->page, digest_format(&digest).text))
		fail_msg("the page does not name %s", digest_format(&digest).text);
	(void)snprintf(len, sizeof len, " %zu long", e->bytes.len);
	assert_non_null(strstr(e->page, len));
}

static void test_manifest_page_has_a_valid_example(void **state)
{
	AUTO_DONE(example) struct example e = example_of("manifest.md");
	AUTO(manifest) struct manifest *m = NULL;
	struct error error = {0};

	(void)state;
	if (manifest_decode(e.bytes.data, e.bytes.len, &m, &error) < 0)
		fail_msg("%s", error.text);
	assert_false(m->components[0].sets[1].files[1].present);
	check_said(&e);
}

static void test_index_page_has_a_valid_example(void **state)
{
	AUTO_DONE(example) struct example e = example_of("index.md");
	AUTO(index) struct index *index = NULL;
	struct error error = {0};

	(void)state;
	if (index_decode(e.bytes.data, e.bytes.len, &index, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(index->entries[0].withdrawn, WITHDRAW_REMOVE);
	check_said(&e);
}

static void test_state_page_has_a_valid_example(void **state)
{
	AUTO_DONE(example) struct example e = example_of("state.md");
	AUTO(store) struct store *s = scratch_lock(*state);
	uint64_t n = 0;

	scratch_write(*state, "current", e.bytes.data, e.bytes.len);
	assert_int_equal(store_current_get(s, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(store_good_get(s, &n, NULL), 0);
	assert_int_equal(n, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_page_has_a_valid_example),
		cmocka_unit_test(test_index_page_has_a_valid_example),
		cmocka_unit_test_setup_teardown(test_state_page_has_a_valid_example, scratch_setup,
			scratch_teardown),
	};

	if (argc != 2)
		return 2;
	formats = argv[1];
	return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
