/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Small state files, all in one envelope: canonical JSON with format, version, content and the
 * content's digest, so that a damaged byte is never taken for a fact. docs/formats/state.md.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "store/layout.h"

#define STATE_FILE_MAX_BYTES (2U << 20)

struct state_kind {
	const char *format; /* "bsi-current" */
	bool required;	    /* made with the layout, so that its absence is damage */
	const char *remedy; /* what to do when it is damaged, an imperative */
};

extern const struct state_kind state_format, state_number, state_current, state_denied,
	state_floor, state_boot, state_config, state_enrolment, state_generation;

/*
 * The content of a state file; the caller owns *ret. -ENOENT where there is none and none has to
 * be, else -BSI_E_STATE or -BSI_E_VERSION with the file and the remedy in words.
 */
int state_load(const struct store *s, const char *path, const struct state_kind *kind,
	json_t **ret, struct error *reterr) MUST_CHECK;

/* Durable. Content that could not be read again is refused with -BSI_E_FORMAT. */
int state_save(const struct store *s, const char *path, const struct state_kind *kind,
	const json_t *content, struct error *reterr) MUST_CHECK;

/* -BSI_E_STATE with the file, the reason and the remedy. */
int state_damaged(const char *path, const struct state_kind *kind, const char *reason,
	struct error *reterr);
