/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The base sets of a component: for each base state digest and access of the files that are replaced. A
 * device need not have every package of a component: each choice of its packages that keeps their
 * strict dependencies is a set too.
 */
#include "base/compiler.h"
#include "base/error.h"
#include "publish/plan.h"

/* Above this many packages with files only the whole choice is a set. */
#define SETS_PACKAGES_MAX 5

/* Fills the component's sets; its files and packages are final. */
int sets_make(const struct compare *compare, struct plan_component *c, struct error *reterr)
	MUST_CHECK;
