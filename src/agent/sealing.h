/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* The owner's word require-seal: nothing is attached whose reads the kernel does not check. */
#include "agent/context.h"
#include "agent/fit.h"

/* A configuration that cannot be read counts as yes: it is no reason to ask for less. */
bool sealing_is_required(const struct agent *a);

/*
 * Why nothing may be attached here: a seal is required, and this kernel can hold none over the
 * images of the store. ret_reason is empty if one can be had, or none is required.
 */
int sealing_look(const struct agent *a, char ret_reason[static FIT_PROBLEM_MAX],
	struct error *reterr) MUST_CHECK;

/* The same for a fit: its components are barred then, and say why. */
int sealing_bar(const struct agent *a, struct fit *fit, struct error *reterr) MUST_CHECK;
