/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * How a component may change under running programs: a proposal from what it holds, and the
 * publisher's word over it. Source: design.md, "Publishing"; what happens to a browser engine that
 * changes live is in its notes.
 */
#include "publish/plan.h"

/* Sets activation and activation_reason. */
void activation_propose(const struct plan_request *request, struct plan_component *c);
