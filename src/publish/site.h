/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * A folder that is made under another name (".NAME.init", beside its place) and renamed into place
 * when it is whole. The draft is locked while somebody works on it, so one that a killed run left
 * can be told from one that is being made.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/error.h"

struct site {
	const char *path; /* borrowed */
	char *final_name, *draft_name; /* within the parent */
	int parent_fd;
	int fd; /* the draft, and the folder itself once it is in place; holds the lock */
	mode_t mode;
	bool is_done;
};
#define SITE_NONE ((struct site){.parent_fd = -EBADF, .fd = -EBADF})

/* Find the parent. *ret is SITE_NONE or what this gave; site_close() ends it in any case. */
int site_init(struct site *s, const char *path, mode_t mode, struct error *reterr) MUST_CHECK;

/* Whether something has the final name already: 1, 0 or an error. */
int site_is_taken(const struct site *s, struct error *reterr) MUST_CHECK;

/*
 * Open and lock the draft; what a killed run left in it is still there. -EEXIST with words where
 * the final name is taken, -BSI_E_BUSY where another one is making it.
 */
int site_open(struct site *s, struct error *reterr) MUST_CHECK;
/* Empty the draft. */
int site_clear(const struct site *s, struct error *reterr) MUST_CHECK;

/* Rename the draft into place, durably; the lock stays until site_close(). */
int site_finish(struct site *s, struct error *reterr) MUST_CHECK;
/* Give the final name back: the folder is a draft again. Opened or not. */
int site_undo(struct site *s, struct error *reterr) MUST_CHECK;

/* Removes a draft that is open and was not finished. */
void site_close(struct site *s);
