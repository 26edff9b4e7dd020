/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/index.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/utc.h"
#include "improvement/base_id.h"
#include "improvement/letter.h"
#include "improvement/manifest.h"
#include "improvement/member.h"
#include "improvement/text.h"

#define FORMAT "bsi-index"
#define FORMAT_VERSION 1

static const char *const actions[] = {
	[WITHDRAW_NONE] = "none",
	[WITHDRAW_STOP] = "stop",
	[WITHDRAW_REMOVE] = "remove",
};
_Static_assert(ARRAY_SIZE(actions) == WITHDRAW_MAX, "a word for each action");

const char *withdraw_text(enum withdraw_action action)
{
	return (unsigned)action < WITHDRAW_MAX ? actions[action] : "unknown";
}

int withdraw_parse(const char *text, enum withdraw_action *ret)
{
	for (unsigned i = 0; i < WITHDRAW_MAX; i++) {
		if (strcmp(actions[i], text) != 0)
			continue;
		*ret = (enum withdraw_action)i;
		return 0;
	}
	return -BSI_E_FORMAT;
}

void index_free(struct index *index)
{
	if (!index)
		return;
	free(index->base);
	free(index->name);
	for (size_t i = 0; index->entries && i < index->n_entries; i++) {
		free(index->entries[i].letter);
		free(index->entries[i].manifest);
		free(index->entries[i].reason);
	}
	free(index->entries);
	free(index->minimum);
	free(index);
}

const struct index_entry *index_current(const struct index *index)
{
	for (size_t i = index->n_entries; i > 0; i--)
		if (index->entries[i - 1].withdrawn == WITHDRAW_NONE)
			return &index->entries[i - 1];
	return NULL;
}

const struct index_entry *index_find(const struct index *index, const char *letter)
{
	for (size_t i = 0; i < index->n_entries; i++)
		if (strcmp(index->entries[i].letter, letter) == 0)
			return &index->entries[i];
	return NULL;
}

const struct index_entry *index_find_build(const struct index *index, uint64_t build)
{
	for (size_t i = 0; i < index->n_entries; i++)
		if (index->entries[i].build == build)
			return &index->entries[i];
	return NULL;
}

static bool is_time(int64_t utc_s)
{
	return utc_s >= 0 && utc_s <= MEMBER_UTC_MAX_S;
}

static int check_withdrawal(const struct index_entry *e, struct error *reterr)
{
	if ((unsigned)e->withdrawn >= WITHDRAW_MAX)
		return error_set(reterr, -BSI_E_FORMAT, "letter \"%s\": action is not known",
			e->letter);
	if (e->withdrawn == WITHDRAW_NONE) {
		if (e->reason || e->withdrawn_utc_s != 0)
			return error_set(reterr, -BSI_E_FORMAT,
				"letter \"%s\" has a reason and is not withdrawn", e->letter);
		return 0;
	}
	if (!e->reason || e->reason[0] == '\0' || !text_is_plain(e->reason, INDEX_REASON_MAX_BYTES))
		return error_set(reterr, -BSI_E_FORMAT,
			"letter \"%s\" is withdrawn without a valid reason", e->letter);
	if (!is_time(e->withdrawn_utc_s))
		return error_set(reterr, -BSI_E_LIMIT,
			"letter \"%s\": time of withdrawal out of range", e->letter);
	return 0;
}

static int check_entry(const struct index_entry *e, const struct index_entry *before,
	struct error *reterr)
{
	if (!e->letter || letter_check(e->letter) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "an entry's letter is not a letter");
	if (e->build == 0 || e->build > MANIFEST_BUILD_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "letter \"%s\": build out of range",
			e->letter);
	if (before && before->build >= e->build)
		return error_set(reterr, -BSI_E_FORMAT, "letter \"%s\": builds do not ascend",
			e->letter);
	if (before && letter_compare(before->letter, e->letter) >= 0)
		return error_set(reterr, -BSI_E_FORMAT, "letter \"%s\": letters do not ascend",
			e->letter);
	if (!e->manifest || target_name_check(e->manifest) < 0)
		return error_set(reterr, -BSI_E_PATH,
			"letter \"%s\": manifest is not a plain name", e->letter);
	if (!is_time(e->issued_utc_s))
		return error_set(reterr, -BSI_E_LIMIT, "letter \"%s\": issued out of range",
			e->letter);
	return check_withdrawal(e, reterr);
}

int index_check(const struct index *index, struct error *reterr)
{
	int r;

	if (!index->base || base_id_check(index->base) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"base\" is not the name of a base");
	if (!index->name || index->name[0] == '\0' ||
		!text_is_plain(index->name, MANIFEST_NAME_MAX_BYTES))
		return error_set(reterr, -BSI_E_FORMAT, "\"name\" is not a valid name");
	if (!is_time(index->issued_utc_s))
		return error_set(reterr, -BSI_E_LIMIT, "\"issued\" is out of range");
	if (index->n_entries > INDEX_ENTRIES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "more than %d entries", INDEX_ENTRIES_MAX);
	for (size_t i = 0; i < index->n_entries; i++) {
		r = check_entry(&index->entries[i], i > 0 ? &index->entries[i - 1] : NULL, reterr);
		if (r < 0)
			return r;
	}
	if (index->minimum && !index_find(index, index->minimum))
		return error_set(reterr, -BSI_E_FORMAT, "minimum \"%s\" is no letter of this index",
			index->minimum);
	return 0;
}

static int decode_withdrawal(const json_t *o, struct index_entry *e, struct error *reterr)
{
	const json_t *v = json_object_get(o, "withdrawn");
	const char *action;
	int r;

	if (!json_is_object(v) && !json_is_null(v))
		return error_set(reterr, -BSI_E_FORMAT, "\"withdrawn\" is neither null nor an object");
	if (json_is_null(v))
		return 0;
	r = json_get_text(v, "action", &action, reterr);
	if (r == 0 && (withdraw_parse(action, &e->withdrawn) < 0 || e->withdrawn == WITHDRAW_NONE))
		r = error_set(reterr, -BSI_E_FORMAT, "action \"%s\" is not known", action);
	if (r == 0)
		r = json_copy_text(v, "reason", &e->reason, reterr);
	if (r == 0)
		r = member_get_time(v, "time", &e->withdrawn_utc_s, reterr);
	return r;
}

static int decode_entry(const json_t *o, struct index_entry *e, struct error *reterr)
{
	int r;

	r = json_copy_text(o, "letter", &e->letter, reterr);
	if (r == 0)
		r = json_get_u64(o, "build", MANIFEST_BUILD_MAX, &e->build, reterr);
	if (r == 0)
		r = json_copy_text(o, "manifest", &e->manifest, reterr);
	if (r == 0)
		r = member_get_time(o, "issued", &e->issued_utc_s, reterr);
	if (r == 0)
		r = decode_withdrawal(o, e, reterr);
	return r;
}

static int decode_entries(const json_t *o, struct index *index, struct error *reterr)
{
	json_t *array;
	int r;

	r = json_get_array(o, "entries", INDEX_ENTRIES_MAX, &array, reterr);
	if (r < 0 || json_array_size(array) == 0)
		return r;
	index->entries = calloc(json_array_size(array), sizeof *index->entries);
	if (!index->entries)
		return -ENOMEM;
	index->n_entries = json_array_size(array);
	for (size_t i = 0; i < index->n_entries; i++) {
		const json_t *v = json_array_get(array, i);

		if (!json_is_object(v))
			return error_set(reterr, -BSI_E_FORMAT, "entry %zu is not an object", i);
		r = decode_entry(v, &index->entries[i], reterr);
		if (r < 0) {
			error_prefix(reterr, "entry %zu", i);
			return r;
		}
	}
	return 0;
}

static int decode_root(const json_t *o, struct index *index, struct error *reterr)
{
	int r;

	r = json_check_format(o, FORMAT, FORMAT_VERSION, reterr);
	if (r == 0)
		r = json_copy_text(o, "base", &index->base, reterr);
	if (r == 0)
		r = json_copy_text(o, "name", &index->name, reterr);
	if (r == 0)
		r = member_get_time(o, "issued", &index->issued_utc_s, reterr);
	if (r == 0)
		r = decode_entries(o, index, reterr);
	if (r == 0)
		r = member_copy_nullable_text(o, "minimum", &index->minimum, reterr);
	return r;
}

int index_decode(const void *data, size_t len, struct index **ret, struct error *reterr)
{
	AUTO(index) struct index *index = NULL;
	AUTO_JSON json_t *root = NULL;
	int r;

	if (len > INDEX_MAX_BYTES)
		return error_set(reterr, -BSI_E_LIMIT, "the index is larger than %u bytes",
			INDEX_MAX_BYTES);
	r = json_parse(data, len, "the index", &root, reterr);
	if (r < 0)
		return r;
	index = calloc(1, sizeof *index);
	if (!index)
		return -ENOMEM;
	r = decode_root(root, index, reterr);
	if (r == 0)
		r = index_check(index, reterr);
	if (r == 0)
		r = member_check_canonical(root, data, len, reterr);
	if (r < 0) {
		error_prefix(reterr, "the index");
		return r;
	}
	*ret = take_ptr(index);
	return 0;
}

static json_t *withdrawal_json(const struct index_entry *e)
{
	struct utc_text time = utc_format(e->withdrawn_utc_s);

	if (e->withdrawn == WITHDRAW_NONE)
		return json_null();
	return json_pack("{s:s, s:s, s:s}", "action", withdraw_text(e->withdrawn), "reason",
		e->reason, "time", time.text);
}

static json_t *entries_json(const struct index *index)
{
	AUTO_JSON json_t *array = json_array();

	for (size_t i = 0; array && i < index->n_entries; i++) {
		const struct index_entry *e = &index->entries[i];
		struct utc_text issued = utc_format(e->issued_utc_s);
		json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:o}", "letter", e->letter, "build",
			(json_int_t)e->build, "manifest", e->manifest, "issued", issued.text,
			"withdrawn", withdrawal_json(e));

		if (json_array_append_new(array, o) < 0)
			return NULL;
	}
	return take_ptr(array);
}

int index_encode(const struct index *index, struct buffer *out, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(INDEX_MAX_BYTES);
	struct utc_text issued;
	AUTO_JSON json_t *root = NULL;
	int r;

	r = index_check(index, reterr);
	if (r < 0)
		return r;
	issued = utc_format(index->issued_utc_s);
	root = json_pack("{s:s, s:i, s:s, s:s, s:s, s:o, s:s?}", "format", FORMAT, "version",
		FORMAT_VERSION, "base", index->base, "name", index->name, "issued", issued.text,
		"entries", entries_json(index), "minimum", index->minimum);
	if (!root)
		return error_set(reterr, -BSI_E_FORMAT, "a text of the index is not UTF-8");
	r = json_canonical(root, &bytes);
	if (r == -BSI_E_LIMIT)
		return error_set(reterr, r, "the index would be larger than %u bytes",
			INDEX_MAX_BYTES);
	if (r < 0)
		return r;
	buffer_put(out, bytes.data, bytes.len);
	return out->err;
}
