/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "example.h"

static char *encoded(void)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(INDEX_MAX_BYTES);
	AUTO(index) struct index *index = example_index();
	struct error e = {0};

	if (index_encode(index, &out, &e) < 0)
		fail_msg("%s", e.text);
	buffer_put_u8(&out, '\0');
	return (char *)buffer_take(&out, NULL);
}

static void test_index_round_trips(void **state)
{
	AUTO_DONE(buffer) struct buffer again = buffer_of(INDEX_MAX_BYTES);
	AUTO_FREE char *text = encoded();
	AUTO(index) struct index *index = NULL;
	struct error e = {0};

	(void)state;
	if (index_decode(text, strlen(text), &index, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(index->n_entries, 3);
	assert_string_equal(index->minimum, "b");
	assert_int_equal(index->entries[0].withdrawn, WITHDRAW_REMOVE);
	assert_string_equal(index->entries[0].reason, "breaks sshd");
	assert_int_equal(index->entries[1].withdrawn, WITHDRAW_STOP);
	assert_null(index->entries[2].reason);
	assert_int_equal(index_encode(index, &again, &e), 0);
	assert_int_equal(again.len, strlen(text));
	assert_memory_equal(again.data, text, again.len);
}

static void test_index_without_entries_is_valid(void **state)
{
	static const char text[] =
		"{\"base\":\"debian:12:amd64\",\"entries\":[],\"format\":\"bsi-index\","
		"\"issued\":\"2026-01-01T00:00:00Z\",\"minimum\":null,\"name\":\"Debian\","
		"\"version\":1}";
	AUTO(index) struct index *index = NULL;

	(void)state;
	assert_int_equal(index_decode(text, strlen(text), &index, NULL), 0);
	assert_null(index_current(index));
	assert_null(index_find(index, "a"));
	assert_null(index->minimum);
}

static void test_index_current_passes_over_the_withdrawn(void **state)
{
	AUTO(index) struct index *index = example_index();

	(void)state;
	assert_ptr_equal(index_current(index), &index->entries[2]);
	assert_ptr_equal(index_find(index, "b"), &index->entries[1]);
	assert_ptr_equal(index_find_build(index, 5), &index->entries[2]);
	assert_null(index_find_build(index, 3));
	index->entries[2].withdrawn = WITHDRAW_STOP;
	assert_null(index_current(index));
	index->entries[0].withdrawn = WITHDRAW_NONE;
	assert_ptr_equal(index_current(index), &index->entries[0]);
}

struct change {
	const char *from, *to;
	int code;
	const char *words;
};

static const struct change changes[] = {
	{"\"version\":1}", "\"version\":9}", BSI_E_VERSION, "newer bsi"},
	{"\"bsi-index\"", "\"bsi-manifest\"", BSI_E_FORMAT, "format is"},
	{"\"version\":1}", "\"version\":1} ", BSI_E_FORMAT, "canonical"},
	{"\"version\":1}", "\"version\":1,\"zone\":null}", 0, ""},
	{"debian:12:amd64", "debian", BSI_E_FORMAT, "\"base\""},
	{"Debian GNU", "Debian\\u0000", BSI_E_FORMAT, "JSON"},
	{"Debian GNU", "Debian\\u0001", BSI_E_FORMAT, "\"name\""},
	{"\"minimum\":\"b\"", "\"minimum\":\"d\"", BSI_E_FORMAT, "minimum"},
	{"\"minimum\":\"b\"", "\"minimum\":null", 0, ""},
	{"\"minimum\":\"b\",", "", BSI_E_FORMAT, "\"minimum\" is missing"},
	{"\"build\":5", "\"build\":2", BSI_E_FORMAT, "builds do not ascend"},
	{"\"build\":1", "\"build\":0", BSI_E_LIMIT, "build"},
	{"\"letter\":\"c\"", "\"letter\":\"b\"", BSI_E_FORMAT, "letters do not ascend"},
	{"\"letter\":\"c\"", "\"letter\":\"aa\"", 0, ""},
	{"\"letter\":\"c\"", "\"letter\":\"C\"", BSI_E_FORMAT, "letter"},
	{"\"manifest-5.json\"", "\"x/manifest-5.json\"", BSI_E_PATH, "manifest"},
	{"\"manifest-5.json\"", "null", BSI_E_FORMAT, "\"manifest\""},
	{"\"action\":\"stop\"", "\"action\":\"none\"", BSI_E_FORMAT, "action"},
	{"\"action\":\"stop\"", "\"action\":\"maybe\"", BSI_E_FORMAT, "action"},
	{"\"reason\":\"slow\"", "\"reason\":\"\"", BSI_E_FORMAT, "reason"},
	{"\"reason\":\"slow\"", "\"reason\":\"a\\u001bb\"", BSI_E_FORMAT, "reason"},
	{"\"withdrawn\":null", "\"withdrawn\":false", BSI_E_FORMAT, "withdrawn"},
	{",\"withdrawn\":null", "", BSI_E_FORMAT, "withdrawn"},
	{"\"entries\":[", "\"entries\":[7,", BSI_E_FORMAT, "not an object"},
	{"\"issued\":\"2025-11-24T16:00:00Z\"", "\"issued\":\"2025-11-24 16:00:00Z\"", BSI_E_FORMAT,
		"\"issued\""},
};

static void test_index_rules(void **state)
{
	AUTO_FREE char *text = encoded();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const struct change *c = &changes[i];
		AUTO_FREE char *changed = example_replaced(text, c->from, c->to);
		AUTO(index) struct index *index = NULL;
		struct error e = {0};
		int r = index_decode(changed, strlen(changed), &index, &e);

		if (r != -c->code || !strstr(e.text, c->words))
			fail_msg("%s -> %s: %d, \"%s\"", c->from, c->to, r, e.text);
		assert_true((r == 0) == (index != NULL));
	}
}

static void test_index_rejects_truncation(void **state)
{
	AUTO_FREE char *text = encoded();
	size_t full = strlen(text);

	(void)state;
	for (size_t len = 0; len < full; len++) {
		AUTO_FREE char *cut = malloc(len ? len : 1);
		struct index *index = NULL;

		assert_non_null(cut);
		memcpy(cut, text, len);
		assert_int_equal(index_decode(cut, len, &index, NULL), -BSI_E_FORMAT);
		assert_null(index);
	}
}

static void test_index_bit_flips_are_seen(void **state)
{
	AUTO_FREE char *text = encoded();
	size_t len = strlen(text), taken = 0;

	(void)state;
	for (size_t bit = 0; bit < 8 * len; bit++) {
		AUTO_DONE(buffer) struct buffer again = buffer_of(INDEX_MAX_BYTES);
		AUTO(index) struct index *index = NULL;

		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
		if (index_decode(text, len, &index, NULL) == 0) {
			assert_int_equal(index_encode(index, &again, NULL), 0);
			assert_int_equal(again.len, len);
			assert_memory_equal(again.data, text, len);
			taken++;
		}
		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
	}
	assert_in_range(taken, 1, 8 * len / 2);
}

static void test_index_encoder_refuses_what_decoder_would(void **state)
{
	AUTO_DONE(buffer) struct buffer out = buffer_of(INDEX_MAX_BYTES);
	AUTO(index) struct index *index = example_index();

	(void)state;
	index->entries[2].withdrawn = WITHDRAW_STOP; /* without a reason */
	assert_int_equal(index_encode(index, &out, NULL), -BSI_E_FORMAT);
	index->entries[2].withdrawn = WITHDRAW_NONE;
	index->entries[1].withdrawn = WITHDRAW_NONE; /* with a reason */
	assert_int_equal(index_encode(index, &out, NULL), -BSI_E_FORMAT);
	index->entries[1].withdrawn = WITHDRAW_MAX;
	assert_int_equal(index_encode(index, &out, NULL), -BSI_E_FORMAT);
	index->entries[1].withdrawn = WITHDRAW_STOP;
	index->entries[1].reason[0] = '\xff';
	assert_int_equal(index_encode(index, &out, NULL), -BSI_E_FORMAT);
	index->entries[1].reason[0] = 's';
	assert_int_equal(out.len, 0);
	assert_int_equal(index_encode(index, &out, NULL), 0);
}

static void test_withdraw_words_round_trip(void **state)
{
	enum withdraw_action a;

	(void)state;
	for (unsigned i = 0; i < WITHDRAW_MAX; i++) {
		assert_int_equal(withdraw_parse(withdraw_text((enum withdraw_action)i), &a), 0);
		assert_int_equal(a, i);
	}
	assert_int_equal(withdraw_parse("gone", &a), -BSI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_round_trips),
		cmocka_unit_test(test_index_without_entries_is_valid),
		cmocka_unit_test(test_index_current_passes_over_the_withdrawn),
		cmocka_unit_test(test_index_rules),
		cmocka_unit_test(test_index_rejects_truncation),
		cmocka_unit_test(test_index_bit_flips_are_seen),
		cmocka_unit_test(test_index_encoder_refuses_what_decoder_would),
		cmocka_unit_test(test_withdraw_words_round_trip),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
