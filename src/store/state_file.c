/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/state_file.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "store/durable.h"

#define STATE_VERSION 1
#define BEGIN_ANEW                                                                                 \
	"restore it from a backup, or take everything off, move the state away and enrol again"

const struct state_kind state_format = {"bsi-state", true, BEGIN_ANEW};
const struct state_kind state_number = {"bsi-number", true, BEGIN_ANEW};
const struct state_kind state_current = {"bsi-current", true, BEGIN_ANEW};
const struct state_kind state_denied = {"bsi-denied", true, BEGIN_ANEW};
const struct state_kind state_floor = {"bsi-floor", true, BEGIN_ANEW};
const struct state_kind state_boot = {
	"bsi-boot", false, "remove it; the boots are then counted anew"};
const struct state_kind state_config = {
	"bsi-config", false, "remove it to go back to the defaults, and configure again"};
const struct state_kind state_enrolment = {"bsi-enrolment", false, "remove it and enrol again"};
const struct state_kind state_generation = {
	"bsi-generation", false, "go to another generation, or install the letter again"};

int state_damaged(const char *path, const struct state_kind *kind, const char *reason,
	struct error *reterr)
{
	return error_set(reterr, -BSI_E_STATE, "state file \"%s\": %s; %s", path, reason,
		kind->remedy);
}

static int missing(const struct store *s, const char *path, const struct state_kind *kind,
	struct error *reterr)
{
	int made;

	if (!kind->required)
		return error_set(reterr, -ENOENT, "there is no \"%s\"", path);
	made = layout_is_made(s);
	if (made < 0)
		return made;
	if (!made)
		return error_set(reterr, -ENOENT, "there is no state yet");
	return state_damaged(path, kind, "it is missing", reterr);
}

/* Content and its digest, out of the envelope. */
static int open_envelope(const json_t *root, const struct state_kind *kind, json_t **ret,
	struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(STATE_FILE_MAX_BYTES);
	struct digest said, found;
	json_t *content;
	int r;

	r = json_check_format(root, kind->format, STATE_VERSION, reterr);
	if (r == 0)
		r = json_get_digest(root, "digest", &said, reterr);
	if (r == 0)
		r = json_get_object(root, "content", &content, reterr);
	if (r == 0 && json_canonical(content, &bytes) < 0)
		r = error_set(reterr, -BSI_E_FORMAT, "its content is not canonical");
	if (r == 0)
		r = digest_of(bytes.data, bytes.len, &found);
	if (r == 0 && !digest_equal(&said, &found))
		r = error_set(reterr, -BSI_E_FORMAT, "its content is not what was written");
	if (r < 0)
		return r;
	*ret = json_incref(content);
	return 0;
}

int state_load(const struct store *s, const char *path, const struct state_kind *kind,
	json_t **ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(STATE_FILE_MAX_BYTES);
	AUTO_JSON json_t *root = NULL;
	struct error reason = {0};
	int r;

	r = file_read(s->dir_fd, path, STATE_FILE_MAX_BYTES, &bytes);
	if (r == -ENOENT)
		return missing(s, path, kind, reterr);
	if (r == -BSI_E_LIMIT)
		return state_damaged(path, kind, "it is too large", reterr);
	if (r < 0)
		return error_set(reterr, r, "state file \"%s\" cannot be read: %s", path,
			error_text(r));
	r = json_parse(bytes.data, bytes.len, "it", &root, &reason);
	if (r == 0)
		r = open_envelope(root, kind, ret, &reason);
	if (r == -BSI_E_VERSION)
		return error_set(reterr, r, "state file \"%s\": %s", path, reason.text);
	if (r == -BSI_E_FORMAT || r == -BSI_E_LIMIT)
		return state_damaged(path, kind, reason.text, reterr);
	return r;
}

/* What a later run would find is tried before anything is replaced by it. */
static int check_readable(const struct buffer *bytes, const struct state_kind *kind)
{
	AUTO_JSON json_t *root = NULL, *content = NULL;
	int r;

	r = json_parse(bytes->data, bytes->len, "it", &root, NULL);
	return r < 0 ? r : open_envelope(root, kind, &content, NULL);
}

int state_save(const struct store *s, const char *path, const struct state_kind *kind,
	const json_t *content, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer inner = buffer_of(STATE_FILE_MAX_BYTES);
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(STATE_FILE_MAX_BYTES);
	struct digest_hex hex;
	struct digest digest;
	int r;

	r = json_canonical(content, &inner);
	if (r == 0)
		r = digest_of(inner.data, inner.len, &digest);
	if (r == 0) {
		hex = digest_format(&digest);
		buffer_put_text(&bytes, "{\"content\":");
		buffer_put(&bytes, inner.data, inner.len);
		buffer_printf(&bytes, ",\"digest\":\"%s\",\"format\":\"%s\",\"version\":%d}", hex.text,
			kind->format, STATE_VERSION);
		r = bytes.err;
	}
	if (r == 0)
		r = check_readable(&bytes, kind);
	if (r == -BSI_E_FORMAT || r == -BSI_E_LIMIT)
		return error_set(reterr, r,
			"\"%s\" cannot be stored: control characters, fractions or too much of it",
			path);
	if (r < 0)
		return r;
	r = durable_replace(s->dir_fd, path, bytes.data, bytes.len);
	if (r < 0)
		return error_set(reterr, r, "state file \"%s\" cannot be written: %s", path,
			error_text(r));
	return 0;
}
