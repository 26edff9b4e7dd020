/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
#include "agent/context.h"

/*
 * What a verb that asks the publisher begins with: the lock, the repository's news, and what they
 * ask for. The decision borrows from *ret_remote, and is remembered for the status.
 */
int ask_publisher(struct agent *a, const struct asking *asking, struct remote **ret_remote,
	struct decision *ret, struct error *reterr) MUST_CHECK;
