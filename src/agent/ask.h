/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
#include "agent/context.h"

/*
 * What a verb that asks the publisher begins with: the lock, the repository's news, and what they
 * ask for. The decision borrows from *ret_remote, and is remembered for the status.
 */
int ask_publisher(struct agent *a, const struct asking *asking, struct remote **ret_remote,
	struct decision *ret, struct error *reterr) MUST_CHECK;

/*
 * After the state was not locked for a while (CONTEXT_AGAIN): *remote still says what is known, or
 * it is another one, of which nothing was asked yet, because another process has seen other news, or
 * the repository or the base is another one now. Decisions made before are void, for they may borrow from the old one.
 *
 * Returns 0 if it is the same one, 1 if it is a new one, or an error, without any.
 */
int ask_anew(struct agent *a, struct remote **remote, struct error *reterr) MUST_CHECK;

/* Both: what is known now, asked for if need be, and what it asks for now. */
int ask_again(struct agent *a, const struct asking *asking, struct remote **remote,
	struct decision *ret, struct error *reterr) MUST_CHECK;
