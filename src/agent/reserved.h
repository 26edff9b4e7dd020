/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Units that are never restarted by themselves, because a restart takes something away from people
 * or programs: sessions, the network, the bus, containers. A list comes with bsi; the owner's files
 * add to it and take from it. Format: bsi(1), RESTARTS.
 */
#include <stddef.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"

#define RESERVED_FILE_MAX_BYTES 65536
#define RESERVED_RULES_MAX 4096

/* Names below the root: files in the second folder replace those of the same name in the first. */
#define RESERVED_SHIPPED "usr/lib/bsi/reserved.d"
#define RESERVED_OWNERS "etc/bsi/reserved.d"

enum reserved_kind {
	RESERVED_NO,     /* may be restarted */
	RESERVED_ASK,    /* a person restarts it, when it suits */
	RESERVED_BOOT,   /* the same; but bsi does, once, when a boot is complete */
	RESERVED_REBOOT, /* nobody should restart it in a running system */
};

struct reserved_rule {
	char *pattern; /* fnmatch(3) */
	enum reserved_kind kind;
};

/* The last rule that matches decides. */
struct reserved {
	struct reserved_rule *rules;
	size_t n_rules;
};

/* The rules of one file, after those that *to has. -BSI_E_FORMAT names the line. Pure. */
int reserved_parse(const char *text, size_t len, struct reserved *to, struct error *reterr)
	MUST_CHECK;
void reserved_done(struct reserved *r);

enum reserved_kind reserved_find(const struct reserved *r, const char *unit);

/* Both folders below the root, in the order of the files' names; a folder may be missing. */
int reserved_load(int root_fd, struct reserved *ret, struct error *reterr) MUST_CHECK;
