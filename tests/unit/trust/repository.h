/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A whole TUF repository and one device in memory, with real keys: tests change the metadata as a
 * publisher or as an attacker would, sign it, and let the client of room trust loose on it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "trust/signer.h"
#include "trust/update.h"

#define NOW_UTC_S 1700000000 /* 2023-11-14T22:13:20Z */
#define FILES_MAX 160
#define ROLES_MAX 64
#define REQUESTS_MAX 400

struct folder {
	struct {
		char *name;
		uint8_t *data;
		size_t len;
	} files[FILES_MAX];
	size_t n_files;
};

void folder_put(struct folder *f, const char *name, const void *data, size_t len);
bool folder_has(const struct folder *f, const char *name);
void folder_drop(struct folder *f, const char *name);
/* "version" of the stored file, or 0 if it is not there. */
uint64_t folder_version(const struct folder *f, const char *name);
bool folder_equal(const struct folder *a, const struct folder *b);
void folder_copy(struct folder *to, const struct folder *from);
void folder_done(struct folder *f);

enum { ROOT, TIMESTAMP, SNAPSHOT, TARGETS, FIRST_DELEGATED };

struct repository_role {
	char *name;
	json_t *md; /* the "signed" part as it will be published next */
	struct trust_signer *signers[8];
	size_t n_signers;
};

struct repository {
	struct folder server, device;
	struct repository_role roles[ROLES_MAX];
	size_t n_roles;
	int64_t now_utc_s;
	char *requests[REQUESTS_MAX];
	size_t n_requests;
	const char *broken_url; /* a request for it fails with broken_code */
	int broken_code;
	const char *unsaved; /* saving that file fails with EIO: the power is cut there */
	bool bare;           /* snapshot and timestamp list versions only */
	struct trust_signer *all_signers[256];
	size_t n_all_signers;
};

/* Everything at version 1 and published, and the device holds root 1. */
void repository_init(struct repository *r);
void repository_done(struct repository *r);

/* A key that lives as long as the repository. */
struct trust_signer *repository_signer(struct repository *r);

void repository_bump(struct repository *r, size_t role);
void repository_expire(struct repository *r, size_t role);
/* Give the role new keys (and the root, which names them, the same ones). */
void repository_set_keys(struct repository *r, size_t role, struct trust_signer *const *signers,
	size_t n, uint64_t threshold);
/* Another targets role, delegated to by parent; its index. */
size_t repository_delegate(struct repository *r, size_t parent, const char *name,
	const char *pattern, bool terminating);
void repository_add_target(struct repository *r, size_t role, const char *path,
	const char *content);

/* Any bytes of JSON as they are, signed by anyone, under any name on the server. */
void repository_put(struct repository *r, const char *name, const json_t *signed_part,
	struct trust_signer *const *signers, size_t n);
/* Sign one role as it stands and put it under its name. */
void repository_publish(struct repository *r, size_t role);
/* A root signed by the keys of the old one beside its own. */
void repository_publish_root(struct repository *r, struct trust_signer *const *old, size_t n_old);
/* Targets roles, then a snapshot of them, then a timestamp, each one version on. */
void repository_release(struct repository *r);

/* What the client does; requests are noted anew each time. */
int repository_refresh(struct repository *r, struct error *reterr);
int repository_find(struct repository *r, const char *path, struct trust_target *ret);
/* An updater over this repository. */
int repository_updater(struct repository *r, struct trust_updater **ret, struct error *reterr);
/* The requests of the last call, with a blank between two. */
void repository_assert_requests(const struct repository *r, const char *expected);

/* For cmocka: *state is a repository as repository_init() makes it. */
int repository_set_up(void **state);
int repository_tear_down(void **state);
/* The refresh fails with the code, and the device holds afterwards just what it held before. */
void repository_assert_refused(struct repository *r, int code);
void repository_assert_refreshed(struct repository *r);
/* Put a file of the server on the device, as if it had been stored there. */
void repository_store(struct repository *r, const char *as, const char *served);
