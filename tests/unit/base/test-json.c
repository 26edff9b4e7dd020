/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static void test_json_canonical_vectors(void **state)
{
	/* the digests are those of securesystemslib's encoder for the same input */
	static const struct {
		const char *text, *canonical, *digest_start;
	} rows[] = {
		{"{\"b\":[1,-0,{}],\"a\":\"x\\ny\\u007f\\u0001\\t/\"}",
			"{\"a\":\"x\ny\x7f\x01\t/\",\"b\":[1,0,{}]}", "14aa9260874b5910"},
		/* by code point, which is not the order of UTF-16 */
		{"{\"\\uffff\":1,\"\\ud800\\udc00\":2,\"\\u00e9\":3,\"e\\u0301\":4}",
			"{\"e\xcc\x81\":4,\"\xc3\xa9\":3,\"\xef\xbf\xbf\":1,\"\xf0\x90\x80\x80\":2}",
			"50488bd200f6d0d3"},
		{"{\"a\":{\"z\":null,\"y\":true},\"\":[]}",
			"{\"\":[],\"a\":{\"y\":true,\"z\":null}}", "1f019f6ecb810e88"},
		{"{\"q\":\"\\\"\\\\\\/\"}", "{\"q\":\"\\\"\\\\/\"}", "2444d1ecdf8545c7"},
		{" { \"n\" : [ -9223372036854775808 , 9223372036854775807 , false ] } ",
			"{\"n\":[-9223372036854775808,9223372036854775807,false]}", NULL},
		{"{}", "{}", "44136fa355b3678a"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_DONE(buffer) struct buffer out = buffer_of(1024);
		AUTO_JSON json_t *value = NULL;
		struct digest digest;

		assert_int_equal(json_parse(rows[i].text, strlen(rows[i].text), "text", &value, NULL),
			0);
		assert_int_equal(json_canonical(value, &out), 0);
		assert_int_equal(out.len, strlen(rows[i].canonical));
		assert_memory_equal(out.data, rows[i].canonical, out.len);
		assert_int_equal(digest_of(out.data, out.len, &digest), 0);
		if (rows[i].digest_start)
			assert_memory_equal(digest_format(&digest).text, rows[i].digest_start, 16);
	}
}

static void test_json_canonical_has_no_reals_and_no_depths(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(1024), deep = buffer_of(1024);
	AUTO_JSON json_t *real = json_pack("{s:[f]}", "a", 1.0), *nested = json_array();

	(void)state;
	assert_int_equal(json_canonical(real, &out), -BSI_E_FORMAT);
	for (int i = 0; i < 63; i++)
		nested = json_pack("[o]", nested);
	assert_int_equal(json_canonical(nested, &deep), 0);
	assert_int_equal(deep.len, 128);
	nested = json_pack("[o]", json_pack("[o]", nested));
	assert_int_equal(json_canonical(nested, &deep), -BSI_E_LIMIT);
}

static void test_json_canonical_stops_at_its_cap(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(6);
	AUTO_JSON json_t *value = json_pack("{s:i}", "a", 10);

	(void)state;
	assert_int_equal(json_canonical(value, &out), -BSI_E_LIMIT);
}

static void test_json_parse_is_strict(void **state)
{
	static const char *const texts[] = {
		"", "{", "[]", "null", "\"a\"", "1", "{}{}", "{} x", "{\"a\":1,\"a\":2}",
		"{\"a\":{\"b\":1,\"b\":1}}", "{\"a\":9223372036854775808}",
		"{\"a\":-9223372036854775809}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\\ud800\"}",
		"{\"a\":\"\\u0000\"}", "{\"\\u0000\":1}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}",
		"{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\n\"}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":.5}",
		"{\"a\":NaN}", "{a:1}", "{'a':1}", "{\"a\":1,}", "{\"a\":[1,]}", "/**/{}",
		"\xef\xbb\xbf{}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_t *value = NULL;
		struct error e = {};

		if (json_parse(texts[i], strlen(texts[i]), "the text", &value, &e) != -BSI_E_FORMAT)
			fail_msg("%s", texts[i]);
		assert_null(value);
		assert_non_null(strstr(e.text, "the text"));
	}
}

static void test_json_parse_is_bounded_by_its_length(void **state)
{
	static const char text[] = "{\"a\":\"b\"}";
	json_t *value = NULL;

	(void)state;
	assert_int_equal(json_parse(NULL, 0, "nothing", &value, NULL), -BSI_E_FORMAT);
	for (size_t len = 0; len < sizeof text - 1; len++)
		assert_int_equal(json_parse(text, len, "text", &value, NULL), -BSI_E_FORMAT);
	/* the NUL is a byte like any other, and does not belong there */
	assert_int_equal(json_parse(text, sizeof text, "text", &value, NULL), -BSI_E_FORMAT);
	assert_int_equal(json_parse(text, sizeof text - 1, "text", &value, NULL), 0);
	json_decref(value);
}

/* A getter that takes one type alone, given each type in turn. */
static int get_text(const json_t *o, struct error *e)
{
	const char *text;

	return json_get_text(o, "k", &text, e);
}

static int get_u64(const json_t *o, struct error *e)
{
	uint64_t number;

	return json_get_u64(o, "k", UINT64_MAX, &number, e);
}

static int get_bool(const json_t *o, struct error *e)
{
	bool truth;

	return json_get_bool(o, "k", &truth, e);
}

static int get_object(const json_t *o, struct error *e)
{
	json_t *object;

	return json_get_object(o, "k", &object, e);
}

static int get_array(const json_t *o, struct error *e)
{
	json_t *array;

	return json_get_array(o, "k", 10, &array, e);
}

static void test_json_getters_take_their_type_alone(void **state)
{
	static const char *const values[] = {"\"text\"", "1", "true", "{}", "[]", "null", "1.0"};
	int (*const getters[])(const json_t *, struct error *) = {
		get_text, get_u64, get_bool, get_object, get_array};

	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(values); v++)
		for (size_t g = 0; g < ARRAY_SIZE(getters); g++) {
			AUTO_JSON json_t *o = json_object();
			struct error e = {};

			assert_int_equal(getters[g](o, &e), -BSI_E_FORMAT);
			assert_string_equal(e.text, "\"k\" is missing");
			json_object_set_new(o, "k", json_loads(values[v], JSON_DECODE_ANY, NULL));
			assert_int_equal(getters[g](o, &e), v == g ? 0 : -BSI_E_FORMAT);
			if (v != g)
				assert_non_null(strstr(e.text, "\"k\" is not "));
		}
}

static void test_json_numbers_are_bounded(void **state)
{
	AUTO_JSON json_t *o = json_pack("{s:i, s:i}", "n", -1, "p", 10);
	uint64_t number;

	(void)state;
	assert_int_equal(json_get_u64(o, "n", 100, &number, NULL), -BSI_E_FORMAT);
	assert_int_equal(json_get_u64(o, "p", 9, &number, NULL), -BSI_E_LIMIT);
	assert_int_equal(json_get_u64(o, "p", 10, &number, NULL), 0);
	assert_int_equal(number, 10);
}

static void test_json_arrays_are_bounded(void **state)
{
	AUTO_JSON json_t *o = json_pack("{s:[i,i,i]}", "a", 1, 2, 3);
	json_t *array;

	(void)state;
	assert_int_equal(json_get_array(o, "a", 2, &array, NULL), -BSI_E_LIMIT);
	assert_int_equal(json_get_array(o, "a", 3, &array, NULL), 0);
}

static void test_json_format_and_version(void **state)
{
	AUTO_JSON json_t *o = json_pack("{s:s, s:i}", "format", "bsi-x", "version", 2);

	(void)state;
	assert_int_equal(json_check_format(o, "bsi-x", 2, NULL), 0);
	assert_int_equal(json_check_format(o, "bsi-x", 1, NULL), -BSI_E_VERSION);
	assert_int_equal(json_check_format(o, "bsi-y", 2, NULL), -BSI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_canonical_vectors),
		cmocka_unit_test(test_json_canonical_has_no_reals_and_no_depths),
		cmocka_unit_test(test_json_canonical_stops_at_its_cap),
		cmocka_unit_test(test_json_parse_is_strict),
		cmocka_unit_test(test_json_parse_is_bounded_by_its_length),
		cmocka_unit_test(test_json_getters_take_their_type_alone),
		cmocka_unit_test(test_json_numbers_are_bounded),
		cmocka_unit_test(test_json_arrays_are_bounded),
		cmocka_unit_test(test_json_format_and_version),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
