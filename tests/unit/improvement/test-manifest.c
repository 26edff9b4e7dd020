/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "example.h"

/* The example's bytes as a text. */
static char *encoded(void)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = example_manifest();
	struct error e = {0};

	if (manifest_encode(m, &out, &e) < 0)
		fail_msg("%s", e.text);
	buffer_put_u8(&out, '\0');
	return (char *)buffer_take(&out, NULL);
}

static void test_manifest_round_trips(void **state)
{
	AUTO_DONE(buffer) struct buffer again = buffer_of(MANIFEST_MAX_BYTES);
	AUTO_FREE char *text = encoded();
	AUTO(manifest) struct manifest *m = NULL;
	struct error e = {0};

	(void)state;
	if (manifest_decode(text, strlen(text), &m, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(m->base, "debian:12:amd64");
	assert_int_equal(m->build, 2);
	assert_int_equal(m->n_components, 2);
	assert_int_equal(m->components[0].files[0].access.mode, 0644);
	assert_false(m->components[0].files[0].access.has_attributes);
	assert_int_equal(m->components[1].files[0].access.mode, 04755);
	assert_int_equal(m->components[1].files[0].access.gid, 12);
	/* said by a digest alone, and by an object */
	assert_true(access_equal(&m->components[0].sets[1].files[1].access,
		&m->components[0].files[1].access));
	assert_int_equal(m->components[1].sets[0].files[0].access.uid, 7);
	assert_int_equal(m->components[1].sets[0].files[0].access.gid, 13);
	assert_int_equal(m->components[1].sets[0].files[0].access.mode, 0750);
	assert_int_equal(m->components[1].sets[0].files[0].access.attributes.bytes[31], 0x51);
	assert_true(m->components[1].files[0].privileged);
	assert_int_equal(m->components[1].activation, ACTIVATION_IDLE);
	assert_false(m->components[1].sets[1].files[0].present);
	assert_int_equal(m->components[0].image.salt[0], 0xac);
	assert_int_equal(m->components[0].image.fs_verity.bytes[31], 0xad);
	assert_ptr_equal(manifest_component(m, "su"), &m->components[1]);
	assert_null(manifest_component(m, "ssl"));
	assert_int_equal(manifest_encode(m, &again, &e), 0);
	assert_int_equal(again.len, strlen(text));
	assert_memory_equal(again.data, text, again.len);
}

static void test_manifest_finds_payloads(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	const struct component *c = &m->components[0];

	(void)state;
	assert_ptr_equal(component_payload(c, "full", 1, NULL), &c->payloads[0]);
	assert_ptr_equal(component_payload(c, "delta", 7, c->sets[1].name), &c->payloads[1]);
	assert_null(component_payload(c, "delta", 7, NULL));
	assert_null(component_payload(c, "delta", 8, c->sets[1].name));
	assert_null(component_payload(c, "full", 1, c->sets[0].name));
}

static void test_manifest_defaults_are_encoded(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = example_manifest(), *again = NULL;

	(void)state;
	free(m->severity);
	free(m->text);
	m->severity = m->text = NULL;
	assert_int_equal(manifest_encode(m, &out, NULL), 0);
	assert_int_equal(manifest_decode(out.data, out.len, &again, NULL), 0);
	assert_string_equal(again->severity, "unspecified");
	assert_string_equal(again->text, "");
}

#define PATH_1 "usr/lib/x86_64-linux-gnu/libcrypto.so.3"
#define HEX_32(two) two two two two two two two two two two two two two two two two
#define HEX(two) HEX_32(two) HEX_32(two)

struct change {
	const char *from, *to;
	int code; /* 0: still fine */
	const char *words;
};

/* One text of the example replaced by another: what the decoder has to say about it. */
static const struct change changes[] = {
	/* the envelope */
	{"e\",\"version\":1}", "e\",\"version\":2}", BSI_E_VERSION, "newer bsi"},
	{"\"bsi-manifest\"", "\"bsi-index\"", BSI_E_FORMAT, "format is"},
	{"\"build\":2", "\"build\":-2", BSI_E_FORMAT, "negative"},
	{"\"build\":2", "\"build\":0", BSI_E_LIMIT, "\"build\""},
	{"\"build\":2", "\"build\":9007199254740993", BSI_E_LIMIT, "\"build\""},
	{"\"build\":2", "\"build\":99999999999999999999", BSI_E_FORMAT, "JSON"},
	{"\"build\":2", "\"build\":2.0", BSI_E_FORMAT, "\"build\""},
	{"\"build\":2", "\"build\":\"2\"", BSI_E_FORMAT, "\"build\""},
	{"\"build\":2", "\"build\":2,\"build\":3", BSI_E_FORMAT, "JSON"},
	{"\"build\":2", "\"build\": 2", BSI_E_FORMAT, "canonical"},
	{"\"build\":2", "\"build\":02", BSI_E_FORMAT, "JSON"},
	{"Gr\xc3\xbc", "Gr\\u00fc", BSI_E_FORMAT, "canonical"},
	{"Gr\xc3\xbc", "Gr\xc3", BSI_E_FORMAT, "JSON"},
	{"e\",\"version\":1}", "e\",\"version\":1}\n", BSI_E_FORMAT, "canonical"},
	{"e\",\"version\":1}", "e\",\"version\":1}x", BSI_E_FORMAT, "JSON"},
	{"e\",\"version\":1}", "e\",\"version\":1,\"zone\":[]}", 0, ""},
	/* texts */
	{"debian:12:amd64", "debian/12/amd64", BSI_E_FORMAT, "\"base\""},
	{"Debian GNU/Linux 12", "", BSI_E_FORMAT, "\"name\""},
	{"Debian GNU/Linux 12", "Debian\\u001b[2J", BSI_E_FORMAT, "\"name\""},
	{"Debian GNU/Linux 12", "Debian \xc2\x9b", BSI_E_FORMAT, "\"name\""},
	{"Debian GNU/Linux 12", "Debian \x7f", BSI_E_FORMAT, "\"name\""},
	{"\"letter\":\"b\"", "\"letter\":\"B\"", BSI_E_FORMAT, "\"letter\""},
	{"\"letter\":\"b\"", "\"letter\":\"bbbbb\"", BSI_E_FORMAT, "\"letter\""},
	{"\"letter\":\"b\"", "\"lettet\":\"b\"", BSI_E_FORMAT, "\"letter\" is missing"},
	{"\"severity\":\"high\"", "\"severity\":\"huge\"", BSI_E_FORMAT, "huge"},
	{"2025-11-24T16:00:00Z", "2025-11-31T16:00:00Z", BSI_E_FORMAT, "\"issued\""},
	{"2025-11-24T16:00:00Z", "1969-11-24T16:00:00Z", BSI_E_LIMIT, "\"issued\""},
	/* components */
	{"\"name\":\"su\"", "\"name\":\"openssl\"", BSI_E_FORMAT, "twice"},
	{"\"name\":\"su\"", "\"name\":\"Su\"", BSI_E_FORMAT, "component"},
	{"\"name\":\"su\"", "\"name\":\"../su\"", BSI_E_FORMAT, "component"},
	{"\"name\":\"su\"", "\"name\":\"\"", BSI_E_FORMAT, "component"},
	{"\"live\"", "\"dead\"", BSI_E_FORMAT, "\"openssl\": activation"},
	{"\"cves\":[\"CVE-2026-0001\"", "\"cves\":[\"CVE-2026-123456\"", BSI_E_FORMAT, "twice"},
	{"CVE-2026-0001", "CVE-26-0001", BSI_E_FORMAT, "CVE"},
	{"CVE-2026-0001", "CVE-2026-001", BSI_E_FORMAT, "CVE"},
	{"\"CVE-2026-0001\"", "17", BSI_E_FORMAT, "\"cves\""},
	/* packages */
	{"\"libssl3\"", "\"lib ssl3\"", BSI_E_FORMAT, "package"},
	{"\"to\":\"3.0.11-1~deb12u3\"", "\"to\":\"u3\"", BSI_E_FORMAT, "\"to\""},
	{"\"from\":[\"3.0.11-1~deb12u1\"", "\"from\":[\"\"", BSI_E_FORMAT, "\"from\""},
	{"\"from\":[\"3.0.11-1~deb12u1\"", "\"from\":[\"3.0.11-1~deb12u2\"", BSI_E_FORMAT, "twice"},
	/* files */
	{PATH_1, "etc/libcrypto.so.3", BSI_E_PATH, "neither below"},
	{PATH_1, "usr", BSI_E_PATH, "neither below"},
	{PATH_1, "/usr/lib/libcrypto.so.3", BSI_E_PATH, "valid path"},
	{PATH_1, "usr/../etc/passwd", BSI_E_PATH, "valid path"},
	{PATH_1, "usr/./x", BSI_E_PATH, "valid path"},
	{PATH_1, "usr//x", BSI_E_PATH, "valid path"},
	{PATH_1, "usr/lib/", BSI_E_PATH, "valid path"},
	{PATH_1, "usr/lib/\\u0007", BSI_E_PATH, "valid path"},
	{PATH_1, "usr/bin/su", BSI_E_FORMAT, "listed twice"},
	{PATH_1, "usr/bin/su/x", BSI_E_FORMAT, "lies below"},
	{PATH_1, "opt/x", 0, ""},
	{"\"mode\":\"0644\"", "\"mode\":\"644\"", BSI_E_FORMAT, "\"mode\""},
	{"\"mode\":\"0644\"", "\"mode\":\"0648\"", BSI_E_FORMAT, "\"mode\""},
	{"\"mode\":\"0644\"", "\"mode\":\"100644\"", BSI_E_FORMAT, "\"mode\""},
	{"\"mode\":\"0644\"", "\"mode\":\"2644\"", BSI_E_FORMAT, "privileged"},
	{"\"privileged\":true", "\"privileged\":false", BSI_E_FORMAT, "privileged"},
	{"\"privileged\":false", "\"privileged\":0", BSI_E_FORMAT, "privileged"},
	{"\"size\":4709512", "\"size\":8589934593", BSI_E_LIMIT, "\"size\""},
	{"\"digest\":\"" HEX("11"), "\"digest\":\"" HEX("1A"), BSI_E_FORMAT, "\"digest\""},
	/* base sets */
	{HEX("31"), HEX("31") "00", BSI_E_FORMAT, "digest"},
	{"\"" HEX("30") "\",", "", BSI_E_FORMAT, "1 digests for 2 files"},
	{"\"" HEX("30") "\",\"" HEX("31") "\"", "\"" HEX("20") "\",\"" HEX("21") "\"", BSI_E_FORMAT,
		"are the same"},
	{"\"" HEX("30") "\",\"" HEX("31") "\"", "\"" HEX("11") "\",\"" HEX("12") "\"", BSI_E_FORMAT,
		"patched state"},
	{"\"" HEX("30") "\",\"" HEX("31") "\"", "null,null", 0, ""},
	{"\"" HEX("30") "\",\"" HEX("31") "\"", "7,\"" HEX("31") "\"", BSI_E_FORMAT,
		"neither digest, object nor null"},
	/* the access of files, and of a base set's file where it is another */
	{"\"gid\":12", "\"gid\":4294967295", BSI_E_LIMIT, "\"gid\""},
	{"\"gid\":12", "\"gid\":4294967294", 0, ""},
	{"\"gid\":12,", "", BSI_E_FORMAT, "\"gid\" is missing"},
	{"\"gid\":12", "\"gid\":13", 0, ""},
	{"\"attributes\":null,", "", BSI_E_FORMAT, "\"attributes\" is missing"},
	{"\"attributes\":null,", "\"attributes\":\"\",", BSI_E_FORMAT, "\"attributes\""},
	{"\"attributes\":null,", "\"attributes\":\"" HEX("52") "\",", 0, ""},
	{"{\"attributes\":\"" HEX("51") "\",", "{", BSI_E_FORMAT,
		"base set \"old\": \"attributes\" is missing"},
	{"\"mode\":\"0750\"", "\"mode\":\"10750\"", BSI_E_FORMAT, "\"mode\""},
	{"\"digest\":\"" HEX("41") "\",", "", BSI_E_FORMAT, "\"digest\" is missing"},
	{"\"uid\":7", "\"uid\":-1", BSI_E_FORMAT, "\"uid\""},
	{"{\"attributes\":\"" HEX("51") "\",\"digest\":\"" HEX("41")
		"\",\"gid\":13,\"mode\":\"0750\",\"uid\":7}",
		"{\"attributes\":null,\"digest\":\"" HEX("41")
		"\",\"gid\":12,\"mode\":\"4755\",\"uid\":0}",
		BSI_E_FORMAT, "a digest alone says so"},
	{"{\"attributes\":\"" HEX("51") "\",\"digest\":\"" HEX("41")
		"\",\"gid\":13,\"mode\":\"0750\",\"uid\":7}",
		"\"" HEX("41") "\"", 0, ""},
	{"\"name\":\"without\"", "\"name\":\"old\"", BSI_E_FORMAT, "are the same"},
	{"\"name\":\"without\"", "\"name\":\"with out\"", BSI_E_FORMAT, "set's name"},
	/* image */
	{"\"size\":5550080", "\"size\":5550081", BSI_E_FORMAT, "multiple"},
	{"\"size\":5550080", "\"size\":5505024", BSI_E_FORMAT, "outside"},
	{"\"size\":5550080", "\"size\":17179873280", BSI_E_LIMIT, "\"size\""},
	{"\"tree_offset\":5505024", "\"tree_offset\":0", BSI_E_FORMAT, "outside"},
	{"\"tree_offset\":5505024", "\"tree_offset\":5505025", BSI_E_FORMAT, "multiple"},
	{"\"salt\":\"ac", "\"salt\":\"a", BSI_E_FORMAT, "\"salt\""},
	{"\"fs_verity\":\"" HEX("ad") "\",", "", BSI_E_FORMAT, "\"fs_verity\" is missing"},
	{"\"fs_verity\":\"ad", "\"fs_verity\":\"aD", BSI_E_FORMAT, "\"fs_verity\""},
	/* payloads */
	{"\"kind\":\"full\"", "\"kind\":\"hull\"", BSI_E_FORMAT, "no payload of kind"},
	{"\"kind\":\"delta\"", "\"kind\":\"Delta\"", BSI_E_FORMAT, "kind"},
	{"\"kind\":\"delta\"", "\"kind\":\"warp\"", 0, ""},
	{"\"kind\":\"delta\"", "\"kind\":\"full\"", BSI_E_FORMAT, "full one needs no set"},
	{"\"version\":7", "\"version\":0", BSI_E_LIMIT, "version"},
	{"aa.full.zst", "a/a.full.zst", BSI_E_PATH, "target"},
	{"aa.full.zst", "..", BSI_E_PATH, "target"},
	{"\"size\":2000000", "\"size\":0", BSI_E_LIMIT, "size"},
	{"\"set\":\"3.0.11-1~deb12u2\"", "\"set\":\"3.0.11-1~deb12u9\"", BSI_E_FORMAT, "no set"},
	{"\"set\":\"3.0.11-1~deb12u2\"", "\"set\":4", BSI_E_FORMAT, "\"set\""},
	{"\"set\":null,", "", BSI_E_FORMAT, "\"set\" is missing"},
};

static void test_manifest_rules(void **state)
{
	AUTO_FREE char *text = encoded();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const struct change *c = &changes[i];
		AUTO_FREE char *changed = example_replaced(text, c->from, c->to);
		AUTO(manifest) struct manifest *m = NULL;
		struct error e = {0};
		int r = manifest_decode(changed, strlen(changed), &m, &e);

		if (r != -c->code || !strstr(e.text, c->words))
			fail_msg("%s -> %s: %d, \"%s\"", c->from, c->to, r, e.text);
		assert_true((r == 0) == (m != NULL));
	}
}

static void test_manifest_rejects_truncation(void **state)
{
	AUTO_FREE char *text = encoded();
	size_t full = strlen(text);

	(void)state;
	for (size_t len = 0; len < full; len++) {
		AUTO_FREE char *cut = malloc(len ? len : 1);
		struct manifest *m = NULL;

		assert_non_null(cut);
		memcpy(cut, text, len);
		assert_int_equal(manifest_decode(cut, len, &m, NULL), -BSI_E_FORMAT);
		assert_null(m);
	}
}

/* What is taken in spite of a flipped bit is exactly what the flipped bytes say. */
static void test_manifest_bit_flips_are_seen(void **state)
{
	AUTO_FREE char *text = encoded();
	size_t len = strlen(text), taken = 0;

	(void)state;
	for (size_t bit = 0; bit < 8 * len; bit++) {
		AUTO_DONE(buffer) struct buffer again = buffer_of(MANIFEST_MAX_BYTES);
		AUTO(manifest) struct manifest *m = NULL;

		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
		if (manifest_decode(text, len, &m, NULL) == 0) {
			assert_int_equal(manifest_encode(m, &again, NULL), 0);
			assert_int_equal(again.len, len);
			assert_memory_equal(again.data, text, len);
			taken++;
		}
		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
	}
	/* digests, sizes, words for people: a good part of the bytes is free */
	assert_in_range(taken, 1, 8 * len / 2);
}

static void test_manifest_counts_are_limited(void **state)
{
	AUTO_FREE char *text = encoded();
	AUTO_DONE(buffer) struct buffer many = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = NULL;
	AUTO_FREE char *changed = NULL, *large = NULL;
	struct error e = {0};

	(void)state;
	for (unsigned i = 0; i <= MANIFEST_CVES_MAX; i++)
		buffer_printf(&many, "\"CVE-2025-%u\",", 10000 + i);
	buffer_put(&many, "", 1);
	changed = example_replaced(text, "\"CVE-2026-0001\",", (const char *)many.data);
	assert_int_equal(manifest_decode(changed, strlen(changed), &m, &e), -BSI_E_LIMIT);
	assert_non_null(strstr(e.text, "\"cves\""));

	large = calloc(1, MANIFEST_MAX_BYTES + 1);
	assert_non_null(large);
	memset(large, ' ', MANIFEST_MAX_BYTES + 1);
	assert_int_equal(manifest_decode(large, MANIFEST_MAX_BYTES + 1, &m, &e), -BSI_E_LIMIT);
	assert_int_equal(manifest_decode(large, MANIFEST_MAX_BYTES, &m, &e), -BSI_E_FORMAT);
	assert_null(m);
}

static void expect_not_encoded(struct manifest *m, int code)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(MANIFEST_MAX_BYTES);
	struct error e = {0};

	assert_int_equal(manifest_encode(m, &out, &e), -code);
	assert_int_equal(out.len, 0);
	assert_true(e.text[0] != '\0');
}

static void test_manifest_encoder_refuses_what_decoder_would(void **state)
{
	AUTO(manifest) struct manifest *m = example_manifest();
	struct component *c = &m->components[0];
	size_t n;

	(void)state;
	c->files[0].access.mode = 0100644;
	expect_not_encoded(m, BSI_E_FORMAT);
	c->files[0].access.mode = 0644;
	c->files[0].access.gid = UINT32_MAX;
	expect_not_encoded(m, BSI_E_LIMIT);
	c->files[0].access.gid = 0;
	c->sets[0].files[0].access.mode = 0100644;
	expect_not_encoded(m, BSI_E_FORMAT);
	c->sets[0].files[0].access.mode = 0644;
	c->files[0].path[0] = '/';
	expect_not_encoded(m, BSI_E_PATH);
	c->files[0].path[0] = 'u';
	m->text[0] = '\n';
	expect_not_encoded(m, BSI_E_FORMAT);
	m->text[0] = '\xff';
	expect_not_encoded(m, BSI_E_FORMAT);
	m->text[0] = 'F';
	n = c->n_sets;
	c->n_sets = 0;
	expect_not_encoded(m, BSI_E_FORMAT);
	c->n_sets = n;
	m->issued_utc_s = INT64_MAX;
	expect_not_encoded(m, BSI_E_LIMIT);
	m->issued_utc_s = 0;
	n = m->n_components;
	m->n_components = 0;
	expect_not_encoded(m, BSI_E_FORMAT);
	m->n_components = n;
	assert_int_equal(manifest_check(m, NULL), 0);
}

static void test_activation_words_round_trip(void **state)
{
	enum activation a;

	(void)state;
	for (unsigned i = 0; i < ACTIVATION_MAX; i++) {
		assert_int_equal(activation_parse(activation_text((enum activation)i), &a), 0);
		assert_int_equal(a, i);
	}
	assert_int_equal(activation_parse("", &a), -BSI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_round_trips),
		cmocka_unit_test(test_manifest_finds_payloads),
		cmocka_unit_test(test_manifest_defaults_are_encoded),
		cmocka_unit_test(test_manifest_rules),
		cmocka_unit_test(test_manifest_rejects_truncation),
		cmocka_unit_test(test_manifest_bit_flips_are_seen),
		cmocka_unit_test(test_manifest_counts_are_limited),
		cmocka_unit_test(test_manifest_encoder_refuses_what_decoder_would),
		cmocka_unit_test(test_activation_words_round_trip),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
