/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scan and decoder alone: every member of another type, every cut, every bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/json.h"
#include "repository.h"
#include "trust/bounds.h"
#include "trust/metadata.h"
#include "trust/scan.h"

static const struct {
	const char *name;
	enum trust_type type;
} served[] = {
	{"1.root.json", TRUST_ROOT}, {"timestamp.json", TRUST_TIMESTAMP},
	{"1.snapshot.json", TRUST_SNAPSHOT}, {"2.targets.json", TRUST_TARGETS},
	{"1.debian:12:amd64.json", TRUST_TARGETS},
};

static int set_up(void **state)
{
	struct repository *r = calloc(1, sizeof *r);
	size_t base;

	if (!r)
		return -1;
	repository_init(r);
	base = repository_delegate(r, TARGETS, "debian:12:amd64", "debian:12:amd64/*", true);
	repository_add_target(r, base, "debian:12:amd64/index.json", "{}");
	repository_bump(r, TARGETS);
	repository_release(r);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	repository_done(*state);
	free(*state);
	return 0;
}

static size_t file_named(const struct repository *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->server.n_files; i++)
		if (strcmp(r->server.files[i].name, name) == 0)
			break;
	assert_true(i < r->server.n_files);
	return i;
}

static int decode(const void *data, size_t len, enum trust_type type)
{
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct error e = {};
	int r = trust_metadata_decode(data, len, type, "the file", &md, &e);

	assert_int_equal(r == 0, md != NULL);
	assert_true(r == 0 || strstr(e.text, "the file"));
	return r;
}

static void test_metadata_is_decoded_as_its_own_type_only(void **state)
{
	const struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(served); i++)
		for (size_t type = TRUST_ROOT; type < TRUST_TYPE_MAX; type++) {
			size_t f = file_named(r, served[i].name);

			assert_int_equal(decode(r->server.files[f].data, r->server.files[f].len,
						 (enum trust_type)type),
				type == served[i].type ? 0 : -BSI_E_FORMAT);
		}
}

static void test_metadata_refuses_every_truncation(void **state)
{
	const struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(served); i++) {
		size_t f = file_named(r, served[i].name);

		for (size_t len = 0; len < r->server.files[f].len; len++) {
			/* of that very length, so that the sanitizers see a byte beyond it */
			AUTO_FREE uint8_t *cut = malloc(len > 0 ? len : 1);

			assert_non_null(cut);
			memcpy(cut, r->server.files[f].data, len);
			assert_int_equal(decode(cut, len, served[i].type), -BSI_E_FORMAT);
		}
	}
}

/* A flipped bit makes the file malformed, or its signature void, or touched only what is unsigned. */
static void test_metadata_no_flipped_bit_is_believed(void **state)
{
	const struct repository *r = *state;
	size_t f = file_named(r, "1.root.json");
	size_t len = r->server.files[f].len;
	AUTO_FREE uint8_t *data = malloc(len);
	AUTO_JSON json_t *before = json_loadb((const char *)r->server.files[f].data, len, 0, NULL);

	assert_non_null(data);
	memcpy(data, r->server.files[f].data, len);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		AUTO(trust_metadata) struct trust_metadata *md = NULL;

		data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		if (trust_metadata_decode(data, len, TRUST_ROOT, "root", &md, NULL) == 0 &&
			trust_metadata_verify(md, &md->roles[TRUST_ROOT], &md->keyring, "root",
				NULL) == 0)
			assert_true(json_equal(json_object_get(before, "signed"), md->signed_part));
		data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

/* Replace each value below o in turn; what the decoder says of the result. */
static void confuse(json_t *document, json_t *o, json_t *with, enum trust_type type,
	size_t *n_refused)
{
	const char *key;
	json_t *value, *kept;
	void *next;

	json_object_foreach_safe(o, next, key, value) {
		AUTO_FREE char *text = NULL;
		AUTO_FREE char *name = strdup(key);
		bool same_type = json_typeof(value) == json_typeof(with);

		if (json_is_object(value))
			confuse(document, value, with, type, n_refused);
		kept = json_incref(value);
		json_object_set(o, name, with);
		text = json_dumps(document, JSON_COMPACT);
		/* only a value of the right type may pass: an object that stands for a list, say */
		if (decode(text, strlen(text), type) < 0)
			(*n_refused)++;
		else
			assert_true(same_type);
		json_object_set_new(o, name, kept);
	}
}

static void test_metadata_refuses_null_array_and_bool_for_anything(void **state)
{
	const struct repository *r = *state;
	json_t *values[] = {json_null(), json_true(), json_pack("[n]"), json_integer(-1),
		json_real(1.0), json_pack("{s:n}", "a")};

	for (size_t i = 0; i < ARRAY_SIZE(served); i++)
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			size_t f = file_named(r, served[i].name), n_refused = 0;
			AUTO_JSON json_t *document =
				json_loadb((const char *)r->server.files[f].data,
					r->server.files[f].len, 0, NULL);

			confuse(document, document, values[v], served[i].type, &n_refused);
			assert_true(n_refused >= 7);
		}
	for (size_t v = 0; v < ARRAY_SIZE(values); v++)
		json_decref(values[v]);
}

/* One member of the signed part set to a text of JSON, or removed. */
static void test_metadata_refuses_values_out_of_range(void **state)
{
	static const struct {
		size_t file;
		const char *key, *value;
		int code;
	} rows[] = {
		{1, "version", "0", -BSI_E_FORMAT},
		{1, "version", "-1", -BSI_E_FORMAT},
		{1, "version", "1", 0},
		{1, "version", "9223372036854775807", 0},
		{1, "version", "\"1\"", -BSI_E_FORMAT},
		{1, "version", "1.0", -BSI_E_FORMAT},
		{1, "spec_version", "\"1.0\"", 0},
		{1, "spec_version", "\"1.0.31\"", 0},
		{1, "spec_version", "\"1.99.0\"", 0},
		{1, "spec_version", "\"2.0.0\"", -BSI_E_VERSION},
		{1, "spec_version", "\"10.0\"", -BSI_E_VERSION},
		{1, "spec_version", "\"\"", -BSI_E_VERSION},
		{1, "expires", "\"2030-01-01T00:00:00Z\"", 0},
		{1, "expires", "\"2030-01-01T00:00:00+00:00\"", -BSI_E_FORMAT},
		{1, "expires", "\"2030-01-01T00:00:00.5Z\"", -BSI_E_FORMAT},
		{1, "expires", "\"2030-02-30T00:00:00Z\"", -BSI_E_FORMAT},
		{1, "expires", "\"2030-01-01\"", -BSI_E_FORMAT},
		{1, "expires", "1893456000", -BSI_E_FORMAT},
		{1, "meta", "{}", -BSI_E_FORMAT},
		{1, "meta", "{\"snapshot.json\":{\"version\":1}}", 0},
		{1, "meta", "{\"snapshot.json\":{\"version\":1,\"length\":-1}}", -BSI_E_FORMAT},
		{1, "meta", "{\"snapshot.json\":{\"version\":1,\"hashes\":{}}}", -BSI_E_FORMAT},
		{1, "meta", "{\"snapshot.json\":{\"version\":1,\"hashes\":{\"md5\":\"00\"}}}",
			-BSI_E_FORMAT},
		{1, "meta", "{\"snapshot.json\":{\"version\":1,\"hashes\":{\"sha256\":\"00\"}}}",
			-BSI_E_FORMAT},
		{1, "meta", "{\"snapshot.json\":{\"version\":1},\"x.json\":{\"version\":1}}",
			-BSI_E_FORMAT},
		{1, "meta", "{\"x.json\":{\"version\":1}}", -BSI_E_FORMAT},
		/* a member like any unknown one where online keys sign */
		{1, "issued", "null", 0},
		{2, "issued", "\"2099-01-01T00:00:00Z\"", 0},
		{0, "issued", "null", -BSI_E_FORMAT},
		{3, "issued", "\"now\"", -BSI_E_FORMAT},
		{2, "meta", "{\"targets.json\":{\"version\":0}}", -BSI_E_FORMAT},
		{2, "meta", "{\"targets.json\":{}}", -BSI_E_FORMAT},
		{0, "consistent_snapshot", "1", -BSI_E_FORMAT},
		{0, "consistent_snapshot", "false", 0},
		{0, "roles", "{}", -BSI_E_FORMAT},
		{0, "keys", "{\"00\":{}}", -BSI_E_SIGNATURE},
		{0, "keys", "{}", 0},
		{0, "issued", "\"2024-11-13T22:13:19Z\"", 0},
		{0, "issued", "\"2024-11-13T22:13:20Z\"", -BSI_E_FORMAT},
		{3, "targets", "{\"a\":{\"length\":1}}", -BSI_E_FORMAT},
		{3, "targets", "{\"a\":{\"length\":1,\"hashes\":{}}}", -BSI_E_FORMAT},
		{3, "targets", "{\"a\":{\"length\":-1,\"hashes\":{\"sha256\":\"00\"}}}",
			-BSI_E_FORMAT},
		{3, "targets", "{\"a\":{\"length\":1,\"hashes\":{\"sha256\":null}}}",
			-BSI_E_FORMAT},
		{3, "delegations", "null", -BSI_E_FORMAT},
	};
	const struct repository *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t f = file_named(r, served[rows[i].file].name);
		AUTO_JSON json_t *document = json_loadb((const char *)r->server.files[f].data,
			r->server.files[f].len, 0, NULL);
		AUTO_FREE char *text = NULL;

		json_object_set_new(json_object_get(document, "signed"), rows[i].key,
			json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		text = json_dumps(document, 0);
		if (decode(text, strlen(text), served[rows[i].file].type) != rows[i].code)
			fail_msg("%s %s %s", served[rows[i].file].name, rows[i].key, rows[i].value);
	}
}

static void test_metadata_envelopes(void **state)
{
	static const struct {
		const char *signatures;
		int code;
	} rows[] = {
		{"[]", 0}, {"null", -BSI_E_FORMAT}, {"{}", -BSI_E_FORMAT}, {"[null]", -BSI_E_FORMAT},
		{"[{}]", -BSI_E_FORMAT}, {"[{\"keyid\":\"a\"}]", -BSI_E_FORMAT},
		{"[{\"keyid\":\"a\",\"sig\":null}]", -BSI_E_FORMAT},
		{"[{\"keyid\":\"a\",\"sig\":\"\"}]", 0},
		{"[{\"keyid\":\"a\",\"sig\":\"\"},{\"keyid\":\"b\",\"sig\":\"\"}]", 0},
		{"[{\"keyid\":\"a\",\"sig\":\"\"},{\"keyid\":\"a\",\"sig\":\"00\"}]", -BSI_E_FORMAT},
	};
	const struct repository *r = *state;
	size_t f = file_named(r, "timestamp.json");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON json_t *document = json_loadb((const char *)r->server.files[f].data,
			r->server.files[f].len, 0, NULL);
		AUTO_FREE char *text = NULL;

		json_object_set_new(document, "signatures",
			json_loads(rows[i].signatures, JSON_DECODE_ANY, NULL));
		text = json_dumps(document, 0);
		assert_int_equal(decode(text, strlen(text), TRUST_TIMESTAMP), rows[i].code);
	}
}

/* --- the scan --- */

static int scan(const struct buffer *text)
{
	return trust_scan(text->data, text->len, TRUST_TARGETS_MAX_BYTES, "text", NULL);
}

static void put_many(struct buffer *b, const char *text, size_t n)
{
	while (n-- > 0)
		buffer_put_text(b, text);
}

static void test_scan_counts_depth_outside_of_strings(void **state)
{
	(void)state;
	for (size_t extra = 0; extra <= 1; extra++) {
		AUTO_DONE(buffer) struct buffer text = buffer_of(1U << 20);

		put_many(&text, "[", TRUST_DEPTH_MAX + extra);
		assert_int_equal(scan(&text), extra ? -BSI_E_LIMIT : 0);
		buffer_clear(&text);
		buffer_put_text(&text, "{\"a\":\"\\\"");
		put_many(&text, "[{", 1000);
		buffer_put_text(&text, "\"}");
		assert_int_equal(scan(&text), 0);
		/* after a string that ends with a backslash the rest is no string */
		buffer_clear(&text);
		buffer_put_text(&text, "{\"a\":\"\\\\\"");
		put_many(&text, "[", TRUST_DEPTH_MAX - 1 + extra);
		assert_int_equal(scan(&text), extra ? -BSI_E_LIMIT : 0);
		/* what closes never counts below nothing */
		buffer_clear(&text);
		put_many(&text, "]", 100);
		put_many(&text, "[", TRUST_DEPTH_MAX + extra);
		assert_int_equal(scan(&text), extra ? -BSI_E_LIMIT : 0);
	}
}

static void test_scan_counts_values_and_signatures(void **state)
{
	(void)state;
	for (size_t extra = 0; extra <= 1; extra++) {
		AUTO_DONE(buffer) struct buffer text = buffer_of(1U << 24);

		buffer_put_text(&text, "[");
		put_many(&text, ",", TRUST_VALUES_MAX - 1 + extra);
		assert_int_equal(scan(&text), extra ? -BSI_E_LIMIT : 0);
		buffer_clear(&text);
		buffer_put_text(&text, "{\"signed\":{\"signatures\":[1,2]},\"signatures\":[{}");
		put_many(&text, ",{\"a\":[1,2,3]}", TRUST_SIGNATURES_MAX - 1 + extra);
		buffer_put_text(&text, "]}");
		assert_int_equal(scan(&text), extra ? -BSI_E_LIMIT : 0);
		/* an array of another name, or the same name further in, may be long */
		buffer_clear(&text);
		buffer_put_text(&text, "{\"signed\":{\"signatures\":[0");
		put_many(&text, ",1", 1000);
		buffer_put_text(&text, "]},\"signatures\":[1,2],\"other\":[0");
		put_many(&text, ",1", 1000);
		buffer_put_text(&text, "]}");
		assert_int_equal(scan(&text), 0);
	}
}

static void test_scan_measures(void **state)
{
	(void)state;
	assert_int_equal(trust_scan("    ", 4, 4, "text", NULL), 0);
	assert_int_equal(trust_scan("     ", 5, 4, "text", NULL), -BSI_E_LIMIT);
	assert_int_equal(trust_scan(NULL, 0, 0, "text", NULL), 0);
}

/* A name in escapes passes the scan; the decoder counts once more. */
static void test_metadata_counts_signatures_that_the_scan_did_not_see(void **state)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(1U << 20);

	(void)state;
	buffer_put_text(&text, "{\"signed\":{},\"\\u0073ignatures\":[0");
	put_many(&text, ",0", TRUST_SIGNATURES_MAX);
	buffer_put_text(&text, "]}");
	assert_int_equal(scan(&text), 0);
	assert_int_equal(decode(text.data, text.len, TRUST_ROOT), -BSI_E_LIMIT);
}

/* The example of docs/formats/repository.md: these bytes, this key, for ever. */
static void test_metadata_example_of_the_format(void **state)
{
	static const char file[] =
		"{\"signatures\":[{\"keyid\":\"e54ca2d3bc397f334a674f1721bfba4a76e4c36394abae3f50e8462d04d3651f\","
		"\"sig\":\"c760ab2181e4586606557a13da1d1f54c47449348a7b130f1f3151cb1f0506c9"
		"6198268735ec6bd59256cbb09d4de360702499ba8ec53bfa35ada114e1666f05\"}],"
		"\"signed\":{\"_type\":\"targets\",\"expires\":\"2024-02-12T22:13:20Z\",\"issued\":\"2023-"
		"11-13T22:13:20Z\",\"spec_version\":\"1.0.34\",\"targets\":{\"debian:12:amd64/index.j"
		"son\":{\"hashes\":{\"sha256\":\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310"
		"c060f61caaff8a\"},\"length\":2}},\"version\":1}}";
	static const char key_id[] =
		"e54ca2d3bc397f334a674f1721bfba4a76e4c36394abae3f50e8462d04d3651f";
	const char *ids[] = {key_id};
	const struct trust_role role = {
		.name = "debian:12:amd64", .key_ids = ids, .n_key_ids = 1, .threshold = 1};
	AUTO_JSON json_t *keys = json_pack("{s:{s:s, s:s, s:{s:s}}}", key_id, "keytype", "ed25519",
		"scheme", "ed25519", "keyval", "public",
		"9f0065693e8317a55c2b2c92c71ba0e313cd6157ea10007f060c617dc72d0a7a");
	AUTO_DONE(trust_keyring) struct trust_keyring ring = {};
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct trust_hashes hashes;
	uint64_t length;

	(void)state;
	assert_int_equal(trust_keyring_decode(keys, &ring, NULL), 0);
	assert_int_equal(trust_metadata_decode(file, strlen(file), TRUST_TARGETS, "it", &md, NULL),
		0);
	assert_int_equal(trust_metadata_verify(md, &role, &ring, "it", NULL), 0);
	assert_int_equal(md->issued_utc_s, 1699913600);
	assert_int_equal(trust_metadata_target(md, "debian:12:amd64/index.json", &length, &hashes,
				 NULL),
		0);
	assert_int_equal(length, 2);
	assert_int_equal(trust_hashes_check(&hashes, "{}", 2), 0);
	assert_int_equal(trust_hashes_check(&hashes, "[]", 2), -BSI_E_DIGEST);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_metadata_is_decoded_as_its_own_type_only),
		TEST(test_metadata_refuses_every_truncation),
		TEST(test_metadata_no_flipped_bit_is_believed),
		TEST(test_metadata_refuses_null_array_and_bool_for_anything),
		TEST(test_metadata_refuses_values_out_of_range),
		TEST(test_metadata_envelopes),
		cmocka_unit_test(test_metadata_example_of_the_format),
		cmocka_unit_test(test_scan_counts_depth_outside_of_strings),
		cmocka_unit_test(test_scan_counts_values_and_signatures),
		cmocka_unit_test(test_scan_measures),
		cmocka_unit_test(test_metadata_counts_signatures_that_the_scan_did_not_see),
	};

	return cmocka_run_group_tests_name("metadata", tests, NULL, NULL);
}
