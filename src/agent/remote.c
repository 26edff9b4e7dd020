/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/file.h"
#include "fetch/url.h"
#include "improvement/base_id.h"
#include "store/download.h"
#include "store/settings.h"
#include "store/trust_files.h"
#include "trust/bounds.h"
#include "trust/update.h"

/*
 * The state is locked while the repository is asked, and others wait to load while something loads, so
 * a server must not be able to keep it for long: slower than this is no service.
 */
static const struct fetch_limits limits = {.connect_timeout_s = 30,
	.low_speed_bytes = 2000,
	.low_speed_s = 30,
	.total_timeout_s = 3600};

/* The index as last verified lies beside the roles; no role's file is called that. */
#define STORED_INDEX "index"
#define INDEX_NAME "index.json"

struct remote {
	struct remote_settings settings;
	char *url;
	char *base;
	char *metadata_url, *targets_url;
	struct trust_updater *updater;
	struct fetch_session *session; /* made at the first request */
	struct index *index;
	struct digest seen; /* of the stored roles and index that the index here is by */
	struct buffer manifest; /* the last one that came, as it was signed; empty: none */
	struct remote_traffic traffic;
};

void remote_free(struct remote *r)
{
	if (!r)
		return;
	free(r->url);
	free(r->base);
	free(r->metadata_url);
	free(r->targets_url);
	trust_updater_free(r->updater);
	fetch_session_free(r->session);
	index_free(r->index);
	buffer_done(&r->manifest);
	free(r);
}

static int session_of(struct remote *r, struct error *reterr)
{
	int result;

	if (r->session)
		return 0;
	result = fetch_session_new(&limits, &r->session, reterr);
	if (result == 0 && r->settings.ca_file)
		result = fetch_session_use_ca(r->session, r->settings.ca_file, reterr);
	return result;
}

static void count_traffic(struct remote *r, const struct fetch_result *result)
{
	r->traffic.n_requests += result->n_requests;
	r->traffic.n_connects += result->n_connects;
	r->traffic.sent_bytes += result->sent_bytes;
	r->traffic.received_bytes += result->received_bytes;
	r->traffic.wire_sent_bytes += result->wire_sent_bytes;
	r->traffic.wire_received_bytes += result->wire_received_bytes;
}

static int get_buffer(struct remote *r, const char *base_url, const char *path, size_t max,
	struct buffer *out, struct error *reterr)
{
	struct fetch_result result = {0};
	AUTO_FREE char *url = fetch_url_join(base_url, path);
	int e;

	if (!url)
		return -ENOMEM;
	e = session_of(r, reterr);
	if (e < 0)
		return e;
	e = fetch_get_buffer(r->session, url, max, out, &result, reterr);
	count_traffic(r, &result);
	return e;
}

static int io_load(void *ctx, const char *name, size_t max_bytes, struct buffer *out)
{
	return store_trust_load(((struct remote *)ctx)->settings.store, name, max_bytes, out);
}

static int io_save(void *ctx, const char *name, const void *data, size_t len)
{
	return store_trust_save(((struct remote *)ctx)->settings.store, name, data, len);
}

static int io_drop(void *ctx, const char *name)
{
	return store_trust_drop(((struct remote *)ctx)->settings.store, name);
}

static int io_fetch(void *ctx, const char *url_path, size_t max_bytes, struct buffer *out,
	struct error *reterr)
{
	struct remote *r = ctx;

	return get_buffer(r, r->metadata_url, url_path, max_bytes, out, reterr);
}

int remote_new(const struct remote_settings *settings, struct remote **ret,
	struct error *reterr)
{
	AUTO(remote) struct remote *r = calloc(1, sizeof *r);
	struct trust_io io = {
		.load = io_load, .save = io_save, .drop = io_drop, .fetch = io_fetch};
	int64_t floor_utc_s = 0;
	int e;

	if (!r)
		return -ENOMEM;
	r->settings = *settings;
	r->manifest = buffer_of(MANIFEST_MAX_BYTES);
	r->url = strdup(settings->url);
	r->base = strdup(settings->base);
	r->metadata_url = fetch_url_join(settings->url, "metadata");
	r->targets_url = fetch_url_join(settings->url, "targets");
	if (!r->url || !r->base || !r->metadata_url || !r->targets_url)
		return -ENOMEM;
	e = store_floor_get(settings->store, &floor_utc_s, reterr);
	if (e < 0)
		return e;
	io.ctx = r;
	/* a clock that is behind what offline keys signed cannot bring expired metadata back */
	e = trust_updater_new(&io,
		settings->now_utc_s > floor_utc_s ? settings->now_utc_s : floor_utc_s, &r->updater,
		reterr);
	if (e < 0)
		return e;
	*ret = take_ptr(r);
	return 0;
}

/* Bytes that are exactly a verified target, or -BSI_E_DIGEST. */
static int check_target(const struct trust_target *target, const struct buffer *bytes,
	const char *what, struct error *reterr)
{
	struct digest found;
	int e;

	e = digest_of(bytes->data, bytes->len, &found);
	if (e < 0)
		return e;
	if (bytes->len != target->length || !digest_equal(&found, &target->digest))
		return error_set(reterr, -BSI_E_DIGEST,
			"%s: not the bytes that were signed (%zu bytes; signed: %" PRIu64 ")", what,
			bytes->len, target->length);
	return 0;
}

/* Find a target of this base's role by its name below BASE/. */
static int find_target(struct remote *r, const char *name, uint64_t max,
	struct trust_target *ret, struct error *reterr)
{
	AUTO_FREE char *path = NULL;
	int e;

	e = base_id_target(r->base, name, &path);
	if (e < 0)
		return error_set(reterr, e, "\"%s\" is no name of a target", name);
	e = trust_updater_target(r->updater, path, ret, reterr);
	if (e < 0)
		return e;
	if (ret->length > max) {
		trust_target_done(ret);
		return error_set(reterr, -BSI_E_LIMIT, "%s: more than %" PRIu64 " bytes", path, max);
	}
	return 0;
}

static int take_index(struct remote *r, const struct buffer *bytes, struct error *reterr)
{
	AUTO(index) struct index *index = NULL;
	int e;

	e = index_decode(bytes->data, bytes->len, &index, reterr);
	if (e < 0) {
		error_prefix(reterr, "the index of %s", r->base);
		return e;
	}
	if (strcmp(index->base, r->base) != 0)
		return error_set(reterr, -BSI_E_BASE, "the index is for %s; this device is %s",
			index->base, r->base);
	index_free(r->index);
	r->index = take_ptr(index);
	return 0;
}

/* The stored index if it is the one that is signed now, else the repository's. */
static int load_index(struct remote *r, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(INDEX_MAX_BYTES);
	__attribute__((cleanup(trust_target_done))) struct trust_target target = {0};
	int e;

	e = find_target(r, INDEX_NAME, INDEX_MAX_BYTES, &target, reterr);
	if (e == -BSI_E_MISSING)
		return error_set(reterr, -BSI_E_BASE,
			"this repository has no improvements for %s; is it the right one?",
			r->base);
	if (e < 0)
		return e;

	e = store_trust_load(r->settings.store, STORED_INDEX, INDEX_MAX_BYTES, &bytes);
	if (e < 0 && e != -ENOENT)
		return error_set(reterr, e, "the stored index: %s", error_text(e));
	if (e == 0 && check_target(&target, &bytes, INDEX_NAME, NULL) == 0)
		return take_index(r, &bytes, reterr);

	buffer_clear(&bytes);
	e = get_buffer(r, r->targets_url, target.url_path, (size_t)target.length, &bytes, reterr);
	if (e == 0)
		e = check_target(&target, &bytes, INDEX_NAME, reterr);
	if (e == 0)
		e = take_index(r, &bytes, reterr);
	if (e < 0)
		return e;
	e = store_trust_save(r->settings.store, STORED_INDEX, bytes.data, bytes.len);
	return e < 0 ? error_set(reterr, e, "the index: %s", error_text(e)) : 0;
}

/* What an index is by, for it to be seen whether another process has seen another one since. */
static int look_seen(const struct remote *r, struct digest *ret)
{
	static const char *const names[] = {"root.json", "timestamp.json", STORED_INDEX};
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(
		TRUST_ROOT_MAX_BYTES + TRUST_TIMESTAMP_MAX_BYTES + INDEX_MAX_BYTES);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int e = store_trust_load(r->settings.store, names[i], INDEX_MAX_BYTES, &bytes);

		if (e < 0 && e != -ENOENT)
			return e;
	}
	return digest_of(bytes.data, bytes.len, ret);
}

int remote_refresh(struct remote *r, struct error *reterr)
{
	int e;

	e = trust_updater_refresh(r->updater, reterr);
	if (e == 0)
		e = load_index(r, reterr);
	if (e < 0) {
		error_prefix(reterr, "%s", r->url);
		return e;
	}
	e = look_seen(r, &r->seen);
	if (e < 0)
		return error_set(reterr, e, "the stored roles: %s", error_text(e));
	return store_floor_set(r->settings.store, trust_updater_floor_utc_s(r->updater), reterr);
}

int remote_offline(struct remote *r, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(INDEX_MAX_BYTES);
	int e;

	e = store_trust_load(r->settings.store, STORED_INDEX, INDEX_MAX_BYTES, &bytes);
	if (e < 0)
		return error_set(reterr, e, "the stored index: %s", error_text(e));
	e = take_index(r, &bytes, reterr);
	return e < 0 ? e : look_seen(r, &r->seen);
}

const struct index *remote_index(const struct remote *r)
{
	return r->index;
}

bool remote_is_as(struct remote *r, const struct remote *now)
{
	struct digest seen;

	return r->index && strcmp(r->url, now->url) == 0 && strcmp(r->base, now->base) == 0 &&
	       look_seen(r, &seen) == 0 && digest_equal(&seen, &r->seen);
}

/* The manifest's bytes: asked for once, though they may be wanted again. */
static int get_manifest(struct remote *r, const struct trust_target *target, const char *name,
	struct buffer *bytes, struct error *reterr)
{
	int e;

	if (check_target(target, &r->manifest, name, NULL) < 0) {
		buffer_clear(&r->manifest);
		e = get_buffer(r, r->targets_url, target->url_path, (size_t)target->length,
			&r->manifest, reterr);
		if (e == 0)
			e = check_target(target, &r->manifest, name, reterr);
		if (e < 0)
			return e;
	}
	buffer_put(bytes, r->manifest.data, r->manifest.len);
	return bytes->err;
}

bool remote_has_manifest(struct remote *r, const struct index_entry *entry)
{
	__attribute__((cleanup(trust_target_done))) struct trust_target target = {0};

	return find_target(r, entry->manifest, MANIFEST_MAX_BYTES, &target, NULL) == 0 &&
	       check_target(&target, &r->manifest, entry->manifest, NULL) == 0;
}

int remote_manifest(struct remote *r, const struct index_entry *entry,
	struct buffer *bytes, struct manifest **ret, struct error *reterr)
{
	AUTO(manifest) struct manifest *m = NULL;
	__attribute__((cleanup(trust_target_done))) struct trust_target target = {0};
	int e;

	e = find_target(r, entry->manifest, MANIFEST_MAX_BYTES, &target, reterr);
	if (e < 0)
		return e;
	e = get_manifest(r, &target, entry->manifest, bytes, reterr);
	if (e < 0)
		return e;
	e = manifest_decode(bytes->data, bytes->len, &m, reterr);
	if (e < 0) {
		error_prefix(reterr, "%s", entry->manifest);
		return e;
	}
	if (strcmp(m->base, r->base) != 0)
		return error_set(reterr, -BSI_E_BASE, "%s is for %s; this device is %s",
			entry->manifest, m->base, r->base);
	if (strcmp(m->letter, entry->letter) != 0 || m->build != entry->build)
		return error_set(reterr, -BSI_E_FORMAT,
			"%s is (%s) build %" PRIu64 "; the index lists it as (%s) build %" PRIu64,
			entry->manifest, m->letter, m->build, entry->letter, entry->build);
	*ret = take_ptr(m);
	return 0;
}

static int transfer(struct remote *r, const struct trust_target *target,
	const struct digest *digest, int *ret_fd, struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	AUTO_FREE char *url = fetch_url_join(r->targets_url, target->url_path);
	struct fetch_result result = {0};
	struct fetch_request request = {.url = url,
		.max_bytes = target->length,
		.exact_bytes = target->length,
		.progress = r->settings.progress,
		.progress_ctx = r->settings.progress_ctx};
	int e;

	if (!url)
		return -ENOMEM;
	e = session_of(r, reterr);
	if (e < 0)
		return e;
	e = store_download_open(r->settings.store, digest, target->length, &fd, &request.offset,
		reterr);
	if (e < 0)
		return e;
	request.out_fd = fd;
	e = fetch_get(r->session, &request, &result, reterr);
	count_traffic(r, &result);
	if (e < 0)
		return e;
	*ret_fd = take_fd(&fd);
	return request.offset > 0 && !result.restarted;
}

int remote_payload(struct remote *r, const struct payload *payload, int *ret_fd,
	struct error *reterr)
{
	__attribute__((cleanup(trust_target_done))) struct trust_target target = {0};
	int e;

	e = find_target(r, payload->target, payload->size, &target, reterr);
	if (e < 0)
		return e;
	if (target.length != payload->size || !digest_equal(&target.digest, &payload->digest))
		return error_set(reterr, -BSI_E_DIGEST,
			"%s: the role and the manifest do not list the same bytes", payload->target);

	/* a resumed part may hold anything: when it does not fit, once more from nothing */
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		AUTO_CLOSE int fd = -EBADF;
		struct digest found;
		uint64_t size;
		bool resumed;

		e = transfer(r, &target, &payload->digest, &fd, reterr);
		if (e < 0)
			return e;
		resumed = e > 0;
		e = file_digest(fd, &found, &size);
		if (e < 0)
			return error_set(reterr, e, "%s: %s", payload->target, error_text(e));
		if (size == payload->size && digest_equal(&found, &payload->digest)) {
			*ret_fd = take_fd(&fd);
			return 0;
		}
		e = store_download_done(r->settings.store, &payload->digest);
		if (e < 0)
			return e;
		if (!resumed)
			break;
	}
	return error_set(reterr, -BSI_E_DIGEST,
		"%s: the server sent other bytes than were signed; nothing was taken",
		payload->target);
}

int64_t remote_expires_utc_s(const struct remote *r)
{
	return trust_updater_expires_utc_s(r->updater);
}

struct remote_traffic remote_traffic(const struct remote *r)
{
	return r->traffic;
}
