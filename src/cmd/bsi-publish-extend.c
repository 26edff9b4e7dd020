/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish extend: one more base in a repository. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cmd/bsi-publish.h"
#include "improvement/base_id.h"
#include "publish/commit.h"
#include "publish/foundation.h"


struct extension {
	struct verb_call *call;
	const char *path;
	struct repository *repository;
	struct foundation_base base;
	uint64_t threshold, n_keys;
	int64_t now_utc_s;
	struct publish_secret secret;
	struct keyring targets, own, snapshot, timestamp;
};

static void extension_done(struct extension *e)
{
	keyring_done(&e->targets);
	keyring_done(&e->own);
	keyring_done(&e->snapshot);
	keyring_done(&e->timestamp);
	publish_secret_done(&e->secret);
	repository_free(e->repository);
}
#define AUTO_EXTENSION __attribute__((cleanup(extension_done)))

static int check(struct extension *e, const struct repository *repository, struct error *reterr)
{
	struct repository_role *known;
	int r;

	if (base_id_check(e->base.id) < 0)
		return error_set(reterr, -BSI_E_USAGE,
			"\"%s\" names no base: ID:VERSION:ARCH, such as debian:12:amd64", e->base.id);
	if (repository_base(repository, e->base.id, &known, NULL) == 0)
		return error_set(reterr, -EEXIST, "%s has base %s already", e->path, e->base.id);
	e->threshold = 1;
	r = call_number(e->call, "threshold", KEYRING_KEYS_MAX, &e->threshold, reterr);
	e->n_keys = e->threshold;
	if (r == 0)
		r = call_number(e->call, "key-count", KEYRING_KEYS_MAX, &e->n_keys, reterr);
	if (r == 0 && (e->threshold == 0 || e->n_keys < e->threshold))
		r = error_set(reterr, -BSI_E_USAGE, "a threshold of %ju needs as many keys",
			(uintmax_t)e->threshold);
	return r;
}

/* Without the lock: whether there is a reason to ask for a passphrase at all. */
static int look(struct extension *e, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	int r;

	r = repository_open(e->path, 0, &repository, reterr);
	if (r == 0)
		r = check(e, repository, reterr);
	return r < 0 ? r : publish_issue_time(e->call, repository, &e->now_utc_s, reterr);
}

static int check_keys(const struct extension *e, struct error *reterr)
{
	int r;

	r = commit_check_keys(e->repository, "targets", &e->targets, reterr);
	if (r == 0)
		r = commit_check_keys(e->repository, "snapshot", &e->snapshot, reterr);
	return r < 0 ? r
		     : commit_check_keys(e->repository, "timestamp", &e->timestamp, reterr);
}

/* New keys, or those that a run made which was killed before it could use them. */
static int make_keys(struct extension *e, struct error *reterr)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct keyring_folder folder;
	int r;

	r = publish_keys_path(e->call, e->path, "keys", "-keys", &path);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(reterr, -errno, "keys: %s: %s", path, strerrordesc_np(errno));
	folder = (struct keyring_folder){.path = path, .fd = fd, .passphrase = e->secret.text};
	r = keyring_create(&folder, e->base.id, e->n_keys, &e->own, reterr);
	if (r != -EEXIST)
		return r;
	r = keyring_load(&folder, e->base.id, &e->own, reterr);
	if (r == 0 && e->own.n_signers != e->n_keys)
		r = error_set(reterr, -EEXIST,
			"%s/%s holds %zu keys that no repository lists, and %ju are wanted: move "
			"them away, or ask for as many",
			path, e->base.id, e->own.n_signers, (uintmax_t)e->n_keys);
	return r;
}

static int extend(struct extension *e, struct error *reterr)
{
	AUTO_FREE char *path = NULL;
	struct trust_target_spec index;
	int r;

	r = foundation_write_index(e->repository->fd, &e->base, e->now_utc_s, &index, &path, reterr);
	if (r == 0) {
		const struct commit_new_base base = {.id = e->base.id,
			.keys = &e->own,
			.threshold = e->threshold,
			.index = &index};

		r = commit_new_base(e->repository, &base, &e->targets, e->now_utc_s, reterr);
	}
	return r < 0 ? r
		     : commit_online(e->repository, &e->snapshot, &e->timestamp, e->now_utc_s,
			       reterr);
}

int publish_extend(struct verb_call *call, struct error *reterr)
{
	AUTO_EXTENSION struct extension e = {.call = call, .path = call_argument(call, 0)};
	AUTO_FREE char *id = NULL;
	char *equals;
	int r;

	if (!call_has(call, "base"))
		return error_set(reterr, -BSI_E_USAGE, "--base is needed");
	id = strdup(call_value(call, "base"));
	if (!id)
		return -ENOMEM;
	equals = strchr(id, '=');
	if (equals)
		*equals++ = '\0';
	e.base = (struct foundation_base){.id = id, .name = equals};
	r = look(&e, reterr);
	if (r == 0)
		r = publish_load_offline(call, e.path, "targets", &e.secret, &e.targets, reterr);
	if (r == 0)
		r = publish_load_online(call, e.path, &e.snapshot, &e.timestamp, reterr);
	if (r == 0)
		r = publish_open_locked(call, &e.repository, &e.now_utc_s, reterr);
	if (r == 0)
		r = check(&e, e.repository, reterr);
	if (r == 0)
		r = check_keys(&e, reterr);
	if (r == 0)
		r = make_keys(&e, reterr);
	if (r == 0)
		r = extend(&e, reterr);
	if (r < 0)
		return r;
	if (call_has(call, "json")) {
		AUTO_JSON json_t *document =
			json_pack("{s:s, s:s}", "repository", e.path, "base", id);

		call_print_json(document);
	} else {
		printf("%s: has base %s now\n", e.path, id);
	}
	return 0;
}
