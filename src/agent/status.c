/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/deadline.h"
#include "agent/exposed.h"
#include "agent/run_dir.h"
#include "agent/sealing.h"
#include "agent/settled.h"
#include "base/utc.h"
#include "store/settings.h"

#define PUBLIC_NAME "status.json"
#define LAST_NAME "last.json"
#define LEFT_OUT "left_out"

static json_t *last_load(const struct agent *a)
{
	json_t *last = NULL;

	return run_dir_load(a->settings.run, LAST_NAME, &last) == 0 ? last : json_object();
}

static json_t *utc_json(int64_t utc_s)
{
	return json_string(utc_format(utc_s).text);
}

static json_t *verdict_json(const struct fit_component *c)
{
	const char *problem = c->problem[0] ? c->problem : NULL;

	return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?}", "name", c->component->name, "verdict",
		match_verdict_text(c->match.verdict), "reason",
		problem ? problem : c->match.reason, "problem", problem, "path", c->match.path, "set",
		c->match.verdict == MATCH_SET ? c->component->sets[c->match.set].name : NULL);
}

/* Whether something was attached since the boot. */
static bool was_attached(const json_t *last)
{
	return json_is_true(json_object_get(json_object_get(last, "attach"), "attached"));
}

void status_keep_attach(struct agent *a, uint64_t generation, const struct fit *fit,
	const struct attach_outcome *outcome)
{
	AUTO_JSON json_t *last = last_load(a), *verdicts = json_array(), *held = json_array();
	const struct graft_report *report = &outcome->graft;
	bool was = was_attached(last) || graft_report_covered(report) > 0;

	for (size_t i = 0; fit && i < fit->n_components; i++)
		(void)json_array_append_new(verdicts, verdict_json(&fit->components[i]));
	for (size_t i = 0; i < outcome->gate.n_holds; i++)
		(void)json_array_append_new(held,
			json_pack("{s:s, s:s}", "name", outcome->gate.holds[i].component, "reason",
				outcome->gate.holds[i].reason));
	(void)json_object_set_new(last, "packages",
		json_string(fit ? fit->packages.text : packages_stamp(a->root_fd).text));
	(void)json_object_set_new(last, "attach",
		json_pack("{s:I, s:o, s:b, s:O, s:O, s:b, s:I, s:I}", "generation",
			(json_int_t)generation, "utc", utc_json(a->settings.now_utc_s), "attached", was, "verdicts",
			verdicts, "held", held, "loop",
			report->loop, "unshared", (json_int_t)report->n_unshared, "below",
			(json_int_t)report->n_below));
	run_dir_save(a->settings.run, LAST_NAME, last, 0600);
}

void status_keep_packages(struct agent *a, const struct packages_stamp *packages)
{
	AUTO_JSON json_t *last = last_load(a);

	(void)json_object_set_new(last, "packages", json_string(packages->text));
	run_dir_save(a->settings.run, LAST_NAME, last, 0600);
}

void status_keep_boot(struct agent *a, const char *action, const char *reason, uint64_t left_out)
{
	AUTO_JSON json_t *last = last_load(a);
	json_t *boot = json_pack("{s:o, s:s, s:s?}", "utc", utc_json(a->settings.now_utc_s),
		"action", action, "reason", reason);

	if (left_out != 0)
		(void)json_object_set_new(boot, LEFT_OUT, json_integer((json_int_t)left_out));
	(void)json_object_set_new(last, "boot", boot);
	run_dir_save(a->settings.run, LAST_NAME, last, 0600);
}

uint64_t status_left_out(const struct agent *a)
{
	AUTO_JSON json_t *last = last_load(a);
	const json_t *boot = json_object_get(last, "boot");

	return (uint64_t)json_integer_value(json_object_get(boot, LEFT_OUT));
}

void status_take_in(struct agent *a, uint64_t build)
{
	AUTO_JSON json_t *last = NULL;

	if (build == 0 || status_left_out(a) != build)
		return;
	last = last_load(a);
	(void)json_object_del(json_object_get(last, "boot"), LEFT_OUT);
	run_dir_save(a->settings.run, LAST_NAME, last, 0600);
}

static const char *action_text(enum decision_action action)
{
	static const char *const texts[] = {
		[DECISION_NOTHING] = "nothing",
		[DECISION_INSTALL] = "install",
		[DECISION_REMOVE] = "remove",
		[DECISION_HOLD] = "hold",
		[DECISION_REFUSE] = "refuse",
	};

	return texts[action];
}

void status_keep_decision(struct agent *a, const struct decision *decision, int64_t expires_utc_s)
{
	AUTO_JSON json_t *last = last_load(a);

	(void)json_object_set_new(last, "check",
		json_pack("{s:o, s:s, s:s, s:s, s:s?, s:o}", "utc",
			utc_json(a->settings.now_utc_s), "action", action_text(decision->action),
			"id", decision->id, "reason", decision->reason, "letter",
			decision->entry ? decision->entry->letter : NULL, "expires",
			expires_utc_s == INT64_MAX ? json_null() : utc_json(expires_utc_s)));
	(void)json_object_del(last, "failure");
	run_dir_save(a->settings.run, LAST_NAME, last, 0600);
}


void status_keep_failure(struct agent *a, const struct error *why)
{
	AUTO_JSON json_t *last = last_load(a);
	char id[32];

	error_id(why->code, id, sizeof id);
	(void)json_object_set_new(last, "failure",
		json_pack("{s:o, s:s, s:s}", "utc", utc_json(a->settings.now_utc_s), "id", id,
			"reason", why->text));
	run_dir_save(a->settings.run, LAST_NAME, last, 0600);
}

/* The verdict that the last attach of this generation found for a component; NULL if it is lost. */
static const json_t *verdict_of(const json_t *last, uint64_t generation, const char *component)
{
	const json_t *attach = json_object_get(last, "attach");
	const json_t *verdicts = json_object_get(attach, "verdicts");
	size_t i;
	const json_t *v;

	if (json_integer_value(json_object_get(attach, "generation")) != (json_int_t)generation)
		return NULL;
	for (i = 0; i < json_array_size(verdicts); i++) {
		const char *name;

		v = json_array_get(verdicts, i);
		name = json_string_value(json_object_get(v, "name"));
		if (name && strcmp(name, component) == 0)
			return v;
	}
	return NULL;
}

/* Why a component could not change yet; NULL if it could. */
static const char *hold_of(const json_t *last, uint64_t generation, const char *component)
{
	const json_t *attach = json_object_get(last, "attach");
	const json_t *held = json_object_get(attach, "held");

	if (json_integer_value(json_object_get(attach, "generation")) != (json_int_t)generation)
		return NULL;
	for (size_t i = 0; i < json_array_size(held); i++) {
		const json_t *h = json_array_get(held, i);
		const char *name = json_string_value(json_object_get(h, "name"));

		if (name && strcmp(name, component) == 0)
			return json_string_value(json_object_get(h, "reason"));
	}
	return NULL;
}

bool status_held(struct agent *a, uint64_t generation, char *ret_name, size_t name_len)
{
	AUTO_JSON json_t *last = last_load(a);
	const json_t *attach = json_object_get(last, "attach");
	const json_t *first = json_array_get(json_object_get(attach, "held"), 0);
	const char *name = json_string_value(json_object_get(first, "name"));

	if (!name ||
		json_integer_value(json_object_get(attach, "generation")) != (json_int_t)generation)
		return false;
	(void)snprintf(ret_name, name_len, "%s", name);
	return true;
}

/* Everybody may read it, so neither files nor the programs that something waits for are named. */
static void say_why_off(const json_t *v, bool is_held, char *ret, size_t len)
{
	const char *name = json_string_value(json_object_get(v, "name"));
	const char *verdict = json_string_value(json_object_get(v, "verdict"));
	const char *reason = json_string_value(json_object_get(v, "reason"));

	if (is_held)
		(void)snprintf(ret, len, "%s waits for its programs to be closed", name);
	else if (strcmp(verdict, "mismatch") == 0)
		(void)snprintf(ret, len, "%s does not fit this device's files", name);
	else
		(void)snprintf(ret, len, "%s: %s", name, reason ? reason : "");
}

bool status_why_off(const struct agent *a, uint64_t generation, char *ret_reason, size_t reason_len)
{
	/* the weightiest first; of the first, it is a failure */
	static const char *const words[] = {"match", "mismatch", "superseded"};
	AUTO_JSON json_t *last = last_load(a);
	const json_t *verdicts = json_object_get(json_object_get(last, "attach"), "verdicts");

	ret_reason[0] = '\0';
	for (size_t k = 0; k < ARRAY_SIZE(words); k++)
		for (size_t i = 0; i < json_array_size(verdicts); i++) {
			const json_t *v = json_array_get(verdicts, i);
			const char *name = json_string_value(json_object_get(v, "name"));
			const char *verdict = json_string_value(json_object_get(v, "verdict"));
			bool is_held;

			if (!name || !verdict || strcmp(verdict, words[k]) != 0)
				continue;
			is_held = hold_of(last, generation, name) != NULL;
			say_why_off(v, is_held, ret_reason, reason_len);
			return k == 0 && !is_held;
		}
	return false;
}

static size_t count_attached_files(const struct graft_state *state, const struct component *c)
{
	size_t n = 0;

	for (size_t k = 0; k < c->n_files; k++)
		n += exposed_is_attached(state, c, c->files[k].path);
	return n;
}

/* Of its files the one whose reads are checked least says what holds for it. */
static enum graft_seal weakest_seal(const struct graft_state *state, const struct component *c)
{
	enum graft_seal weakest = GRAFT_SEAL_MAX - 1;

	for (size_t i = 0; i < state->n_mounts; i++) {
		const struct graft_mount *m = &state->mounts[i];

		if (m->visible && strcmp(m->component, c->name) == 0 && m->seal < weakest)
			weakest = m->seal;
	}
	return weakest;
}

/* Files that the set has which matched when the generation was made, so that should be covered. */
static size_t count_wanted_files(const struct generation *g, const struct component *c)
{
	for (size_t i = 0; i < g->n_components; i++) {
		if (strcmp(g->components[i].name, c->name) != 0)
			continue;
		for (size_t s = 0; g->components[i].set && s < c->n_sets; s++) {
			size_t n = 0;

			if (strcmp(c->sets[s].name, g->components[i].set) != 0)
				continue;
			for (size_t k = 0; k < c->n_files; k++)
				n += c->sets[s].files[k].present;
			return n;
		}
	}
	return 0;
}

/* What a component is now: one word for programs. */
static const char *component_state(const struct generation *g, const struct component *c,
	const char *verdict, size_t n_attached, bool is_held)
{
	size_t n_wanted = count_wanted_files(g, c);

	if (is_held && n_attached < n_wanted)
		return "held";
	if (n_attached > 0)
		return n_attached < n_wanted ? "partial" : "attached";
	if (verdict && strcmp(verdict, "match") != 0)
		return verdict;
	return "detached";
}

static int append_texts(json_t *array, char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(array, json_string(texts[i])) < 0)
			return -ENOMEM;
	return 0;
}

struct composing {
	struct agent *a;
	struct installed installed;
	struct graft_state *state;
	json_t *last;
	struct error damaged; /* why what is installed cannot be read; no text if it can */
	struct status_facts facts;
	char obstacle[FIT_PROBLEM_MAX]; /* to a run; no text if none is known */
	struct deadline deadline; /* of what is held */
	json_t *components, *fixed, *open;
};

static int add_due(const struct composing *x, json_t *row, const char *state)
{
	if (strcmp(state, "held") != 0 || x->deadline.due_utc_s == 0)
		return 0;
	return json_object_set_new(row, "due", utc_json(x->deadline.due_utc_s));
}

static int compose_component(struct composing *x, const struct component *c)
{
	const struct generation *g = x->installed.generation;
	const json_t *v = verdict_of(x->last, g->number, c->name);
	const char *verdict = json_string_value(json_object_get(v, "verdict"));
	size_t n_attached = count_attached_files(x->state, c);
	const char *hold = hold_of(x->last, g->number, c->name);
	const char *state = component_state(g, c, verdict, n_attached, hold != NULL);
	json_t *row, *cves = json_array();
	bool is_attached = strcmp(state, "attached") == 0;
	int r;

	if (!cves || append_texts(cves, c->cves, c->n_cves) < 0)
		return -ENOMEM;
	row = json_pack("{s:s, s:s, s:s?, s:s, s:I, s:I, s:o, s:s?}", "name", c->name, "state", state,
		"reason",
		is_attached ? NULL : hold ? hold : json_string_value(json_object_get(v, "reason")),
		"activation", activation_text(c->activation), "files", (json_int_t)c->n_files,
		"attached_files", (json_int_t)n_attached, "cves", cves, "seal",
		is_attached ? graft_seal_text(weakest_seal(x->state, c)) : NULL);
	if (!row || json_array_append_new(x->components, row) < 0 ||
		add_due(x, row, state) < 0)
		return -ENOMEM;

	if (is_attached || strcmp(state, "superseded") == 0) {
		x->facts.n_attached += is_attached;
		r = append_texts(x->fixed, c->cves, c->n_cves);
	} else if (strcmp(state, "absent") == 0) {
		r = 0;
	} else if (strcmp(state, "held") == 0) {
		if (x->facts.n_held++ == 0)
			x->facts.first_held = c->name;
		r = append_texts(x->open, c->cves, c->n_cves);
	} else if (strcmp(state, "mismatch") == 0) {
		if (x->facts.n_open++ == 0)
			x->facts.first_open = c->name;
		r = append_texts(x->open, c->cves, c->n_cves);
	} else {
		if (x->facts.n_detached++ == 0) {
			x->facts.first_detached = c->name;
			x->facts.why_detached = json_string_value(json_object_get(v, "problem"));
		}
		r = append_texts(x->open, c->cves, c->n_cves);
	}
	return r;
}

/* What the index says that was last seen, if one was; the device may be offline. */
static void compose_index(struct composing *x, json_t *document)
{
	AUTO_JSON json_t *enrolment = NULL;
	AUTO(remote) struct remote *remote = NULL;
	const struct index_entry *current, *installed = NULL;
	const struct index *index;

	x->facts.is_enrolled =
		store_enrolment_load(x->a->store, &enrolment, NULL) == 0;
	if (context_remote(x->a, &remote, NULL) < 0 ||
		remote_offline(remote, NULL) < 0)
		return;
	index = remote_index(remote);
	current = index_current(index);
	if (x->installed.manifest)
		installed = index_find_build(index, x->installed.manifest->build);
	x->facts.is_withdrawn = installed && installed->withdrawn == WITHDRAW_REMOVE;
	if (current)
		(void)json_object_set_new(document, "available",
			json_pack("{s:s, s:I}", "letter", current->letter, "build",
				(json_int_t)current->build));
	if (index->minimum)
		(void)json_object_set_new(document, "minimum", json_string(index->minimum));
	if (installed && installed->withdrawn != WITHDRAW_NONE)
		(void)json_object_set_new(document, "withdrawn",
			json_pack("{s:s, s:s}", "action", withdraw_text(installed->withdrawn),
				"reason", installed->reason));
}

/* On the way to the base: what lies there still, because programs use it. */
static int compose_leftovers(struct composing *x)
{
	const json_t *held = json_object_get(json_object_get(x->last, "attach"), "held");

	for (size_t i = 0; i < json_array_size(held); i++) {
		const char *name = json_string_value(
			json_object_get(json_array_get(held, i), "name"));
		const char *reason = name ? hold_of(x->last, 0, name) : NULL;
		json_t *row;

		if (!reason)
			continue;
		if (x->facts.n_held++ == 0)
			x->facts.first_held = name;
		row = json_pack("{s:s, s:s, s:s}", "name", name, "state", "held", "reason", reason);
		if (!row || json_array_append_new(x->components, row) < 0 ||
			add_due(x, row, "held") < 0)
			return -ENOMEM;
	}
	return 0;
}

static int compose_components(struct composing *x)
{
	const struct manifest *m = x->installed.manifest;
	int r = 0;

	if (!m)
		return compose_leftovers(x);

	for (size_t i = 0; r == 0 && i < m->n_components; i++)
		r = compose_component(x, &m->components[i]);
	return r;
}

/* Everything but open CVEs, processes and where the device is enrolled. */
static void save_public(const struct agent *a, const json_t *document)
{
	AUTO_JSON json_t *public = json_deep_copy(document);
	const json_t *exposure = json_object_get(document, "exposure");
	json_t *components = json_object_get(public, "components"), *row;
	size_t i;

	if (!public)
		return;
	(void)json_object_del(public, "cves_open");
	(void)json_object_del(public, "exposure");
	(void)json_object_set_new(public, "exposed",
		json_copy(json_object_get(exposure, "exposed")));
	json_array_foreach(components, i, row)
	{
		/* which CVEs an unattached component would fix is the list of open ones */
		const char *state = json_string_value(json_object_get(row, "state"));

		if (!state || (strcmp(state, "attached") != 0 && strcmp(state, "superseded") != 0)) {
			(void)json_object_del(row, "cves");
			(void)json_object_del(row, "reason");
		}
	}
	run_dir_save(a->settings.run, PUBLIC_NAME, public, 0644);
}

static void composing_done(struct composing *x)
{
	installed_done(&x->installed);
	graft_state_free(x->state);
	json_decref(x->last);
	json_decref(x->components);
	json_decref(x->fixed);
	json_decref(x->open);
}

static int gather(struct composing *x, struct error *reterr)
{
	struct graft_host host;
	int r;

	r = context_installed(x->a, &x->installed, &x->damaged);
	if (r == -ENOMEM)
		return r;
	if (r == 0)
		x->damaged = (struct error){0}; /* words on the way to an answer are none */
	r = 0;
	if (context_host(x->a, &host, NULL) == 0)
		r = graft_state_read(&host, &x->state, reterr);
	else
		x->state = calloc(1, sizeof *x->state);
	if (r < 0)
		return r;
	x->deadline = deadline_of(x->a, x->installed.generation);
	x->last = last_load(x->a);
	x->components = json_array();
	x->fixed = json_array();
	x->open = json_array();
	return x->state && x->last && x->components && x->fixed && x->open ? 0 : -ENOMEM;
}

static json_t *start_document(const struct composing *x)
{
	const struct manifest *m = x->installed.manifest;

	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:o, s:b}", "format",
		"bsi-status", "version", 1, "sentence", "", "state", "", "base", x->a->device->base,
		"name", x->a->device->name, "letter", m ? m->letter : NULL, "build",
		(json_int_t)(m ? m->build : 0), "generation",
		(json_int_t)(m ? x->installed.generation->number : 0), "utc",
		utc_json(x->a->settings.now_utc_s), "automatic", context_is_automatic(x->a));
}

/* A clock that is behind what offline keys signed is wrong, and says why metadata seems to last. */
static void compose_clock(const struct composing *x, json_t *document)
{
	int64_t floor_utc_s = 0, now = x->a->settings.now_utc_s;
	json_t *text;

	if (store_floor_get(x->a->store, &floor_utc_s, NULL) < 0 || now >= floor_utc_s)
		return;
	text = json_sprintf("this device's clock says %s, and the publisher signed something at %s: "
			    "the clock is wrong; or if the publisher's was, 'bsi enroll URL --replace "
			    "--root FILE' begins anew",
		utc_format(now).text, utc_format(floor_utc_s).text);
	(void)json_object_set_new(document, "clock", text);
}

static bool is_packages_unchanged(const struct composing *x)
{
	const char *then = json_string_value(json_object_get(x->last, "packages"));

	return !then || strcmp(then, packages_stamp(x->a->root_fd).text) == 0;
}

/* What led to an improvement is no reason for a device to be on its base. */
static bool is_reason_for_base(const char *id)
{
	static const char *const others[] = {"asked", "up-to-date", "newer-installed", "available",
		"relaunch-wanted"};

	for (size_t i = 0; id && i < ARRAY_SIZE(others); i++)
		if (strcmp(id, others[i]) == 0)
			return false;
	return id != NULL;
}

/* Nobody said yet why it is off; whether a run would attach it can be known all the same. */
static void look_at_obstacle(struct composing *x)
{
	const struct agent *a = x->a;

	if (a->settings.why_off)
		(void)snprintf(x->obstacle, sizeof x->obstacle, "%s", a->settings.why_off);
	else if (access(a->settings.state, W_OK) < 0)
		(void)snprintf(x->obstacle, sizeof x->obstacle, "%s: %s", a->settings.state,
			error_text(-errno));
	else if (sealing_look(a, x->obstacle, NULL) < 0)
		x->obstacle[0] = '\0';
	if (x->obstacle[0])
		x->facts.why_detached = x->obstacle;
}

static void compose_facts(struct composing *x, const json_t *exposure)
{
	const json_t *check = json_object_get(x->last, "check");
	struct status_facts *f = &x->facts;

	f->base_name = x->a->device->name;
	f->damage = x->damaged.text[0] ? x->damaged.text : NULL;
	f->letter = x->installed.manifest ? x->installed.manifest->letter : NULL;
	f->was_attached_since_boot = was_attached(x->last);
	if (!json_object_get(x->last, "attach") && !f->why_detached)
		f->why_detached = json_string_value(
			json_object_get(json_object_get(x->last, "boot"), "reason"));
	if (f->n_detached > 0 && !f->why_detached)
		look_at_obstacle(x);
	/* verdicts from before a package changed are no verdicts about what is there now */
	f->is_scanned = exposure != NULL && (is_packages_unchanged(x) || settled_is(x->a));
	f->n_exposed = (size_t)json_integer_value(json_object_get(exposure, "exposed"));
	f->held_due_utc_s = x->deadline.due_utc_s;
	f->is_overdue = x->deadline.is_over;
	f->n_unknown = (size_t)json_integer_value(json_object_get(exposure, "unknown"));
	if (is_reason_for_base(json_string_value(json_object_get(check, "id"))))
		f->reason = json_string_value(json_object_get(check, "reason"));
}

int status_compose(struct agent *a, json_t **ret, struct error *reterr)
{
	__attribute__((cleanup(composing_done))) struct composing x = {.a = a};
	AUTO_JSON json_t *document = NULL, *exposure = NULL;
	char sentence[STATUS_SENTENCE_MAX];
	enum status_state state;
	int r;

	r = gather(&x, reterr);
	if (r < 0)
		return r;
	document = start_document(&x);
	if (!document)
		return -ENOMEM;
	compose_index(&x, document);
	compose_clock(&x, document);
	r = compose_components(&x);
	if (r < 0)
		return r;
	/* a scan that fails leaves "not yet checked", never "protected" */
	(void)!exposed_scan(a, &x.installed, x.state, &exposure, NULL);
	compose_facts(&x, exposure);

	state = status_sentence(&x.facts, sentence);
	if (json_object_set_new(document, "sentence", json_string(sentence)) < 0 ||
		json_object_set_new(document, "state", json_string(status_state_text(state))) < 0 ||
		json_object_set(document, "components", x.components) < 0 ||
		json_object_set(document, "cves_fixed", x.fixed) < 0 ||
		json_object_set(document, "cves_open", x.open) < 0 ||
		json_object_set(document, "exposure", exposure ? exposure : json_null()) < 0)
		return -ENOMEM;
	if (json_object_get(x.last, "boot"))
		(void)json_object_set(document, "boot", json_object_get(x.last, "boot"));
	if (json_object_get(x.last, "check"))
		(void)json_object_set(document, "check", json_object_get(x.last, "check"));
	if (json_object_get(x.last, "failure"))
		(void)json_object_set(document, "failure", json_object_get(x.last, "failure"));
	save_public(a, document);
	*ret = take_ptr(document);
	return 0;
}

int agent_public_status(const char *run, json_t **ret, struct error *reterr)
{
	int r = run_dir_load(run, PUBLIC_NAME, ret);

	if (r == -ENOENT)
		return error_set(reterr, r,
			"no status since boot yet; as root 'bsi status' finds it out");
	return r < 0 ? error_set(reterr, r, "%s/%s: %s", run, PUBLIC_NAME, error_text(r)) : 0;
}
