/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* The inside of the room: the open store and the names below it. Not for other rooms. */
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "store/store.h"

#define LAYOUT_FORMAT "format"
#define LAYOUT_LOCK "lock"
#define LAYOUT_LOADING "loading"
#define LAYOUT_TRUST "trust"
#define LAYOUT_IMAGES "images"
#define LAYOUT_DOWNLOADS "downloads"
#define LAYOUT_GENERATIONS "generations"
#define LAYOUT_NUMBER "number"
#define LAYOUT_CURRENT "current"
#define LAYOUT_DENIED "denied"
#define LAYOUT_FLOOR "floor"
#define LAYOUT_BOOT "boot"
#define LAYOUT_CONFIG "config"
#define LAYOUT_ENROLMENT "enrolment"
#define LAYOUT_HISTORY "history.db"

struct store {
	int dir_fd;
	int lock_fd; /* -EBADF while not locked */
	int load_fd; /* -EBADF while nothing is loaded */
	const char *purpose; /* NULL: none was said */
};

/* A name below one of the folders: "images/HEX", "downloads/HEX.part". */
struct layout_path {
	char text[128];
};

struct layout_path layout_image(const struct digest *d);
struct layout_path layout_new_image(const struct digest *d);
struct layout_path layout_download(const struct digest *d);
struct layout_path layout_generation(uint64_t number);
struct layout_path layout_generation_file(uint64_t number, const char *name);

/* Half-made things begin with a dot, so that a name without one is always whole. */
#define LAYOUT_NEW_GENERATION LAYOUT_GENERATIONS "/.new"
#define LAYOUT_OLD_GENERATION LAYOUT_GENERATIONS "/.old"

/* Whether the layout was made: 1, 0, or -errno. */
int layout_is_made(const struct store *s) MUST_CHECK;

/* -BSI_E_BUSY with words unless this store holds the lock. */
int store_check_locked(const struct store *s, struct error *reterr) MUST_CHECK;

/* The same of the lock for loading (store/load.h). */
int store_check_loading(const struct store *s, struct error *reterr) MUST_CHECK;
/* Whether another process loads: 1, 0, or -errno. Under the state's lock, so that nobody begins. */
int store_is_loading_elsewhere(const struct store *s) MUST_CHECK;

/*
 * Call each for the names in a folder, "." and ".." left out; a negative result ends it and is
 * returned. Names may be removed while it runs.
 */
int layout_each(const struct store *s, const char *folder,
	int (*each)(void *ctx, const char *name), void *ctx) MUST_CHECK;
