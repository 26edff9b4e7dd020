/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "graft/exposure.h"

#define NAMED_MAX 5 /* programs that a reason names */

void gate_candidates_done(struct gate_candidates *c)
{
	free(c->list);
	*c = (struct gate_candidates){0};
}

void gate_done(struct gate *g)
{
	for (size_t i = 0; i < g->n_holds; i++)
		free(g->holds[i].component);
	free(g->holds);
	*g = (struct gate){0};
}

const struct gate_hold *gate_find(const struct gate *g, const char *component)
{
	for (size_t i = 0; i < g->n_holds; i++)
		if (strcmp(g->holds[i].component, component) == 0)
			return &g->holds[i];
	return NULL;
}

static bool is_wanted(const struct fit_component *c)
{
	return c->match.verdict == MATCH_SET && c->image_fd >= 0 && !c->is_barred;
}

static const struct graft_mount *find_attached(const struct graft_state *state, const char *name)
{
	for (size_t i = 0; i < state->n_mounts; i++)
		if (state->mounts[i].visible && strcmp(state->mounts[i].component, name) == 0)
			return &state->mounts[i];
	return NULL;
}

static bool is_candidate(const struct gate_candidates *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->list[i].name, name) == 0)
			return true;
	return false;
}

static enum activation stricter(enum activation a, enum activation b)
{
	return a > b ? a : b;
}

static void add_candidate(struct gate_candidates *c, const char *name,
	const struct fit_component *wanted, const struct graft_mount *attached,
	const struct kept *kept)
{
	struct gate_candidate x = {.name = name, .wanted = wanted, .attached = attached};

	if (is_candidate(c, name))
		return;
	if (attached)
		x.was = kept_component(kept, name, &attached->digest);
	if (wanted)
		x.activation = wanted->component->activation;
	if (x.was)
		x.activation = stricter(x.activation, x.was->activation);
	if (x.activation != ACTIVATION_LIVE)
		c->list[c->n++] = x;
}

/* The same image stays: repairing a file of it that went missing needs no gate. */
static bool is_unchanged(const struct fit_component *wanted, const struct graft_mount *attached)
{
	return wanted && attached &&
	       digest_equal(&wanted->component->image.digest, &attached->digest);
}

int gate_find_candidates(const struct fit *fit, const struct graft_state *state,
	const struct kept *kept, struct gate_candidates *ret)
{
	size_t n_fit = fit ? fit->n_components : 0;

	*ret = (struct gate_candidates){0};
	ret->list = calloc(n_fit + state->n_mounts + 1, sizeof *ret->list);
	if (!ret->list)
		return -ENOMEM;
	for (size_t i = 0; i < n_fit; i++) {
		const struct fit_component *c = &fit->components[i];
		const struct graft_mount *attached = find_attached(state, c->component->name);

		if (is_wanted(c) && !is_unchanged(c, attached))
			add_candidate(ret, c->component->name, c, attached, kept);
	}
	for (size_t i = 0; i < state->n_mounts; i++) {
		const struct graft_mount *m = &state->mounts[i];
		bool stays = false;

		for (size_t k = 0; k < n_fit; k++)
			stays |= fit->components[k].match.verdict == MATCH_SET &&
				!fit->components[k].is_barred && strcmp(fit->components[k].component->name, m->component) == 0;
		if (m->visible && !stays)
			add_candidate(ret, m->component, NULL, m, kept);
	}
	return 0;
}

/* The files of a candidate in each image that it ever had here; targets NULL: only their number. */
static size_t add_older(const struct gate_candidate *x, const struct kept *kept,
	struct exposure_target *targets)
{
	size_t n = 0;

	for (size_t i = 0; i < kept->n_manifests; i++) {
		const struct component *c = manifest_component(kept->manifests[i], x->name);

		for (size_t k = 0; c && k < c->n_files; k++, n++)
			if (targets)
				targets[n] = (struct exposure_target){.kind = EXPOSURE_OLDER,
					.component = x->name,
					.path = c->files[k].path,
					.fd = -EBADF,
					.digest = c->files[k].digest};
	}
	return n;
}

static size_t count_targets(const struct gate_candidates *c, const struct kept *kept)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		n += add_older(&c->list[i], kept, NULL);
		n += c->list[i].wanted ? c->list[i].wanted->component->n_files : 0;
		n += c->list[i].attached ? 1 : 0;
	}
	return n;
}

/*
 * Who maps what lies there now: the base's files, or those of the image; or an image that lay there
 * before a package replaced the file below it.
 */
static int scan(struct agent *a, const struct gate_candidates *c, const struct kept *kept,
	struct exposure_report **ret, struct error *reterr)
{
	AUTO_FREE struct exposure_target *targets = calloc(count_targets(c, kept) + 1, sizeof *targets);
	struct graft_host host;
	size_t n = 0;
	int r;

	if (!targets)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		const struct gate_candidate *x = &c->list[i];

		for (size_t k = 0; x->wanted && k < x->wanted->component->n_files; k++)
			if (x->wanted->files[k] >= 0)
				targets[n++] = (struct exposure_target){.kind = EXPOSURE_BASE,
					.component = x->name,
					.path = x->wanted->component->files[k].path,
					.fd = x->wanted->files[k]};
		if (x->attached)
			targets[n++] = (struct exposure_target){.kind = EXPOSURE_DEVICE,
				.component = x->name,
				.fd = -EBADF,
				.dev = x->attached->dev};
		n += add_older(x, kept, targets + n);
	}
	r = context_host(a, &host, reterr);
	return r < 0 ? r : exposure_scan(&host, targets, n, ret, reterr);
}

/* "firefox (123), thunderbird (456) and 2 more"; false if nobody maps it. */
static bool name_users(const struct exposure_report *report, const char *component, char *out,
	size_t out_len)
{
	pid_t last = 0;
	size_t n = 0, at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < report->n_entries; i++) {
		const struct exposure_entry *e = &report->entries[i];

		if (e->in_mounts || e->pid == last || !e->component ||
			strcmp(e->component, component) != 0)
			continue;
		last = e->pid;
		if (n++ < NAMED_MAX && at < out_len) {
			int w = snprintf(out + at, out_len - at, "%s%s (%d)", n > 1 ? ", " : "",
				e->comm, (int)e->pid);

			at += w > 0 ? (size_t)w : 0;
		}
	}
	if (n > NAMED_MAX && at < out_len)
		(void)snprintf(out + at, out_len - at, " and %zu more", n - NAMED_MAX);
	return n > 0;
}

static bool must_hold(const struct gate_candidate *x, const struct exposure_report *report,
	char reason[static FIT_PROBLEM_MAX])
{
	char users[FIT_PROBLEM_MAX - 64];

	if (x->activation == ACTIVATION_BOOT) {
		(void)snprintf(reason, FIT_PROBLEM_MAX, "held: it changes at the next boot");
		return true;
	}
	if (!name_users(report, x->name, users, sizeof users))
		return false;
	(void)snprintf(reason, FIT_PROBLEM_MAX, "held: relaunch wanted: it is used by %s", users);
	return true;
}

int gate_judge(const struct gate_candidates *c, const struct exposure_report *report, struct gate *ret)
{
	*ret = (struct gate){.holds = calloc(c->n + 1, sizeof *ret->holds)};
	if (!ret->holds)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		const struct gate_candidate *x = &c->list[i];
		struct gate_hold *hold = &ret->holds[ret->n_holds];

		if (!must_hold(x, report, hold->reason))
			continue;
		hold->component = strdup(x->name);
		if (!hold->component)
			return -ENOMEM;
		hold->is_attached = x->attached != NULL;
		if (x->attached)
			hold->image = x->attached->digest;
		ret->n_holds++;
	}
	return 0;
}

int gate_look(struct agent *a, const struct fit *fit, const struct graft_state *state,
	const struct kept *kept, enum gate_flags flags, struct gate *ret, struct error *reterr)
{
	AUTO_DONE(gate_candidates) struct gate_candidates candidates = {0};
	AUTO(exposure_report) struct exposure_report *report = NULL;
	int r;

	*ret = (struct gate){0};
	if (flags & GATE_BOOT)
		return 0;
	r = gate_find_candidates(fit, state, kept, &candidates);
	if (r < 0 || candidates.n == 0)
		return r;
	r = scan(a, &candidates, kept, &report, reterr);
	return r < 0 ? r : gate_judge(&candidates, report, ret);
}
