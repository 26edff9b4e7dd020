/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Temporary space of any size, in TMPDIR or /var/tmp, without a name, gone with the process. */
#include "base/compiler.h"
#include "base/error.h"

/* A descriptor for reading and writing, or an error with words. */
int scratch_open(struct error *reterr) MUST_CHECK;
