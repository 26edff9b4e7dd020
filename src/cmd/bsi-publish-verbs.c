/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of bsi-publish that make a repository and change what it says of a base. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/utc.h"
#include "cmd/bsi-publish.h"
#include "improvement/letter.h"
#include "improvement/text.h"
#include "publish/commit.h"
#include "publish/foundation.h"
#include "publish/succession.h"

#define AUTO_SECRET __attribute__((cleanup(publish_secret_done)))
#define AUTO_SESSION __attribute__((cleanup(publish_session_done)))
#define AUTO_INPUT __attribute__((cleanup(publish_input_done)))

/* "ID=NAME" or "ID". */
static int read_bases(const struct verb_call *call, struct foundation_base *bases, char **texts)
{
	size_t n = call_n_values(call, "base");

	for (size_t i = 0; i < n; i++) {
		char *equals;

		texts[i] = strdup(call_value_at(call, "base", i));
		if (!texts[i])
			return -ENOMEM;
		equals = strchr(texts[i], '=');
		if (equals)
			*equals++ = '\0';
		bases[i] = (struct foundation_base){.id = texts[i], .name = equals};
	}
	return 0;
}

static void show_foundation(const struct verb_call *call, const struct foundation *f)
{
	json_t *bases, *document;

	if (!call_has(call, "json")) {
		printf("%s: a repository for %zu %s; devices enrol with %s/metadata/1.root.json\n",
			f->path, f->n_bases, f->n_bases == 1 ? "base" : "bases", f->path);
		printf("%s: offline keys%s; keep them away from any web server\n", f->keys_path,
			f->passphrase ? "" : " (plain)");
		printf("%s: online keys of snapshot and timestamp, for 'refresh'\n",
			f->online_path);
		return;
	}
	bases = json_array();
	for (size_t i = 0; i < f->n_bases; i++)
		(void)json_array_append_new(bases, json_string(f->bases[i].id));
	document = json_pack("{s:s, s:s, s:s, s:I, s:o}", "repository", f->path, "keys",
		f->keys_path, "online_keys", f->online_path, "threshold", (json_int_t)f->threshold,
		"bases", bases);
	call_print_json(document);
	json_decref(document);
}

static int lay(struct verb_call *call, struct foundation *f, struct error *reterr)
{
	AUTO_FREE char *keys = NULL, *online = NULL;
	AUTO_SECRET struct publish_secret secret = {};
	uint64_t n_keys = 0;
	int r;

	f->threshold = 1;
	r = call_number(call, "threshold", KEYRING_KEYS_MAX, &f->threshold, reterr);
	n_keys = f->threshold;
	if (r == 0)
		r = call_number(call, "key-count", KEYRING_KEYS_MAX, &n_keys, reterr);
	if (r == 0)
		r = publish_issue_time(call, NULL, &f->now_utc_s, reterr);
	if (r == 0)
		r = publish_keys_path(call, f->path, "keys", "-keys", &keys);
	if (r == 0)
		r = publish_keys_path(call, f->path, "online-keys", "-online", &online);
	if (r == 0)
		r = publish_ask_secret(call, PUBLISH_SECRET_NEW, keys, &secret, reterr);
	if (r < 0)
		return r;
	f->n_keys = n_keys;
	f->keys_path = keys;
	f->online_path = online;
	f->passphrase = secret.text;
	r = foundation_lay(f, reterr);
	if (r == 0)
		show_foundation(call, f);
	return r;
}

int publish_init(struct verb_call *call, struct error *reterr)
{
	size_t n = call_n_values(call, "base");
	AUTO_FREE struct foundation_base *bases = calloc(n + 1, sizeof *bases);
	AUTO_FREE char **texts = calloc(n + 1, sizeof *texts);
	struct foundation f = {.path = call_argument(call, 0), .bases = bases, .n_bases = n};
	int r;

	if (!bases || !texts)
		return -ENOMEM;
	r = read_bases(call, bases, texts);
	if (r == 0)
		r = lay(call, &f, reterr);
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	return r;
}

/* The letter that a base is at now: fixes of its components stay confirmed; what is lost is said. */
static int carry(const struct repository *repository, const struct repository_role *base,
	struct plan *p, struct error *reterr)
{
	AUTO(manifest) struct manifest *before = NULL;
	AUTO(index) struct index *index = NULL;
	const struct index_entry *current;
	int r;

	r = repository_load_index(repository, base, &index, reterr);
	current = r == 0 ? index_current(index) : NULL;
	if (!current)
		return r;
	r = repository_load_manifest(repository, base, current, &before, reterr);
	if (r == 0)
		r = succession_warn(p, before);
	return r < 0 ? r : fixes_carry(p, before, reterr);
}

/* What `add` will ask to be decided. */
static void warn_contested(const struct plan *p)
{
	struct error e = {};

	if (fixes_check(p, &e) < 0)
		fprintf(stderr, "warning: %s\n", e.text);
}

static bool has_refusals(const struct plan *p)
{
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].kind == PLAN_REFUSED)
			return true;
	return false;
}

int publish_plan(struct verb_call *call, struct error *reterr)
{
	AUTO_INPUT struct publish_input in = {};
	AUTO(repository) struct repository *repository = NULL;
	struct repository_role *base = NULL;
	int r;

	r = publish_read_input(call, &in, reterr);
	if (r == 0 && call_argument(call, 0)) {
		r = repository_open(call_argument(call, 0), 0, &repository, reterr);
		if (r == 0)
			r = repository_base(repository, call_value(call, "base"), &base, reterr);
		if (r == 0)
			r = carry(repository, base, in.plan, reterr);
	}
	if (r == 0)
		r = publish_confirm(call, in.plan, reterr);
	if (r < 0)
		return r;
	warn_contested(in.plan);
	if (call_has(call, "json")) {
		json_t *document = publish_plan_json(in.plan);

		call_print_json(document);
		json_decref(document);
	} else {
		publish_show_plan(in.plan);
	}
	r = plan_check(in.plan, reterr);
	/* to a reader of the whole plan, what it says already is enough */
	if (r < 0 && !call_has(call, "json") && has_refusals(in.plan))
		return error_set(reterr, r, "the plan is refused, as it says above");
	return r;
}

static void show_progress(void *ctx, const char *component, uint64_t done_bytes,
	uint64_t total_bytes)
{
	char what[192];

	(void)snprintf(what, sizeof what, "%s: compressing", component);
	progress_show(ctx, what, done_bytes, total_bytes);
}

static void show_delta_progress(void *ctx, const char *component, uint64_t done_bytes,
	uint64_t total_bytes)
{
	char what[192];

	(void)snprintf(what, sizeof what, "%s: encoding", component);
	progress_show(ctx, what, done_bytes, total_bytes);
}

static void warn_unconfirmed(const struct plan *p)
{
	for (size_t i = 0; i < p->n_components; i++) {
		const struct plan_component *c = &p->components[i];
		size_t n = 0;

		for (size_t k = 0; k < c->n_fixes; k++)
			n += !c->fixes[k].is_confirmed;
		if (n > 0)
			fprintf(stderr,
				"%s: %zu CVE %s that changelogs name not confirmed and not signed "
				"as fixed (--cve, --cve-named; see 'plan')\n",
				c->name, n, n == 1 ? "id" : "ids");
		else if (c->n_fixes == 0)
			fprintf(stderr, "%s: no CVE id is known for it\n", c->name);
	}
	for (size_t i = 0; i < p->n_components; i++)
		if (p->components[i].n_equivalent > 0)
			fprintf(stderr, "%s: %zu rebuilt %s without a change left out (see 'plan')\n",
				p->components[i].name, p->components[i].n_equivalent,
				p->components[i].n_equivalent == 1 ? "file" : "files");
	for (size_t i = 0; i < p->n_notes; i++)
		if (p->notes[i].kind == PLAN_WARNING)
			fprintf(stderr, "warning: %s: %s\n", p->notes[i].subject,
				p->notes[i].reason);
}

static void show_added(const struct verb_call *call, const struct manifest *m, bool is_already)
{
	AUTO_JSON json_t *document = NULL;

	if (!call_has(call, "json")) {
		if (is_already)
			printf("already published as (%s)\n", m->letter);
		publish_show_manifest(m);
		return;
	}
	document = publish_manifest_json(m);
	(void)json_object_set_new(document, "already", json_boolean(is_already));
	call_print_json(document);
}

static int add(struct verb_call *call, const struct publish_session *s, struct publish_input *in,
	struct error *reterr)
{
	size_t n_dropped = call_n_values(call, "drop");
	AUTO_FREE const char **dropped = calloc(n_dropped + 1, sizeof *dropped);
	AUTO(manifest) struct manifest *m = NULL;
	struct progress bar = progress_start();
	const struct build_progress progress = {.ctx = &bar, .show = show_progress};
	const struct build_progress delta_progress = {.ctx = &bar, .show = show_delta_progress};
	const struct issue_letter letter = {
		.plan = in->plan,
		.to = in->to,
		.severity = call_value(call, "severity"),
		.text = call_value(call, "text"),
		.dropped = dropped,
		.n_dropped = n_dropped,
		.progress = &progress,
		.delta_progress = &delta_progress,
		.flags = call_has(call, "no-deltas") ? ISSUE_NO_DELTAS : 0,
	};
	int r;

	if (!dropped)
		return -ENOMEM;
	for (size_t i = 0; i < n_dropped; i++)
		dropped[i] = call_value_at(call, "drop", i);
	r = issue_add(&s->issue, &letter, &m, reterr);
	progress_end(&bar);
	if (r < 0)
		return r;
	if (r != ISSUE_ALREADY)
		warn_unconfirmed(in->plan);
	if (s->issue.draft && r != ISSUE_ALREADY) {
		if (!call_has(call, "json"))
			publish_show_manifest(m);
		return publish_show_begun(call, s, reterr);
	}
	show_added(call, m, r == ISSUE_ALREADY);
	return 0;
}

/* Before keys are asked for and images are made. */
static int check_words(const struct verb_call *call, struct error *reterr)
{
	const char *severity = call_value(call, "severity"), *text = call_value(call, "text");
	bool is_known = !severity;

	for (const char *const *s = manifest_severities; *s; s++)
		is_known |= severity && strcmp(*s, severity) == 0;
	if (!is_known)
		return error_set(reterr, -BSI_E_USAGE,
			"--severity knows low, medium, high and critical, not \"%s\"", severity);
	if (text && !text_is_plain(text, MANIFEST_TEXT_MAX_BYTES))
		return error_set(reterr, -BSI_E_USAGE,
			"--text takes up to %d bytes of UTF-8 without control characters",
			(int)MANIFEST_TEXT_MAX_BYTES);
	return 0;
}

int publish_add(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct publish_session s = {};
	AUTO_INPUT struct publish_input in = {};
	int r;

	bool drops_only = call_has(call, "drop") && !call_has(call, "from") && !call_has(call, "to");

	r = check_words(call, reterr);
	if (r == 0)
		r = publish_session_open(call, &s, reterr);
	if (r == 0 && drops_only) {
		in.plan = calloc(1, sizeof *in.plan);
		return in.plan ? add(call, &s, &in, reterr) : -ENOMEM;
	}
	if (r == 0)
		r = publish_read_input(call, &in, reterr);
	if (r == 0)
		r = plan_check(in.plan, reterr);
	if (r == 0)
		r = carry(s.repository, s.issue.base, in.plan, reterr);
	if (r == 0)
		r = publish_confirm(call, in.plan, reterr);
	if (r == 0)
		r = fixes_check(in.plan, reterr);
	return r < 0 ? r : add(call, &s, &in, reterr);
}

static void show_change(const struct verb_call *call, const char *base, const char *letter,
	const char *change)
{
	json_t *document;

	if (!call_has(call, "json")) {
		printf("%s: %s%s%s%s\n", base, letter ? "(" : "", letter ? letter : "",
			letter ? ") " : "", change);
		return;
	}
	document = json_pack("{s:s, s:s?, s:s}", "base", base, "letter", letter, "change", change);
	call_print_json(document);
	json_decref(document);
}

int publish_withdraw(struct verb_call *call, struct error *reterr)
{
	const char *letter = call_argument(call, 1), *how = call_value(call, "action");
	const char *reason = call_value(call, "reason");
	enum withdraw_action action = WITHDRAW_NONE;
	AUTO_SESSION struct publish_session s = {};
	int r;

	if (!how || withdraw_parse(how, &action) < 0 || action == WITHDRAW_NONE)
		return error_set(reterr, -BSI_E_USAGE, "--action takes stop or remove");
	if (!reason || !*reason)
		return error_set(reterr, -BSI_E_USAGE, "--reason is needed: people will ask");
	if (letter_check(letter) < 0)
		return error_set(reterr, -BSI_E_USAGE, "\"%s\" is no letter", letter);
	r = publish_session_open(call, &s, reterr);
	if (r == 0)
		r = issue_withdraw(&s.issue, letter, action, reason, reterr);
	if (r == 0 && s.issue.draft)
		return publish_show_begun(call, &s, reterr);
	if (r == 0)
		show_change(call, s.issue.base->name, letter,
			action == WITHDRAW_STOP ? "withdrawn: no new installs"
						: "withdrawn: installed copies go too");
	return r;
}

int publish_minimum(struct verb_call *call, struct error *reterr)
{
	const char *letter = call_argument(call, 1);
	AUTO_SESSION struct publish_session s = {};
	int r;

	if (!letter == !call_has(call, "none"))
		return error_set(reterr, -BSI_E_USAGE, "either a letter or --none is needed");
	if (letter && letter_check(letter) < 0)
		return error_set(reterr, -BSI_E_USAGE, "\"%s\" is no letter", letter);
	r = publish_session_open(call, &s, reterr);
	if (r == 0)
		r = issue_minimum(&s.issue, letter, reterr);
	if (r == 0 && s.issue.draft)
		return publish_show_begun(call, &s, reterr);
	if (r == 0)
		show_change(call, s.issue.base->name, letter,
			letter ? "is the minimum" : "no minimum");
	return r;
}
