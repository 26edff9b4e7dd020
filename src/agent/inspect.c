/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs that look and change nothing of what is attached. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/ask.h"
#include "agent/context.h"
#include "agent/deadline.h"
#include "agent/exposed.h"
#include "agent/restart.h"
#include "agent/sealing.h"
#include "agent/status.h"
#include "base/file.h"
#include "base/utc.h"
#include "graft/process.h"
#include "graft/state.h"
#include "store/history.h"
#include "store/image.h"
#include "store/settings.h"

int agent_status(struct agent *a, json_t **ret, struct error *reterr)
{
	return status_compose(a, ret, reterr);
}

int agent_history(struct agent *a, unsigned limit, json_t **ret, struct error *reterr)
{
	return store_history_list(a->store, limit, ret, reterr);
}

int agent_exposure(struct agent *a, json_t **ret, struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(graft_state) struct graft_state *state = NULL;
	AUTO_JSON json_t *exposure = NULL, *built_with = NULL;
	struct graft_host host;
	int r;

	r = context_installed(a, &installed, reterr);
	if (r == 0)
		r = context_host(a, &host, reterr);
	if (r == 0)
		r = graft_state_read(&host, &state, reterr);
	if (r == 0)
		r = exposed_scan(a, &installed, state, &exposure, reterr);
	if (r == 0)
		r = restart_describe(a, exposure, NULL, reterr);
	if (r < 0)
		return r;
	r = exposed_built_with(a, installed.manifest, &built_with);
	if (r < 0)
		return error_set(reterr, r, "what the installed packages were built with: %s",
			error_text(r));
	if (json_object_set(exposure, "built_with", built_with) < 0)
		return error_set(reterr, -ENOMEM, "no memory for the exposure");
	*ret = take_ptr(exposure);
	return 0;
}

static const char *decided_action(const struct decision *d)
{
	switch (d->action) {
	case DECISION_INSTALL:
		return "install";
	case DECISION_REMOVE:
		return "remove";
	case DECISION_HOLD:
		return "hold";
	case DECISION_NOTHING:
	case DECISION_REFUSE:
	default:
		return "nothing";
	}
}

int agent_check(struct agent *a, json_t **ret, struct error *reterr)
{
	const struct asking asking = {0};
	AUTO(remote) struct remote *remote = NULL;
	struct remote_traffic traffic;
	struct decision decision;
	int r;

	r = ask_publisher(a, &asking, &remote, &decision, reterr);
	if (r < 0)
		return r;
	traffic = remote_traffic(remote);
	*ret = json_pack("{s:s, s:s?, s:s, s:s, s:s, s:{s:i, s:i, s:I, s:I, s:I, s:I}}", "action",
		decided_action(&decision), "letter",
		decision.entry ? decision.entry->letter : NULL, "id", decision.id, "reason",
		decision.reason, "expires", utc_format(remote_expires_utc_s(remote)).text,
		"traffic", "requests", (int)traffic.n_requests, "connections",
		(int)traffic.n_connects, "sent_bytes", (json_int_t)traffic.sent_bytes,
		"received_bytes", (json_int_t)traffic.received_bytes, "wire_sent_bytes",
		(json_int_t)traffic.wire_sent_bytes, "wire_received_bytes",
		(json_int_t)traffic.wire_received_bytes);
	return *ret ? 0 : -ENOMEM;
}

enum setting_kind {
	SETTING_WORD,
	SETTING_SWITCH, /* kept as a bool, not as the word */
	SETTING_NUMBER,
};

/* What may be set: the first value, or number, is what holds where nothing was set. */
struct setting {
	const char *key;
	enum setting_kind kind;
	const char *values[2];
	uint64_t number, number_max;
};

static const struct setting settings[] = {
	{"auto", SETTING_SWITCH, {"off", "on"}, 0, 0},
	{DEADLINE_KEY, SETTING_NUMBER, {0}, DEADLINE_DAYS_DEFAULT, DEADLINE_DAYS_MAX},
	{"restart", SETTING_WORD, {"ask", "auto"}, 0, 0},
	{"require-seal", SETTING_SWITCH, {"no", "yes"}, 0, 0},
};

static const struct setting *find_setting(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (strcmp(settings[i].key, key) == 0)
			return &settings[i];
	return NULL;
}

static json_t *setting_default(const struct setting *setting)
{
	switch (setting->kind) {
	case SETTING_NUMBER:
		return json_integer((json_int_t)setting->number);
	case SETTING_SWITCH:
		return json_boolean(false);
	case SETTING_WORD:
	default:
		return json_string(setting->values[0]);
	}
}

static int set_number(json_t *config, const struct setting *setting, const char *value,
	struct error *reterr)
{
	uint64_t number;

	if (process_parse_number(value, setting->number_max, &number) < 0 ||
		value[strspn(value, "0123456789")] != '\0')
		return error_set(reterr, -BSI_E_USAGE, "%s takes a number from 0 to %ju, not '%s'",
			setting->key, (uintmax_t)setting->number_max, value);
	return json_object_set_new(config, setting->key, json_integer((json_int_t)number)) < 0 ?
		       -ENOMEM :
		       0;
}

static int set_word(json_t *config, const struct setting *setting, const char *value,
	struct error *reterr)
{
	json_t *word;

	if (strcmp(value, setting->values[0]) != 0 && strcmp(value, setting->values[1]) != 0)
		return error_set(reterr, -BSI_E_USAGE, "%s takes %s or %s, not '%s'", setting->key,
			setting->values[1], setting->values[0], value);
	word = setting->kind == SETTING_SWITCH ? json_boolean(strcmp(value, setting->values[1]) == 0) :
						 json_string(value);
	return json_object_set_new(config, setting->key, word) < 0 ? -ENOMEM : 0;
}

static int set_config(json_t *config, const char *key, const char *value, struct error *reterr)
{
	const struct setting *setting = find_setting(key);

	if (!setting)
		return error_set(reterr, -BSI_E_USAGE,
			"there is no setting '%s'; there are: auto, idle-deadline, restart, require-seal", key);
	return setting->kind == SETTING_NUMBER ? set_number(config, setting, value, reterr) :
						 set_word(config, setting, value, reterr);
}

int agent_config(struct agent *a, const char *key, const char *value, json_t **ret,
	struct error *reterr)
{
	AUTO_JSON json_t *config = NULL, *tried = json_object();
	bool was_required = false;
	int r;

	/* a word that is wrong is told before the lock is taken */
	r = key ? set_config(tried, key, value, reterr) : 0;
	if (r == 0 && key)
		r = store_lock(a->store, reterr);
	if (r == 0)
		r = store_config_load(a->store, &config, reterr);
	if (r == 0 && key) {
		was_required = sealing_is_required(a);
		r = set_config(config, key, value, reterr);
	}
	if (r == 0 && key)
		r = store_config_save(a->store, config, reterr);
	if (r < 0)
		return r;
	if (key && sealing_is_required(a) != was_required)
		context_note(a, "what is attached follows with the next run; 'bsi run' does it now");
	for (size_t i = 0; !key && i < ARRAY_SIZE(settings); i++)
		if (!json_object_get(config, settings[i].key) &&
			json_object_set_new(config, settings[i].key,
				setting_default(&settings[i])) < 0)
			return -ENOMEM;
	*ret = take_ptr(config);
	return 0;
}

/* verify */

struct attached_digest {
	int code;
	struct digest digest;
};

struct attached_paths {
	const char *const *paths;
	size_t n;
};

/* On the host: the digests of the files as every program there reads them. */
static int digest_attached(const struct graft_host *host, const void *ctx, void *out,
	struct error *reterr)
{
	const struct attached_paths *list = ctx;
	struct attached_digest *digests = out;
	AUTO_CLOSE int root = open(host->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return error_set(reterr, -errno, "%s: %s", host->root, error_text(-errno));
	for (size_t i = 0; i < list->n; i++) {
		AUTO_CLOSE int fd = file_open_in_root(root, list->paths[i], O_RDONLY | O_NONBLOCK);

		digests[i].code = fd < 0 ? fd : file_digest(fd, &digests[i].digest, NULL);
	}
	return 0;
}

static int add_problem(json_t *problems, const char *object, const char *what)
{
	return json_array_append_new(problems, json_pack("{s:s, s:s}", "object", object, "problem",
						       what)) < 0
		       ? -ENOMEM
		       : 0;
}

static const struct patched_file *file_of(const struct component *c, const char *path)
{
	for (size_t k = 0; k < c->n_files; k++)
		if (strcmp(c->files[k].path, path) == 0)
			return &c->files[k];
	return NULL;
}

/* Every attached file, read on the host, against the digest in the manifest. */
static int verify_attached(const struct graft_host *host, const struct graft_state *state,
	const struct manifest *m, json_t *problems, struct error *reterr)
{
	AUTO_FREE const char **paths = calloc(state->n_mounts + 1, sizeof *paths);
	AUTO_FREE struct attached_digest *digests = calloc(state->n_mounts + 1, sizeof *digests);
	struct attached_paths list = {.paths = paths, .n = state->n_mounts};
	int r;

	if (!paths || !digests)
		return -ENOMEM;
	for (size_t i = 0; i < state->n_mounts; i++)
		paths[i] = state->mounts[i].path;
	r = graft_host_run(host, digest_attached, &list, digests, state->n_mounts * sizeof *digests,
		reterr);
	for (size_t i = 0; r == 0 && i < state->n_mounts; i++) {
		const struct graft_mount *mount = &state->mounts[i];
		const struct component *c =
			m ? manifest_component(m, mount->component) : NULL;
		const struct patched_file *file = c ? file_of(c, mount->path) : NULL;

		if (!mount->visible)
			continue;
		if (!file)
			r = add_problem(problems, mount->path,
				"attached, and the manifest in use does not name it");
		else if (digests[i].code < 0)
			r = add_problem(problems, mount->path, error_text(digests[i].code));
		else if (!digest_equal(&digests[i].digest, &file->digest))
			r = add_problem(problems, mount->path,
				"attached, and not what the manifest signs");
	}
	return r;
}

static int verify_image(struct agent *a, const struct component *c, json_t *problems)
{
	AUTO_CLOSE int fd = -EBADF;
	struct digest found;
	uint64_t size = 0;
	int r;

	r = store_image_open(a->store, &c->image.digest, &fd);
	if (r == 0)
		r = file_digest(fd, &found, &size);
	if (r < 0)
		return add_problem(problems, c->name,
			r == -ENOENT ? "its image is missing" : error_text(r));
	if (size != c->image.size || !digest_equal(&found, &c->image.digest))
		return add_problem(problems, c->name, "its image is not what the manifest signs");
	return 0;
}

/* How many of the files that should be covered are not. */
static size_t count_uncovered(const struct graft_state *state, const struct fit_component *c)
{
	size_t n = 0;

	for (size_t k = 0; k < c->component->n_files; k++)
		n += fit_has_file(c, k) &&
			!exposed_is_attached(state, c->component, c->component->files[k].path);
	return n;
}

static bool is_listed(const struct generation *g, const char *component)
{
	for (size_t i = 0; i < g->n_components; i++)
		if (strcmp(g->components[i].name, component) == 0)
			return true;
	return false;
}

/* What the generation says is attached: that it is, its images, and the base files below. */
static int verify_components(struct agent *a, const struct graft_state *state,
	const struct installed *installed, json_t *problems, size_t *n_base, struct error *reterr)
{
	AUTO(fit) struct fit *fit = NULL;
	int r;

	r = fit_measure(a->root_fd, installed->manifest, &fit, reterr);
	for (size_t i = 0; r == 0 && i < fit->n_components; i++) {
		const struct fit_component *c = &fit->components[i];

		if (!is_listed(installed->generation, c->component->name))
			continue;
		if (count_uncovered(state, c) > 0) {
			r = add_problem(problems, c->component->name, "not attached as a whole");
			if (r < 0)
				return r;
		}
		*n_base += c->component->n_files;
		r = verify_image(a, c->component, problems);
		if (r == 0 && c->match.verdict != MATCH_SET)
			r = add_problem(problems,
				c->match.path ? c->match.path : c->component->name,
				c->match.reason);
	}
	return r;
}

int agent_verify(struct agent *a, json_t **ret, struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(graft_state) struct graft_state *state = NULL;
	AUTO_JSON json_t *problems = json_array();
	struct graft_host host;
	size_t n_base = 0;
	int r;

	if (!problems)
		return -ENOMEM;
	r = context_installed(a, &installed, reterr);
	if (r == 0)
		r = context_host(a, &host, reterr);
	if (r == 0)
		r = graft_state_read(&host, &state, reterr);
	if (r == 0)
		r = verify_attached(&host, state, installed.manifest, problems, reterr);
	if (r == 0 && installed.manifest)
		r = verify_components(a, state, &installed, problems, &n_base, reterr);
	if (r < 0)
		return r;
	*ret = json_pack("{s:I, s:I, s:O}", "attached_files", (json_int_t)state->n_mounts,
		"base_files", (json_int_t)n_base, "problems", problems);
	return *ret ? 0 : -ENOMEM;
}
