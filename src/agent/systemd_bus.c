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
static int ask_progress(sd_bus *bus, char **ret_state, uint64_t *ret_begun_us)
{
	int r = sd_bus_set_address(bus, PRIVATE_ADDRESS);

	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		return r;
	(void)sd_bus_set_method_call_timeout(bus, STATE_TIMEOUT_US);
	r = sd_bus_get_property_string(bus, SYSTEMD, MANAGER_PATH, MANAGER, "SystemState", NULL,
		ret_state);
	return r < 0 ? r : sd_bus_get_property_trivial(bus, SYSTEMD, MANAGER_PATH, MANAGER,
				   "UserspaceTimestampMonotonic", NULL, 't', ret_begun_us);
}

int systemd_progress(struct systemd_progress *ret, struct error *reterr)
{
	static const char *const up[] = {"starting", "running", "degraded", "maintenance", "stopping"};
	AUTO_FREE char *state = NULL;
	uint64_t begun_us = 0;
	sd_bus *bus = NULL;
	int r;

	*ret = (struct systemd_progress){0};
	if (sd_booted() <= 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED, "systemd does not run here");
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = ask_progress(bus, &state, &begun_us);
	(void)sd_bus_flush_close_unref(bus);
	if (r < 0)
		return error_set(reterr, -BSI_E_UNSUPPORTED, "systemd does not answer: %s",
			error_text(r));
	ret->begun_us = begun_us;
	for (size_t i = 0; i < ARRAY_SIZE(up) && !ret->is_up; i++)
		ret->is_up = strcmp(state, up[i]) == 0;
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
 * systemd does not tell how many starts it counted, but forgets them when the interval of the limit
 * is over: of a unit that has run for longer than that, none counts.
 */
static bool is_counted(struct reading *x)
{
	uint64_t interval_us = read_number(x, UNIT_INTERFACE, "StartLimitIntervalUSec", 't');
	uint64_t burst = read_number(x, UNIT_INTERFACE, "StartLimitBurst", 'u');
	uint64_t since_us = read_number(x, UNIT_INTERFACE, "ActiveEnterTimestampMonotonic", 't');
	uint64_t now = now_us();

	return interval_us > 0 && burst > 0 && since_us <= now && now - since_us <= interval_us;
}

/* systemd restarted it as often as its limit allows but once: it fails, and ours would not help. */
static bool is_near_limit(struct reading *x)
{
	uint64_t burst = read_number(x, UNIT_INTERFACE, "StartLimitBurst", 'u');
	uint64_t n_restarts = read_number(x, SERVICE_INTERFACE, "NRestarts", 'u');

	return is_counted(x) && n_restarts + 2 > burst;
}

static void read_action(struct reading *x, const char *property, struct unit_facts *f)
{
	char action[SYSTEMD_STATE_MAX] = "";

	if (f->machine_action[0])
		return;
	read_text(x, UNIT_INTERFACE, property, action, sizeof action);
	if (action[0] && strcmp(action, "none") != 0)
		(void)snprintf(f->machine_action, sizeof f->machine_action, "%s=%s", property, action);
}

/*
 * Between its stop and its start a unit that is restarted is inactive, as one that ended well; its start
 * may fail, or take too long; and as nobody knows the count, any counted start may be one too many.
 */
static void read_actions(struct reading *x, struct unit_facts *f)
{
	read_action(x, "SuccessAction", f);
	read_action(x, "FailureAction", f);
	read_action(x, "JobTimeoutAction", f);
	if (is_counted(x))
		read_action(x, "StartLimitAction", f);
}

static void read_service(struct reading *x, struct unit_facts *f)
{
	char type[SYSTEMD_STATE_MAX] = "";

	read_text(x, SERVICE_INTERFACE, "Type", type, sizeof type);
	f->is_oneshot = strcmp(type, "oneshot") == 0;
	f->is_near_limit = is_near_limit(x);
}

/* The interface of the kind of unit, or NULL for one that has no result. */
static const char *interface_of(const char *unit)
{
	static const struct {
		const char *suffix, *interface;
	} kinds[] = {{".service", SERVICE_INTERFACE}, {".socket", SYSTEMD ".Socket"},
		{".path", SYSTEMD ".Path"}, {".timer", SYSTEMD ".Timer"}, {".mount", SYSTEMD ".Mount"},
		{".automount", SYSTEMD ".Automount"}, {".swap", SYSTEMD ".Swap"}};
	const char *suffix = strrchr(unit, '.');

	for (size_t i = 0; suffix && i < ARRAY_SIZE(kinds); i++)
		if (strcmp(suffix, kinds[i].suffix) == 0)
			return kinds[i].interface;
	return NULL;
}

int systemd_unit_facts(struct systemd *s, const char *unit, struct unit_facts *ret,
	struct error *reterr)
{
	AUTO_DONE(unit_facts) struct unit_facts f = {0};
	struct reading x = {.bus = s->bus};
	const char *interface = interface_of(unit);

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
	read_actions(&x, &f);
	if (interface && strcmp(interface, SERVICE_INTERFACE) == 0)
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

/* verb is "start" or "restart", for people; method the call that does it. */
static int call_and_wait(struct systemd *s, const char *method, const char *verb, const char *unit,
	unsigned timeout_s, struct error *reterr)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	sd_bus_slot *slot = NULL;
	struct job job = {0};
	int r;

	r = sd_bus_match_signal(s->bus, &slot, SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved",
		on_job_removed, &job);
	if (r >= 0)
		r = sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, method, &error, &reply,
			"ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &job.object);
	if (r < 0)
		r = error_set(reterr, -EIO, "systemd does not %s %s: %s", verb, unit,
			error.message ? error.message : error_text(r));
	else
		r = wait_for_job(s, &job, timeout_s);
	if (r == -ETIMEDOUT)
		r = error_set(reterr, r, "%s is still being %sed after %u s", unit, verb, timeout_s);
	else if (r < 0 && r != -EIO)
		r = error_set(reterr, r, "waiting for %s: %s", unit, error_text(r));
	else if (r >= 0 && strcmp(job.result, "done") != 0 && strcmp(job.result, "skipped") != 0)
		r = error_set(reterr, -EIO, "%s was not %sed: the job ended with '%s'", unit, verb,
			job.result);
	(void)sd_bus_slot_unref(slot);
	(void)sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return r < 0 ? r : 0;
}

static int subscribe(struct systemd *s, struct error *reterr)
{
	int r = sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL,
		NULL);

	return r < 0 ? error_set(reterr, r, "systemd tells about no jobs: %s", error_text(r)) : 0;
}

static void unsubscribe(struct systemd *s)
{
	(void)sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "Unsubscribe", NULL, NULL,
		NULL);
}

int systemd_restart(struct systemd *s, const char *unit, unsigned timeout_s, struct error *reterr)
{
	int r = subscribe(s, reterr);

	if (r < 0)
		return r;
	r = call_and_wait(s, "TryRestartUnit", "restart", unit, timeout_s, reterr);
	unsubscribe(s);
	return r;
}

/* what is left of restarts */

static bool has_job(struct reading *x)
{
	sd_bus_message *reply = NULL;
	uint32_t id = 0;

	if (x->err >= 0)
		x->err = sd_bus_get_property(x->bus, SYSTEMD, x->object, UNIT_INTERFACE, "Job", NULL,
			&reply, "(uo)");
	if (x->err >= 0)
		x->err = sd_bus_message_enter_container(reply, 'r', "uo");
	if (x->err >= 0)
		x->err = sd_bus_message_read(reply, "u", &id);
	(void)sd_bus_message_unref(reply);
	return id != 0;
}

static void read_end(struct reading *x, const char *unit, struct unit_end *ret)
{
	static const char refused[] = "start-limit-hit"; /* "service-start-limit-hit" of a socket */
	const char *interface = interface_of(unit);
	char result[SYSTEMD_STATE_MAX] = "";
	size_t len;

	read_text(x, UNIT_INTERFACE, "ActiveState", ret->state, sizeof ret->state);
	if (interface)
		read_text(x, interface, "Result", result, sizeof result);
	len = strlen(result);
	ret->is_refused = strcmp(ret->state, "active") != 0 && len >= strlen(refused) &&
			  strcmp(result + len - strlen(refused), refused) == 0;
}

int systemd_settle(struct systemd *s, const char *unit, unsigned timeout_s, struct unit_end *ret,
	struct error *reterr)
{
	const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
	uint64_t end_us = now_us() + timeout_s * UINT64_C(1000000);
	struct reading x = {.bus = s->bus};
	bool is_busy;

	*ret = (struct unit_end){0};
	x.err = sd_bus_path_encode(UNIT_PREFIX, unit, &x.object);
	while ((is_busy = has_job(&x)) && now_us() < end_us)
		(void)nanosleep(&pause, NULL);
	read_end(&x, unit, ret);
	free(x.object);
	if (x.err < 0)
		return error_set(reterr, x.err, "systemd does not tell about %s: %s", unit,
			error_text(x.err));
	return is_busy ? error_set(reterr, -ETIMEDOUT, "%s is not settled after %u s", unit, timeout_s) :
			 0;
}

/* With the count of its starts; a unit that did not fail has nothing to forget. */
static void forget_failure(struct systemd *s, const char *unit)
{
	(void)sd_bus_call_method(s->bus, SYSTEMD, MANAGER_PATH, MANAGER, "ResetFailedUnit", NULL, NULL,
		"s", unit);
}

/* Before the unit itself: a socket is not opened for a service that runs. */
static int start_triggers(struct systemd *s, const char *unit, unsigned timeout_s,
	struct error *reterr)
{
	struct unit_names triggers = {0};
	struct reading x = {.bus = s->bus};
	int r = 0;

	x.err = sd_bus_path_encode(UNIT_PREFIX, unit, &x.object);
	read_names(&x, "TriggeredBy", &triggers);
	free(x.object);
	if (x.err < 0)
		r = error_set(reterr, x.err, "systemd does not tell about %s: %s", unit,
			error_text(x.err));
	for (size_t i = 0; r == 0 && i < triggers.n; i++) {
		struct unit_end end;

		r = systemd_settle(s, triggers.names[i], timeout_s, &end, reterr);
		if (r < 0 || !end.is_refused)
			continue;
		forget_failure(s, triggers.names[i]);
		r = call_and_wait(s, "StartUnit", "start", triggers.names[i], timeout_s, reterr);
	}
	names_done(&triggers);
	return r;
}

int systemd_start(struct systemd *s, const char *unit, unsigned timeout_s, struct error *reterr)
{
	struct error why = {0};
	int r = subscribe(s, reterr);
	int triggers;

	if (r < 0)
		return r;
	forget_failure(s, unit);
	triggers = start_triggers(s, unit, timeout_s, &why);
	r = call_and_wait(s, "StartUnit", "start", unit, timeout_s, reterr);
	unsubscribe(s);
	/* the unit itself comes first, whatever became of its socket */
	return r < 0 || triggers == 0 ? r : error_set(reterr, triggers, "%s", why.text);
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
