/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "improvement/access.h"

static const uint8_t capability[] = {1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t acl[] = {2, 0, 0, 0, 1, 0, 6, 0};

static struct file_access access_of(const uint8_t *c, size_t c_len, const uint8_t *a, size_t a_len)
{
	struct file_access access = {.uid = 1, .gid = 2, .mode = 0755};
	const struct access_value values[ACCESS_ATTRIBUTE_MAX] = {
		[ACCESS_CAPABILITIES] = {c, c_len}, [ACCESS_ACL] = {a, a_len}};

	assert_int_equal(access_set_attributes(&access, values), 0);
	return access;
}

static void test_access_without_attributes(void **state)
{
	struct file_access none = access_of(NULL, 0, NULL, 0);

	(void)state;
	assert_false(none.has_attributes);
	assert_int_equal(none.uid, 1);
	assert_true(access_equal(&none, &(struct file_access){1, 2, 0755, false, {{0}}}));
}

/* Its definition stands in docs/formats/manifest.md; the digest was taken with another program. */
static void test_access_digest_is_as_documented(void **state)
{
	struct file_access both = access_of(capability, sizeof capability, acl, sizeof acl);

	(void)state;
	assert_true(both.has_attributes);
	assert_string_equal(digest_format(&both.attributes).text, "31aa5bc50d13a8378c338ed91918f057888cdc90579bece5dd29350394140022");
}

static void test_access_digest_tells_attributes_apart(void **state)
{
	struct file_access all[] = {
		access_of(NULL, 0, NULL, 0),
		access_of(capability, sizeof capability, NULL, 0),
		access_of(NULL, 0, acl, sizeof acl),
		access_of(capability, sizeof capability, acl, sizeof acl),
		access_of(capability, sizeof capability - 1, NULL, 0),
		access_of(NULL, 0, capability, sizeof capability),
		access_of(capability, 0, NULL, 0),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t k = 0; k < ARRAY_SIZE(all); k++)
			assert_int_equal(access_equal(&all[i], &all[k]), i == k);
}

static void test_access_equal_looks_at_everything(void **state)
{
	const struct file_access a = {.uid = 1, .gid = 2, .mode = 0755};

	(void)state;
	assert_true(access_equal(&a, &a));
	assert_false(access_equal(&a, &(struct file_access){.uid = 3, .gid = 2, .mode = 0755}));
	assert_false(access_equal(&a, &(struct file_access){.uid = 1, .gid = 3, .mode = 0755}));
	assert_false(access_equal(&a, &(struct file_access){.uid = 1, .gid = 2, .mode = 04755}));
}

static void test_access_refuses_what_no_file_has(void **state)
{
	struct file_access access = {0};
	const struct access_value values[ACCESS_ATTRIBUTE_MAX] = {
		[ACCESS_ACL] = {acl, ACCESS_ATTRIBUTE_MAX_BYTES + 1}};

	(void)state;
	assert_int_equal(access_set_attributes(&access, values), -BSI_E_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_access_without_attributes),
		cmocka_unit_test(test_access_digest_is_as_documented),
		cmocka_unit_test(test_access_digest_tells_attributes_apart),
		cmocka_unit_test(test_access_equal_looks_at_everything),
		cmocka_unit_test(test_access_refuses_what_no_file_has),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
