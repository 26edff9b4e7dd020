/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/json.h"
#include "trust/hashes.h"

/* of "abc" */
#define ABC_256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_512                                                                                    \
	"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                       \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
#define NIL_256 "0000000000000000000000000000000000000000000000000000000000000000"

static void test_hashes_must_all_match(void **state)
{
	static const struct {
		const char *json;
		int decoded, checked;
	} rows[] = {
		{"{\"sha256\":\"" ABC_256 "\"}", 0, 0},
		{"{\"sha512\":\"" ABC_512 "\"}", 0, 0},
		{"{\"sha256\":\"" ABC_256 "\",\"sha512\":\"" ABC_512 "\"}", 0, 0},
		{"{\"sha256\":\"" ABC_256 "\",\"blake3\":\"00\"}", 0, 0},
		{"{\"sha256\":\"" NIL_256 "\"}", 0, -BSI_E_DIGEST},
		{"{\"sha512\":\"" NIL_256 NIL_256 "\"}", 0, -BSI_E_DIGEST},
		{"{\"sha256\":\"" NIL_256 "\",\"sha512\":\"" ABC_512 "\"}", 0, -BSI_E_DIGEST},
		{"{\"sha256\":\"" ABC_256 "\",\"sha512\":\"" NIL_256 NIL_256 "\"}", 0, -BSI_E_DIGEST},
		{"{}", -BSI_E_FORMAT, 0},
		{"[]", -BSI_E_FORMAT, 0},
		{"null", -BSI_E_FORMAT, 0},
		{"{\"blake3\":\"00\"}", -BSI_E_FORMAT, 0},
		{"{\"sha256\":null}", -BSI_E_FORMAT, 0},
		{"{\"sha256\":\"" ABC_256 "\",\"blake3\":null}", -BSI_E_FORMAT, 0},
		{"{\"sha256\":\"\"}", -BSI_E_FORMAT, 0},
		{"{\"sha256\":\"" ABC_512 "\"}", -BSI_E_FORMAT, 0},
		{"{\"sha512\":\"" ABC_256 "\"}", -BSI_E_FORMAT, 0},
		{"{\"sha256\":\"" ABC_256 "\",\"sha512\":\"\"}", -BSI_E_FORMAT, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON json_t *object = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
		struct trust_hashes hashes = {};

		assert_int_equal(trust_hashes_decode(object, &hashes, NULL), rows[i].decoded);
		if (rows[i].decoded == 0)
			assert_int_equal(trust_hashes_check(&hashes, "abc", 3), rows[i].checked);
		else
			assert_false(hashes.has_sha256 || hashes.has_sha512);
	}
}

static void test_hashes_none_match_nothing(void **state)
{
	const struct trust_hashes none = {};

	(void)state;
	assert_int_equal(trust_hashes_check(&none, "abc", 3), -BSI_E_DIGEST);
	assert_int_equal(trust_hashes_check(&none, NULL, 0), -BSI_E_DIGEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes_must_all_match),
		cmocka_unit_test(test_hashes_none_match_nothing),
	};

	return cmocka_run_group_tests_name("hashes", tests, NULL, NULL);
}
