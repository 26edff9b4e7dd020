/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Which of our mounts may not go under the programs that run now, for who knows no manifest: the
 * static launcher, below dpkg and for its owner. The engine leaves the activations of what it
 * attaches behind; here they are compared with the mount table and with what processes map. Needs
 * libc alone.
 *
 * The file is RUN/activation: one line "idle COMPONENT-DIGEST" or "boot COMPONENT-DIGEST" for each
 * image that is not `live`; lines of images that are not attached mean nothing.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "graft/mount_table.h"

#define HELD_NAME "activation"
#define HELD_USERS_MAX 512 /* bytes of text with NUL */

struct held_image {
	char *name;                 /* COMPONENT-DIGEST */
	bool is_for_boot;           /* it changes at boot alone, whoever uses it */
	size_t n_users;             /* processes that map it */
	char users[HELD_USERS_MAX]; /* "firefox (123), evolution (456)"; not all of many. Untrusted
				       text, control bytes replaced */
};

struct held {
	struct held_image *images;
	size_t n_images;
};

/*
 * What is attached in the calling process's namespace and may not go now. Without a file nothing is
 * held. The caller owns *ret. Returns 0 or -errno.
 */
int held_look(const char *run_dir, struct held **ret) MUST_CHECK;
void held_free(struct held *h);
DEFINE_FREEP(held)

/* The held image that the row is a mount of, or NULL. h may be NULL: nothing is held. */
const struct held_image *held_find(const struct held *h, const struct mount_row *row);
bool held_has(const struct held *h, const struct mount_row *row);

/*
 * Leave the text in run_dir, whole or not at all. Where that fails, and every line of it stands
 * there already, that is no error. Returns 0 or -errno.
 */
int held_save(const char *run_dir, const char *text) MUST_CHECK;
