/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the files of this room share: the open agent. Not for other rooms. */
#include "agent/agent.h"
#include "agent/device.h"
#include "agent/fit.h"
#include "agent/policy.h"
#include "agent/remote.h"
#include "graft/change.h"
#include "graft/host.h"
#include "store/generation.h"
#include "store/store.h"

struct decoded_manifest;

struct agent {
	struct agent_settings settings;
	int root_fd;
	struct store *store;
	struct device *device;
	struct decoded_manifest *manifests; /* agent/manifests.h */
};

/*
 * The host as the graft room wants it; -BSI_E_UNSUPPORTED where there is no mount namespace, or only
 * one that belongs to a user namespace.
 */
int context_host(const struct agent *a, struct graft_host *ret, struct error *reterr) MUST_CHECK;

/* That, and whether the kernel can do what an attach takes; to be asked before anything is brought. */
int context_check_mounts(const struct agent *a, struct error *reterr) MUST_CHECK;

/*
 * Become the one that may change things. Asked for enrolment first, so that a device that has none
 * is told so before anything is made in its state directory.
 */
int context_begin(struct agent *a, struct error *reterr) MUST_CHECK;

/*
 * The state was not locked for a while: what was read from it, and of files of the base, may be of
 * yesterday. A result beside 0 and errors, for the verb to begin again from its decision.
 */
#define CONTEXT_AGAIN 1

/*
 * Lock the state again after a while without it; waits for others, who have it for moments. The
 * device is read anew, and what was borrowed from it is void. Not locked when it fails.
 */
int context_lock_again(struct agent *a, struct error *reterr) MUST_CHECK;

/* Where the device is enrolled; nothing is asked yet. */
int context_remote(struct agent *a, struct remote **ret, struct error *reterr) MUST_CHECK;

/* Who asks, and for what. */
struct asking {
	bool is_asked;      /* a person asks for an improvement now */
	const char *letter; /* which one; NULL for the current one */
};

/* The generation that `current` names, and its manifest; both NULL on the base. */
struct installed {
	struct generation *generation;
	const struct manifest *manifest; /* the agent's */
};
int context_installed(struct agent *a, struct installed *ret, struct error *reterr) MUST_CHECK;
void installed_done(struct installed *i);

/*
 * The same, and nothing where the generation cannot be read: a note says why. For verbs that lead
 * out of a damaged state.
 */
int context_installed_or_none(struct agent *a, struct installed *ret) MUST_CHECK;

/* Whether the publisher took an improvement back, by an index, or (NULL) by the one last seen. */
struct withdrawn {
	enum withdraw_action action;
	char reason[ERROR_TEXT_MAX];
};
int context_withdrawn(struct agent *a, const struct manifest *m, const struct index *index,
	struct withdrawn *ret, struct error *reterr) MUST_CHECK;

/* What would be done now, with an index in hand. */
int context_decide(struct agent *a, const struct index *index, const struct asking *asking,
	struct decision *ret, struct error *reterr) MUST_CHECK;

bool context_is_automatic(struct agent *a);
void context_note(const struct agent *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void context_history(struct agent *a, const char *event, const char *letter, const char *reason);
/* The same, with the seals of the images that a change mounted. */
void context_history_change(struct agent *a, const char *event, const char *letter,
	const char *reason, const struct graft_report *graft);
