/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/foundation.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "improvement/base_id.h"
#include "improvement/index.h"
#include "publish/keyring.h"
#include "publish/repository.h"
#include "publish/site.h"
#include "trust/bounds.h"
#include "trust/sign.h"

#define VERSION_1 1
#define FIRST_ROOT REPOSITORY_METADATA "/1.root.json"

struct laying {
	const struct foundation *f;
	struct site repository, offline, online;
	struct keyring root, targets, snapshot, timestamp;
	struct keyring *bases;
	struct trust_file_spec *files; /* targets, then the bases */
	struct error *reterr;
};

static int create_keys(struct laying *l)
{
	const struct foundation *f = l->f;
	const struct keyring_folder offline = {
		.path = f->keys_path, .fd = l->offline.fd, .passphrase = f->passphrase};
	const struct keyring_folder online = {.path = f->online_path, .fd = l->online.fd};
	int r;

	r = keyring_create(&offline, "root", f->n_keys, &l->root, l->reterr);
	if (r == 0)
		r = keyring_create(&offline, "targets", f->n_keys, &l->targets, l->reterr);
	for (size_t i = 0; r == 0 && i < f->n_bases; i++)
		r = keyring_create(&offline, f->bases[i].id, f->n_keys, &l->bases[i], l->reterr);
	if (r == 0)
		r = keyring_create(&online, "snapshot", 1, &l->snapshot, l->reterr);
	if (r == 0)
		r = keyring_create(&online, "timestamp", 1, &l->timestamp, l->reterr);
	return r;
}

static struct trust_role_spec role_of(const char *name, const struct keyring *k,
	uint64_t threshold)
{
	return (struct trust_role_spec){
		.name = name, .keys = k->keys, .n_keys = k->n_signers, .threshold = threshold};
}

/* Sign, write, and describe for the one who lists it. version 0: the name has no prefix. */
static int write_signed(struct laying *l, const char *role, uint64_t version, json_t *signed_part,
	const struct keyring *keys, struct trust_file_spec *ret)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	char name[512];
	int r;

	r = trust_sign(signed_part, keys->signers, keys->n_signers, &bytes, l->reterr);
	if (r < 0)
		return r;
	if (version > 0)
		(void)snprintf(name, sizeof name, REPOSITORY_METADATA "/%llu.%s.json",
			(unsigned long long)version, role);
	else
		(void)snprintf(name, sizeof name, REPOSITORY_METADATA "/%s.json", role);
	r = file_replace(l->repository.fd, name, bytes.data, bytes.len, 0644);
	if (r < 0)
		return error_set(l->reterr, r, "%s: %s", name, error_text(r));
	return ret ? trust_file_describe(role, bytes.data, bytes.len, ret, l->reterr) : 0;
}

static int write_root(struct laying *l)
{
	const struct foundation *f = l->f;
	const struct trust_root_spec spec = {
		.version = VERSION_1,
		.issued_utc_s = f->now_utc_s,
		.expires_utc_s = f->now_utc_s + REPOSITORY_ROOT_EXPIRES_S,
		.root = role_of("root", &l->root, f->threshold),
		.targets = role_of("targets", &l->targets, f->threshold),
		.snapshot = role_of("snapshot", &l->snapshot, 1),
		.timestamp = role_of("timestamp", &l->timestamp, 1),
	};
	AUTO_JSON json_t *signed_part = NULL;
	int r;

	r = trust_root_build(&spec, &signed_part, l->reterr);
	return r < 0 ? r : write_signed(l, "root", VERSION_1, signed_part, &l->root, NULL);
}

static int write_targets(struct laying *l)
{
	const struct foundation *f = l->f;
	AUTO_FREE struct trust_delegation_spec *delegations =
		calloc(f->n_bases + 1, sizeof *delegations);
	AUTO_FREE char **patterns = calloc(f->n_bases + 1, sizeof *patterns);
	AUTO_JSON json_t *signed_part = NULL;
	struct trust_targets_spec spec = {
		.version = VERSION_1,
		.issued_utc_s = f->now_utc_s,
		.expires_utc_s = f->now_utc_s + REPOSITORY_ROLE_EXPIRES_S,
		.n_delegations = f->n_bases,
	};
	int r = 0;

	if (!delegations || !patterns)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < f->n_bases; i++) {
		if (asprintf(&patterns[i], "%s/*", f->bases[i].id) < 0) {
			patterns[i] = NULL;
			r = -ENOMEM;
		}
		delegations[i] = (struct trust_delegation_spec){
			.role = role_of(f->bases[i].id, &l->bases[i], f->threshold),
			.paths = (const char *const *)&patterns[i],
			.n_paths = 1,
			.terminating = true};
	}
	spec.delegations = delegations;
	if (r == 0)
		r = trust_targets_build(&spec, &signed_part, l->reterr);
	if (r == 0)
		r = write_signed(l, "targets", VERSION_1, signed_part, &l->targets, &l->files[0]);
	for (size_t i = 0; i < f->n_bases; i++)
		free(patterns[i]);
	return r;
}

/* "Debian GNU/Linux 12" for debian:12:amd64. */
static int name_base(const struct foundation_base *base, char **ret)
{
	static const struct {
		const char *id, *name;
	} known[] = {
		{"debian", "Debian GNU/Linux"}, {"ubuntu", "Ubuntu"}, {"fedora", "Fedora Linux"},
		{"raspbian", "Raspbian GNU/Linux"}, {"devuan", "Devuan GNU/Linux"},
	};
	AUTO(base_id) struct base_id *id = NULL;
	const char *name;
	int r;

	if (base->name) {
		*ret = strdup(base->name);
		return *ret ? 0 : -ENOMEM;
	}
	r = base_id_parse(base->id, &id);
	if (r < 0)
		return r;
	name = id->id;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].id, id->id) == 0)
			name = known[i].name;
	if (asprintf(ret, "%s %s", name, id->version) < 0)
		return -ENOMEM;
	if (name == id->id)
		(*ret)[0] = (char)toupper((unsigned char)(*ret)[0]);
	return 0;
}

int foundation_write_index(int repository_fd, const struct foundation_base *base,
	int64_t now_utc_s, struct trust_target_spec *ret, char **ret_path, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(INDEX_MAX_BYTES);
	AUTO_FREE char *file = NULL, *name = NULL, *id = strdup(base->id), *folder = NULL;
	int r;

	if (!id)
		return -ENOMEM;
	if (asprintf(&folder, REPOSITORY_TARGETS "/%s", base->id) < 0) {
		folder = NULL; /* which asprintf() leaves undefined */
		return -ENOMEM;
	}
	r = name_base(base, &name);
	if (r == 0) {
		const struct index index = {.base = id, .name = name, .issued_utc_s = now_utc_s};

		r = index_encode(&index, &bytes, reterr);
	}
	if (r == 0)
		r = base_id_target(base->id, "index.json", ret_path);
	if (r < 0)
		return r;
	*ret = (struct trust_target_spec){.path = *ret_path, .length = bytes.len};
	r = digest_of(bytes.data, bytes.len, &ret->digest);
	if (r == 0)
		r = repository_target_file(*ret_path, &ret->digest, &file);
	if (r == 0)
		r = file_make_dirs(repository_fd, folder, 0755);
	if (r == 0)
		r = file_replace(repository_fd, file, bytes.data, bytes.len, 0644);
	return r;
}

static int write_base(struct laying *l, size_t i)
{
	AUTO_FREE char *path = NULL;
	AUTO_JSON json_t *signed_part = NULL;
	struct trust_target_spec target;
	struct trust_targets_spec spec = {
		.version = VERSION_1,
		.issued_utc_s = l->f->now_utc_s,
		.expires_utc_s = l->f->now_utc_s + REPOSITORY_ROLE_EXPIRES_S,
		.targets = &target,
		.n_targets = 1,
	};
	int r;

	r = foundation_write_index(l->repository.fd, &l->f->bases[i], l->f->now_utc_s, &target,
		&path, l->reterr);
	if (r == 0)
		r = trust_targets_build(&spec, &signed_part, l->reterr);
	return r < 0 ? r
		     : write_signed(l, l->f->bases[i].id, VERSION_1, signed_part, &l->bases[i],
			       &l->files[i + 1]);
}

static int write_online(struct laying *l)
{
	AUTO_JSON json_t *snapshot = NULL, *timestamp = NULL;
	const struct trust_snapshot_spec spec = {
		.version = VERSION_1,
		.expires_utc_s = l->f->now_utc_s + REPOSITORY_SNAPSHOT_EXPIRES_S,
		.files = l->files,
		.n_files = l->f->n_bases + 1,
	};
	struct trust_timestamp_spec last = {
		.version = VERSION_1,
		.expires_utc_s = l->f->now_utc_s + REPOSITORY_TIMESTAMP_EXPIRES_S,
	};
	int r;

	r = trust_snapshot_build(&spec, &snapshot, l->reterr);
	if (r == 0)
		r = write_signed(l, "snapshot", VERSION_1, snapshot, &l->snapshot, &last.snapshot);
	if (r == 0)
		r = trust_timestamp_build(&last, &timestamp, l->reterr);
	return r < 0 ? r : write_signed(l, "timestamp", 0, timestamp, &l->timestamp, NULL);
}

static int write_repository(struct laying *l)
{
	int r;

	r = file_make_dirs(l->repository.fd, REPOSITORY_METADATA, 0755);
	if (r == 0)
		r = file_make_dirs(l->repository.fd, REPOSITORY_TARGETS, 0755);
	if (r == 0)
		r = write_root(l);
	for (size_t i = 0; r == 0 && i < l->f->n_bases; i++)
		r = write_base(l, i);
	if (r == 0)
		r = write_targets(l);
	return r < 0 ? r : write_online(l);
}

static int check(const struct foundation *f, struct error *reterr)
{
	if (f->n_bases == 0)
		return error_set(reterr, -BSI_E_USAGE, "--base is missing");
	if (f->threshold == 0 || f->n_keys < f->threshold || f->n_keys > KEYRING_KEYS_MAX)
		return error_set(reterr, -BSI_E_USAGE,
			"a threshold of %llu needs as many keys, at most %d",
			(unsigned long long)f->threshold, KEYRING_KEYS_MAX);
	for (size_t i = 0; i < f->n_bases; i++) {
		if (base_id_check(f->bases[i].id) < 0)
			return error_set(reterr, -BSI_E_USAGE,
				"\"%s\" names no base: ID:VERSION:ARCH, such as debian:12:amd64",
				f->bases[i].id);
		for (size_t k = 0; k < i; k++)
			if (strcmp(f->bases[i].id, f->bases[k].id) == 0)
				return error_set(reterr, -BSI_E_USAGE, "base %s is given twice",
					f->bases[i].id);
	}
	return 0;
}

/* Which repository the keys in a folder are for: the digest of its first root, as text. */
static int read_mark(int fd, const char *path, struct digest_hex *ret)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(sizeof ret->text);
	int r;

	r = file_read(fd, path, sizeof ret->text, &bytes);
	if (r < 0 || bytes.len != sizeof ret->text)
		return r < 0 ? r : -BSI_E_FORMAT;
	memcpy(ret->text, bytes.data, sizeof ret->text - 1);
	ret->text[sizeof ret->text - 1] = '\0';
	return 0;
}

static int digest_first_root(int repository_fd, struct digest_hex *ret)
{
	AUTO_DONE(buffer) struct buffer root = buffer_of(TRUST_ROOT_MAX_BYTES);
	struct digest digest;
	int r;

	r = file_read(repository_fd, FIRST_ROOT, TRUST_ROOT_MAX_BYTES, &root);
	if (r == 0)
		r = digest_of(root.data, root.len, &digest);
	if (r == 0)
		*ret = digest_format(&digest);
	return r;
}

static int write_marks(struct laying *l)
{
	struct digest_hex mark;
	int r;

	r = digest_first_root(l->repository.fd, &mark);
	mark.text[sizeof mark.text - 1] = '\n';
	if (r == 0)
		r = file_replace(l->offline.fd, FOUNDATION_MARK, mark.text, sizeof mark.text, 0600);
	if (r == 0)
		r = file_replace(l->online.fd, FOUNDATION_MARK, mark.text, sizeof mark.text, 0600);
	return r < 0 ? error_set(l->reterr, r, "%s: %s", FOUNDATION_MARK, error_text(r)) : 0;
}

/*
 * A run that was killed between its renames left keys in place and a draft of the repository whose
 * first root they signed. Nobody can have used them: they become a draft again. Keys of any other
 * repository are none of our business.
 */
static int take_back(struct laying *l, struct site *keys)
{
	struct digest_hex left, mark;
	AUTO_FREE char *path = NULL;
	int r;

	r = site_is_taken(keys, l->reterr);
	if (r <= 0)
		return r;
	if (asprintf(&path, "%s/" FOUNDATION_MARK, keys->final_name) < 0) {
		path = NULL; /* which asprintf() leaves undefined */
		return -ENOMEM;
	}
	if (digest_first_root(l->repository.fd, &left) < 0 ||
		read_mark(keys->parent_fd, path, &mark) < 0 || strcmp(left.text, mark.text) != 0)
		return error_set(l->reterr, -EEXIST, "%s exists already", keys->path);
	return site_undo(keys, l->reterr);
}

static int open_sites(struct laying *l)
{
	struct site *const sites[] = {&l->offline, &l->online, &l->repository};
	int r;

	r = site_init(&l->repository, l->f->path, 0755, l->reterr);
	if (r == 0)
		r = site_init(&l->offline, l->f->keys_path, 0700, l->reterr);
	if (r == 0)
		r = site_init(&l->online, l->f->online_path, 0700, l->reterr);
	if (r == 0)
		r = site_open(&l->repository, l->reterr);
	if (r == 0)
		r = take_back(l, &l->offline);
	if (r == 0)
		r = take_back(l, &l->online);
	if (r == 0)
		r = site_open(&l->offline, l->reterr);
	if (r == 0)
		r = site_open(&l->online, l->reterr);
	/* the repository's draft, which proves whose the keys are, goes last */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sites); i++)
		r = site_clear(sites[i], l->reterr);
	return r;
}

static int finish_sites(struct laying *l)
{
	struct error unused;
	int r;

	r = site_finish(&l->offline, l->reterr);
	if (r == 0)
		r = site_finish(&l->online, l->reterr);
	if (r == 0)
		r = site_finish(&l->repository, l->reterr);
	if (r < 0 && !l->repository.is_done) {
		if (l->online.is_done)
			(void)!site_undo(&l->online, &unused);
		if (l->offline.is_done)
			(void)!site_undo(&l->offline, &unused);
	}
	return r;
}

static int lay(struct laying *l)
{
	int r;

	r = open_sites(l);
	if (r == 0)
		r = create_keys(l);
	if (r == 0)
		r = write_repository(l);
	if (r == 0)
		r = write_marks(l);
	return r < 0 ? r : finish_sites(l);
}

int foundation_lay(const struct foundation *f, struct error *reterr)
{
	struct laying l = {.f = f, .reterr = reterr};
	int r;

	l.repository = l.offline = l.online = SITE_NONE;
	r = check(f, reterr);
	if (r < 0)
		return r;
	l.bases = calloc(f->n_bases + 1, sizeof *l.bases);
	l.files = calloc(f->n_bases + 1, sizeof *l.files);
	r = l.bases && l.files ? lay(&l) : -ENOMEM;
	site_close(&l.offline);
	site_close(&l.online);
	site_close(&l.repository);
	keyring_done(&l.root);
	keyring_done(&l.targets);
	keyring_done(&l.snapshot);
	keyring_done(&l.timestamp);
	for (size_t i = 0; l.bases && i < f->n_bases; i++)
		keyring_done(&l.bases[i]);
	free(l.bases);
	free(l.files);
	return r;
}
