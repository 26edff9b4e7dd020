/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A Debian binary package, read in one pass from front to back: an ar archive with a control and a
 * data tar in it. Nothing is unpacked to disk, and memory does not grow with the package. A member
 * that ends early, a path that leaves the root, or a file that the package's own md5sums do not
 * confirm is an error. Source: deb(5).
 */
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "publish/package.h"

#define DEB_SCRIPT_MAX_BYTES (1U << 20)
#define DEB_MD5SUMS_MAX_BYTES (32U << 20)
#define DEB_XATTRS_MAX 32
#define DEB_XATTR_VALUE_MAX_BYTES 65536

struct deb_xattr {
	const char *name;
	const uint8_t *value;
	size_t value_bytes;
};

/* One member of the data tar; all borrowed, for the time of the call. */
struct deb_entry {
	const char *path;     /* without "./"; as path_check() accepts it */
	uint32_t mode;        /* type and permission bits; 0 type bits for a hard link */
	uint32_t uid, gid;
	uint64_t size_bytes;  /* 0 for a hard link */
	const char *symlink_target; /* or NULL */
	const char *hardlink_to;    /* like path, or NULL */
	struct deb_xattr xattrs[DEB_XATTRS_MAX];
	size_t n_xattrs;
};

/* Each may fail, which ends the reading with that result. Directories are reported too. */
struct deb_sink {
	void *ctx;
	int (*begin)(void *ctx, const struct deb_entry *entry, struct error *reterr);
	int (*content)(void *ctx, const void *data, size_t len); /* of the entry begun last */
	int (*end)(void *ctx, struct error *reterr);
};

/* *ret_package may be NULL; otherwise package_done() ends it. path names the file in errors. */
int deb_read(int fd, const char *path, const struct deb_sink *sink, struct package *ret_package,
	struct error *reterr) MUST_CHECK;
