/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Providers before their users, by DT_NEEDED: a process that starts in the middle of a change then
 * finds a new library under an old program, which its SONAME promises to be fine, and not the other
 * way round. Where files need each other in a circle, their paths decide.
 */
#include "base/compiler.h"
#include "publish/plan.h"

int order_files(struct plan_component *c) MUST_CHECK;
int order_components(struct plan *p) MUST_CHECK;
