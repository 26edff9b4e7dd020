/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Enrolment: the first root is trusted because the owner names it. The repository is tried with a
 * trust state in memory, so that nothing on disk changes before everything was seen to work.
 */
#include <errno.h>
#include <string.h>

#include "agent/context.h"
#include "agent/status.h"
#include "base/utc.h"
#include "fetch/url.h"
#include "improvement/base_id.h"
#include "store/settings.h"
#include "store/trust_files.h"
#include "trust/bounds.h"
#include "trust/update.h"

#define TRIAL_FILES_MAX 16

struct trial_file {
	char *name;
	struct buffer bytes;
};

/* Trust files in memory, and the repository that they are tried with. */
struct trial {
	struct trial_file files[TRIAL_FILES_MAX];
	size_t n_files;
	char *metadata_url;
	struct fetch_session *session;
};

static void trial_done(struct trial *t)
{
	for (size_t i = 0; i < t->n_files; i++) {
		free(t->files[i].name);
		buffer_done(&t->files[i].bytes);
	}
	free(t->metadata_url);
	fetch_session_free(t->session);
}

static struct trial_file *trial_find(struct trial *t, const char *name)
{
	for (size_t i = 0; i < t->n_files; i++)
		if (strcmp(t->files[i].name, name) == 0)
			return &t->files[i];
	return NULL;
}

static int trial_load(void *ctx, const char *name, size_t max_bytes, struct buffer *out)
{
	const struct trial_file *file = trial_find(ctx, name);

	if (!file)
		return -ENOENT;
	if (file->bytes.len > max_bytes)
		return -BSI_E_LIMIT;
	buffer_put(out, file->bytes.data, file->bytes.len);
	return out->err;
}

static int trial_save(void *ctx, const char *name, const void *data, size_t len)
{
	struct trial *t = ctx;
	struct trial_file *file = trial_find(t, name);

	if (!file) {
		if (t->n_files == TRIAL_FILES_MAX)
			return -BSI_E_LIMIT;
		file = &t->files[t->n_files];
		file->name = strdup(name);
		if (!file->name)
			return -ENOMEM;
		file->bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
		t->n_files++;
	}
	buffer_clear(&file->bytes);
	buffer_put(&file->bytes, data, len);
	return file->bytes.err;
}

static int trial_drop(void *ctx, const char *name)
{
	struct trial_file *file = trial_find(ctx, name);

	if (file)
		buffer_clear(&file->bytes);
	return 0;
}

static int trial_fetch(void *ctx, const char *url_path, size_t max_bytes, struct buffer *out,
	struct error *reterr)
{
	struct trial *t = ctx;
	AUTO_FREE char *url = fetch_url_join(t->metadata_url, url_path);

	if (!url)
		return -ENOMEM;
	return fetch_get_buffer(t->session, url, max_bytes, out, NULL, reterr);
}

/* The repository answers, its metadata is signed under this root, and it serves this base. */
static int try_repository(struct agent *a, struct trial *t, struct trust_updater *updater,
	const char *url, struct error *reterr)
{
	struct trust_target target = {0};
	AUTO_FREE char *index = NULL;
	int r;

	t->metadata_url = fetch_url_join(url, "metadata");
	if (!t->metadata_url)
		return -ENOMEM;
	r = fetch_session_new(NULL, &t->session, reterr);
	if (r == 0 && a->settings.ca_file)
		r = fetch_session_use_ca(t->session, a->settings.ca_file, reterr);
	if (r == 0)
		r = trust_updater_refresh(updater, reterr);
	if (r == 0)
		r = base_id_target(a->device->base, "index.json", &index);
	if (r == 0)
		r = trust_updater_target(updater, index, &target, reterr);
	trust_target_done(&target);
	if (r == -BSI_E_MISSING)
		return error_set(reterr, -BSI_E_BASE,
			"%s has no improvements for %s, which this device is", url,
			a->device->base);
	if (r < 0)
		error_prefix(reterr, "%s", url);
	return r;
}

/* The enrolment comes last: without it the files before it mean nothing. */
static int save(struct agent *a, const struct trial *t, const char *url, struct error *reterr)
{
	AUTO_JSON json_t *enrolment = NULL, *config = NULL;
	int r;

	r = store_enrolment_drop(a->store, reterr);
	if (r < 0)
		return r;
	/* nothing of a repository that the device was enrolled at before may speak for this one */
	r = store_trust_clear(a->store, reterr);
	if (r == 0)
		r = store_floor_reset(a->store, reterr);
	for (size_t i = 0; r == 0 && i < t->n_files; i++)
		if (t->files[i].bytes.len > 0)
			r = store_trust_save(a->store, t->files[i].name, t->files[i].bytes.data,
				t->files[i].bytes.len);
	if (r == 0)
		r = store_config_load(a->store, &config, reterr);
	if (r < 0)
		return r;
	if (!json_object_get(config, "auto") &&
		json_object_set_new(config, "auto", json_true()) < 0)
		return -ENOMEM;
	r = store_config_save(a->store, config, reterr);
	if (r < 0)
		return r;
	enrolment = json_pack("{s:s, s:s, s:s}", "url", url, "base", a->device->base, "enrolled",
		utc_format(a->settings.now_utc_s).text);
	return enrolment ? store_enrolment_save(a->store, enrolment, reterr) : -ENOMEM;
}

static int check_replace(struct agent *a, enum agent_enrol_flags flags, struct error *reterr)
{
	AUTO_JSON json_t *before = NULL;

	if ((flags & AGENT_ENROL_REPLACE) ||
		store_enrolment_load(a->store, &before, NULL) == -BSI_E_ENROL)
		return 0;
	return error_set(reterr, -BSI_E_ENROL,
		"this device is enrolled already; --replace enrols it anew");
}

/*
 * Another address of the same publisher may be enrolled at any time. Another publisher has letters
 * and builds of its own: what the one before attached would be taken for theirs.
 */
static int check_publisher(struct agent *a, struct trial *t, struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO_DONE(buffer) struct buffer before = buffer_of(TRUST_ROOT_MAX_BYTES);
	const struct trial_file *root = trial_find(t, "root.json");
	int r;

	r = store_trust_load(a->store, "root.json", TRUST_ROOT_MAX_BYTES, &before);
	if (r == 0 && root && before.len == root->bytes.len &&
		memcmp(before.data, root->bytes.data, before.len) == 0)
		return 0;
	r = context_installed(a, &installed, reterr);
	if (r < 0 || !installed.manifest)
		return r;
	return error_set(reterr, -BSI_E_ENROL,
		"(%s) of the publisher before is attached; 'bsi remove' takes it off first",
		installed.manifest->letter);
}

int agent_enrol(struct agent *a, const char *url, const void *root, size_t root_len,
	enum agent_enrol_flags flags, json_t **ret, struct error *reterr)
{
	__attribute__((cleanup(trial_done))) struct trial trial = {0};
	AUTO(trust_updater) struct trust_updater *updater = NULL;
	struct trust_io io = {.ctx = &trial,
		.load = trial_load,
		.save = trial_save,
		.drop = trial_drop,
		.fetch = trial_fetch};
	int r;

	r = fetch_url_check(url, reterr);
	if (r == 0)
		r = check_replace(a, flags, reterr);
	if (r < 0)
		return r;
	r = trial_save(&trial, "root.json", root, root_len);
	if (r == 0)
		r = trust_updater_new(&io, a->settings.now_utc_s, &updater, reterr);
	if (r == 0 && !(flags & AGENT_ENROL_OFFLINE))
		r = try_repository(a, &trial, updater, url, reterr);
	/* nothing was touched until here */
	if (r == 0)
		r = store_lock(a->store, reterr);
	if (r == 0)
		r = check_replace(a, flags, reterr);
	if (r == 0)
		r = check_publisher(a, &trial, reterr);
	if (r == 0)
		r = save(a, &trial, url, reterr);
	if (r < 0)
		return r;
	context_history(a, "enrolled", NULL, url);
	*ret = json_pack("{s:s, s:s, s:s, s:I}", "action", "enrolled", "url", url, "base",
		a->device->base, "root_version",
		(json_int_t)trust_updater_root_version(updater));
	return *ret ? 0 : -ENOMEM;
}
