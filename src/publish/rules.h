/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What is never patched over a running base, and what is left out of images unless asked for. */
#include <stdbool.h>

#include "publish/compare.h"

/* Documentation, man pages, locales, changelogs: below usr/share, of no use to a fix. */
bool rules_is_documentation(const char *path);

/* Why files of this path are never patched, or NULL. Static text. */
const char *rules_refuse_path(const char *path);

/* Why a changed row cannot be published, or NULL. Static text. */
const char *rules_refuse_row(const struct compare *c, const struct compare_row *row,
	const char *architecture);

/* Whether only owner, mode or attributes change, in every base state. */
bool rules_is_metadata_only(const struct compare *c, const struct compare_row *row);

/* Whether the file gets more than its caller's rights: setuid, setgid, file capabilities. */
bool rules_is_privileged(const struct state_file *f);
