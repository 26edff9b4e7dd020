/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the options of `plan` and `add` to states and a plan. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/utc.h"
#include "cmd/bsi-publish.h"
#include "improvement/base_id.h"
#include "improvement/text.h"

#define CVE_FILE_MAX_BYTES (1U << 20)
#define CVE_FILE_IDS_MAX 4096

int publish_now(const struct verb_call *call, int64_t *ret_utc_s, struct error *reterr)
{
	const char *text = call_value(call, "time");
	struct timespec now;

	if (text) {
		if (utc_parse(text, ret_utc_s) < 0)
			return error_set(reterr, -BSI_E_USAGE,
				"--time takes YYYY-MM-DDTHH:MM:SSZ, not \"%s\"", text);
		return 0;
	}
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	*ret_utc_s = now.tv_sec;
	return 0;
}

int publish_issue_time(const struct verb_call *call, const struct repository *r,
	int64_t *ret_utc_s, struct error *reterr)
{
	struct timespec host;
	int64_t now_utc_s;
	int result;

	result = publish_now(call, &now_utc_s, reterr);
	if (result == 0 && clock_gettime(CLOCK_REALTIME, &host) < 0)
		result = -errno;
	if (result == 0)
		result = repository_check_time(r, now_utc_s, host.tv_sec, reterr);
	if (result == 0)
		*ret_utc_s = now_utc_s;
	return result;
}

/* "NAME=REST" in two; the name is kept in in->texts. */
static int split(struct publish_input *in, const char *option, const char *text,
	const char **ret_name, const char **ret_rest, struct error *reterr)
{
	const char *equals = strchr(text, '=');
	char **grown, *name;

	if (!equals || equals == text || !equals[1])
		return error_set(reterr, -BSI_E_USAGE, "--%s takes NAME=VALUE, not \"%s\"", option,
			text);
	grown = reallocarray(in->texts, in->n_texts + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	in->texts = grown;
	name = strndup(text, (size_t)(equals - text));
	if (!name)
		return -ENOMEM;
	grown[in->n_texts++] = name;
	if (!text_is_name(name, MANIFEST_NAME_MAX_BYTES))
		return error_set(reterr, -BSI_E_USAGE,
			"\"%s\" cannot name a component: a-z, 0-9, '.', '+', '-'", name);
	*ret_name = name;
	*ret_rest = equals + 1;
	return 0;
}

static int read_rules(const struct verb_call *call, struct publish_input *in,
	struct error *reterr)
{
	size_t n = call_n_values(call, "component");

	in->rules = calloc(n + 1, sizeof *in->rules);
	if (!in->rules)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = split(in, "component", call_value_at(call, "component", i),
			&in->rules[i].name, &in->rules[i].glob, reterr);

		if (r < 0)
			return r;
	}
	in->request.rules = in->rules;
	in->request.n_rules = n;
	return 0;
}

static int read_activations(const struct verb_call *call, struct publish_input *in,
	struct error *reterr)
{
	size_t n = call_n_values(call, "activation");

	in->activations = calloc(n + 1, sizeof *in->activations);
	if (!in->activations)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *how = NULL;
		int r = split(in, "activation", call_value_at(call, "activation", i),
			&in->activations[i].component, &how, reterr);

		if (r < 0)
			return r;
		if (activation_parse(how, &in->activations[i].activation) < 0)
			return error_set(reterr, -BSI_E_USAGE,
				"--activation knows live, idle and boot, not \"%s\"", how);
	}
	in->request.activations = in->activations;
	in->request.n_activations = n;
	return 0;
}

static int read_leave_out(const struct verb_call *call, struct publish_input *in)
{
	size_t n = call_n_values(call, "leave-out");

	in->leave_out = calloc(n + 1, sizeof *in->leave_out);
	if (!in->leave_out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		in->leave_out[i] = call_value_at(call, "leave-out", i);
	in->request.leave_out = in->leave_out;
	in->request.n_leave_out = n;
	return 0;
}

static int read_state(const char *argument, struct progress *bar, struct state **ret,
	struct error *reterr)
{
	char what[256];

	(void)snprintf(what, sizeof what, "reading %s", argument);
	progress_show(bar, what, 0, 0);
	return state_open(argument, ret, reterr);
}

static int read_states(const struct verb_call *call, struct publish_input *in,
	struct progress *bar, struct error *reterr)
{
	size_t n = call_n_values(call, "from");
	int r = 0;

	if (n == 0 || !call_has(call, "to"))
		return error_set(reterr, -BSI_E_USAGE, "--from and --to are needed");
	if (n > COMPARE_FROM_MAX)
		return error_set(reterr, -BSI_E_USAGE, "more than %d times --from",
			COMPARE_FROM_MAX);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = read_state(call_value_at(call, "from", i), bar, &in->from[i], reterr);
		in->n_from += r == 0;
	}
	if (r == 0)
		r = read_state(call_value(call, "to"), bar, &in->to, reterr);
	in->request.from = in->from;
	in->request.n_from = in->n_from;
	in->request.to = in->to;
	return r;
}

static int read_architecture(const struct verb_call *call, struct publish_input *in,
	struct error *reterr)
{
	const char *base = call_value(call, "base");
	AUTO(base_id) struct base_id *id = NULL;
	char **grown;

	if (!base)
		return error_set(reterr, -BSI_E_USAGE, "--base is needed, such as debian:12:amd64");
	if (base_id_parse(base, &id) < 0)
		return error_set(reterr, -BSI_E_USAGE,
			"\"%s\" names no base: ID:VERSION:ARCH, such as debian:12:amd64", base);
	grown = reallocarray(in->texts, in->n_texts + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	in->texts = grown;
	grown[in->n_texts++] = take_ptr(id->arch);
	in->request.architecture = grown[in->n_texts - 1];
	if (call_has(call, "include-docs"))
		in->request.flags |= PLAN_INCLUDE_DOCS;
	if (call_has(call, "keep-equivalent"))
		in->request.flags |= PLAN_KEEP_EQUIVALENT;
	return 0;
}

int publish_read_input(const struct verb_call *call, struct publish_input *ret,
	struct error *reterr)
{
	struct progress bar = progress_start();
	int r;

	*ret = (struct publish_input){};
	r = read_architecture(call, ret, reterr);
	if (r == 0)
		r = read_rules(call, ret, reterr);
	if (r == 0)
		r = read_activations(call, ret, reterr);
	if (r == 0)
		r = read_leave_out(call, ret);
	if (r == 0)
		r = read_states(call, ret, &bar, reterr);
	if (r == 0) {
		progress_show(&bar, "comparing", 0, 0);
		r = plan_make(&ret->request, &ret->plan, reterr);
	}
	if (r == 0)
		r = fixes_find(ret->plan, &ret->request, reterr);
	progress_end(&bar);
	return r;
}

void publish_input_done(struct publish_input *in)
{
	plan_free(in->plan);
	for (size_t i = 0; i < in->n_from; i++)
		state_free(in->from[i]);
	state_free(in->to);
	for (size_t i = 0; i < in->n_texts; i++)
		free(in->texts[i]);
	free(in->texts);
	free(in->rules);
	free(in->activations);
	free(in->leave_out);
	*in = (struct publish_input){};
}

/* Ids of a file, one a line; '#' begins a comment. Cuts the text into strings. */
static int read_ids(char *text, size_t len, const char **ids, size_t max, size_t *ret_n)
{
	char *save = NULL;

	text[len] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *end = line + strcspn(line, "#");

		while (end > line && strchr(" \t\r", end[-1]))
			end--;
		*end = '\0';
		line += strspn(line, " \t");
		if (!*line)
			continue;
		if (*ret_n == max)
			return -BSI_E_LIMIT;
		ids[(*ret_n)++] = line;
	}
	return 0;
}

static int read_cve_file(const char *path, struct buffer *out, struct error *reterr)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	r = fd < 0 ? -errno : file_read_fd(fd, CVE_FILE_MAX_BYTES, out);
	if (r == 0)
		buffer_put_u8(out, '\0');
	if (r < 0)
		return error_set(reterr, r, "%s: %s", path, error_text(r));
	return out->err;
}

int publish_confirm(const struct verb_call *call, struct plan *p, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer file = buffer_of(CVE_FILE_MAX_BYTES + 1);
	size_t n = call_n_values(call, "cve"), n_denied = call_n_values(call, "no-cve");
	size_t max = n + CVE_FILE_IDS_MAX;
	AUTO_FREE const char **ids = calloc(max + 1, sizeof *ids);
	AUTO_FREE const char **denied = calloc(n_denied + 1, sizeof *denied);
	struct fixes_choice choice = {.n_denied = n_denied};
	int r = 0;

	if (!ids || !denied)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ids[i] = call_value_at(call, "cve", i);
	for (size_t i = 0; i < n_denied; i++)
		denied[i] = call_value_at(call, "no-cve", i);
	if (call_has(call, "cve-file")) {
		r = read_cve_file(call_value(call, "cve-file"), &file, reterr);
		if (r == 0)
			r = read_ids((char *)file.data, file.len - 1, ids, max, &n);
		if (r < 0)
			return r;
	}
	choice.confirmed = ids;
	choice.n_confirmed = n;
	choice.denied = denied;
	if (call_has(call, "cve-named"))
		choice.flags |= FIXES_NAMED;
	return fixes_confirm(p, &choice, reterr);
}
