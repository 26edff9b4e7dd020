/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The one place where the state is changed durably. When one of these returns 0, a power cut in
 * the next instant does not undo it; when it does not, the old state is there, whole. (The history
 * is SQLite's own matter.) Paths are below the state's directory.
 */
#include <stddef.h>

#include "base/compiler.h"

/* The file holds these bytes, mode 0600. */
int durable_replace(int dir_fd, const char *path, const void *data, size_t len) MUST_CHECK;
/* The folder is there, mode 0700; its parent is. */
int durable_make_folder(int dir_fd, const char *path) MUST_CHECK;
/* The name is another one, in the same folder. What it names must be durable already. */
int durable_rename(int dir_fd, const char *from, const char *to) MUST_CHECK;
/* The file is gone; 0 also when it was not there. */
int durable_remove(int dir_fd, const char *path) MUST_CHECK;
/* The folder and all below it is gone; `old` is a name beside it that stands in while it goes. */
int durable_remove_folder(int dir_fd, const char *path, const char *old) MUST_CHECK;
/* The file's bytes and size. */
int durable_sync(int fd) MUST_CHECK;
/* The names in a folder, also those that a killed run had no time for. */
int durable_sync_folder(int dir_fd, const char *path) MUST_CHECK;
