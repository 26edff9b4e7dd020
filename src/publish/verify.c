/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "improvement/base_id.h"
#include "publish/audit.h"
#include "publish/leftover.h"
#include "publish/repository.h"
#include "trust/update.h"

/* An image and all that a manifest said of it when it was audited. */
struct audited {
	struct digest image, claims;
};

struct verification {
	const struct repository *repository;
	const struct build_progress *progress;
	struct verify_report report;
	struct audited *audited; /* found good: letters share images */
	size_t n_audited;
	struct error *reterr;
};

/* A device with nothing but the first root, in front of the folder instead of a web server. */
static int load_first_root(void *ctx, const char *name, size_t max_bytes, struct buffer *out)
{
	const struct repository *r = ctx;

	if (strcmp(name, "root.json") != 0)
		return -ENOENT;
	return file_read(r->fd, REPOSITORY_METADATA "/1.root.json", max_bytes, out);
}

static int save_nothing(void *ctx, const char *name, const void *data, size_t len)
{
	(void)ctx, (void)name, (void)data, (void)len;
	return 0;
}

static int drop_nothing(void *ctx, const char *name)
{
	(void)ctx, (void)name;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "1.debian%3A12%3Aamd64.json" as the file is called. */
static void decode_name(const char *url_path, char *out, size_t out_len)
{
	size_t n = 0;

	while (*url_path && n + 1 < out_len) {
		int high = *url_path == '%' ? hex_digit(url_path[1]) : -1;
		int low = high >= 0 ? hex_digit(url_path[2]) : -1;

		if (low >= 0) {
			out[n++] = (char)(high * 16 + low);
			url_path += 3;
		} else {
			out[n++] = *url_path++;
		}
	}
	out[n] = '\0';
}

static int fetch_file(void *ctx, const char *url_path, size_t max_bytes, struct buffer *out,
	struct error *reterr)
{
	const struct repository *r = ctx;
	char name[512], path[600];
	int result;

	decode_name(url_path, name, sizeof name);
	(void)snprintf(path, sizeof path, REPOSITORY_METADATA "/%s", name);
	result = file_read(r->fd, path, max_bytes, out);
	if (result == -ENOENT)
		return error_set(reterr, -BSI_E_MISSING, "%s/%s is missing", r->path, path);
	if (result < 0)
		return error_set(reterr, result, "%s/%s: %s", r->path, path, error_text(result));
	return 0;
}

/* The metadata as a device sees it; each base's index must be reachable. */
static int verify_as_device(struct verification *v, int64_t now_utc_s)
{
	AUTO(trust_updater) struct trust_updater *updater = NULL;
	const struct repository *r = v->repository;
	struct repository *ctx;
	struct trust_io io = {.load = load_first_root,
		.save = save_nothing,
		.drop = drop_nothing,
		.fetch = fetch_file};
	int result;

	/* the callbacks only read through it */
	memcpy(&ctx, &r, sizeof ctx);
	io.ctx = ctx;
	result = trust_updater_new(&io, now_utc_s, &updater, v->reterr);
	if (result == 0)
		result = trust_updater_refresh(updater, v->reterr);
	for (size_t i = 1; result == 0 && i < r->n_roles; i++) {
		struct trust_target target = {};
		AUTO_FREE char *path = NULL;

		result = base_id_target(r->roles[i].name, "index.json", &path);
		if (result == 0)
			result = trust_updater_target(updater, path, &target, v->reterr);
		if (result == 0)
			trust_target_done(&target);
	}
	if (result == 0)
		v->report.expires_utc_s = trust_updater_expires_utc_s(updater);
	return result;
}

/* Every file that a role lists is there and is what it says. */
static int verify_targets(struct verification *v, const struct repository_role *role)
{
	for (size_t i = 0; i < role->n_targets; i++) {
		const struct repository_target *t = &role->targets[i];
		AUTO_FREE char *file = NULL;
		AUTO_CLOSE int fd = -EBADF;
		struct digest digest;
		uint64_t size;
		int r;

		r = repository_target_file(t->path, &t->digest, &file);
		if (r < 0)
			return r;
		fd = file_open_beneath(v->repository->fd, file, O_RDONLY | O_NONBLOCK, 0);
		r = fd < 0 ? fd : file_digest(fd, &digest, &size);
		if (r < 0)
			return error_set(v->reterr, r, "%s/%s: %s", v->repository->path, file,
				error_text(r));
		if (size != t->length || !digest_equal(&digest, &t->digest))
			return error_set(v->reterr, -BSI_E_DIGEST, "%s/%s is not what role %s lists",
				v->repository->path, file, role->name);
		v->report.n_targets++;
		v->report.target_bytes += size;
	}
	return 0;
}

/*
 * Everything that an audit compares with the image. Another letter may share an image and still
 * lie about it: only the same claims are known to be good.
 */
static int digest_claims(const struct component *c, const struct payload *payload,
	struct digest *ret)
{
	AUTO(hasher) struct hasher *hasher = NULL;
	AUTO_DONE(buffer) struct buffer numbers = buffer_of(MANIFEST_MAX_BYTES);
	int r;

	r = hasher_new(&hasher);
	if (r < 0)
		return r;
	hasher_update(hasher, &c->image.digest, sizeof c->image.digest);
	hasher_update(hasher, &c->image.root, sizeof c->image.root);
	hasher_update(hasher, c->image.salt, sizeof c->image.salt);
	hasher_update(hasher, &c->image.fs_verity, sizeof c->image.fs_verity);
	hasher_update(hasher, &payload->digest, sizeof payload->digest);
	buffer_put_u64le(&numbers, c->image.size);
	buffer_put_u64le(&numbers, c->image.tree_offset);
	buffer_put_u64le(&numbers, payload->memory_bytes);
	for (size_t i = 0; i < c->n_files; i++) {
		const struct patched_file *f = &c->files[i];

		buffer_put(&numbers, f->path, strlen(f->path) + 1);
		buffer_put_u64le(&numbers, f->access.mode);
		buffer_put_u64le(&numbers, f->access.uid);
		buffer_put_u64le(&numbers, f->access.gid);
		buffer_put_u8(&numbers, f->access.has_attributes);
		buffer_put(&numbers, &f->access.attributes, sizeof f->access.attributes);
		buffer_put_u64le(&numbers, f->size);
		buffer_put(&numbers, &f->digest, sizeof f->digest);
		buffer_put_u8(&numbers, f->privileged);
	}
	if (numbers.err < 0)
		return numbers.err;
	hasher_update(hasher, numbers.data, numbers.len);
	return hasher_final(hasher, ret);
}

static bool is_audited(const struct verification *v, const struct digest *claims)
{
	for (size_t i = 0; i < v->n_audited; i++)
		if (digest_equal(&v->audited[i].claims, claims))
			return true;
	return false;
}

static int remember_audit(struct verification *v, const struct component *c,
	const struct digest *claims)
{
	struct audited *grown = reallocarray(v->audited, v->n_audited + 1, sizeof *grown);
	bool is_new = true;

	if (!grown)
		return -ENOMEM;
	v->audited = grown;
	for (size_t i = 0; i < v->n_audited; i++)
		is_new &= !digest_equal(&grown[i].image, &c->image.digest);
	grown[v->n_audited++] = (struct audited){.image = c->image.digest, .claims = *claims};
	v->report.n_images += is_new;
	v->report.image_bytes += is_new ? c->image.size : 0;
	return 0;
}

/* The payload's file, listed by the role as the manifest describes it. */
static int open_payload(const struct verification *v, const struct repository_role *role,
	const struct payload *payload, struct error *reterr)
{
	const struct repository_target *t;
	AUTO_FREE char *path = NULL, *file = NULL;
	int r;

	r = base_id_target(role->name, payload->target, &path);
	if (r < 0)
		return r;
	t = repository_target(role, path);
	if (!t)
		return error_set(reterr, -BSI_E_MISSING, "role %s does not list the payload %s",
			role->name, payload->target);
	if (t->length != payload->size || !digest_equal(&t->digest, &payload->digest))
		return error_set(reterr, -BSI_E_DIGEST,
			"payload %s: role %s and the manifest disagree", payload->target,
			role->name);
	r = repository_target_file(path, &t->digest, &file);
	if (r < 0)
		return r;
	r = file_open_beneath(v->repository->fd, file, O_RDONLY | O_NONBLOCK, 0);
	if (r < 0)
		return error_set(reterr, r, "%s/%s: %s", v->repository->path, file, error_text(r));
	return r;
}

static int verify_component(struct verification *v, const struct repository_role *role,
	const struct component *c)
{
	for (size_t i = 0; i < c->n_payloads; i++) {
		AUTO_CLOSE int fd = open_payload(v, role, &c->payloads[i], v->reterr);
		struct digest claims;
		int r;

		if (fd < 0)
			return fd;
		/* a delta needs the files of a base, which are not here */
		if (strcmp(c->payloads[i].kind, PAYLOAD_KIND_FULL) != 0) {
			v->report.n_undecoded++;
			continue;
		}
		r = digest_claims(c, &c->payloads[i], &claims);
		if (r < 0)
			return r;
		if (is_audited(v, &claims))
			continue;
		r = audit_payload(fd, c, &c->payloads[i], v->progress, v->reterr);
		if (r == 0)
			r = remember_audit(v, c, &claims);
		if (r < 0)
			return r;
	}
	v->report.n_components++;
	return 0;
}

static int verify_letter(struct verification *v, const struct repository_role *role,
	const struct index_entry *entry)
{
	AUTO(manifest) struct manifest *m = NULL;
	int r;

	r = repository_load_manifest(v->repository, role, entry, &m, v->reterr);
	if (r == 0 && (strcmp(m->base, role->name) != 0 || strcmp(m->letter, entry->letter) != 0 ||
			      m->build != entry->build))
		r = error_set(v->reterr, -BSI_E_FORMAT,
			"the manifest is of %s (%s), build %llu, and the index says otherwise",
			m->base, m->letter, (unsigned long long)m->build);
	for (size_t i = 0; r == 0 && i < m->n_components; i++) {
		r = verify_component(v, role, &m->components[i]);
		if (r < 0)
			error_prefix(v->reterr, "component %s", m->components[i].name);
	}
	if (r < 0)
		error_prefix(v->reterr, "%s (%s)", role->name, entry->letter);
	v->report.n_letters++;
	return r;
}

static int verify_base(struct verification *v, const struct repository_role *role)
{
	AUTO(index) struct index *index = NULL;
	int r;

	r = verify_targets(v, role);
	if (r == 0)
		r = repository_load_index(v->repository, role, &index, v->reterr);
	if (r == 0 && strcmp(index->base, role->name) != 0)
		r = error_set(v->reterr, -BSI_E_BASE, "the index of %s is for %s", role->name,
			index->base);
	for (size_t i = 0; r == 0 && i < index->n_entries; i++)
		r = verify_letter(v, role, &index->entries[i]);
	v->report.n_bases++;
	return r;
}

int verify_repository(const char *path, int64_t now_utc_s, const struct build_progress *progress,
	struct verify_report *ret, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	struct verification v = {.progress = progress, .reterr = reterr};
	struct leftover unlisted = {};
	int r;

	r = repository_open(path, 0, &repository, reterr);
	if (r < 0)
		return r;
	v.repository = repository;
	r = verify_as_device(&v, now_utc_s);
	if (r == 0)
		r = verify_targets(&v, &repository->roles[0]);
	for (size_t i = 1; r == 0 && i < repository->n_roles; i++)
		r = verify_base(&v, &repository->roles[i]);
	free(v.audited);
	if (r == 0)
		r = leftover_walk(repository, INT64_MAX, 0, &unlisted, reterr);
	v.report.n_unlisted = unlisted.n_files;
	v.report.unlisted_bytes = unlisted.bytes;
	if (r == 0)
		*ret = v.report;
	return r;
}
