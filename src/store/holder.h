/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The inside of the room: a lock is a file with an exclusive flock(2), which the kernel releases when
 * the process ends, however it ends. The file's text says who that is; for messages only.
 */
#include "base/compiler.h"
#include "base/error.h"
#include "store/store.h"

#define HOLDER_TEXT_MAX 96 /* "'bsi VERB' (process N)", with a NUL */

/* This process, as it stands in the file: "PID PURPOSE", the purpose cut where it is long. */
void holder_self(const struct store *s, char ret[static HOLDER_TEXT_MAX]);

/* A line of a lock's file as words for a person: "another process" where it says nothing. */
void holder_words(const char *line, char ret[static HOLDER_TEXT_MAX]);

/*
 * Take the lock; does not wait. -BSI_E_BUSY says who `is doing` what, such as "is changing the state".
 * The caller closes *ret_fd, and the lock is free.
 */
int holder_take(const struct store *s, const char *path, const char *is_doing, int *ret_fd,
	struct error *reterr) MUST_CHECK;

/* The first line of the file, as words. Whoever holds the lock may be writing it. */
void holder_read(int fd, char ret[static HOLDER_TEXT_MAX]);
