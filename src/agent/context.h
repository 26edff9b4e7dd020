/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the files of this room share: the open agent. Not for other rooms. */
#include "agent/agent.h"
#include "agent/device.h"
#include "agent/fit.h"
#include "agent/policy.h"
#include "agent/repository.h"
#include "graft/host.h"
#include "store/generation.h"
#include "store/store.h"

struct agent {
	struct agent_settings settings;
	int root_fd;
	struct store *store;
	struct device *device;
};

/* The host as the graft room wants it; -BSI_E_UNSUPPORTED where there is no mount namespace. */
int context_host(const struct agent *a, struct graft_host *ret, struct error *reterr) MUST_CHECK;

/*
 * Become the one that may change things. Asked for enrolment first, so that a device that has none
 * is told so before anything is made in its state directory.
 */
int context_begin(struct agent *a, struct error *reterr) MUST_CHECK;

/* Where the device is enrolled: *ret_enrolment is the caller's, *ret borrows from it. */
int context_repository(struct agent *a, json_t **ret_enrolment, struct repository **ret,
	struct error *reterr) MUST_CHECK;

/* The generation that `current` names, and its manifest; both NULL on the base. */
struct installed {
	struct generation *generation;
	struct manifest *manifest;
};
int context_installed(struct agent *a, struct installed *ret, struct error *reterr) MUST_CHECK;
void installed_done(struct installed *i);

/* What would be done now, with an index in hand. */
int context_decide(struct agent *a, const struct index *index, bool is_asked, const char *asked,
	struct decision *ret, struct error *reterr) MUST_CHECK;

bool context_is_automatic(struct agent *a);
void context_note(const struct agent *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void context_history(struct agent *a, const char *event, const char *letter, const char *reason);
