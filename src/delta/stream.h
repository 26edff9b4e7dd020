/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* Encoder only: a planned set of files as a delta, and the real decoder over what was made. */
#include "base/bytes.h"
#include "base/compiler.h"
#include "delta/encode.h"
#include "delta/plan.h"

/* Append the delta. plans: one for each file. Old files that no plan uses are not named in it. */
int stream_write(const struct delta_set *set, const struct plan *plans,
		 const struct delta_encode_options *options, struct buffer *out,
		 struct error *reterr) MUST_CHECK;
/* -BSI_E_STATE if the delta does not decode to the set's files. */
int stream_prove(const struct delta_set *set, const struct plan *plans, const uint8_t *delta,
		 size_t len, struct error *reterr) MUST_CHECK;
