/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The run directory, /run/bsi: small documents that the next boot forgets. Nothing that matters
 * depends on them, so a failure to write one is no failure of a verb.
 */
#include <sys/types.h>

#include "base/compiler.h"
#include "base/json.h"

/* -ENOENT where there is none (yet, since boot). The caller owns *ret. */
int run_dir_load(const char *run, const char *name, json_t **ret) MUST_CHECK;
/* Replaced in one step, so that a reader sees a whole document. */
void run_dir_save(const char *run, const char *name, const json_t *document, mode_t mode);
/*
 * A boot begins: every document (*.json) goes. Only after a soft-reboot is there any, for it leaves /run as
 * it is.
 */
void run_dir_forget(const char *run);
