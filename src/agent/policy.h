/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What to do about what is published: a pure function of facts. It reads no clock, file or
 * setting; the reason that it gives is what the status shows. Builds are compared, never letters: a
 * letter is a name for people, and another base or publisher has the same ones.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "improvement/index.h"

enum decision_action {
	DECISION_NOTHING, /* all is as it should be */
	DECISION_INSTALL, /* take decision.entry */
	DECISION_REMOVE,  /* go back to the base */
	DECISION_HOLD,    /* available, and not taken now */
	DECISION_REFUSE,  /* was asked for, and cannot be had: decision.code says why */
};

struct decision_facts {
	const struct index *index;          /* verified, never NULL */
	/* what is attached or to be attached; build 0 for the base, or for what another base's index names */
	uint64_t installed;
	const uint64_t *denied;             /* builds that are not taken by themselves here */
	size_t n_denied;
	const char *unsealable;             /* why nothing may be attached here; NULL or empty if it may */
	const char *held;                   /* a component of it that waits for its programs; or NULL */
	int64_t held_due_utc_s;             /* by when that should end; 0 if nobody knows */
	bool is_overdue;
	bool is_automatic;                  /* the owner lets improvements come by themselves */
	bool is_asked;                      /* a person asks for it now */
	const char *asked;                  /* the letter asked for; NULL for the current one */
};

struct decision {
	enum decision_action action;
	int code;                           /* -BSI_E_* for DECISION_REFUSE, else 0 */
	const struct index_entry *entry;    /* of facts.index; set for INSTALL and HOLD */
	const struct index_entry *withdrawn; /* what is installed and must go, whatever else fails */
	const char *id;                     /* stable word: "up-to-date", "withdrawn" ... */
	char reason[ERROR_TEXT_MAX];      /* for a person */
};

struct decision policy_decide(const struct decision_facts *facts);

/* Whether going to the base (letter NULL) or to a lower letter is below the index's minimum. */
bool policy_is_below_minimum(const struct index *index, const char *letter);
