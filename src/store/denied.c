/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/denied.h"

#include <errno.h>
#include <string.h>

#include "base/utc.h"
#include "improvement/base_id.h"
#include "improvement/letter.h"
#include "store/layout.h"
#include "store/state_file.h"

void denied_free(struct denied *denied)
{
	if (!denied)
		return;
	for (size_t i = 0; denied->entries && i < denied->n_entries; i++) {
		free(denied->entries[i].base);
		free(denied->entries[i].letter);
		free(denied->entries[i].reason);
	}
	free(denied->entries);
	free(denied);
}

const struct denied_entry *denied_find(const struct denied *denied, const char *base,
	uint64_t build)
{
	for (size_t i = 0; i < denied->n_entries; i++)
		if (denied->entries[i].build == build &&
			strcmp(denied->entries[i].base, base) == 0)
			return &denied->entries[i];
	return NULL;
}

static int decode_entry(const json_t *o, struct denied_entry *e, struct error *reterr)
{
	const char *time;
	int r;

	r = json_copy_text(o, "base", &e->base, reterr);
	if (r == 0)
		r = json_copy_text(o, "letter", &e->letter, reterr);
	if (r == 0)
		r = json_get_u64(o, "build", INT64_MAX, &e->build, reterr);
	if (r == 0)
		r = json_copy_text(o, "reason", &e->reason, reterr);
	if (r == 0)
		r = json_get_text(o, "time", &time, reterr);
	if (r == 0 && utc_parse(time, &e->utc_s) < 0)
		r = error_set(reterr, -BSI_E_FORMAT, "\"time\" is not a time");
	return r;
}

static int decode(const json_t *content, struct denied *denied, struct error *reterr)
{
	json_t *array;
	int r;

	r = json_get_array(content, "entries", DENIED_MAX, &array, reterr);
	if (r < 0)
		return r;
	denied->entries = calloc(json_array_size(array) + 1, sizeof *denied->entries);
	if (!denied->entries)
		return -ENOMEM;
	denied->n_entries = json_array_size(array);
	for (size_t i = 0; r == 0 && i < denied->n_entries; i++)
		r = decode_entry(json_array_get(array, i), &denied->entries[i], reterr);
	return r;
}

/* The content as JSON; a fresh device's is an empty list. */
static int load_content(const struct store *s, json_t **ret, struct error *reterr)
{
	int r = state_load(s, LAYOUT_DENIED, &state_denied, ret, reterr);

	if (r != -ENOENT)
		return r;
	*ret = json_pack("{s:[]}", "entries");
	return *ret ? 0 : -ENOMEM;
}

int store_denied_load(struct store *s, struct denied **ret, struct error *reterr)
{
	AUTO(denied) struct denied *denied = NULL;
	AUTO_JSON json_t *content = NULL;
	struct error reason = {0};
	int r;

	r = load_content(s, &content, reterr);
	if (r < 0)
		return r;
	denied = calloc(1, sizeof *denied);
	if (!denied)
		return -ENOMEM;
	r = decode(content, denied, &reason);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return state_damaged(LAYOUT_DENIED, &state_denied, reason.text, reterr);
	*ret = take_ptr(denied);
	return 0;
}

static json_t *encode_entry(const struct denied_entry *e)
{
	struct utc_text time = utc_format(e->utc_s);

	return json_pack("{s:s, s:s, s:I, s:s, s:s}", "base", e->base, "letter", e->letter, "build",
		(json_int_t)e->build, "reason", e->reason, "time", time.text);
}

/* All entries but that of base and build, and then the added one, if any. */
static int save(const struct store *s, const struct denied *denied, const char *base,
	uint64_t build, const struct denied_entry *added, struct error *reterr)
{
	AUTO_JSON json_t *array = json_array(), *content = NULL;

	for (size_t i = 0; array && i < denied->n_entries; i++) {
		const struct denied_entry *e = &denied->entries[i];

		if (e->build == build && strcmp(e->base, base) == 0)
			continue;
		if (json_array_append_new(array, encode_entry(e)) < 0)
			return -ENOMEM;
	}
	if (array && added && json_array_append_new(array, encode_entry(added)) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "the reason is not UTF-8");
	if (json_array_size(array) > DENIED_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "more than %d letters are denied here",
			DENIED_MAX);
	content = json_pack("{s:O}", "entries", array);
	return content ? state_save(s, LAYOUT_DENIED, &state_denied, content, reterr) : -ENOMEM;
}

/* Cut and cleaned: a reason often quotes what a program said. */
static void clean_reason(const char *reason, char out[static DENIED_REASON_MAX_BYTES + 1])
{
	size_t len = strnlen(reason, DENIED_REASON_MAX_BYTES);

	/* not in the middle of a character */
	while (reason[len] != '\0' && len > 0 && ((unsigned char)reason[len] & 0xc0) == 0x80)
		len--;
	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)reason[i] < 0x20 || reason[i] == 0x7f ? ' ' : reason[i];
	out[len] = '\0';
}

int store_denied_add(struct store *s, const char *base, const char *letter, uint64_t build,
	const char *reason, int64_t utc_s, struct error *reterr)
{
	AUTO(denied) struct denied *denied = NULL;
	char cleaned[DENIED_REASON_MAX_BYTES + 1];
	int r;

	r = store_check_locked(s, reterr);
	if (r < 0)
		return r;
	if (base_id_check(base) < 0 || letter_check(letter) < 0 || build == 0 || build > INT64_MAX)
		return error_set(reterr, -EINVAL, "what is to be denied has no valid name");
	r = store_denied_load(s, &denied, reterr);
	if (r < 0)
		return r;
	clean_reason(reason, cleaned);
	/* encoded at once and never written through */
	return save(s, denied, base, build,
		&(struct denied_entry){(char *)(uintptr_t)base, (char *)(uintptr_t)letter, build,
			cleaned, utc_s},
		reterr);
}

int store_denied_drop(struct store *s, const char *base, uint64_t build, struct error *reterr)
{
	AUTO(denied) struct denied *denied = NULL;
	int r;

	r = store_check_locked(s, reterr);
	if (r == 0)
		r = store_denied_load(s, &denied, reterr);
	return r < 0 ? r : save(s, denied, base, build, NULL, reterr);
}
