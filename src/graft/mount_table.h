/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A namespace's mount table, as /proc/PID/mountinfo prints it (proc(5)), and the one rule by which
 * mounts of ours are known in it. Needs libc alone: the base view is part of the static launcher.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "graft/seal.h"

/*
 * A mount of ours: type erofs, and this source followed by COMPONENT-DIGEST; with a seal of the
 * kernel the seal's name and a '/' come before that: /run/bsi/image/dm-verity/COMPONENT-DIGEST.
 */
#define MOUNT_SOURCE_PREFIX "/run/bsi/image/"
#define MOUNT_DIGEST_HEX_LEN 64

struct mount_row {
	int id, parent;
	unsigned major, minor;    /* of the superblock, as /proc/PID/maps prints it */
	const char *root;         /* path of the mount's root in its file system */
	const char *point;        /* path of the mount point, as the reading process sees it */
	const char *type, *source;
	bool shared;
	bool has_lid_flags; /* as mount_table_is_lid() tells */
};

/* A row by a number of it: any user can make 100,000 mounts in a namespace of theirs. */
struct mount_key {
	int number;
	size_t row;
};

struct mount_table {
	struct mount_row *rows;
	size_t n_rows;
	struct mount_key *by_id, *by_parent; /* n_rows each, sorted by number and row */
	char *text;                          /* what the rows point into */
};

/*
 * Rows of a mount table. A row that cannot be understood is left out: a strange mount of somebody
 * else must not keep ours from being found. Text after the last newline is no row.
 * Returns 0 or -ENOMEM; the caller owns *ret.
 */
int mount_table_parse(const char *text, size_t len, struct mount_table **ret) MUST_CHECK;

/* Read and parse path ("/proc/self/mountinfo"). Returns 0 or -errno. */
int mount_table_load(const char *path, struct mount_table **ret) MUST_CHECK;

void mount_table_free(struct mount_table *table);
DEFINE_FREEP(mount_table)

/* Whether the row is ours; then its component is *ret_component_len bytes at the returned place,
 * and the image's digest (64 hex digits) follows after one '-'. NULL otherwise. */
const char *mount_row_component(const struct mount_row *row, size_t *ret_component_len);

/* Which seal a row of ours says that it has. */
enum graft_seal mount_row_seal(const struct mount_row *row);

/* Whether a row of ours lies over the file of the same path, below whatever root; else somebody
 * bound a patched file to another place. */
bool mount_row_is_in_place(const struct mount_row *row);

/*
 * Whether the row is a lid: a clone of the base file that lies on ours while an improvement goes off, or
 * was left there by one that was cut (lift.h). It covers what its own superblock has at that path, and has
 * together the flags ro, nodev, nodiratime, nosymfollow and strictatime. Some of them say nothing of a file, or of
 * what is read-only; nobody asks for all of them. An owner's own bind of a place on itself, however hardened, is none.
 */
bool mount_table_is_lid(const struct mount_table *table, const struct mount_row *row);

/* Whether the row is a mount of ours in its place, patched file or lid. */
bool mount_table_is_ours(const struct mount_table *table, const struct mount_row *row);

/* The row that lies directly on row's root, or NULL: what hides row. */
const struct mount_row *mount_table_over(const struct mount_table *table,
	const struct mount_row *row);

/* The row with that id, or NULL. */
const struct mount_row *mount_table_find(const struct mount_table *table, int id);

/*
 * The row in which a walk to the absolute path ends: mounts that others hide are never met. NULL
 * if the table has no root. Symlinks are not known here.
 */
const struct mount_row *mount_table_resolve(const struct mount_table *table, const char *path);
