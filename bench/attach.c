/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attach [ROUNDS]: what a change costs, and what readers notice of it.
 *
 * Attach, exchange and off of 2, 40 and 300 files with 0 and 50 other mount namespaces, medians;
 * then the same readers under exchanges made our way, and made as systemd-sysext does it: one
 * overlay over the directory, unmounted, then mounted anew; then a scan for old code among 300
 * processes. A table on stderr, JSON on stdout.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "graft-scene.h"
#include "graft/exposure.h"

#define N_OTHERS 50
#define N_READERS 4
#define N_EXCHANGES 200
#define N_HAMMER_FILES 2
#define N_PROCESSES 300
#define N_SCAN_FILES 40
#define ROUNDS_MAX 101

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static uint64_t median(uint64_t *values, size_t n)
{
	qsort(values, n, sizeof *values, compare);
	return values[n / 2];
}

static void change(const struct scene *scene, size_t version, size_t n_files, struct graft_report *ret)
{
	struct error error = {0};

	if (scene_change(scene, version, n_files, ret, &error) < 0)
		tap_bail("%s", error.text);
}

struct sample {
	uint64_t prepare[ROUNDS_MAX], moment[ROUNDS_MAX], rest[ROUNDS_MAX], work[ROUNDS_MAX];
};

static void keep(struct sample *sample, size_t round, const struct graft_report *report, bool is_off)
{
	sample->prepare[round] = report->prepare_us;
	sample->moment[round] = is_off ? report->off_us : report->push_us;
	sample->rest[round] = report->beneath_us;
	sample->work[round] = report->work_us;
}

static json_t *summarize(const char *action, struct sample *sample, size_t n_rounds)
{
	uint64_t prepare = median(sample->prepare, n_rounds), moment = median(sample->moment, n_rounds),
		 rest = median(sample->rest, n_rounds), work = median(sample->work, n_rounds);

	fprintf(stderr, "  %-8s %10llu %10llu %10llu %10llu\n", action, (unsigned long long)prepare,
		(unsigned long long)moment, (unsigned long long)rest, (unsigned long long)work);
	return json_pack("{s:s, s:I, s:I, s:I, s:I}", "action", action, "prepare_us",
		(json_int_t)prepare, "moment_us", (json_int_t)moment, "beneath_us", (json_int_t)rest,
		"work_us", (json_int_t)work);
}

static json_t *measure(const struct scene *scene, size_t n_files, size_t n_others, size_t n_rounds)
{
	static struct sample attach, exchange, off;
	json_t *actions = json_array();

	for (size_t i = 0; i < n_rounds; i++) {
		struct graft_report report;

		change(scene, 1, n_files, &report);
		keep(&attach, i, &report, false);
		change(scene, 2, n_files, &report);
		keep(&exchange, i, &report, false);
		change(scene, 0, 0, &report);
		keep(&off, i, &report, true);
	}
	fprintf(stderr, "%zu files, %zu other namespaces\n", n_files, n_others);
	(void)json_array_append_new(actions, summarize("attach", &attach, n_rounds));
	(void)json_array_append_new(actions, summarize("exchange", &exchange, n_rounds));
	(void)json_array_append_new(actions, summarize("off", &off, n_rounds));
	return json_pack("{s:I, s:I, s:o}", "files", (json_int_t)n_files, "namespaces",
		(json_int_t)n_others, "actions", actions);
}

static void start_others(pid_t *pids)
{
	int ends[2];
	char ready;

	if (pipe2(ends, O_CLOEXEC) < 0)
		tap_bail("pipe");
	for (size_t i = 0; i < N_OTHERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			if (unshare(CLONE_NEWNS) < 0 ||
				mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
				_exit(1);
			(void)!write(ends[1], "r", 1);
			for (;;)
				(void)pause();
		}
		if (read(ends[0], &ready, 1) != 1)
			tap_bail("no namespace");
	}
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void end_others(const pid_t *pids)
{
	for (size_t i = 0; i < N_OTHERS; i++) {
		(void)kill(pids[i], SIGKILL);
		(void)waitpid(pids[i], NULL, 0);
	}
}

/* What readers notice */

static _Atomic bool stop;
static _Atomic uint64_t n_opens, n_failed, n_base;

static void *reader(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		int version = scene_version_at("/" SCENE_DIR "/f000");

		atomic_fetch_add(&n_opens, 1);
		if (version < 0)
			atomic_fetch_add(&n_failed, 1);
		if (version == 0)
			atomic_fetch_add(&n_base, 1);
	}
	return NULL;
}

static void overlay(const struct scene *scene, size_t version)
{
	char options[256];

	(void)snprintf(options, sizeof options, "lowerdir=%s/v%zu/" SCENE_DIR ":/" SCENE_DIR,
		scene->work, version);
	if (mount("sysext", "/" SCENE_DIR, "overlay", MS_RDONLY, options) < 0)
		tap_bail("overlay: %s", strerror(errno));
}

static void exchange_ours(const struct scene *scene, size_t version)
{
	change(scene, version, N_HAMMER_FILES, NULL);
}

static void exchange_by_remount(const struct scene *scene, size_t version)
{
	if (umount2("/" SCENE_DIR, MNT_DETACH) < 0)
		tap_bail("umount: %s", strerror(errno));
	overlay(scene, version);
}

static json_t *hammer(const struct scene *scene, const char *way,
	void (*exchange)(const struct scene *, size_t))
{
	pthread_t threads[N_READERS];

	atomic_store(&stop, false);
	atomic_store(&n_opens, 0);
	atomic_store(&n_failed, 0);
	atomic_store(&n_base, 0);
	for (size_t i = 0; i < N_READERS; i++)
		if (pthread_create(&threads[i], NULL, reader, NULL) != 0)
			tap_bail("no thread");
	for (size_t i = 0; i < N_EXCHANGES; i++)
		exchange(scene, 1 + i % 2);
	atomic_store(&stop, true);
	for (size_t i = 0; i < N_READERS; i++)
		(void)pthread_join(threads[i], NULL);
	fprintf(stderr, "  %-22s %8d exchanges %10llu opens %8llu failed %8llu found the base\n", way,
		N_EXCHANGES, (unsigned long long)n_opens, (unsigned long long)n_failed,
		(unsigned long long)n_base);
	return json_pack("{s:s, s:i, s:I, s:I, s:I}", "way", way, "exchanges", N_EXCHANGES, "opens",
		(json_int_t)n_opens, "failed", (json_int_t)n_failed, "found_base",
		(json_int_t)n_base);
}

static json_t *hammer_both(const struct scene *scene)
{
	json_t *ways = json_array();

	fprintf(stderr, "readers during exchanges\n");
	change(scene, 2, N_HAMMER_FILES, NULL);
	(void)json_array_append_new(ways, hammer(scene, "graft", exchange_ours));
	change(scene, 0, 0, NULL);
	overlay(scene, 2);
	(void)json_array_append_new(ways, hammer(scene, "unmount, then mount", exchange_by_remount));
	if (umount2("/" SCENE_DIR, MNT_DETACH) < 0)
		tap_bail("umount");
	return ways;
}

/* The scan */

static json_t *measure_scan(const struct scene *scene, size_t n_rounds)
{
	struct graft_host host = scene_host(scene);
	struct exposure_target targets[N_SCAN_FILES];
	uint64_t us[ROUNDS_MAX], result;
	size_t n_processes = 0, n_exposed = 0;
	pid_t pids[N_PROCESSES];
	char path[80];

	for (size_t i = 0; i < N_SCAN_FILES; i++) {
		(void)snprintf(path, sizeof path, "/%s", scene->paths[i]);
		targets[i] = (struct exposure_target){.kind = EXPOSURE_BASE, .component = "scene",
			.path = scene->paths[i], .fd = open(path, O_RDONLY | O_CLOEXEC)};
	}
	for (size_t i = 0; i < N_PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			for (;;)
				(void)pause();
	}
	change(scene, 1, N_SCAN_FILES, NULL);
	for (size_t i = 0; i < n_rounds; i++) {
		AUTO(exposure_report) struct exposure_report *report = NULL;

		if (exposure_scan(&host, targets, N_SCAN_FILES, &report, NULL) < 0)
			tap_bail("scan");
		us[i] = report->scan_us;
		n_processes = report->n_processes;
		n_exposed = report->n_exposed;
	}
	for (size_t i = 0; i < N_PROCESSES; i++) {
		(void)kill(pids[i], SIGKILL);
		(void)waitpid(pids[i], NULL, 0);
	}
	for (size_t i = 0; i < N_SCAN_FILES; i++)
		(void)close(targets[i].fd);
	change(scene, 0, 0, NULL);
	result = median(us, n_rounds);
	fprintf(stderr, "scan of %zu processes for %d files: %.1f ms\n", n_processes, N_SCAN_FILES,
		(double)result / 1000);
	return json_pack("{s:I, s:I, s:i, s:I}", "processes", (json_int_t)n_processes, "exposed",
		(json_int_t)n_exposed, "files", N_SCAN_FILES, "scan_us", (json_int_t)result);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {2, 40, 300};
	size_t n_rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 7;
	json_t *changes = json_array(), *ways, *scan, *document;
	struct scene scene;
	struct utsname system;
	pid_t others[N_OTHERS];

	if (n_rounds < 1 || n_rounds > ROUNDS_MAX) {
		fprintf(stderr, "attach [ROUNDS], at most %d\n", ROUNDS_MAX);
		return 2;
	}
	scene_require_root();
	scene_open(&scene);
	scene_make_files(&scene, SCENE_FILES_MAX);
	fprintf(stderr, "µs, medians; work is processor time\n  %-8s %10s %10s %10s %10s\n", "",
		"prepare", "moment", "beneath", "work");
	for (size_t with = 0; with <= 1; with++) {
		if (with)
			start_others(others);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			(void)json_array_append_new(changes,
				measure(&scene, sizes[i], with ? N_OTHERS : 0, n_rounds));
	}
	end_others(others);
	ways = hammer_both(&scene);
	scan = measure_scan(&scene, n_rounds);
	scene_close(&scene);

	(void)uname(&system);
	document = json_pack("{s:s, s:I, s:o, s:o, s:o}", "kernel", system.release, "rounds",
		(json_int_t)n_rounds, "changes", changes, "readers", ways, "scan", scan);
	(void)json_dumpf(document, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
	printf("\n");
	json_decref(document);
	return 0;
}
