/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The manifests of generations, each decoded once in a run. A run reads them several times, as each of
 * its steps looks at what the store holds then; what decoding and its checks make of the same bytes is
 * the same, and with many files they take longer than reading does.
 */
#include "agent/context.h"

/*
 * The manifest of a generation that was loaded just now. *ret belongs to the agent, and lives as long
 * as it. Errors as manifest_decode().
 */
int manifests_get(struct agent *a, const struct generation *g, const struct manifest **ret,
	struct error *reterr) MUST_CHECK;

/* For agent_free() alone. */
void manifests_free(struct decoded_manifest *first);
