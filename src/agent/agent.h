/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The engine behind `bsi`: what each verb does, without a terminal. Results are JSON documents
 * (docs/formats/status.md, bsi(1)), so that a command, a D-Bus service or a test can show them.
 *
 * Everything that a test may want to set comes in as a setting: the clock, the root, where state
 * and run-time files lie, the host's mount namespace.
 *
 * What holds between verbs: the store's `current` says which generation should be attached, and it
 * is set durably before anything is mounted. Any later run makes the mounts agree with it, so a
 * run that was cut anywhere is completed by the next one.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"

/* done and total count bytes; not 0 ends the work. */
typedef int agent_progress(void *ctx, const char *what, uint64_t done, uint64_t total);

/* A line for a person about what comes: "brings 4.9 MB, takes 18 MB of disk". */
typedef void agent_note(void *ctx, const char *text);

enum agent_flags {
	AGENT_FORCE_LOOP = 1 << 0, /* images through loop devices, as on kernels before 6.12 */
	AGENT_BOOT = 1 << 1,       /* nothing runs yet that a change could disturb */
	AGENT_RESTART = 1 << 2,    /* after a change, restart what it is not in effect for */
	AGENT_ASKED = 1 << 3,      /* the owner asks for it, whatever this boot gave up */
};

struct agent_settings {
	const char *root;  /* "/" or a test's root, in the caller's namespace (the base view) */
	const char *state; /* "/var/lib/bsi" */
	const char *run;   /* "/run/bsi" */
	const char *ca_file; /* NULL for the system's authorities */
	const char *verb;  /* what others are told while this has the state locked; NULL: nothing */
	int mount_ns_fd;   /* the host's mount namespace; borrowed. -1: mounts cannot be changed */
	int64_t now_utc_s; /* one reading of the clock */
	uint64_t memory_max_bytes; /* that decoding one payload may take */
	const char *why_off; /* why nothing is to be attached in this boot; NULL: something is */
	enum agent_flags flags;
	agent_progress *progress; /* may be NULL */
	agent_note *note;         /* may be NULL */
	void *ctx;                /* of both */
};

struct agent;

/* settings are copied; the strings and the descriptor are borrowed. */
int agent_new(const struct agent_settings *settings, struct agent **ret, struct error *reterr)
	MUST_CHECK;
void agent_free(struct agent *a);
DEFINE_FREEP(agent)

/*
 * Trust the repository at url from now on, whose first root.json is the bytes of root. The
 * repository is asked once, unless offline: an address that does not answer with metadata of
 * this root changes nothing.
 */
enum agent_enrol_flags {
	AGENT_ENROL_OFFLINE = 1 << 0, /* do not ask the repository */
	AGENT_ENROL_REPLACE = 1 << 1, /* although the device is enrolled already */
};
int agent_enrol(struct agent *a, const char *url, const void *root, size_t root_len,
	enum agent_enrol_flags flags, json_t **ret, struct error *reterr) MUST_CHECK;

/* Ask the repository, obey nothing yet: what would be done and why. */
int agent_check(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;

/*
 * What the current improvement would change, and who would have to be restarted; or, where it is
 * attached, who has to be.
 */
int agent_plan(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;

/*
 * letter NULL: the current one. Also completes what an earlier run began. The state is free while a
 * payload loads; what is attached then is what is wanted then. -BSI_E_BUSY if another one loads.
 */
int agent_install(struct agent *a, const char *letter, json_t **ret, struct error *reterr)
	MUST_CHECK;

/*
 * What a timer calls: ask, obey withdrawals, install where that is automatic, and make the mounts
 * agree with `current`. *ret is null where nothing happened.
 */
int agent_run(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;

/* with the letter, which need not be the publisher's current one */
#define AGENT_GAVE_UP_FORMAT                                                                       \
	"the last boots with it did not complete, so this one goes on without it; "                \
	"'bsi install %s' attaches it all the same"

/* Make the mounts agree with `current` without asking anybody, as after packages changed. */
int agent_attach(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;

/*
 * The same at boot (with AGENT_BOOT), counted before anything is attached: after two boots that did
 * not complete, the last generation that completed one is attached, or the base stays. *ret is null
 * where nothing is installed. In a system that is up already (a second call, or systemd says so) it is
 * agent_attach(): not counted, and without AGENT_BOOT.
 */
int agent_boot(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;

/* The boot is complete: what was attached in it is good. */
int agent_boot_complete(struct agent *a, struct error *reterr) MUST_CHECK;

enum agent_remove_flags {
	AGENT_BELOW_MINIMUM = 1 << 0, /* the owner insists, below the publisher's minimum */
};
/* Everything off; that letter does not come back by itself, nor does one that is being loaded. */
int agent_remove(struct agent *a, enum agent_remove_flags flags, json_t **ret,
	struct error *reterr) MUST_CHECK;
/* Back to the generation before, or to the base. What is being loaded is not taken. */
int agent_rollback(struct agent *a, enum agent_remove_flags flags, json_t **ret,
	struct error *reterr) MUST_CHECK;

/* The whole status, for root: open CVEs and processes included. Looks at every process. */
int agent_status(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;
/* The status document that everybody may read, as the last change left it. -ENOENT if none. */
int agent_public_status(const char *run, json_t **ret, struct error *reterr) MUST_CHECK;

/* Every attached byte against the signed digests, every base file against its base set. */
int agent_verify(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;
/*
 * Whether this system is set up for improvements: {"checks": [{"name", "well", "problem"}]}, where
 * problem says what to do.
 */
int agent_doctor(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;

/* Who still runs code that was replaced, and what ends it. */
int agent_exposure(struct agent *a, json_t **ret, struct error *reterr) MUST_CHECK;
int agent_history(struct agent *a, unsigned limit, json_t **ret, struct error *reterr) MUST_CHECK;

/* The whole configuration; key NULL reads it, else key is set to value. */
int agent_config(struct agent *a, const char *key, const char *value, json_t **ret,
	struct error *reterr) MUST_CHECK;
