/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What dpkg's database says about the packages of a component: installed versions, and whether the
 * component's files still are those packages' own. The database is a hint for people and for
 * "superseded"; whether a component fits is decided by the files alone.
 */
#include <stddef.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "improvement/match.h"

#define PACKAGES_STATUS_MAX_BYTES (64U << 20)

struct packages {
	struct package_fact *facts; /* text owned by this struct */
	size_t n_facts;
};

/*
 * The installed packages that the component names, of the device's own architecture. Where there
 * is no dpkg database, none.
 *
 * @files  n_files descriptors of the component's base files, -EBADF where one is missing
 */
int packages_read(int root_fd, const struct component *component, const int *files,
	struct packages **ret) MUST_CHECK;
void packages_free(struct packages *p);
DEFINE_FREEP(packages)

/*
 * Installed packages that were built with a source from before the fix, as they say themselves
 * (Built-Using and Static-Built-Using, deb-control(5)): code of it may be in their programs.
 */
struct package_user {
	char *package, *version;
	char *source, *source_version; /* what it was built with */
};

struct package_users {
	struct package_user *list;
	size_t n;
};

/* By the sources of the component's packages that are installed; none where there is no database. */
int package_users_read(int root_fd, const struct component *component, struct package_users **ret)
	MUST_CHECK;
void package_users_free(struct package_users *u);
DEFINE_FREEP(package_users)

/*
 * Changes with every change of a package: dpkg adds to its journal, and replaces its status file each
 * time that it has worked.
 */
struct packages_stamp {
	char text[160];
};
struct packages_stamp packages_stamp(int root_fd);

/*
 * The architecture of dpkg: "amd64", also while dpkg itself is installed anew. -ENOENT where there is
 * no database.
 */
int packages_architecture(int root_fd, char **ret) MUST_CHECK;
