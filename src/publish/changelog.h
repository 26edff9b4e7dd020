/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * CVE ids in a Debian changelog, as a proposal: which entry names them, in which line, and whether
 * that line, what it is a part of, or a part of it speaks of something else than a fix. Source:
 * deb-changelog(5).
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"

#define CHANGELOG_MAX_BYTES (16U << 20)
#define CHANGELOG_MENTIONS_MAX 4096

struct changelog_mention {
	char *id, *version, *line;
	bool is_check; /* may be about a revert, a regression, or not being affected */
};

struct changelog {
	struct changelog_mention *mentions; /* in the order of the text, each id once per entry */
	size_t n_mentions;
	size_t n_entries; /* that lie between the versions */
};

/* Entries above version `after`, up to and including `upto`. */
int changelog_read(const char *text, size_t len, const char *after, const char *upto,
	struct changelog *ret) MUST_CHECK;
void changelog_done(struct changelog *c);
