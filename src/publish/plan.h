/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * What would be published: components with their files, base sets and fixes, and what is refused
 * or left out, with the reason. A plan reads its states and changes nothing.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/error.h"
#include "improvement/manifest.h"
#include "publish/compare.h"
#include "publish/grouping.h"

/* Each file is a mount in every mount namespace: design.md, "The graft". */
#define PLAN_FILES_WARN 100

enum plan_flags {
	PLAN_INCLUDE_DOCS = 1 << 0,
	PLAN_KEEP_EQUIVALENT = 1 << 1, /* files that were rebuilt without a change, too */
};

struct plan_activation {
	const char *component;
	enum activation activation;
};

/* All borrowed, and the states for the life of the plan. */
struct plan_request {
	const char *architecture; /* of the base id */
	struct state *const *from;
	size_t n_from;
	struct state *to;
	const struct grouping_rule *rules;
	size_t n_rules;
	const struct plan_activation *activations; /* the publisher's word over the proposal */
	size_t n_activations;
	const char *const *leave_out; /* globs over absolute paths */
	size_t n_leave_out;
	enum plan_flags flags;
};

enum plan_note_kind {
	PLAN_REFUSED,  /* the component cannot be published */
	PLAN_LEFT_OUT, /* changed, and not in the image */
	/*
	 * Rebuilt, and the same program as the base's (rebuilt.h): a file, or a component that has
	 * nothing else. Not in the image either.
	 */
	PLAN_EQUIVALENT,
	PLAN_WARNING,
};

struct plan_note {
	enum plan_note_kind kind;
	size_t component; /* index, or GROUPING_NONE */
	char *subject;    /* path or package */
	char *reason;
};

struct plan_file {
	char *path; /* the base's */
	const struct compare_row *row;
	bool is_privileged;
};

struct plan_package {
	char *name, *to;
	char **from;
	size_t n_from;
	size_t index; /* in the patched state */
};

/* A CVE id that a changelog names, or that the publisher gives. */
struct plan_fix {
	char *id;
	char *package, *version; /* the entry that names it; NULL for the publisher's own */
	char *line;
	bool is_check; /* the line speaks of a regression, a revert or of not being affected */
	bool is_confirmed; /* will be signed as fixed */
	bool is_contested; /* the letter before fixes it, and the changelog casts doubt: undecided */
};

struct plan_component {
	char *name;
	enum activation activation;
	const char *activation_reason; /* static */
	struct plan_package *packages;
	size_t n_packages;
	struct plan_file *files; /* providers before their users */
	size_t n_files;
	struct plan_file *equivalent; /* left out: the device keeps its own and never hears of them */
	size_t n_equivalent;
	struct base_set *sets; /* as manifests have them, digests in the order of files */
	size_t n_sets;
	struct plan_fix *fixes;
	size_t n_fixes;
	bool is_refused;
};

struct plan {
	struct grouping grouping;
	struct compare compare;
	struct plan_component *components; /* providers before their users; those with files */
	size_t n_components;
	struct plan_note *notes; /* component is an index into components when the plan is made */
	size_t n_notes;
};

int plan_make(const struct plan_request *request, struct plan **ret, struct error *reterr)
	MUST_CHECK;
void plan_free(struct plan *p);
DEFINE_FREEP(plan)

/* -BSI_E_REFUSED with the first refusal in words, or where nothing changes. */
int plan_check(const struct plan *p, struct error *reterr) MUST_CHECK;

/* The component of that name, or NULL. */
struct plan_component *plan_component(const struct plan *p, const char *name);

/* Whether all that changed in a component of that name is equivalent, so that it is not planned. */
bool plan_is_all_equivalent(const struct plan *p, const char *name);

/* One more warning, about a component by its index. */
int plan_warn(struct plan *p, size_t component, const char *subject, const char *reason) MUST_CHECK;

/* "refused", "left-out", "equivalent", "warning". */
const char *plan_note_text(enum plan_note_kind kind);
