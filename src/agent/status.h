/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The status document (docs/formats/status.md): composed from what is true now, and kept for
 * everybody in the run directory without what only root may know.
 *
 * The run directory also holds "last.json" (root alone): what the last attach and the last check
 * found. It is a cache of facts that cost work to find; without it the status says less. One thing
 * is decided by it, for it lasts as long as this boot: which letter the boot gave up.
 */
#include "agent/context.h"
#include "agent/attach.h"

/* What the status sentence is made of. Pure. */
struct status_facts {
	const char *base_name; /* "Debian GNU/Linux 12" */
	const char *letter;    /* attached or to be attached; NULL for the base */
	bool is_enrolled;
	size_t n_attached;     /* components */
	size_t n_detached;     /* that should be attached, and are not */
	size_t n_held;         /* that wait for their programs to be closed, or for the next boot */
	size_t n_open;         /* that fit nothing here: their CVEs are open */
	const char *first_open;     /* name of one of those */
	const char *first_detached;
	const char *first_held;
	int64_t held_due_utc_s;     /* by when that should end; 0 if nobody knows */
	bool is_overdue;
	bool is_scanned;       /* the processes were looked at, in this generation */
	size_t n_exposed, n_unknown;
	bool was_attached_since_boot; /* something was, whatever became of it */
	const char *why_detached; /* with what helps; NULL where 'bsi run' attaches it */
	bool is_withdrawn;     /* the installed letter, by the index last seen */
	const char *damage;    /* why the state cannot be read; NULL if it can */
	const char *reason;    /* of the last decision, for a device on its base; may be NULL */
};

enum status_state {
	STATUS_NOT_ENROLLED,
	STATUS_BASE,
	STATUS_PROTECTED,
	STATUS_EXPOSED,
	STATUS_UNCHECKED,
	STATUS_PARTIAL,
	STATUS_DETACHED,
	STATUS_WITHDRAWN,
	STATUS_HELD,
	STATUS_DAMAGED,
};

#define STATUS_SENTENCE_MAX 768

enum status_state status_sentence(const struct status_facts *facts,
	char ret_sentence[static STATUS_SENTENCE_MAX]);
const char *status_state_text(enum status_state state);

/* The verdicts hold for these packages too. */
void status_keep_packages(struct agent *a, const struct packages_stamp *packages);

/* Remember what an attach found: the verdicts of a generation, and what is held. */
void status_keep_attach(struct agent *a, uint64_t generation, const struct fit *fit,
	const struct attach_outcome *outcome);
/* Remember what became of the attach at boot: "attached", "fell-back", "gave-up", "skipped", "failed",
 * "nothing"; reason may be NULL. left_out: the build of the letter that "gave-up" is about, or 0. */
void status_keep_boot(struct agent *a, const char *action, const char *reason, uint64_t left_out);
/* The build that this boot gave up and that nobody asked for since; 0 if none. */
uint64_t status_left_out(const struct agent *a);
/* The owner asked for that build, and it was taken. */
void status_take_in(struct agent *a, uint64_t build);

/* Remember why the repository could not be asked; a check that succeeds forgets it. */
void status_keep_failure(struct agent *a, const struct error *why);
/* Remember what a check found. */
void status_keep_decision(struct agent *a, const struct decision *decision, int64_t expires_utc_s);

/*
 * The component that waits, as the last attach left it; false if none does. By the same document
 * that the status shows; name is cut to its length.
 */
bool status_held(struct agent *a, uint64_t generation, char *ret_name, size_t name_len);

/*
 * Why the last attach left nothing of a generation attached, for everybody; empty if no component
 * is to be named. True if something of it fits and should be attached, so that this is a failure.
 */
bool status_why_off(const struct agent *a, uint64_t generation, char *ret_reason, size_t reason_len);

/* The whole document for root; also renews the public one. */
int status_compose(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;
