/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Which CVEs a plan fixes: proposed by the changelogs of the patched packages, confirmed by the
 * publisher. Only what is confirmed is signed.
 */
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "publish/plan.h"

enum fixes_flags {
	FIXES_NAMED = 1 << 0, /* confirm all that are named and not marked for a check */
};

/* Ids may be "COMPONENT=ID" where more than one component is planned. */
struct fixes_choice {
	const char *const *confirmed;
	size_t n_confirmed;
	const char *const *denied;
	size_t n_denied;
	enum fixes_flags flags;
};

/* Read the changelogs of the patched state. A package without one is a warning. */
int fixes_find(struct plan *p, const struct plan_request *request, struct error *reterr)
	MUST_CHECK;
/*
 * What the letter before this one fixed stays fixed: the same component of a later version. Where
 * the changelog's own mention is to be checked, it is contested instead, until fixes_confirm().
 */
int fixes_carry(struct plan *p, const struct manifest *before, struct error *reterr) MUST_CHECK;
/* The publisher's word. -BSI_E_USAGE for what is no id or fits no component. */
int fixes_confirm(struct plan *p, const struct fixes_choice *choice, struct error *reterr)
	MUST_CHECK;
/* -BSI_E_REFUSED where a fix is still contested; the words name it and its line. */
int fixes_check(const struct plan *p, struct error *reterr) MUST_CHECK;
