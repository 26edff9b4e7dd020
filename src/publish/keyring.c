/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static int add_signer(struct keyring *k, unsigned number, struct trust_signer *taken)
{
	json_t *public = trust_signer_public(taken);

	if (!public) {
		trust_signer_free(taken);
		return -ENOMEM;
	}
	k->signers[k->n_signers] = taken;
	k->numbers[k->n_signers] = number;
	k->keys[k->n_signers++] = public;
	return 0;
}

static void key_name(const char *role, unsigned n, char *out, size_t out_len)
{
	(void)snprintf(out, out_len, "%s/%u.pem", role, n);
}

/* A new key in the folder of that name. */
static int create_one(const struct keyring_folder *folder, const char *place, unsigned number,
	struct keyring *k)
{
	__attribute__((cleanup(trust_secret_done))) struct buffer pem =
		buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
	AUTO(trust_signer) struct trust_signer *signer = NULL;
	char name[352];
	int r;

	r = trust_signer_generate(&signer);
	if (r == 0)
		r = trust_signer_to_pem(signer, folder->passphrase, &pem);
	if (r < 0)
		return r;
	key_name(place, number, name, sizeof name);
	r = file_replace(folder->fd, name, pem.data, pem.len, 0600);
	return r < 0 ? r : add_signer(k, number, take_ptr(signer));
}

/* All of them under a draft's name, which a killed run may have left, then in one step. */
static int create_all(const struct keyring_folder *folder, const char *role, size_t n,
	struct keyring *k)
{
	char draft[320];
	int r;

	(void)snprintf(draft, sizeof draft, ".%s.new", role);
	r = file_remove_tree(folder->fd, draft);
	if (r == 0 && mkdirat(folder->fd, draft, 0700) < 0)
		r = -errno;
	while (r == 0 && k->n_signers < n)
		r = create_one(folder, draft, (unsigned)k->n_signers + 1, k);
	if (r == 0 && renameat2(folder->fd, draft, folder->fd, role, RENAME_NOREPLACE) < 0)
		r = -errno;
	return r < 0 ? r : file_sync_parent(folder->fd, role);
}

int keyring_create(const struct keyring_folder *folder, const char *role, size_t n,
	struct keyring *ret, struct error *reterr)
{
	struct keyring k = {};
	int r;

	if (n == 0 || n > KEYRING_KEYS_MAX)
		return error_set(reterr, -BSI_E_USAGE, "a role has between 1 and %d keys",
			KEYRING_KEYS_MAX);
	r = create_all(folder, role, n, &k);
	if (r < 0) {
		keyring_done(&k);
		return error_set(reterr, r, "no key for %s in %s: %s", role, folder->path,
			error_text(r));
	}
	*ret = k;
	return 0;
}

static bool has_number(const struct keyring *k, unsigned number)
{
	for (size_t i = 0; i < k->n_signers; i++)
		if (k->numbers[i] == number)
			return true;
	return false;
}

int keyring_extend(const struct keyring_folder *folder, const char *role, size_t n,
	struct keyring *k, struct error *reterr)
{
	size_t wanted = k->n_signers + n;
	int r = 0;

	if (n == 0 || n > KEYRING_KEYS_MAX || wanted > KEYRING_FILES_MAX)
		return error_set(reterr, -BSI_E_LIMIT,
			"%s/%s: a role has between 1 and %d keys, and its folder at most %d files",
			folder->path, role, KEYRING_KEYS_MAX, KEYRING_FILES_MAX);
	if (mkdirat(folder->fd, role, 0700) < 0 && errno != EEXIST)
		r = -errno;
	for (unsigned number = 1; r == 0 && k->n_signers < wanted; number++)
		if (!has_number(k, number))
			r = create_one(folder, role, number, k);
	if (r < 0)
		return error_set(reterr, r, "no key for %s in %s: %s", role, folder->path,
			error_text(r));
	return 0;
}

int keyring_retire(const struct keyring_folder *folder, const char *role, const struct keyring *k,
	size_t i, struct error *reterr)
{
	char from[352], to[512];
	int r = 0;

	(void)snprintf(to, sizeof to, "%s/retired", role);
	if (mkdirat(folder->fd, to, 0700) < 0 && errno != EEXIST)
		r = -errno;
	key_name(role, k->numbers[i], from, sizeof from);
	(void)snprintf(to, sizeof to, "%s/retired/%s.pem", role, trust_signer_keyid(k->signers[i]));
	if (r == 0 && renameat(folder->fd, from, folder->fd, to) < 0)
		r = -errno;
	if (r == 0)
		r = file_sync_parent(folder->fd, from);
	return r < 0 ? error_set(reterr, r, "%s/%s: %s", folder->path, from, error_text(r)) : 0;
}

static int load_one(const struct keyring_folder *folder, const char *name, unsigned number,
	struct keyring *k, struct error *reterr)
{
	__attribute__((cleanup(trust_secret_done))) struct buffer pem =
		buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
	AUTO(trust_signer) struct trust_signer *signer = NULL;
	int r;

	r = file_read(folder->fd, name, TRUST_SIGNER_PEM_MAX_BYTES, &pem);
	if (r < 0)
		return r;
	r = trust_signer_from_pem(pem.data, pem.len, folder->passphrase, &signer, reterr);
	if (r < 0) {
		error_prefix(reterr, "%s/%s", folder->path, name);
		return r;
	}
	return add_signer(k, number, take_ptr(signer));
}

int keyring_load(const struct keyring_folder *folder, const char *role, struct keyring *ret,
	struct error *reterr)
{
	struct keyring k = {};
	char name[320];
	int r = 0;

	/* one holder may have only the second key */
	for (unsigned n = 1; r == 0 && n <= KEYRING_FILES_MAX; n++) {
		key_name(role, n, name, sizeof name);
		r = load_one(folder, name, n, &k, reterr);
		if (r == -ENOENT)
			r = 0;
	}
	if (r == 0 && k.n_signers == 0)
		r = error_set(reterr, -ENOENT, "%s/%s holds no private key (--keys names the folder)",
			folder->path, role);
	if (r < 0) {
		keyring_done(&k);
		return r;
	}
	*ret = k;
	return 0;
}

int keyring_is_encrypted(const struct keyring_folder *folder, const char *role)
{
	char name[320];

	for (unsigned n = 1; n <= KEYRING_FILES_MAX; n++) {
		__attribute__((cleanup(trust_secret_done))) struct buffer pem =
			buffer_of(TRUST_SIGNER_PEM_MAX_BYTES);
		int r;

		key_name(role, n, name, sizeof name);
		r = file_read(folder->fd, name, TRUST_SIGNER_PEM_MAX_BYTES, &pem);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		if (memmem(pem.data, pem.len, "ENCRYPTED PRIVATE KEY", 21))
			return 1;
	}
	return 0;
}

void keyring_done(struct keyring *k)
{
	for (size_t i = 0; i < k->n_signers; i++) {
		trust_signer_free(k->signers[i]);
		json_decref(k->keys[i]);
	}
	*k = (struct keyring){};
}
