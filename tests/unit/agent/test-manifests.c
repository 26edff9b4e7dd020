/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/manifests.h"
#include "example.h"

static struct generation generation_of(const struct manifest *m)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	struct generation g = {0};

	assert_int_equal(manifest_encode(m, &bytes, NULL), 0);
	g.manifest = buffer_take(&bytes, &g.manifest_len);
	return g;
}

static void test_same_bytes_are_decoded_once_and_others_anew(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct generation first = generation_of(m), again = generation_of(m), other;
	const struct manifest *a, *b, *c;
	struct agent agent = {0};

	(void)state;
	m->build++;
	other = generation_of(m);
	assert_int_equal(other.manifest_len, first.manifest_len);
	assert_int_equal(manifests_get(&agent, &first, &a, NULL), 0);
	assert_int_equal(manifests_get(&agent, &other, &b, NULL), 0);
	assert_ptr_not_equal(a, b);
	assert_int_equal(b->build, a->build + 1);
	/* what was given before stays, whoever frees the generation */
	free(first.manifest);
	assert_int_equal(manifests_get(&agent, &again, &c, NULL), 0);
	assert_ptr_equal(a, c);
	free(again.manifest);
	free(other.manifest);
	manifests_free(agent.manifests);
}

static void test_damaged_bytes_are_never_taken_for_good_ones(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct generation g = generation_of(m);
	struct agent agent = {0};
	const struct manifest *found = NULL;

	(void)state;
	assert_int_equal(manifests_get(&agent, &g, &found, NULL), 0);
	for (size_t i = 0; i < g.manifest_len; i += 97) {
		const struct manifest *damaged = NULL;

		g.manifest[i] ^= 0x80;
		assert_true(manifests_get(&agent, &g, &damaged, NULL) < 0);
		assert_null(damaged);
		g.manifest[i] ^= 0x80;
	}
	g.manifest_len--;
	assert_true(manifests_get(&agent, &g, &found, NULL) < 0);
	free(g.manifest);
	manifests_free(agent.manifests);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_bytes_are_decoded_once_and_others_anew),
		cmocka_unit_test(test_damaged_bytes_are_never_taken_for_good_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
