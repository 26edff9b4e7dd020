/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "improvement/letter.h"

#define FORMAT "bsi-record"
#define VERSION 1

struct record {
	char *folder;
	int fd;
	json_t *roles; /* versions by name */
	json_t *bases; /* letter and build by name */
	json_t *document;
};

static int check_bases(json_t *bases, struct error *reterr)
{
	const char *base, *letter;
	json_t *last;

	json_object_foreach(bases, base, last)
	{
		uint64_t build;
		int r = json_get_text(last, "letter", &letter, reterr);

		if (r == 0 && letter_check(letter) < 0)
			r = error_set(reterr, -BSI_E_FORMAT, "%s: \"%s\" is no letter", base, letter);
		if (r == 0)
			r = json_get_u64(last, "build", INT64_MAX - 1, &build, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_roles(json_t *roles, struct error *reterr)
{
	const char *role;
	json_t *unused;

	json_object_foreach(roles, role, unused)
	{
		uint64_t version;
		int r = json_get_u64(roles, role, INT64_MAX - 1, &version, reterr);

		if (r < 0)
			return r;
	}
	return 0;
}

static int decode(struct record *record, const struct buffer *bytes, struct error *reterr)
{
	int r;

	r = json_parse(bytes->data, bytes->len, RECORD_FILE, &record->document, reterr);
	if (r == 0)
		r = json_check_format(record->document, FORMAT, VERSION, reterr);
	if (r == 0)
		r = json_get_object(record->document, "roles", &record->roles, reterr);
	if (r == 0)
		r = json_get_object(record->document, "bases", &record->bases, reterr);
	if (r == 0)
		r = check_roles(record->roles, reterr);
	return r < 0 ? r : check_bases(record->bases, reterr);
}

static int start(struct record *record)
{
	record->document = json_pack("{s:s, s:i, s:{}, s:{}}", "format", FORMAT, "version", VERSION,
		"roles", "bases");
	record->roles = json_object_get(record->document, "roles");
	record->bases = json_object_get(record->document, "bases");
	return record->roles && record->bases ? 0 : -ENOMEM;
}

int record_load(const char *folder, struct record **ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(RECORD_MAX_BYTES);
	AUTO(record) struct record *record = calloc(1, sizeof *record);
	int r;

	if (!record)
		return -ENOMEM;
	record->fd = -EBADF;
	record->folder = strdup(folder);
	if (!record->folder)
		return -ENOMEM;
	record->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (record->fd < 0)
		return error_set(reterr, -errno, "%s: %s", folder, strerrordesc_np(errno));
	r = file_read(record->fd, RECORD_FILE, RECORD_MAX_BYTES, &bytes);
	if (r == -ENOENT) {
		r = start(record);
	} else if (r < 0) {
		error_set(reterr, r, "%s/" RECORD_FILE ": %s", folder, error_text(r));
	} else {
		r = decode(record, &bytes, reterr);
		if (r < 0)
			error_prefix(reterr, "%s/" RECORD_FILE, folder);
	}
	if (r < 0)
		return r;
	*ret = take_ptr(record);
	return 0;
}

void record_free(struct record *record)
{
	if (!record)
		return;
	json_decref(record->document);
	if (record->fd >= 0)
		(void)close(record->fd);
	free(record->folder);
	free(record);
}

uint64_t record_version(const struct record *record, const char *role)
{
	return (uint64_t)json_integer_value(json_object_get(record->roles, role));
}

const char *record_letter(const struct record *record, const char *base, uint64_t *ret_build)
{
	const json_t *last = json_object_get(record->bases, base);

	*ret_build = (uint64_t)json_integer_value(json_object_get(last, "build"));
	return json_string_value(json_object_get(last, "letter"));
}

static int behind(const struct record *record, const struct repository *r, const char *role,
	uint64_t version, struct error *reterr)
{
	return error_set(reterr, -BSI_E_ROLLBACK,
		"%s is older than what was signed last (%s/" RECORD_FILE "): role %s is at version "
		"%llu, and version %llu was signed; devices would refuse what is signed on this. "
		"Put a newer copy of the folder in its place, which any mirror is; if there is "
		"none, 'refresh --all --lost' goes on above what was signed",
		r->path, record->folder, role, (unsigned long long)version,
		(unsigned long long)record_version(record, role));
}

int record_check(const struct record *record, const struct repository *r, struct error *reterr)
{
	if (r->root->version < record_version(record, "root"))
		return behind(record, r, "root", r->root->version, reterr);
	if (r->timestamp->version < record_version(record, "timestamp"))
		return behind(record, r, "timestamp", r->timestamp->version, reterr);
	if (r->snapshot->version < record_version(record, "snapshot"))
		return behind(record, r, "snapshot", r->snapshot->version, reterr);
	for (size_t i = 0; i < r->n_roles; i++)
		if (r->roles[i].file.version < record_version(record, r->roles[i].name))
			return behind(record, r, r->roles[i].name, r->roles[i].file.version, reterr);
	return 0;
}

static void raise_version(const struct record *record, const char *role, uint64_t *version)
{
	if (*version < record_version(record, role))
		*version = record_version(record, role);
}

int record_skip(const struct record *record, struct repository *r, struct error *reterr)
{
	if (r->root->version < record_version(record, "root"))
		return error_set(reterr, -BSI_E_ROLLBACK,
			"%s has %llu roots, and %llu were signed: copy the missing "
			REPOSITORY_METADATA "/N.root.json from a mirror or from a device "
			"(/var/lib/bsi/trust/root.json is its newest); without them devices cannot follow",
			r->path, (unsigned long long)r->root->version,
			(unsigned long long)record_version(record, "root"));
	raise_version(record, "timestamp", &r->timestamp->version);
	raise_version(record, "snapshot", &r->snapshot->version);
	for (size_t i = 0; i < r->n_roles; i++) {
		raise_version(record, r->roles[i].name, &r->roles[i].file.version);
		raise_version(record, r->roles[i].name, &r->roles[i].metadata->version);
	}
	return 0;
}

static int keep_role(struct record *record, const char *role, uint64_t version)
{
	if (version <= record_version(record, role))
		return 0;
	return json_object_set_new(record->roles, role, json_integer((json_int_t)version)) < 0
		? -ENOMEM
		: 0;
}

static int keep_base(struct record *record, const struct repository *r,
	const struct repository_role *base, struct error *reterr)
{
	AUTO(index) struct index *index = NULL;
	const struct index_entry *last;
	uint64_t build;
	int result;

	result = keep_role(record, base->name, base->file.version);
	if (result == 0)
		result = repository_load_index(r, base, &index, reterr);
	if (result < 0 || index->n_entries == 0)
		return result;
	last = &index->entries[index->n_entries - 1];
	(void)record_letter(record, base->name, &build);
	if (last->build <= build)
		return 0;
	return json_object_set_new(record->bases, base->name,
		       json_pack("{s:s, s:I}", "letter", last->letter, "build",
			       (json_int_t)last->build)) < 0
		? -ENOMEM
		: 0;
}

int record_keep(struct record *record, const struct repository *r, struct error *reterr)
{
	AUTO_JSON json_t *before = json_deep_copy(record->document);
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(RECORD_MAX_BYTES);
	int result = before ? 0 : -ENOMEM;

	if (result == 0)
		result = keep_role(record, "root", r->root->version);
	if (result == 0)
		result = keep_role(record, "timestamp", r->timestamp->version);
	if (result == 0)
		result = keep_role(record, "snapshot", r->snapshot->version);
	if (result == 0)
		result = keep_role(record, "targets", r->roles[0].file.version);
	for (size_t i = 1; result == 0 && i < r->n_roles; i++)
		result = keep_base(record, r, &r->roles[i], reterr);
	if (result < 0 || json_equal(before, record->document))
		return result;
	result = json_canonical(record->document, &bytes);
	if (result == 0)
		result = file_replace(record->fd, RECORD_FILE, bytes.data, bytes.len, 0600);
	if (result < 0)
		return error_set(reterr, result,
			"%s/" RECORD_FILE ", which keeps what was signed last, cannot be written: %s",
			record->folder, error_text(result));
	return 0;
}
