/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the parts of bsi-delta(1) share. */
#include <sys/types.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "cmd/verb.h"
#include "delta/decode.h"
#include "delta/encode.h"

/* A file of a tree, mapped. */
struct tree_entry {
	char *path;   /* relative to the tree */
	mode_t mode;  /* type and permission bits */
	char *target; /* of a symlink */
	const uint8_t *data;
	size_t len;
};

struct tree {
	struct tree_entry *entries; /* by path */
	size_t n_entries, allocated;
};

/* Everything below a directory: files, directories, symlinks; anything else is refused. */
int tree_load(const char *path, struct tree **ret, struct error *reterr) MUST_CHECK;
void tree_free(struct tree *t);
DEFINE_FREEP(tree)

/* What a delta carries beside contents, to make a tree of them. */
void tree_format(const struct tree *t, struct buffer *out);
/* Untrusted: every path is checked. data and len of the entries stay empty. */
int tree_parse(const uint8_t *meta, size_t len, struct tree **ret, struct error *reterr) MUST_CHECK;

/* Map a regular file; *ret_data is "" for an empty one. */
int map_file(int dir_fd, const char *path, const uint8_t **ret_data, size_t *ret_len) MUST_CHECK;
void unmap_file(const uint8_t *data, size_t len);

/* The directory that a path lies in, open; *ret_name: its last component, into path. */
int open_parent(const char *path, const char **ret_name) MUST_CHECK;

/* Compressed content of a file, by kind, in bytes. counts: PACKED_MAX, added to. */
enum packed {
	PACKED_DEFLATE, /* members of zip archives */
	PACKED_GZIP,
	PACKED_BZIP2,
	PACKED_XZ,
	PACKED_ZSTD,
	PACKED_LZ4,
	PACKED_PNG,
	PACKED_MAX,
};

extern const char *const packed_names[PACKED_MAX];
int packed_count(const uint8_t *data, size_t len, uint64_t *counts) MUST_CHECK;

/* The verbs. */
int delta_verb_encode(struct verb_call *call, struct error *reterr);
int delta_verb_apply(struct verb_call *call, struct error *reterr);
int delta_verb_info(struct verb_call *call, struct error *reterr);
int delta_verb_bench(struct verb_call *call, struct error *reterr);

/* OLD and NEW, files or trees, as one delta in memory. stats: NULL, or as many as files. */
struct delta_job;
int delta_job_new(const char *old, const char *new, struct delta_job **ret, struct error *reterr)
	MUST_CHECK;
void delta_job_free(struct delta_job *job);
DEFINE_FREEP(delta_job)
const struct delta_set *delta_job_set(const struct delta_job *job);
const char *delta_job_path(const struct delta_job *job, size_t file);
const char *delta_job_pairing(const struct delta_job *job, size_t file);
