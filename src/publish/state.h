/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A state: what a device has, or should have, below its root, package by package. It comes from a
 * root tree or from a set of .deb files, and looks the same either way: paths in merged-/usr form
 * ("bin/x" is "usr/bin/x"), in byte order, each with its package.
 *
 * Digests and extended attributes of a root tree are read when asked for; content of .deb files is
 * spooled, for the files asked for, to one unlinked temporary file.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "improvement/access.h"
#include "publish/linkage.h"
#include "publish/package.h"

#define STATE_FILES_MAX 2000000
#define STATE_PACKAGES_MAX 100000
#define STATE_DEBS_MAX 4096

struct state_xattr {
	char *name;
	uint8_t *value;
	size_t value_bytes;
};

struct state_file {
	char *path;        /* merged-/usr form */
	char *stored_path; /* as the package names it */
	size_t package;    /* index into packages */
	uint32_t mode;     /* type and permission bits; no directories */
	uint32_t uid, gid;
	uint64_t size_bytes;
	char *symlink_target; /* or NULL */
	char *hardlink_to;    /* merged form of another file of this state, or NULL */
	struct state_xattr *xattrs; /* set by state_measure() */
	size_t n_xattrs;
	bool is_measured;
	struct digest digest; /* regular files, set by state_measure() */
	uint8_t md5[16];      /* what the package's md5sums say, where has_md5 */
	bool has_md5;
	bool is_altered;      /* set by state_measure(): the content is not what the md5 says */
	bool is_spooled;
	uint64_t spool_offset;
};

/* A package of a root tree's database that is not installed. */
struct state_passed {
	char *name;
	char status[20];
};

struct state {
	char *name; /* the argument it was opened from */
	struct package *packages;
	size_t n_packages;
	struct state_passed *passed; /* passed over; a plan says so */
	size_t n_passed;
	struct state_file *files; /* by path, unique */
	size_t n_files;
	int root_fd;  /* of a root tree, or -EBADF */
	char **debs;  /* paths, index = index of the package */
	size_t n_debs;
	int spool_fd; /* or -EBADF */
	uint64_t spool_bytes;
	int open_fd;  /* the file of a root tree read last */
	const struct state_file *open_file;
	/* while it is filled */
	size_t files_allocated, packages_allocated;
};

/*
 * @argument  a root tree (has var/lib/dpkg/status), a folder of .deb files, a .deb file, or several
 *            of them joined by commas
 */
int state_open(const char *argument, struct state **ret, struct error *reterr) MUST_CHECK;
void state_free(struct state *s);
DEFINE_FREEP(state)

/* NULL where the state has no such path. */
struct state_file *state_find(const struct state *s, const char *path);
/* The package of this name and architecture; "all" fits any. NULL if there is none. */
struct package *state_package(const struct state *s, const char *name, const char *architecture);

/* Fill digest and attributes of a file. */
int state_measure(struct state *s, struct state_file *f, struct error *reterr) MUST_CHECK;
/* Who may do what with a measured file, as a manifest says it. -BSI_E_LIMIT, -ENOMEM. */
int state_access(const struct state_file *f, struct file_access *ret) MUST_CHECK;
/* Make the content of these files readable: one more pass over the .deb files that hold them. */
int state_spool(struct state *s, struct state_file *const *files, size_t n, struct error *reterr)
	MUST_CHECK;
/* Exactly len bytes from offset; for .deb files after state_spool(). */
int state_read(struct state *s, const struct state_file *f, uint64_t offset, void *out, size_t len,
	struct error *reterr) MUST_CHECK;
/* What linkage_read() says about a readable file; is_elf is false for anything but ELF. */
int state_elf(struct state *s, const struct state_file *f, struct linkage *ret, struct error *reterr)
	MUST_CHECK;

/* For those who fill a state. The result is borrowed until the next call. */
int state_add_package(struct state *s, struct package *taken, size_t *ret_index) MUST_CHECK;
int state_pass_over(struct state *s, const struct package *p) MUST_CHECK;
int state_add_file(struct state *s, const char *stored_path, size_t package,
	struct state_file **ret, struct error *reterr) MUST_CHECK;
/*
 * Sort, drop double names, resolve hard links. Once, after the last file. -BSI_E_REFUSED where two
 * packages have different files of one name.
 */
int state_settle(struct state *s, struct error *reterr) MUST_CHECK;

/* "./lib/x" or "/lib/x" as "usr/lib/x"; -BSI_E_PATH for a path that leaves the root. */
int state_path(const char *stored, char **ret) MUST_CHECK;
