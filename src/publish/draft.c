/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "improvement/base_id.h"
#include "trust/bounds.h"

static int read_file(const char *path, struct buffer *out, struct error *reterr)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	r = fd < 0 ? -errno : file_read_fd(fd, TRUST_TARGETS_MAX_BYTES, out);
	return r < 0 ? error_set(reterr, r, "%s: %s", path, error_text(r)) : 0;
}

/* A base's role always lists its index, and no other base's can. */
static int find_base(const struct repository *r, const struct trust_metadata *md,
	struct repository_role **ret, struct error *reterr)
{
	for (size_t i = 1; i < r->n_roles; i++) {
		AUTO_FREE char *path = NULL;
		int result = base_id_target(r->roles[i].name, "index.json", &path);

		if (result < 0)
			return result;
		if (json_object_get(md->targets, path)) {
			*ret = &r->roles[i];
			return 0;
		}
	}
	return error_set(reterr, -BSI_E_BASE, "it is for no base of %s", r->path);
}

/* Every file that the draft lists is there and is what it says. */
static int check_targets(const struct repository *r, const struct repository_role *role,
	struct error *reterr)
{
	for (size_t i = 0; i < role->n_targets; i++) {
		const struct repository_target *t = &role->targets[i];
		AUTO_FREE char *file = NULL;
		AUTO_CLOSE int fd = -EBADF;
		struct digest digest;
		uint64_t size;
		int result;

		result = repository_target_file(t->path, &t->digest, &file);
		if (result < 0)
			return result;
		fd = file_open_beneath(r->fd, file, O_RDONLY | O_NONBLOCK, 0);
		result = fd < 0 ? fd : file_digest(fd, &digest, &size);
		if (result == 0 && (size != t->length || !digest_equal(&digest, &t->digest)))
			result = -BSI_E_DIGEST;
		if (result < 0)
			return error_set(reterr, result, "%s/%s, which it lists: %s", r->path, file,
				error_text(result));
	}
	return 0;
}

int draft_load(struct repository *r, const char *path, struct repository_role **ret,
	struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct repository_role *base = NULL;
	int result;

	result = read_file(path, &bytes, reterr);
	if (result < 0)
		return result;
	result = trust_metadata_decode(bytes.data, bytes.len, TRUST_TARGETS, "it", &md, reterr);
	if (result == 0)
		result = find_base(r, md, &base, reterr);
	if (result == 0 && md->version != base->file.version + 1)
		result = error_set(reterr, -BSI_E_ROLLBACK,
			"it is version %llu of %s, and version %llu is published: begin anew with it",
			(unsigned long long)md->version, base->name,
			(unsigned long long)base->file.version);
	if (result == 0)
		result = repository_adopt(r, base, &bytes, &md, reterr);
	if (result == 0)
		result = check_targets(r, base, reterr);
	if (result < 0) {
		error_prefix(reterr, "%s", path);
		return result;
	}
	*ret = base;
	return 0;
}

int draft_save(const char *path, const void *data, size_t len, struct error *reterr)
{
	AUTO_FREE char *folder = strdup(path);
	AUTO_CLOSE int fd = -EBADF;
	const char *name = path;
	char *slash;
	int r;

	if (!folder)
		return -ENOMEM;
	slash = strrchr(folder, '/');
	if (slash) {
		name = path + (slash + 1 - folder);
		slash[slash == folder] = '\0';
	}
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : file_replace(fd, name, data, len, 0644);
	return r < 0 ? error_set(reterr, r, "%s: %s", path, error_text(r)) : 0;
}

static const struct trust_role *role_of(const struct repository *r,
	const struct repository_role *base)
{
	return trust_delegations_role(&r->roles[0].metadata->delegations, base->name);
}

int draft_sign(struct repository *r, struct repository_role *base, const struct keyring *keys,
	const char *path, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
	AUTO(trust_metadata) struct trust_metadata *md = NULL;
	struct trust_signer *signers[KEYRING_FILES_MAX];
	size_t n = 0;
	int result;

	for (size_t i = 0; i < keys->n_signers; i++)
		if (trust_role_names_key(role_of(r, base), trust_signer_keyid(keys->signers[i])))
			signers[n++] = keys->signers[i];
	if (n == 0)
		return error_set(reterr, -BSI_E_THRESHOLD, "none of the keys here belongs to role %s",
			base->name);
	result = trust_cosign(base->bytes, base->n_bytes, signers, n, &bytes, reterr);
	if (result == 0)
		result = draft_save(path, bytes.data, bytes.len, reterr);
	if (result == 0)
		result = trust_metadata_decode(bytes.data, bytes.len, TRUST_TARGETS, base->name, &md,
			reterr);
	return result < 0 ? result : repository_adopt(r, base, &bytes, &md, reterr);
}

int draft_progress(const struct repository *r, const struct repository_role *base,
	struct draft_count *ret, struct error *reterr)
{
	const struct trust_delegations *delegations = &r->roles[0].metadata->delegations;
	struct trust_role role = *role_of(r, base);
	struct error unused;
	int result = 0;

	*ret = (struct draft_count){.threshold = role.threshold};
	for (role.threshold = 1; role.threshold <= role.n_key_ids; role.threshold++) {
		result = trust_metadata_verify(base->metadata, &role, &delegations->keyring,
			base->name, &unused);
		if (result < 0)
			break;
		ret->n_signed = role.threshold;
	}
	return result < 0 && result != -BSI_E_THRESHOLD
		? error_set(reterr, result, "%s: %s", base->name, unused.text)
		: 0;
}
