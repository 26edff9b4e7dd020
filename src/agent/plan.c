/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verb that shows what would have to be restarted, before anything happens. */
#include <errno.h>

#include "agent/ask.h"
#include "agent/deadline.h"
#include "agent/exposed.h"
#include "agent/restart.h"
#include "base/utc.h"
#include "graft/state.h"

/* By when programs should be closed that hold it back: from now on, or it waits already. */
static int find_due(struct agent *a, const struct manifest *m, struct utc_text *ret)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	bool is_here;
	int r = context_installed_or_none(a, &installed);

	if (r < 0)
		return r;
	is_here = m && installed.manifest && installed.manifest->build == m->build;
	*ret = utc_format((is_here ? deadline_of(a, installed.generation) : deadline_from_now(a))
				  .due_utc_s);
	return 0;
}

static int describe_components(const struct fit *fit, const struct utc_text *due, json_t **ret)
{
	AUTO_JSON json_t *list = json_array();

	for (size_t i = 0; list && fit && i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "name", c->component->name, "verdict",
			match_verdict_text(c->match.verdict), "activation",
			activation_text(c->component->activation), "reason", c->match.reason);

		if (!row || json_array_append_new(list, row) < 0)
			return -ENOMEM;
		if (c->component->activation != ACTIVATION_LIVE &&
			json_object_set_new(row, "due", json_string(due->text)) < 0)
			return -ENOMEM;
	}
	*ret = take_ptr(list);
	return *ret ? 0 : -ENOMEM;
}

/* Who would run old code after the change: m in the place of what is attached, or nothing. */
static int scan_coming(struct agent *a, const struct manifest *m, const struct graft_state *state,
	json_t **ret, struct error *reterr)
{
	AUTO(fit) struct fit *fit = NULL;
	AUTO_JSON json_t *exposure = NULL, *components = NULL;
	struct utc_text due;
	int r = m ? fit_measure(a->root_fd, m, &fit, reterr) : 0;

	if (r == 0)
		r = exposed_scan_coming(fit, m, state, &exposure, reterr);
	if (r == 0)
		r = restart_describe(a, exposure, m, reterr);
	if (r == 0)
		r = find_due(a, m, &due);
	if (r == 0)
		r = describe_components(fit, &due, &components);
	if (r == 0 && json_object_set(exposure, "components", components) < 0)
		r = -ENOMEM;
	if (r == 0)
		*ret = take_ptr(exposure);
	return r;
}

static int scan_now(struct agent *a, const struct graft_state *state, json_t **ret,
	struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO_JSON json_t *exposure = NULL;
	int r;

	r = context_installed(a, &installed, reterr);
	if (r == 0)
		r = exposed_scan(a, &installed, state, &exposure, reterr);
	if (r == 0)
		r = restart_describe(a, exposure, NULL, reterr);
	if (r == 0)
		*ret = take_ptr(exposure);
	return r;
}

static int plan_decision(struct agent *a, struct remote *remote, const struct decision *decision,
	json_t **ret, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(MANIFEST_MAX_BYTES);
	AUTO(manifest) struct manifest *m = NULL;
	AUTO(graft_state) struct graft_state *state = NULL;
	struct graft_host host;
	int r;

	r = context_host(a, &host, reterr);
	if (r == 0)
		r = graft_state_read(&host, &state, reterr);
	if (r < 0)
		return r;
	if (decision->action == DECISION_REMOVE)
		return scan_coming(a, NULL, state, ret, reterr);
	if ((decision->action != DECISION_INSTALL && decision->action != DECISION_HOLD) ||
		!decision->entry)
		return scan_now(a, state, ret, reterr);
	r = remote_manifest(remote, decision->entry, &bytes, &m, reterr);
	return r < 0 ? r : scan_coming(a, m, state, ret, reterr);
}

int agent_plan(struct agent *a, json_t **ret, struct error *reterr)
{
	static const char *const actions[] = {[DECISION_NOTHING] = "nothing",
		[DECISION_INSTALL] = "install",
		[DECISION_REMOVE] = "remove",
		[DECISION_HOLD] = "hold",
		[DECISION_REFUSE] = "nothing"};
	const struct asking asking = {0};
	AUTO(remote) struct remote *remote = NULL;
	AUTO_JSON json_t *document = NULL, *exposure = NULL;
	struct decision decision;
	int r;

	r = ask_publisher(a, &asking, &remote, &decision, reterr);
	/* from here on nothing is changed */
	store_unlock(a->store);
	if (r == 0)
		r = plan_decision(a, remote, &decision, &exposure, reterr);
	if (r < 0)
		return r;
	document = json_pack("{s:s, s:s?, s:s}", "action", actions[decision.action], "letter",
		decision.entry ? decision.entry->letter : NULL, "why", decision.reason);
	if (!document || json_object_update(document, exposure) < 0)
		return error_set(reterr, -ENOMEM, "no memory for the plan");
	*ret = take_ptr(document);
	return 0;
}
