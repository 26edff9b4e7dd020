/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/systemd.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER SYSTEMD ".Manager"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define UNIT_PREFIX MANAGER_PATH "/unit"
#define UNIT_INTERFACE SYSTEMD ".Unit"
#define SERVICE_INTERFACE SYSTEMD ".Service"
#define CALL_TIMEOUT_US (30 * UINT64_C(1000000))
#define STATE_TIMEOUT_US (5 * UINT64_C(1000000)) /* a boot waits for it */
#define PRIVATE_ADDRESS "unix:path=/run/systemd/private"
#define AGAIN_MS 100

struct systemd {
	sd_bus *bus;
};

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int connect_bus(struct systemd *s, struct error *reterr)
{
	int r = sd_bus_open_system(&s->bus);

	if (r < 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED, "the system bus does not answer: %s",
			error_text(r));
	(void)sd_bus_set_method_call_timeout(s->bus, CALL_TIMEOUT_US);
	return 0;
}

int systemd_open(struct systemd **ret, struct error *reterr)
{
	AUTO(systemd) struct systemd *s = NULL;
	int r;

	*ret = NULL;
	if (sd_booted() <= 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED, "systemd does not run here");
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	r = connect_bus(s, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

void systemd_free(struct systemd *s)
{
	if (!s)
		return;
	(void)sd_bus_flush_close_unref(s->bus);
	free(s);
}

/* The socket on which systemctl asks as root: it is there before any bus is. */
static int ask_state(sd_bus *bus, char **ret_state)
{
	int r = sd_bus_set_address(bus, PRIVATE_ADDRESS);

	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		return r;
	(void)sd_bus_set_method_call_timeout(bus, STATE_TIMEOUT_US);
	return sd_bus_get_property_string(bus, SYSTEMD, MANAGER_PATH, MANAGER, "SystemState", NULL,
		ret_state);
}

int systemd_is_up(bool *ret, struct error *reterr)
{
	static const char *const up[] = {"starting", "running", "degraded", "maintenance", "stopping"};
	AUTO_FREE char *state = NULL;
	sd_bus *bus = NULL;
	int r;

	*ret = false;
	if (sd_booted() <= 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED, "systemd does not run here");
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = ask_state(bus, &state);
	(void)sd_bus_flush_close_unref(bus);
	if (r < 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED, "systemd does not answer: %s",
			error_text(r));
	for (size_t i = 0; i < ARRAY_SIZE(up) && !*ret; i++)
		*ret = strcmp(state, up[i]) == 0;
	return 0;
}

/* The object of a unit is named by it: "/org/freedesktop/systemd1/unit/ssh_2eservice". */
static int unit_of_object(const char *object, char ret_unit[static CGROUP_UNIT_MAX])
{
	AUTO_FREE char *unit = NULL;
	int r = sd_bus_path_decode(object, UNIT_PREFIX, &unit);

	if (r < 0)
		return r;
	if (r == 0 || strlen(unit) >= CGROUP_UNIT_MAX)
		return -ESRCH;
	memcpy(ret_unit, unit, strlen(unit) + 1);
	return 0;
}

int systemd_unit_of(struct systemd *s, pid_t pid, char ret_unit[static CGROUP_UNIT_MAX])
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *object;
	int r;

	r = sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "GetUnitByPID", &error, &reply,
		"u", (uint32_t)pid);
	if (r < 0)
		r = sd_bus_error_has_name(&error, SYSTEMD ".NoUnitForPID") ? -ESRCH : r;
	else
		r = sd_bus_message_read(reply, "o", &object);
	if (r >= 0)
		r = unit_of_object(object, ret_unit);
	(void)sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return r < 0 ? r : 0;
}

/* facts */

static void names_done(struct unit_names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->names[i]);
	free(n->names);
	*n = (struct unit_names){0};
}

void unit_facts_done(struct unit_facts *f)
{
	names_done(&f->after);
	names_done(&f->takes_along);
}

/* One unit's object, while its properties are read: the first error stays. */
struct reading {
	sd_bus *bus;
	char *object;
	int err;
};

static void read_text(struct reading *x, const char *interface, const char *property, char *out,
	size_t out_len)
{
	AUTO_FREE char *text = NULL;

	if (x->err < 0)
		return;
	x->err = sd_bus_get_property_string(x->bus, SYSTEMD, x->object, interface, property, NULL,
		&text);
	if (x->err >= 0)
		(void)snprintf(out, out_len, "%s", text);
}

static bool read_bool(struct reading *x, const char *property)
{
	int value = 0;

	if (x->err >= 0)
		x->err = sd_bus_get_property_trivial(x->bus, SYSTEMD, x->object, UNIT_INTERFACE,
			property, NULL, 'b', &value);
	return value != 0;
}

static uint64_t read_number(struct reading *x, const char *interface, const char *property, char type)
{
	union {
		uint32_t small;
		uint64_t large;
	} value = {0};

	if (x->err >= 0)
		x->err = sd_bus_get_property_trivial(x->bus, SYSTEMD, x->object, interface, property,
			NULL, type, &value);
	return type == 'u' ? value.small : value.large;
}

static void read_names(struct reading *x, const char *property, struct unit_names *to)
{
	char **list = NULL;

	if (x->err >= 0)
		x->err = sd_bus_get_property_strv(x->bus, SYSTEMD, x->object, UNIT_INTERFACE, property,
			NULL, &list);
	for (size_t i = 0; list && list[i]; i++) {
		char **names = NULL;

		if (x->err >= 0 && to->n < SYSTEMD_NEIGHBOURS_MAX) {
			names = reallocarray(to->names, to->n + 1, sizeof *names);
			x->err = names ? 0 : -ENOMEM;
		}
		if (!names) {
			free(list[i]);
			continue;
		}
		to->names = names;
		names[to->n++] = list[i];
	}
	free(list);
}

/*
 * systemd does not tell how many starts it counted. It was started within the interval of the
 * limit, and restarted by systemd as often as the limit allows but once: then ours could be refused,
 * after the service was stopped.
 */
static bool is_near_limit(struct reading *x)
{
	uint64_t interval_us = read_number(x, UNIT_INTERFACE, "StartLimitIntervalUSec", 't');
	uint64_t burst = read_number(x, UNIT_INTERFACE, "StartLimitBurst", 'u');
	uint64_t since_us = read_number(x, UNIT_INTERFACE, "ActiveEnterTimestampMonotonic", 't');
	uint64_t n_restarts = read_number(x, SERVICE_INTERFACE, "NRestarts", 'u');
	uint64_t now = now_us();

	if (interval_us == 0 || burst == 0 || since_us > now || now - since_us > interval_us)
		return false;
	return n_restarts + 2 > burst;
}

static void read_service(struct reading *x, struct unit_facts *f)
{
	char type[SYSTEMD_STATE_MAX] = "";

	read_text(x, SERVICE_INTERFACE, "Type", type, sizeof type);
	f->is_oneshot = strcmp(type, "oneshot") == 0;
	f->is_near_limit = is_near_limit(x);
}

int systemd_unit_facts(struct systemd *s, const char *unit, struct unit_facts *ret,
	struct error *reterr)
{
	AUTO_DONE(unit_facts) struct unit_facts f = {0};
	struct reading x = {.bus = s->bus};
	size_t len = strlen(unit);

	*ret = (struct unit_facts){0};
	x.err = sd_bus_path_encode(UNIT_PREFIX, unit, &x.object);
	(void)snprintf(f.name, sizeof f.name, "%s", unit);
	read_text(&x, UNIT_INTERFACE, "ActiveState", f.state, sizeof f.state);
	f.may_restart = read_bool(&x, "CanStop") && read_bool(&x, "CanStart") &&
			!read_bool(&x, "RefuseManualStop") && !read_bool(&x, "RefuseManualStart");
	read_names(&x, "After", &f.after);
	read_names(&x, "RequiredBy", &f.takes_along);
	read_names(&x, "BoundBy", &f.takes_along);
	read_names(&x, "ConsistsOf", &f.takes_along);
	if (len > strlen(".service") && strcmp(unit + len - strlen(".service"), ".service") == 0)
		read_service(&x, &f);
	free(x.object);
	if (x.err < 0)
		return error_set(reterr, x.err, "systemd does not tell about %s: %s", unit,
			error_text(x.err));
	*ret = f;
	f = (struct unit_facts){0};
	return 0;
}

/* restarts */

struct job {
	const char *object;
	bool is_done;
	char result[SYSTEMD_STATE_MAX];
};

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct job *job = userdata;
	const char *object, *unit, *result;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(m, "uoss", &id, &object, &unit, &result) < 0)
		return 0;
	if (job->object && strcmp(object, job->object) == 0) {
		(void)snprintf(job->result, sizeof job->result, "%s", result);
		job->is_done = true;
	}
	return 0;
}

/* Signals are read while we wait, so the job cannot end unseen. */
static int wait_for_job(struct systemd *s, struct job *job, unsigned timeout_s)
{
	uint64_t end = now_us() + timeout_s * UINT64_C(1000000);
	int r;

	while (!job->is_done) {
		uint64_t now = now_us();

		r = sd_bus_process(s->bus, NULL);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		if (now >= end)
			return -ETIMEDOUT;
		r = sd_bus_wait(s->bus, end - now);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

static int restart_and_wait(struct systemd *s, const char *unit, unsigned timeout_s,
	struct error *reterr)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	sd_bus_slot *slot = NULL;
	struct job job = {0};
	int r;

	r = sd_bus_match_signal(s->bus, &slot, SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved",
		on_job_removed, &job);
	if (r >= 0)
		r = sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "TryRestartUnit", &error,
			&reply, "ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &job.object);
	if (r < 0)
		r = error_set(reterr, -EIO, "systemd does not restart %s: %s", unit,
			error.message ? error.message : error_text(r));
	else
		r = wait_for_job(s, &job, timeout_s);
	if (r == -ETIMEDOUT)
		r = error_set(reterr, r, "%s is still being restarted after %u s", unit, timeout_s);
	else if (r < 0 && r != -EIO)
		r = error_set(reterr, r, "waiting for %s: %s", unit, error_text(r));
	else if (r >= 0 && strcmp(job.result, "done") != 0 && strcmp(job.result, "skipped") != 0)
		r = error_set(reterr, -EIO, "%s was not restarted: the job ended with '%s'", unit,
			job.result);
	(void)sd_bus_slot_unref(slot);
	(void)sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return r < 0 ? r : 0;
}

int systemd_restart(struct systemd *s, const char *unit, unsigned timeout_s, struct error *reterr)
{
	int r;

	r = sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL, NULL);
	if (r < 0)
		return error_set(reterr, r, "systemd tells about no jobs: %s", error_text(r));
	r = restart_and_wait(s, unit, timeout_s, reterr);
	(void)sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Unsubscribe", NULL, NULL,
		NULL);
	return r;
}

/* Its bus connection ends with the old program, so the call has no answer: ask until one comes. */
int systemd_reexecute(struct systemd *s, unsigned timeout_s, struct error *reterr)
{
	const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
	uint64_t end = now_us() + timeout_s * UINT64_C(1000000);
	int r;

	(void)sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Reexecute", NULL, NULL,
		NULL);
	do {
		AUTO_FREE char *version = NULL;

		(void)nanosleep(&pause, NULL);
		r = sd_bus_get_property_string(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Version", NULL,
			&version);
		if (r >= 0)
			return 0;
	} while (now_us() < end);
	return error_set(reterr, -ETIMEDOUT, "systemd does not answer %u s after it started itself anew: %s",
		timeout_s, error_text(r));
}
