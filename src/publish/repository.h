/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A publisher's repository as it lies on disk: REPO/metadata and REPO/targets, all static files
 * (docs/formats/repository.md). Opening it verifies every signature of the current metadata from
 * the first root on, so that nothing somebody slipped into the folder is ever signed again. Expiry
 * is not judged here: an expired repository is what `refresh` is for.
 *
 * The lock is on the folder itself and goes with the process.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "improvement/index.h"
#include "improvement/manifest.h"
#include "trust/metadata.h"
#include "trust/sign.h"

#define REPOSITORY_METADATA "metadata"
#define REPOSITORY_TARGETS "targets"
#define REPOSITORY_ROLES_MAX 1024

#define REPOSITORY_DAY_S ((int64_t)24 * 60 * 60)
/* Offline roles are renewed by hand, so rarely; online ones by a timer, so that a freeze shows. */
#define REPOSITORY_ROOT_EXPIRES_S (400 * REPOSITORY_DAY_S)
#define REPOSITORY_ROLE_EXPIRES_S (400 * REPOSITORY_DAY_S)
#define REPOSITORY_SNAPSHOT_EXPIRES_S (30 * REPOSITORY_DAY_S)
#define REPOSITORY_TIMESTAMP_EXPIRES_S (7 * REPOSITORY_DAY_S)
/* A time of issue that is given may be this far ahead: for a release at a time that is agreed. */
#define REPOSITORY_AHEAD_MAX_S REPOSITORY_DAY_S

struct repository_target {
	char *path; /* "BASE/index.json" */
	uint64_t length;
	struct digest digest;
};

/* The top-level targets role, or the role of one base. */
struct repository_role {
	char *name;
	struct trust_metadata *metadata;
	uint8_t *bytes; /* the metadata file */
	size_t n_bytes;
	struct trust_file_spec file; /* as the snapshot lists it; role is name */
	struct repository_target *targets;
	size_t n_targets;
};

struct record;

struct repository {
	char *path;
	int fd; /* holds the lock, where one was asked for */
	struct record *record; /* what was signed last; NULL for those who only read. Owned */
	struct trust_metadata *root, *timestamp, *snapshot;
	/* While keys are exchanged: the root that is about to follow, under which all that is written
	   must hold as well. Borrowed; else NULL. */
	const struct trust_metadata *next_root;
	struct repository_role *roles; /* the first is "targets", then the bases */
	size_t n_roles;
};

enum repository_flags {
	REPOSITORY_LOCK = 1 << 0, /* -BSI_E_BUSY where another publisher is at work */
};

int repository_open(const char *path, enum repository_flags flags, struct repository **ret,
	struct error *reterr) MUST_CHECK;
void repository_free(struct repository *r);
DEFINE_FREEP(repository)

/* Write a role's file in place of what has its name; version 0 is the timestamp's, which has none. */
int repository_write_metadata(const struct repository *r, const char *role, uint64_t version,
	const struct buffer *bytes, struct error *reterr) MUST_CHECK;

/* The role of a base; -BSI_E_BASE with words where the repository has no such base. */
int repository_base(const struct repository *r, const char *base, struct repository_role **ret,
	struct error *reterr) MUST_CHECK;

/* Path of a target's file below the repository: "targets/BASE/DIGEST.name". The caller frees it. */
int repository_target_file(const char *target_path, const struct digest *digest, char **ret)
	MUST_CHECK;
const struct repository_target *repository_target(const struct repository_role *role,
	const char *target_path);
/* A small target, checked against what the role lists, appended to *out. */
int repository_read(const struct repository *r, const struct repository_role *role,
	const char *target_path, size_t max_bytes, struct buffer *out, struct error *reterr)
	MUST_CHECK;

int repository_load_index(const struct repository *r, const struct repository_role *role,
	struct index **ret, struct error *reterr) MUST_CHECK;
int repository_load_manifest(const struct repository *r, const struct repository_role *role,
	const struct index_entry *entry, struct manifest **ret, struct error *reterr) MUST_CHECK;

/*
 * Whether something may be issued at this time. Devices take the newest time of issue as a floor for
 * their clocks and refuse what is expired, so that one wrong time can end a repository: it must not
 * lie before the newest issue of any role, more than REPOSITORY_AHEAD_MAX_S after the clock here, or
 * so far before it that devices would find the timestamp expired.
 *
 * @r           NULL: it is about to be made
 * @host_utc_s  the clock here
 *
 * -BSI_E_USAGE with words.
 */
int repository_check_time(const struct repository *r, int64_t now_utc_s, int64_t host_utc_s,
	struct error *reterr) MUST_CHECK;

/*
 * A base's role while its next version is made: targets are added or replaced by path. The bytes
 * are on disk, durable, before this is called.
 */
int repository_list_target(struct repository_role *role, const char *target_path, uint64_t length,
	const struct digest *digest) MUST_CHECK;
/*
 * Let a role in memory be what other metadata says, which nobody has judged yet; what is taken is
 * its bytes and what they decode to.
 */
int repository_adopt(const struct repository *r, struct repository_role *role, struct buffer *bytes,
	struct trust_metadata **taken, struct error *reterr) MUST_CHECK;
/* Write a small target durably under its content's name, and list it. */
int repository_write_target(const struct repository *r, struct repository_role *role,
	const char *target_path, const void *data, size_t len, struct error *reterr) MUST_CHECK;
