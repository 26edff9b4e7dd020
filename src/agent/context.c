/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/deadline.h"
#include "agent/manifests.h"
#include "agent/sealing.h"
#include "agent/status.h"
#include "base/file.h"
#include "base/text.h"
#include "graft/kernel.h"
#include "graft/user_ns.h"
#include "store/denied.h"
#include "store/history.h"
#include "store/load.h"
#include "store/settings.h"

#define LOCK_PAUSE_NS 100000000
#define LOCK_PAUSES 6000 /* ten minutes: what was loaded is worth some waiting */

void agent_free(struct agent *a)
{
	if (!a)
		return;
	if (a->root_fd >= 0)
		(void)close(a->root_fd);
	store_free(a->store);
	device_free(a->device);
	manifests_free(a->manifests);
	free(a);
}

/* A device that was never enrolled has no state directory: that reads as a fresh device. */
static int open_state(const char *path, int *ret, struct error *reterr)
{
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && mkdir(path, 0700) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(reterr, -errno, "%s: %s", path, error_text(-errno));
	*ret = fd;
	return 0;
}

int agent_new(const struct agent_settings *settings, struct agent **ret, struct error *reterr)
{
	AUTO(agent) struct agent *a = calloc(1, sizeof *a);
	AUTO_CLOSE int state_fd = -EBADF;
	int r;

	if (!a)
		return -ENOMEM;
	a->settings = *settings;
	a->root_fd = open(settings->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->root_fd < 0)
		return error_set(reterr, -errno, "%s: %s", settings->root, error_text(-errno));
	r = open_state(settings->state, &state_fd, reterr);
	if (r == 0)
		r = store_open(state_fd, &a->store, reterr);
	if (r == 0)
		store_set_purpose(a->store, settings->verb);
	if (r == 0)
		r = device_read(a->root_fd, &a->device, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(a);
	return 0;
}

int context_host(const struct agent *a, struct graft_host *ret, struct error *reterr)
{
	if (a->settings.mount_ns_fd < 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED,
			"mounts cannot be changed here: no mount namespace of one's own can be made "
			"(a container without CAP_SYS_ADMIN?)");
	if (!user_ns_is_initial())
		return error_set(reterr, -BSI_E_UNSUPPORTED,
			"mounts cannot be changed here: this is root of a user namespace (a container?), "
			"and the kernel mounts images for root of the machine alone: run bsi there");
	*ret = (struct graft_host){.mount_ns_fd = a->settings.mount_ns_fd,
		.root = a->settings.root,
		.flags = a->settings.flags & AGENT_FORCE_LOOP ? GRAFT_HOST_LOOP : 0};
	return 0;
}

int context_check_mounts(const struct agent *a, struct error *reterr)
{
	struct graft_host host;
	int r = context_host(a, &host, reterr);

	return r < 0 ? r : kernel_check(reterr);
}

static int load_enrolment(struct agent *a, json_t **ret, struct error *reterr)
{
	int r = store_enrolment_load(a->store, ret, reterr);

	if (r == -BSI_E_ENROL)
		return error_set(reterr, r,
			"this device is not enrolled; 'bsi enroll URL --root FILE' names a repository");
	return r;
}

int context_begin(struct agent *a, struct error *reterr)
{
	AUTO_JSON json_t *enrolment = NULL;
	int r;

	r = load_enrolment(a, &enrolment, reterr);
	return r < 0 ? r : store_lock(a->store, reterr);
}

/* The base is what it is under the lock. */
static int read_device_again(struct agent *a, struct error *reterr)
{
	AUTO(device) struct device *device = NULL;
	int r = device_read(a->root_fd, &device, reterr);

	if (r < 0)
		return r;
	device_free(a->device);
	a->device = take_ptr(device);
	return 0;
}

int context_lock_again(struct agent *a, struct error *reterr)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	unsigned n_pauses = 0;
	int r;

	do {
		*reterr = (struct error){0};
		r = store_lock(a->store, reterr);
	} while (r == -BSI_E_BUSY && n_pauses++ < LOCK_PAUSES && nanosleep(&pause, NULL) == 0);
	if (r == 0)
		r = read_device_again(a, reterr);
	if (r < 0)
		store_unlock(a->store);
	return r;
}

/* Not 0 ends the transfer: nobody wants it any more. */
static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
	const struct agent *a = ctx;

	if (store_load_is_stopped(a->store, NULL))
		return -ECANCELED;
	if (!a->settings.progress)
		return 0;
	return a->settings.progress(a->settings.ctx, "downloading", done, total);
}

int context_remote(struct agent *a, struct remote **ret, struct error *reterr)
{
	AUTO_JSON json_t *enrolment = NULL;
	struct remote_settings settings = {.store = a->store,
		.base = a->device->base,
		.ca_file = a->settings.ca_file,
		.now_utc_s = a->settings.now_utc_s,
		.progress = show_progress,
		.progress_ctx = a};
	int r;

	r = load_enrolment(a, &enrolment, reterr);
	if (r == 0)
		r = json_get_text(enrolment, "url", &settings.url, reterr);
	if (r == 0)
		r = remote_new(&settings, ret, reterr);
	return r;
}

void installed_done(struct installed *i)
{
	generation_free(i->generation);
	*i = (struct installed){0};
}

int context_installed(struct agent *a, struct installed *ret, struct error *reterr)
{
	AUTO(generation) struct generation *g = NULL;
	const struct manifest *m = NULL;
	uint64_t number = 0;
	int r;

	*ret = (struct installed){0};
	r = store_current_get(a->store, &number, reterr);
	if (r < 0 || number == 0)
		return r;
	r = store_generation_load(a->store, number, &g, reterr);
	if (r < 0)
		return r;
	r = manifests_get(a, g, &m, reterr);
	if (r < 0) {
		error_prefix(reterr, "the manifest of generation %ju", (uintmax_t)number);
		return r;
	}
	ret->generation = take_ptr(g);
	ret->manifest = m;
	return 0;
}

bool context_is_automatic(struct agent *a)
{
	AUTO_JSON json_t *config = NULL;

	/* what cannot be read was not switched on */
	if (store_config_load(a->store, &config, NULL) < 0)
		return false;
	return json_is_true(json_object_get(config, "auto"));
}

int context_installed_or_none(struct agent *a, struct installed *ret)
{
	struct error damaged = {0};
	int r;

	r = context_installed(a, ret, &damaged);
	if (r == 0 || r == -ENOMEM)
		return r;
	/* what cannot be read cannot be kept; whoever asks goes on from nothing */
	context_note(a, "%s", damaged.text[0] ? damaged.text : error_text(r));
	*ret = (struct installed){0};
	return 0;
}

int context_decide(struct agent *a, const struct index *index, const struct asking *asking,
	struct decision *ret, struct error *reterr)
{
	__attribute__((cleanup(installed_done))) struct installed installed = {0};
	AUTO(denied) struct denied *denied = NULL;
	AUTO_FREE uint64_t *builds = NULL;
	char unsealable[FIT_PROBLEM_MAX];
	struct decision_facts facts = {
		.index = index, .is_asked = asking->is_asked, .asked = asking->letter};
	char held[MANIFEST_NAME_MAX_BYTES + 1];
	int r;

	r = context_installed_or_none(a, &installed);
	if (r == 0)
		r = store_denied_load(a->store, &denied, reterr);
	if (r == 0)
		r = sealing_look(a, unsealable, reterr);
	if (r < 0)
		return r;
	builds = calloc(denied->n_entries + 1, sizeof *builds);
	if (!builds)
		return -ENOMEM;
	for (size_t i = 0; i < denied->n_entries; i++)
		if (strcmp(denied->entries[i].base, index->base) == 0)
			builds[facts.n_denied++] = denied->entries[i].build;
	facts.denied = builds;
	if (installed.manifest && strcmp(installed.manifest->base, index->base) == 0)
		facts.installed = installed.manifest->build;
	facts.unsealable = unsealable;
	if (facts.installed && status_held(a, installed.generation->number, held, sizeof held)) {
		const struct deadline deadline = deadline_of(a, installed.generation);

		facts.held = held;
		facts.held_due_utc_s = deadline.due_utc_s;
		facts.is_overdue = deadline.is_over;
	}
	facts.is_automatic = context_is_automatic(a);
	*ret = policy_decide(&facts);
	return 0;
}

int context_withdrawn(struct agent *a, const struct manifest *m, const struct index *index,
	struct withdrawn *ret, struct error *reterr)
{
	AUTO(remote) struct remote *remote = NULL;
	const struct index_entry *entry;
	int r = 0;

	*ret = (struct withdrawn){.action = WITHDRAW_NONE};
	if (!index) {
		r = context_remote(a, &remote, reterr);
		if (r == 0)
			r = remote_offline(remote, reterr);
		/* nothing was seen, so nothing was withdrawn; the state says more if it is damaged */
		if (r == -ENOENT || r == -BSI_E_ENROL)
			return 0;
		if (r < 0)
			return r;
		index = remote_index(remote);
	}
	entry = strcmp(index->base, m->base) == 0 ? index_find_build(index, m->build) : NULL;
	if (entry && entry->withdrawn != WITHDRAW_NONE) {
		ret->action = entry->withdrawn;
		(void)snprintf(ret->reason, sizeof ret->reason,
			"(%s) was withdrawn by the publisher: %s", entry->letter, entry->reason);
	}
	return 0;
}

void context_note(const struct agent *a, const char *fmt, ...)
{
	char text[512];
	va_list args;

	if (!a->settings.note)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	text_clean(text);
	a->settings.note(a->settings.ctx, text);
}

void context_history(struct agent *a, const char *event, const char *letter, const char *reason)
{
	context_history_change(a, event, letter, reason, NULL);
}

/* {"reason", "images": how many were mounted with which seal}, each where there is one. */
static json_t *history_detail(const char *reason, const struct graft_report *graft)
{
	AUTO_JSON json_t *detail = json_object(), *images = json_object();

	for (enum graft_seal seal = GRAFT_MEASURED; graft && seal < GRAFT_SEAL_MAX; seal++)
		if (graft->n_images[seal] > 0)
			(void)json_object_set_new(images, graft_seal_text(seal),
				json_integer((json_int_t)graft->n_images[seal]));
	if (reason)
		(void)json_object_set_new(detail, "reason", json_string(reason));
	if (json_object_size(images) > 0)
		(void)json_object_set(detail, "images", images);
	return json_object_size(detail) > 0 ? take_ptr(detail) : NULL;
}

void context_history_change(struct agent *a, const char *event, const char *letter,
	const char *reason, const struct graft_report *graft)
{
	AUTO_JSON json_t *detail = history_detail(reason, graft);
	struct error e = {0};

	/* nothing is decided by it, so a full disk must not stop a withdrawal because of it */
	if (store_history_add(a->store, a->settings.now_utc_s, event, letter, detail, &e) < 0)
		context_note(a, "the history was not written: %s", e.text);
}
