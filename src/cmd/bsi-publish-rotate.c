/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-publish rotate: other keys, and other thresholds, for roles. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cmd/bsi-publish.h"
#include "publish/commit.h"
#include "publish/rotation.h"

/* Keys at hand of one role. */
struct held {
	char *name;
	struct keyring keys;
};

struct turn {
	struct verb_call *call;
	struct repository *repository;
	struct rotation rotation;
	struct held *held; /* of every role that changes, and of those that sign */
	size_t n_held;
	struct publish_secret secret;
	int64_t now_utc_s;
};

static void turn_done(struct turn *t)
{
	for (size_t i = 0; i < t->n_held; i++) {
		keyring_done(&t->held[i].keys);
		free(t->held[i].name);
	}
	free(t->held);
	free(t->rotation.roles);
	publish_secret_done(&t->secret);
	repository_free(t->repository);
}
#define AUTO_TURN __attribute__((cleanup(turn_done)))

static bool is_online(const char *role)
{
	return strcmp(role, "snapshot") == 0 || strcmp(role, "timestamp") == 0;
}

static bool is_of_root(const char *role)
{
	return is_online(role) || strcmp(role, "root") == 0 || strcmp(role, "targets") == 0;
}

/* What the command line asks for, in the words of that repository. */
static int read_rotation(const struct turn *t, const struct repository *r,
	struct rotation *rotation, struct error *reterr)
{
	const struct verb_call *call = t->call;
	uint64_t n_keys = 0, threshold = 0;
	int result;

	rotation->n_roles = 0;
	result = call_number(call, "threshold", KEYRING_KEYS_MAX, &threshold, reterr);
	if (result == 0)
		result = call_number(call, "key-count", KEYRING_KEYS_MAX, &n_keys, reterr);
	if (result == 0 && !call_has(call, "role") && (threshold || n_keys))
		return error_set(reterr, -BSI_E_USAGE,
			"--threshold and --key-count are for roles that --role names");
	/* a new threshold alone is more keys, or as many as before */
	if (threshold && !n_keys && call_n_values(call, "role") > 0) {
		const struct trust_role *now = rotation_find(r, call_value_at(call, "role", 0));

		n_keys = now && now->n_key_ids > threshold ? now->n_key_ids : threshold;
	}
	for (size_t i = 0; result == 0 && i < call_n_values(call, "role"); i++)
		result = rotation_replace(r, call_value_at(call, "role", i), n_keys, threshold,
			rotation, reterr);
	for (size_t i = 0; result == 0 && i < call_n_values(call, "revoke"); i++)
		result = rotation_revoke(r, call_value_at(call, "revoke", i), rotation, reterr);
	if (result == 0 && rotation->n_roles == 0)
		result = error_set(reterr, -BSI_E_USAGE, "--role or --revoke is needed");
	return result;
}

static struct keyring *keys_of(const struct turn *t, const char *role)
{
	for (size_t i = 0; i < t->n_held; i++)
		if (strcmp(t->held[i].name, role) == 0)
			return &t->held[i].keys;
	return NULL;
}

/* A base that loses all its keys need not have them any more. */
static int hold(struct turn *t, const char *role, bool is_optional, struct error *reterr)
{
	struct held *held = &t->held[t->n_held];
	int r;

	if (keys_of(t, role))
		return 0;
	*held = (struct held){.name = strdup(role)};
	if (!held->name)
		return -ENOMEM;
	t->n_held++;
	r = publish_load_offline(t->call, call_argument(t->call, 0), role, &t->secret, &held->keys,
		reterr);
	return r == -ENOENT && is_optional ? 0 : r;
}

static int hold_online(struct turn *t, struct error *reterr)
{
	struct held *snapshot = &t->held[t->n_held], *timestamp = snapshot + 1;

	*snapshot = (struct held){.name = strdup("snapshot")};
	*timestamp = (struct held){.name = strdup("timestamp")};
	t->n_held += 2;
	if (!snapshot->name || !timestamp->name)
		return -ENOMEM;
	return publish_load_online(t->call, call_argument(t->call, 0), &snapshot->keys,
		&timestamp->keys, reterr);
}

/* Without the lock: which keys are needed, and those. */
static int collect(struct turn *t, struct error *reterr)
{
	AUTO(repository) struct repository *repository = NULL;
	int r;

	r = repository_open(call_argument(t->call, 0), 0, &repository, reterr);
	if (r < 0)
		return r;
	t->rotation.roles = calloc(ROTATION_ROLES_MAX, sizeof *t->rotation.roles);
	t->held = calloc(ROTATION_ROLES_MAX + 4, sizeof *t->held);
	if (!t->rotation.roles || !t->held)
		return -ENOMEM;
	r = publish_issue_time(t->call, repository, &t->now_utc_s, reterr);
	if (r == 0)
		r = read_rotation(t, repository, &t->rotation, reterr);
	if (r == 0)
		r = hold_online(t, reterr);
	for (size_t i = 0; r == 0 && i < t->rotation.n_roles; i++) {
		const struct rotation_role *role = &t->rotation.roles[i];
		bool is_root = is_of_root(role->name);

		if (is_root)
			r = hold(t, "root", false, reterr);
		if (r == 0 && (!is_root || strcmp(role->name, "targets") == 0))
			r = hold(t, "targets", false, reterr);
		if (r == 0)
			r = hold(t, role->name, role->all && !is_root, reterr);
	}
	return r;
}

/* Everything that signs can: before a key is made or a file is written. */
static int check(const struct turn *t, struct error *reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n_held; i++) {
		const struct rotation_role *role = rotation_role(&t->rotation, t->held[i].name);

		/* the base's role is signed by those keys alone that it gets */
		if (!role || is_of_root(role->name))
			r = commit_check_keys(t->repository, t->held[i].name, &t->held[i].keys,
				reterr);
	}
	for (size_t i = 0; r == 0 && i < t->rotation.n_roles; i++)
		if (!keys_of(t, t->rotation.roles[i].name))
			r = error_set(reterr, -BSI_E_BUSY, "%s changed meanwhile: run it again",
				t->repository->path);
	return r;
}

static int open_folder(const struct turn *t, const char *role, struct keyring_folder *ret,
	char **ret_path, struct error *reterr)
{
	int r;

	r = is_online(role)
		? publish_keys_path(t->call, call_argument(t->call, 0), "online-keys", "-online", ret_path)
		: publish_keys_path(t->call, call_argument(t->call, 0), "keys", "-keys", ret_path);
	if (r < 0)
		return r;
	*ret = (struct keyring_folder){.path = *ret_path,
		.fd = open(*ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.passphrase = is_online(role) ? NULL : t->secret.text};
	if (ret->fd < 0)
		return error_set(reterr, -errno, "%s: %s", *ret_path, strerrordesc_np(errno));
	return 0;
}

static int make_keys(struct turn *t, struct error *reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->rotation.n_roles; i++) {
		struct rotation_role *role = &t->rotation.roles[i];
		AUTO_FREE char *path = NULL;
		struct keyring_folder folder;

		role->keys = keys_of(t, role->name);
		role->first_fresh = role->keys->n_signers;
		r = open_folder(t, role->name, &folder, &path, reterr);
		if (r < 0)
			return r;
		r = keyring_extend(&folder, role->name, role->n_fresh, role->keys, reterr);
		(void)close(folder.fd);
	}
	return r;
}

/* What no role names any more leaves the way of the keys that count. */
static int retire(const struct turn *t, struct error *reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->rotation.n_roles; i++) {
		const struct rotation_role *role = &t->rotation.roles[i];
		const struct trust_role *now = rotation_find(t->repository, role->name);
		AUTO_FREE char *path = NULL;
		struct keyring_folder folder;

		r = open_folder(t, role->name, &folder, &path, reterr);
		if (r < 0)
			return r;
		for (size_t k = 0; r == 0 && k < role->keys->n_signers; k++)
			if (!trust_role_names_key(now, trust_signer_keyid(role->keys->signers[k])))
				r = keyring_retire(&folder, role->name, role->keys, k, reterr);
		(void)close(folder.fd);
	}
	return r;
}

static void show(const struct turn *t)
{
	AUTO_JSON json_t *roles = json_array(), *document = NULL;

	for (size_t i = 0; i < t->rotation.n_roles; i++) {
		const char *name = t->rotation.roles[i].name;
		const struct trust_role *now = rotation_find(t->repository, name);

		if (call_has(t->call, "json"))
			(void)json_array_append_new(roles,
				json_pack("{s:s, s:I, s:I, s:I}", "role", name, "threshold",
					(json_int_t)now->threshold, "keys",
					(json_int_t)now->n_key_ids, "fresh",
					(json_int_t)t->rotation.roles[i].n_fresh));
		else
			printf("%s: %zu new %s, %zu in all, of which %llu must sign\n", name,
				t->rotation.roles[i].n_fresh,
				t->rotation.roles[i].n_fresh == 1 ? "key" : "keys", now->n_key_ids,
				(unsigned long long)now->threshold);
	}
	if (!call_has(t->call, "json"))
		return;
	document = json_pack("{s:s, s:I, s:O}", "repository", t->repository->path, "root_version",
		(json_int_t)t->repository->root->version, "roles", roles);
	call_print_json(document);
}

int publish_rotate(struct verb_call *call, struct error *reterr)
{
	AUTO_TURN struct turn t = {.call = call};
	struct rotation_keys keys;
	int r;

	r = collect(&t, reterr);
	if (r == 0)
		r = publish_open_locked(call, &t.repository, &t.now_utc_s, reterr);
	if (r == 0)
		r = read_rotation(&t, t.repository, &t.rotation, reterr);
	if (r == 0)
		r = check(&t, reterr);
	if (r == 0)
		r = make_keys(&t, reterr);
	if (r < 0)
		return r;
	keys = (struct rotation_keys){.root = keys_of(&t, "root"), .targets = keys_of(&t, "targets"),
		.snapshot = keys_of(&t, "snapshot"), .timestamp = keys_of(&t, "timestamp")};
	r = rotation_apply(t.repository, &t.rotation, &keys, t.now_utc_s, reterr);
	if (r == 0)
		r = retire(&t, reterr);
	if (r == 0)
		show(&t);
	return r;
}
