/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Whether this kernel, as it lets us, can do what an attach takes. Asked before anything is brought
 * that could not be attached afterwards.
 */
#include "base/compiler.h"
#include "base/error.h"

/*
 * Tries the calls that an attach makes, on nothing: no mount is made that could be seen anywhere.
 * The calling process needs a mount namespace in which it may mount, such as a base view.
 *
 * Returns 0, or -BSI_E_UNSUPPORTED with what is missing and what to do about it.
 */
int kernel_check(struct error *reterr) MUST_CHECK;
