/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bsi-engine: the verbs of `bsi`. Started by the launcher, in a base view, with the host's mount
 * namespace as a descriptor. Only parsing and output; the work is in room agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "agent/agent.h"
#include "agent/boot.h"
#include "base/bytes.h"
#include "base/file.h"
#include "cmd/progress.h"
#include "cmd/show.h"
#include "cmd/verb.h"

#define ROOT_FILE_MAX_BYTES (1U << 20)
#define HISTORY_ROWS_DEFAULT 20
#define HISTORY_ROWS_MAX_SHOWN 10000
#define RUN_DEFAULT "/run/bsi"
#define WAIT_PAUSE_NS 200000000
#define WAIT_PAUSES 100 /* 20 s in all */
#define MEMORY_MIN_BYTES ((uint64_t)24 << 20) /* what a full payload needs, and some */
#define COMMAND_LINE_MAX_BYTES 65536 /* of the kernel; architectures allow at most 4096 */

/* One reading of the clock serves the whole run. */
static int64_t started_utc_s;

struct session {
	struct agent *agent;
	struct progress progress;
};

static int on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	struct session *s = ctx;

	progress_show(&s->progress, what, done, total);
	return 0;
}

static void on_note(void *ctx, const char *text)
{
	struct session *s = ctx;

	progress_end(&s->progress);
	fprintf(stderr, "bsi: %s\n", text);
}

static const char *value_or(const struct verb_call *call, const char *option, const char *otherwise)
{
	const char *value = call_value(call, option);

	return value ? value : otherwise;
}

/* Where the kernel's command line cannot be read there is no switch on it. */
static const char *why_off(void)
{
	AUTO_DONE(buffer) struct buffer line = buffer_of(COMMAND_LINE_MAX_BYTES);
	AUTO_CLOSE int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || file_read_fd(fd, COMMAND_LINE_MAX_BYTES - 1, &line) < 0)
		return NULL;
	buffer_put_u8(&line, '\0');
	return line.err == 0 ? boot_why_off((const char *)line.data) : NULL;
}

static enum agent_flags session_flags(const struct verb_call *call)
{
	enum agent_flags flags = 0;

	if (call_has(call, "loop"))
		flags |= AGENT_FORCE_LOOP;
	if (call_has(call, "restart"))
		flags |= AGENT_RESTART;
	if (call_has(call, "boot"))
		flags |= AGENT_BOOT;
	return flags;
}

/* is_silent: no progress is shown while it works. */
/* A quarter of the machine's memory, so that decoding never pushes others out. */
static uint64_t default_memory_bytes(void)
{
	struct sysinfo info;
	uint64_t quarter;

	if (sysinfo(&info) < 0)
		return MEMORY_MIN_BYTES;
	quarter = (uint64_t)info.totalram * info.mem_unit / 4;
	return quarter > MEMORY_MIN_BYTES ? quarter : MEMORY_MIN_BYTES;
}

static int session_open(struct verb_call *call, struct session *s, bool is_silent,
	struct error *reterr)
{
	struct agent_settings settings = {.root = value_or(call, "sysroot", "/"),
		.state = value_or(call, "state", "/var/lib/bsi"),
		.run = value_or(call, "run", RUN_DEFAULT),
		.ca_file = call_value(call, "ca-file"),
		.verb = call_verb(call),
		.mount_ns_fd = -1,
		.now_utc_s = started_utc_s,
		.why_off = why_off(),
		.flags = session_flags(call),
		.ctx = s};
	uint64_t fd = UINT64_MAX, memory_mb = 0;
	int r;

	if (geteuid() != 0)
		return error_set(reterr, -BSI_E_PRIVILEGE,
			"this needs root; an ordinary user may ask 'bsi status'");
	r = call_number_between(call, "memory", 1, INT32_MAX, &memory_mb, reterr);
	if (r == 0)
		r = call_number(call, "host-namespace", INT32_MAX, &fd, reterr);
	if (r < 0)
		return r;
	if (fd != UINT64_MAX) {
		settings.mount_ns_fd = (int)fd;
		(void)fcntl(settings.mount_ns_fd, F_SETFD, FD_CLOEXEC);
	}
	settings.memory_max_bytes = memory_mb > 0 ? memory_mb * 1000000 : default_memory_bytes();
	*s = (struct session){.progress = progress_start()};
	settings.note = on_note;
	if (!is_silent)
		settings.progress = on_progress;
	return agent_new(&settings, &s->agent, reterr);
}

static void session_done(struct session *s)
{
	progress_end(&s->progress);
	agent_free(s->agent);
}

#define AUTO_SESSION __attribute__((cleanup(session_done)))

static void print(struct verb_call *call, struct session *s, json_t *document,
	void (*show)(const json_t *))
{
	if (s)
		progress_end(&s->progress);
	if (call_has(call, "json"))
		call_print_json(document);
	else
		show(document);
}

static int verb_enroll(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	AUTO_DONE(buffer) struct buffer root = buffer_of(ROOT_FILE_MAX_BYTES);
	AUTO_CLOSE int fd = -EBADF;
	const char *file = call_value(call, "root");
	enum agent_enrol_flags flags = 0;
	int r;

	if (!file)
		return error_set(reterr, -BSI_E_USAGE,
			"--root FILE is missing: the publisher's root.json, from a source you trust");
	fd = open(file, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : file_read_fd(fd, ROOT_FILE_MAX_BYTES, &root);
	if (r < 0)
		return error_set(reterr, r, "%s: %s", file, error_text(r));
	if (call_has(call, "offline"))
		flags |= AGENT_ENROL_OFFLINE;
	if (call_has(call, "replace"))
		flags |= AGENT_ENROL_REPLACE;
	r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = agent_enrol(s.agent, call_argument(call, 0), root.data, root.len, flags, &document,
			reterr);
	if (r == 0)
		print(call, &s, document, show_change);
	return r;
}

/* The verbs that take nothing and give a document. */
static int plain(struct verb_call *call, int (*verb)(struct agent *, json_t **, struct error *),
	void (*show)(const json_t *), struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	int r;

	r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = verb(s.agent, &document, reterr);
	if (r == 0)
		print(call, &s, document, show);
	return r;
}

static int verb_check(struct verb_call *call, struct error *reterr)
{
	return plain(call, agent_check, show_check, reterr);
}

static int verb_plan(struct verb_call *call, struct error *reterr)
{
	return plain(call, agent_plan, show_plan, reterr);
}

static int verb_exposure(struct verb_call *call, struct error *reterr)
{
	return plain(call, agent_exposure, show_exposure, reterr);
}

static int verb_status(struct verb_call *call, struct error *reterr)
{
	AUTO_JSON json_t *document = NULL;
	int r;

	if (geteuid() == 0)
		return plain(call, agent_status, show_status, reterr);
	r = agent_public_status(value_or(call, "run", RUN_DEFAULT), &document, reterr);
	if (r == 0)
		print(call, NULL, document, show_status);
	return r;
}

static int verb_verify(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	size_t n;
	int r;

	r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = agent_verify(s.agent, &document, reterr);
	if (r < 0)
		return r;
	print(call, &s, document, show_verify);
	n = json_array_size(json_object_get(document, "problems"));
	if (n > 0)
		return error_set(reterr, -BSI_E_DIGEST, "%zu object%s not what was signed", n,
			n == 1 ? " is" : "s are");
	return 0;
}

static int verb_doctor(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	const json_t *list;
	size_t n_problems = 0;
	int r;

	r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = agent_doctor(s.agent, &document, reterr);
	if (r < 0)
		return r;
	print(call, &s, document, show_doctor);
	list = json_object_get(document, "checks");
	for (size_t i = 0; i < json_array_size(list); i++)
		n_problems += json_is_false(json_object_get(json_array_get(list, i), "well"));
	if (n_problems > 0)
		return error_set(reterr, -BSI_E_SETUP, "%zu thing%s not set up", n_problems,
			n_problems == 1 ? " is" : "s are");
	return 0;
}

static int verb_install(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	int r;

	r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = agent_install(s.agent, call_argument(call, 0), &document, reterr);
	if (r == 0)
		print(call, &s, document, show_change);
	return r;
}

/* Silent where there is nothing to say: a timer's output is mail or log. */
static int quiet(struct verb_call *call, int (*verb)(struct agent *, json_t **, struct error *),
	struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	int r, shown;

	r = session_open(call, &s, true, reterr);
	if (r < 0)
		return r;
	shown = verb(s.agent, &document, reterr);
	if (document)
		print(call, &s, document, show_change);
	return shown;
}

static int verb_run(struct verb_call *call, struct error *reterr)
{
	return quiet(call, agent_run, reterr);
}

static int verb_attach(struct verb_call *call, struct error *reterr)
{
	const struct timespec pause = {.tv_nsec = WAIT_PAUSE_NS};
	unsigned n_waits = call_has(call, "wait") ? WAIT_PAUSES : 0;
	int r;

	do {
		r = quiet(call, call_has(call, "boot") ? agent_boot : agent_attach, reterr);
	} while (r == -BSI_E_BUSY && n_waits-- > 0 && nanosleep(&pause, NULL) == 0);
	return r;
}

static int verb_boot_complete(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	int r;

	r = session_open(call, &s, true, reterr);
	return r < 0 ? r : agent_boot_complete(s.agent, reterr);
}

static int leave(struct verb_call *call,
	int (*verb)(struct agent *, enum agent_remove_flags, json_t **, struct error *),
	struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	int r;

	r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = verb(s.agent, call_has(call, "below-minimum") ? AGENT_BELOW_MINIMUM : 0, &document,
			reterr);
	if (r == 0)
		print(call, &s, document, show_change);
	return r;
}

static int verb_remove(struct verb_call *call, struct error *reterr)
{
	return leave(call, agent_remove, reterr);
}

static int verb_rollback(struct verb_call *call, struct error *reterr)
{
	return leave(call, agent_rollback, reterr);
}

static int verb_history(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	uint64_t rows = HISTORY_ROWS_DEFAULT;
	int r;

	r = call_number_between(call, "rows", 1, HISTORY_ROWS_MAX_SHOWN, &rows, reterr);
	if (r == 0)
		r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = agent_history(s.agent, (unsigned)rows, &document, reterr);
	if (r == 0)
		print(call, &s, document, show_history);
	return r;
}

static int verb_config(struct verb_call *call, struct error *reterr)
{
	AUTO_SESSION struct session s = {0};
	AUTO_JSON json_t *document = NULL;
	int r;

	if (call_n_arguments(call) == 1)
		return error_set(reterr, -BSI_E_USAGE, "a value is missing: bsi config %s VALUE",
			call_argument(call, 0));
	r = session_open(call, &s, false, reterr);
	if (r == 0)
		r = agent_config(s.agent, call_argument(call, 0), call_argument(call, 1), &document,
			reterr);
	if (r == 0)
		print(call, &s, document, show_config);
	return r;
}

/* The launcher does this one itself; here it only stands in the help and the completion. */
static int verb_base(struct verb_call *call, struct error *reterr)
{
	(void)call;
	return error_set(reterr, -BSI_E_USAGE,
		"usage: bsi base [--follow] [--lenient] -- COMMAND [ARGUMENTS]");
}

/* As above. */
static int verb_detach(struct verb_call *call, struct error *reterr)
{
	(void)call;
	return error_set(reterr, -BSI_E_USAGE, "usage: bsi detach [--force]");
}

static int verb_hook(struct verb_call *call, struct error *reterr)
{
	(void)call;
	return error_set(reterr, -BSI_E_USAGE, "usage: bsi hook pre|post");
}

static const struct verb_option enroll_options[] = {
	{"root", VERB_VALUE, "FILE", "the publisher's root.json, from a source you trust"},
	{"offline", VERB_FLAG, NULL, "do not ask the repository now"},
	{"replace", VERB_FLAG, NULL, "although the device is enrolled already"},
	{0},
};

static const struct verb_option install_options[] = {
	{"restart", VERB_FLAG, NULL, "then restart the units that still run old code"},
	{0},
};

static const struct verb_option leave_options[] = {
	{"below-minimum", VERB_FLAG, NULL, "although that is below the publisher's minimum"},
	{0},
};

static const struct verb_option attach_options[] = {
	{"wait", VERB_FLAG, NULL, "wait up to 20 s for another bsi or a package manager"},
	{"boot", VERB_FLAG, NULL, "count the boot first, and go back after two that did not complete"},
	{0},
};

static const struct verb_option detach_options[] = {
	{"force", VERB_FLAG, NULL, "also what may not change under the programs that run"},
	{0},
};

static const struct verb_option history_options[] = {
	{"rows", VERB_VALUE, "N", "how many of the newest events (20)"},
	{0},
};

static const struct verb_option base_options[] = {
	{"follow", VERB_FLAG, NULL, "what the host mounts later arrives there too"},
	{"lenient", VERB_FLAG, NULL, "run it as it is where no namespace can be made"},
	{0},
};

static const struct verb verbs[] = {
	{"status", NULL, 0, 0, "what is attached, and whether it is in effect", NULL, verb_status},
	{"enroll", "URL --root FILE", 1, 1, "trust a publisher's repository", enroll_options,
		verb_enroll},
	{"check", NULL, 0, 0, "ask the repository for news; change nothing", NULL, verb_check},
	{"plan", NULL, 0, 0, "what would have to be restarted; change nothing", NULL, verb_plan},
	{"install", "[LETTER]", 0, 1, "take the current improvement, or this one", install_options,
		verb_install},
	{"remove", NULL, 0, 0, "go back to the base; that letter does not return by itself",
		leave_options, verb_remove},
	{"rollback", NULL, 0, 0, "go back to what was attached before", leave_options, verb_rollback},
	{"run", NULL, 0, 0, "check, decide, install: what the timer calls; silent without news", NULL,
		verb_run},
	{"attach", NULL, 0, 0, "attach again what should be attached, asking nobody", attach_options,
		verb_attach},
	{"detach", NULL, 0, 0, "take everything off until the next attach or boot", detach_options,
		verb_detach},
	{"boot-complete", NULL, 0, 0, "the boot is complete: what was attached in it is good", NULL,
		verb_boot_complete},
	{"verify", NULL, 0, 0, "read every attached and base file and compare digests", NULL,
		verb_verify},
	{"doctor", NULL, 0, 0, "whether boot, apt and dpkg are set up for improvements", NULL,
		verb_doctor},
	{"exposure", NULL, 0, 0, "which processes still run old code, and what ends it", NULL, verb_exposure},
	{"history", NULL, 0, 0, "what happened on this device", history_options, verb_history},
	{"config", "[KEY VALUE]", 0, 2, "show or change the configuration", NULL, verb_config},
	{"base", "-- COMMAND...", 0, -1, "run a command with /usr as the base has it", base_options,
		verb_base},
	{"hook", "pre|post", 1, 1, "what dpkg calls before and after it changes packages", NULL,
		verb_hook},
	{0},
};

static const struct verb_option common_options[] = {
	{"json", VERB_FLAG, NULL, "print one JSON document"},
	{"ca-file", VERB_VALUE, "FILE", "trust only these TLS authorities"},
	{"sysroot", VERB_VALUE, "DIR", "the root to attach in (/)"},
	{"state", VERB_VALUE, "DIR", "where the state lies (/var/lib/bsi)"},
	{"run", VERB_VALUE, "DIR", "where run-time files lie (/run/bsi)"},
	{"memory", VERB_VALUE, "MB", "most memory to decode a payload in (a quarter of the machine's)"},
	{"loop", VERB_FLAG, NULL, "mount images through loop devices"},
	{"host-namespace", VERB_VALUE, "FD", "the host's mount namespace (set by the launcher)"},
	{0},
};

static const struct program program = {
	.name = "bsi",
	.summary = "Background security improvements: fixes between two releases, live and reversible.",
	.manual = "bsi(1)",
	.verbs = verbs,
	.options = common_options,
};

/*
 * Libraries read the environment for files to load, keys to log and proxies to use. What is kept
 * is what the terminal needs, and dpkg's word that we run below it.
 */
static int keep_environment(void)
{
	static const char *const kept[] = {"TERM", "COLUMNS", "LINES", "NO_COLOR", "LANG", "LC_ALL",
		"DPKG_FRONTEND_LOCKED"};
	char *values[ARRAY_SIZE(kept)];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const char *value = getenv(kept[i]);

		values[i] = value ? strdup(value) : NULL;
	}
	if (clearenv() != 0)
		r = -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (r == 0 && values[i] && setenv(kept[i], values[i], 1) < 0)
			r = -errno;
		free(values[i]);
	}
	return r;
}

int main(int argc, char **argv)
{
	started_utc_s = (int64_t)time(NULL);
	if (keep_environment() < 0) {
		fprintf(stderr, "bsi: the environment: %s\n", error_text(-ENOMEM));
		return 1;
	}
	/* files and directories of the state are nobody else's, whatever the caller's umask */
	(void)umask(0022);
	/* who ignores the end of children hands that on, and it could not be waited for */
	(void)signal(SIGCHLD, SIG_DFL);
	/* at the end the kernel takes all memory back at once, and no key of ours is secret */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	return program_main(&program, argc, argv);
}
