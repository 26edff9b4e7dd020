/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/utc.h"
#include "repository.h"
#include "trust/sign.h"

#define DAY_S 86400

static const char *const top_names[] = {"root", "timestamp", "snapshot", "targets"};

static size_t folder_find(const struct folder *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n_files; i++)
		if (strcmp(f->files[i].name, name) == 0)
			break;
	return i;
}

void folder_put(struct folder *f, const char *name, const void *data, size_t len)
{
	size_t i = folder_find(f, name);

	if (i == f->n_files) {
		assert_true(i < FILES_MAX);
		f->files[i].name = strdup(name);
		f->files[i].data = NULL;
		f->n_files++;
	}
	free(f->files[i].data);
	f->files[i].data = malloc(len + 1);
	assert_non_null(f->files[i].data);
	memcpy(f->files[i].data, data, len);
	f->files[i].len = len;
}

bool folder_has(const struct folder *f, const char *name)
{
	return folder_find(f, name) < f->n_files;
}

void folder_drop(struct folder *f, const char *name)
{
	size_t i = folder_find(f, name);

	if (i == f->n_files)
		return;
	free(f->files[i].name);
	free(f->files[i].data);
	f->files[i] = f->files[--f->n_files];
}

uint64_t folder_version(const struct folder *f, const char *name)
{
	size_t i = folder_find(f, name);
	AUTO_JSON json_t *document = NULL;
	json_int_t version = 0;

	if (i == f->n_files)
		return 0;
	document = json_loadb((const char *)f->files[i].data, f->files[i].len, 0, NULL);
	assert_int_equal(json_unpack(document, "{s:{s:I}}", "signed", "version", &version), 0);
	return (uint64_t)version;
}

bool folder_equal(const struct folder *a, const struct folder *b)
{
	if (a->n_files != b->n_files)
		return false;
	for (size_t i = 0; i < a->n_files; i++) {
		size_t j = folder_find(b, a->files[i].name);

		if (j == b->n_files || a->files[i].len != b->files[j].len ||
			memcmp(a->files[i].data, b->files[j].data, a->files[i].len) != 0)
			return false;
	}
	return true;
}

void folder_copy(struct folder *to, const struct folder *from)
{
	folder_done(to);
	for (size_t i = 0; i < from->n_files; i++)
		folder_put(to, from->files[i].name, from->files[i].data, from->files[i].len);
}

void folder_done(struct folder *f)
{
	while (f->n_files > 0)
		folder_drop(f, f->files[0].name);
}

struct trust_signer *repository_signer(struct repository *r)
{
	assert_true(r->n_all_signers < ARRAY_SIZE(r->all_signers));
	assert_int_equal(trust_signer_generate(&r->all_signers[r->n_all_signers]), 0);
	return r->all_signers[r->n_all_signers++];
}

static size_t add_role(struct repository *r, const char *name, json_t *md,
	struct trust_signer *signer)
{
	struct repository_role *role = &r->roles[r->n_roles];

	assert_true(r->n_roles < ROLES_MAX);
	role->name = strdup(name);
	role->md = md;
	role->signers[0] = signer;
	role->n_signers = 1;
	return r->n_roles++;
}

static json_t *build_root(struct trust_signer *const signers[4])
{
	json_t *keys[4], *md = NULL;
	struct trust_role_spec roles[4];
	struct trust_root_spec spec = {.version = 1,
		.issued_utc_s = NOW_UTC_S - DAY_S,
		.expires_utc_s = NOW_UTC_S + 365 * DAY_S};

	for (size_t i = 0; i < 4; i++) {
		keys[i] = trust_signer_public(signers[i]);
		roles[i] = (struct trust_role_spec){.keys = &keys[i], .n_keys = 1, .threshold = 1};
	}
	spec.root = roles[0];
	spec.timestamp = roles[1];
	spec.snapshot = roles[2];
	spec.targets = roles[3];
	assert_int_equal(trust_root_build(&spec, &md, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		json_decref(keys[i]);
	return md;
}

static json_t *build_targets(void)
{
	const struct trust_targets_spec spec = {.version = 1,
		.issued_utc_s = NOW_UTC_S - DAY_S,
		.expires_utc_s = NOW_UTC_S + 90 * DAY_S};
	json_t *md = NULL;

	assert_int_equal(trust_targets_build(&spec, &md, NULL), 0);
	return md;
}

/* Their lists are filled when they are published. */
static json_t *build_online(const char *type)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:{}}", "_type", type, "spec_version",
		TRUST_SPEC_VERSION, "version", 0, "expires",
		utc_format(NOW_UTC_S + 7 * DAY_S).text, "meta");
}

void repository_init(struct repository *r)
{
	struct trust_signer *signers[4];
	size_t i;

	memset(r, 0, sizeof *r);
	r->now_utc_s = NOW_UTC_S;
	for (i = 0; i < 4; i++)
		signers[i] = repository_signer(r);
	add_role(r, top_names[ROOT], build_root(signers), signers[ROOT]);
	add_role(r, top_names[TIMESTAMP], build_online("timestamp"), signers[TIMESTAMP]);
	add_role(r, top_names[SNAPSHOT], build_online("snapshot"), signers[SNAPSHOT]);
	add_role(r, top_names[TARGETS], build_targets(), signers[TARGETS]);
	repository_publish(r, ROOT);
	repository_release(r);
	i = folder_find(&r->server, "1.root.json");
	folder_put(&r->device, "root.json", r->server.files[i].data, r->server.files[i].len);
}

static void forget_requests(struct repository *r)
{
	while (r->n_requests > 0)
		free(r->requests[--r->n_requests]);
}

void repository_done(struct repository *r)
{
	forget_requests(r);
	folder_done(&r->server);
	folder_done(&r->device);
	for (size_t i = 0; i < r->n_roles; i++) {
		free(r->roles[i].name);
		json_decref(r->roles[i].md);
	}
	for (size_t i = 0; i < r->n_all_signers; i++)
		trust_signer_free(r->all_signers[i]);
}

static json_int_t version_of(const json_t *md)
{
	return json_integer_value(json_object_get(md, "version"));
}

void repository_bump(struct repository *r, size_t role)
{
	json_t *md = r->roles[role].md;

	json_object_set_new(md, "version", json_integer(version_of(md) + 1));
}

void repository_expire(struct repository *r, size_t role)
{
	json_object_set_new(r->roles[role].md, "expires",
		json_string(utc_format(r->now_utc_s).text));
	json_object_del(r->roles[role].md, "issued");
}

void repository_set_keys(struct repository *r, size_t role, struct trust_signer *const *signers,
	size_t n, uint64_t threshold)
{
	json_t *root = r->roles[ROOT].md, *ids = json_array(), *o;

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(ids, json_string(trust_signer_keyid(signers[i])));
		json_object_set_new(json_object_get(root, "keys"), trust_signer_keyid(signers[i]),
			trust_signer_public(signers[i]));
		r->roles[role].signers[i] = signers[i];
	}
	r->roles[role].n_signers = n;
	o = json_object_get(json_object_get(root, "roles"), r->roles[role].name);
	json_object_set_new(o, "keyids", ids);
	json_object_set_new(o, "threshold", json_integer((json_int_t)threshold));
}

size_t repository_delegate(struct repository *r, size_t parent, const char *name,
	const char *pattern, bool terminating)
{
	json_t *md = r->roles[parent].md, *d = json_object_get(md, "delegations");
	struct trust_signer *signer;
	size_t i;

	for (i = FIRST_DELEGATED; i < r->n_roles; i++)
		if (strcmp(r->roles[i].name, name) == 0)
			break;
	if (i == r->n_roles)
		add_role(r, name, build_targets(), repository_signer(r));
	signer = r->roles[i].signers[0];
	if (!d) {
		d = json_pack("{s:{}, s:[]}", "keys", "roles");
		json_object_set_new(md, "delegations", d);
	}
	json_object_set_new(json_object_get(d, "keys"), trust_signer_keyid(signer),
		trust_signer_public(signer));
	json_array_append_new(json_object_get(d, "roles"),
		json_pack("{s:s, s:[s], s:i, s:[s], s:b}", "name", name, "keyids",
			trust_signer_keyid(signer), "threshold", 1, "paths", pattern, "terminating",
			terminating));
	return i;
}

void repository_add_target(struct repository *r, size_t role, const char *path,
	const char *content)
{
	struct digest digest;

	assert_int_equal(digest_of(content, strlen(content), &digest), 0);
	json_object_set_new(json_object_get(r->roles[role].md, "targets"), path,
		json_pack("{s:i, s:{s:s}}", "length", (int)strlen(content), "hashes", "sha256",
			digest_format(&digest).text));
}

static json_t *sign_by(const json_t *signed_part, struct trust_signer *const *signers, size_t n)
{
	AUTO_DONE(buffer) struct buffer canonical = buffer_of(1U << 24);
	json_t *list = json_array();
	uint8_t sig[TRUST_SIGNATURE_BYTES];
	char hex[2 * TRUST_SIGNATURE_BYTES + 1];

	assert_int_equal(json_canonical(signed_part, &canonical), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(trust_signer_sign(signers[i], canonical.data, canonical.len, sig),
			0);
		hex_format(sig, sizeof sig, hex);
		json_array_append_new(list, json_pack("{s:s, s:s}", "keyid",
						    trust_signer_keyid(signers[i]), "sig", hex));
	}
	return list;
}

void repository_put(struct repository *r, const char *name, const json_t *signed_part,
	struct trust_signer *const *signers, size_t n)
{
	AUTO_JSON json_t *document = NULL;
	AUTO_FREE char *text = NULL;

	document = json_pack("{s:O, s:o}", "signed", signed_part, "signatures",
		sign_by(signed_part, signers, n));
	text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	assert_non_null(text);
	folder_put(&r->server, name, text, strlen(text));
}

static void server_name(const struct repository *r, size_t role, char *out, size_t out_len)
{
	if (role == TIMESTAMP)
		(void)snprintf(out, out_len, "timestamp.json");
	else
		(void)snprintf(out, out_len, "%" JSON_INTEGER_FORMAT ".%s.json",
			version_of(r->roles[role].md), r->roles[role].name);
}

void repository_publish(struct repository *r, size_t role)
{
	char name[2048];

	server_name(r, role, name, sizeof name);
	repository_put(r, name, r->roles[role].md, r->roles[role].signers,
		r->roles[role].n_signers);
}

void repository_publish_root(struct repository *r, struct trust_signer *const *old, size_t n_old)
{
	struct trust_signer *signers[16];
	size_t n = r->roles[ROOT].n_signers;
	char name[64];

	memcpy(signers, r->roles[ROOT].signers, n * sizeof *signers);
	for (size_t i = 0; i < n_old; i++) {
		size_t j;

		for (j = 0; j < n; j++)
			if (signers[j] == old[i])
				break;
		if (j == n)
			signers[n++] = old[i];
	}
	server_name(r, ROOT, name, sizeof name);
	repository_put(r, name, r->roles[ROOT].md, signers, n);
}

/* List the published form of a role in a snapshot or timestamp. */
static void list_role(struct repository *r, size_t lister, size_t role)
{
	char name[2048], listed[2048];
	struct digest digest;
	json_t *file;
	size_t i;

	server_name(r, role, name, sizeof name);
	(void)snprintf(listed, sizeof listed, "%s.json", r->roles[role].name);
	i = folder_find(&r->server, name);
	assert_true(i < r->server.n_files);
	file = json_pack("{s:I}", "version", version_of(r->roles[role].md));
	if (!r->bare) {
		assert_int_equal(
			digest_of(r->server.files[i].data, r->server.files[i].len, &digest), 0);
		json_object_set_new(file, "length", json_integer((json_int_t)r->server.files[i].len));
		json_object_set_new(file, "hashes",
			json_pack("{s:s}", "sha256", digest_format(&digest).text));
	}
	json_object_set_new(json_object_get(r->roles[lister].md, "meta"), listed, file);
}

void repository_release(struct repository *r)
{
	for (size_t i = TARGETS; i < r->n_roles; i++) {
		repository_publish(r, i);
		list_role(r, SNAPSHOT, i);
	}
	repository_bump(r, SNAPSHOT);
	repository_publish(r, SNAPSHOT);
	list_role(r, TIMESTAMP, SNAPSHOT);
	repository_bump(r, TIMESTAMP);
	repository_publish(r, TIMESTAMP);
}

static int io_load(void *ctx, const char *name, size_t max_bytes, struct buffer *out)
{
	const struct repository *r = ctx;
	size_t i = folder_find(&r->device, name);

	if (i == r->device.n_files)
		return -ENOENT;
	if (r->device.files[i].len > max_bytes)
		return -BSI_E_LIMIT;
	buffer_put(out, r->device.files[i].data, r->device.files[i].len);
	return out->err;
}

static int io_save(void *ctx, const char *name, const void *data, size_t len)
{
	struct repository *r = ctx;

	if (r->unsaved && strcmp(r->unsaved, name) == 0)
		return -EIO;
	folder_put(&r->device, name, data, len);
	return 0;
}

static int io_drop(void *ctx, const char *name)
{
	struct repository *r = ctx;

	folder_drop(&r->device, name);
	return 0;
}

/* %XX back to bytes, as a web server does. */
static void decode_url(const char *url, char *out)
{
	uint8_t byte;

	while (*url) {
		if (*url == '%') {
			char digits[3] = {url[1], url[2], '\0'};

			byte = (uint8_t)strtoul(digits, NULL, 16);
			*out++ = (char)byte;
			url += 3;
		} else {
			*out++ = *url++;
		}
	}
	*out = '\0';
}

static int io_fetch(void *ctx, const char *url_path, size_t max_bytes, struct buffer *out,
	struct error *reterr)
{
	struct repository *r = ctx;
	char name[4096];
	size_t i;

	assert_true(r->n_requests < REQUESTS_MAX);
	r->requests[r->n_requests++] = strdup(url_path);
	if (r->broken_url && strcmp(r->broken_url, url_path) == 0)
		return error_set(reterr, r->broken_code, "the server is broken");
	assert_true(strlen(url_path) < sizeof name);
	decode_url(url_path, name);
	i = folder_find(&r->server, name);
	if (i == r->server.n_files)
		return error_set(reterr, -BSI_E_MISSING, "no such file");
	if (r->server.files[i].len > max_bytes)
		return error_set(reterr, -BSI_E_LIMIT, "the answer is too long");
	buffer_put(out, r->server.files[i].data, r->server.files[i].len);
	return out->err;
}

int repository_updater(struct repository *r, struct trust_updater **ret, struct error *reterr)
{
	const struct trust_io io = {
		.ctx = r, .load = io_load, .save = io_save, .drop = io_drop, .fetch = io_fetch};

	forget_requests(r);
	return trust_updater_new(&io, r->now_utc_s, ret, reterr);
}

int repository_refresh(struct repository *r, struct error *reterr)
{
	AUTO(trust_updater) struct trust_updater *u = NULL;
	int result;

	result = repository_updater(r, &u, reterr);
	return result < 0 ? result : trust_updater_refresh(u, reterr);
}

int repository_find(struct repository *r, const char *path, struct trust_target *ret)
{
	AUTO(trust_updater) struct trust_updater *u = NULL;
	int result;

	result = repository_updater(r, &u, NULL);
	if (result == 0)
		result = trust_updater_refresh(u, NULL);
	return result < 0 ? result : trust_updater_target(u, path, ret, NULL);
}

void repository_assert_requests(const struct repository *r, const char *expected)
{
	AUTO_DONE(buffer) struct buffer all = buffer_of(1U << 16);

	for (size_t i = 0; i < r->n_requests; i++)
		buffer_printf(&all, "%s%s", i > 0 ? " " : "", r->requests[i]);
	buffer_put_u8(&all, '\0');
	assert_string_equal((const char *)all.data, expected);
}

int repository_set_up(void **state)
{
	struct repository *r = calloc(1, sizeof *r);

	if (!r)
		return -1;
	repository_init(r);
	*state = r;
	return 0;
}

int repository_tear_down(void **state)
{
	repository_done(*state);
	free(*state);
	return 0;
}

void repository_assert_refused(struct repository *r, int code)
{
	struct folder before = {};
	struct error e = {};

	folder_copy(&before, &r->device);
	assert_int_equal(repository_refresh(r, &e), code);
	assert_true(folder_equal(&before, &r->device));
	assert_true(strlen(e.text) > 10);
	folder_done(&before);
}

void repository_assert_refreshed(struct repository *r)
{
	struct error e = {};
	int result = repository_refresh(r, &e);

	if (result < 0)
		print_error("%s\n", e.text);
	assert_int_equal(result, 0);
}

void repository_store(struct repository *r, const char *as, const char *served)
{
	for (size_t i = 0; i < r->server.n_files; i++)
		if (strcmp(r->server.files[i].name, served) == 0)
			folder_put(&r->device, as, r->server.files[i].data, r->server.files[i].len);
}
