/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * One letter after another: what the next one would take from devices that have the one before, and
 * whether it says anything new at all.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "publish/plan.h"

/*
 * Warnings in the plan for what components that are planned anew lose: a base set that the letter
 * before has, whose devices would go back to the base; a file that it patches.
 */
int succession_warn(struct plan *p, const struct manifest *before) MUST_CHECK;

/*
 * Whether both say the same, whatever their letters, builds and times: components in any order,
 * each with the same image, files, base sets, packages and CVEs, and payloads of the same kinds.
 */
int succession_is_same(const struct manifest *a, const struct manifest *b, bool *ret,
	struct error *reterr) MUST_CHECK;
