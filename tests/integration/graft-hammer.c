/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readers that never stop while attaches, exchanges and offs happen. Two of them open the user of
 * the other file first, two the provider first. No open may fail, and while one improvement is
 * exchanged for another no open may find the base. Pairs of files of two versions can happen to
 * any two opens: they are counted and shown. Who has opened a file keeps its path until it is mapped,
 * which is what AppArmor decides by. A real program with two libraries, started all the time. And what
 * readers find while a package manager in a base view puts a newer file into the place of a patched one.
 *
 * graft-hammer [--full]: 1000 changes (5000)
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft-scene.h"
#include "graft/base_view.h"

#define N_CHANGES 1000
#define N_CHANGES_FULL 5000
#define N_THREADS 4
#define N_PROGRAM_CHANGES 120
#define N_OPENED_CHANGES 300
#define N_RENAMES 40
#define PROGRAM_EXIT_BASE 16 /* the program exits with this + 4 * version of A + version of B */

enum phase { PHASE_ATTACH, PHASE_EXCHANGE, PHASE_OFF, PHASE_MAX };
static const char *const phase_names[] = {"attach", "exchange", "off"};

/* The change under way, so that a reader can tell what it may see. Odd while a change runs. */
static _Atomic unsigned sequence;
static _Atomic int phase = PHASE_OFF, version_to;
static _Atomic bool stop;
static _Atomic uint64_t n_reads, n_failed, n_base_in_exchange;
static _Atomic uint64_t n_mixed[PHASE_MAX][2], n_bad[PHASE_MAX][2]; /* [phase][provider first] */

static void read_pair(bool provider_first)
{
	unsigned before = atomic_load(&sequence);
	int now = atomic_load(&phase), to = atomic_load(&version_to);
	int first = scene_version_at(provider_first ? "/" SCENE_DIR "/f000" : "/" SCENE_DIR "/f001");
	int second = scene_version_at(provider_first ? "/" SCENE_DIR "/f001" : "/" SCENE_DIR "/f000");
	int provider = provider_first ? first : second, user = provider_first ? second : first;

	atomic_fetch_add(&n_reads, 1);
	if (provider < 0 || user < 0) {
		atomic_fetch_add(&n_failed, 1);
		return;
	}
	if (atomic_load(&sequence) != before || before % 2 == 0)
		return; /* not within one change for sure */
	if (now == PHASE_EXCHANGE && (provider == 0 || user == 0))
		atomic_fetch_add(&n_base_in_exchange, 1);
	if (provider != user) {
		atomic_fetch_add(&n_mixed[now][provider_first], 1);
		/* Off goes back to the old: there the user must go first. */
		if (now == PHASE_OFF ? provider == to : user == to)
			atomic_fetch_add(&n_bad[now][provider_first], 1);
	}
}

static void *reader(void *arg)
{
	bool provider_first = (uintptr_t)arg % 2 == 1;

	while (!atomic_load(&stop))
		read_pair(provider_first);
	return NULL;
}

static bool change(const struct scene *scene, enum phase next, int to)
{
	struct error error = {0};
	int r;

	atomic_store(&phase, (int)next);
	atomic_store(&version_to, to);
	atomic_fetch_add(&sequence, 1);
	r = scene_change(scene, (size_t)to, 2, NULL, &error);
	atomic_fetch_add(&sequence, 1);
	if (r < 0)
		tap_note("%s: %s", phase_names[next], error.text);
	return r == 0;
}

/* attach, three exchanges, off: and again. */
static size_t run_changes(const struct scene *scene, size_t n_changes, size_t n_of[PHASE_MAX])
{
	static const struct {
		enum phase phase;
		int to;
	} cycle[] = {
		{PHASE_ATTACH, 1},
		{PHASE_EXCHANGE, 2},
		{PHASE_EXCHANGE, 1},
		{PHASE_EXCHANGE, 2},
		{PHASE_OFF, 0},
	};
	size_t n_errors = 0;

	for (size_t i = 0; i < n_changes; i++) {
		size_t k = i % ARRAY_SIZE(cycle);

		n_errors += !change(scene, cycle[k].phase, cycle[k].to);
		n_of[cycle[k].phase]++;
	}
	return n_errors;
}

static void test_readers(const struct scene *scene, size_t n_changes)
{
	size_t n_of[PHASE_MAX] = {0}, n_errors;
	pthread_t threads[N_THREADS];

	for (uintptr_t i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, reader, (void *)i) != 0)
			tap_bail("no thread");
	n_errors = run_changes(scene, n_changes, n_of);
	atomic_store(&stop, true);
	for (size_t i = 0; i < N_THREADS; i++)
		(void)pthread_join(threads[i], NULL);

	tap_note("%zu changes, %llu pairs read", n_changes, (unsigned long long)n_reads);
	for (int p = 0; p < PHASE_MAX; p++)
		tap_note("%-8s mixed pairs for each change: %.3f user first, %.3f provider first; "
			 "of these new user with old provider: %.3f, %.3f",
			phase_names[p], (double)n_mixed[p][0] / (double)n_of[p],
			(double)n_mixed[p][1] / (double)n_of[p], (double)n_bad[p][0] / (double)n_of[p],
			(double)n_bad[p][1] / (double)n_of[p]);
	tap_ok(n_errors == 0, "every change under load succeeded");
	tap_ok(n_reads > n_changes, "the readers were at work");
	tap_ok(n_failed == 0, "no open failed");
	tap_ok(n_base_in_exchange == 0, "no open found the base during an exchange");
}

static _Atomic uint64_t n_opened, n_pathless[PHASE_MAX];
static bool openers_rest;

/* As a dynamic linker does: open, look, map. A file of a mount that went in between has the path "/". */
static void *opener(void *arg)
{
	static const char name[] = "/" SCENE_DIR "/f000";
	static const struct timespec header = {.tv_nsec = 200000}, rest = {.tv_nsec = 2000000};
	char link[64], path[256];

	(void)arg;
	while (!atomic_load(&stop)) {
		int now = atomic_load(&phase);
		AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
		void *page;
		ssize_t n;

		if (fd < 0)
			continue; /* test_readers() counts those */
		if (openers_rest)
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &header, NULL);
		page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, path, sizeof path);
		if (page != MAP_FAILED)
			(void)munmap(page, 1);
		atomic_fetch_add(&n_opened, 1);
		if (n != (ssize_t)sizeof name - 1 || memcmp(path, name, sizeof name - 1) != 0)
			/* one that straddles two changes tells of neither */
			atomic_fetch_add(&n_pathless[now], atomic_load(&phase) == now);
		if (!openers_rest)
			continue;
		auto_closep(&fd);
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
	}
	return NULL;
}

/*
 * Openers that rest between two openings are what programs do that start: they read a header before they map the
 * file, and a mount is in use for a part of the time. Those that do nothing else use every mount all the time, and show what is left where waiting is
 * in vain.
 */
static void test_openers(const struct scene *scene, bool rest)
{
	size_t n_of[PHASE_MAX] = {0}, n_errors;
	pthread_t threads[N_THREADS];

	openers_rest = rest;
	atomic_store(&stop, false);
	atomic_store(&n_opened, 0);
	for (int p = 0; p < PHASE_MAX; p++)
		atomic_store(&n_pathless[p], 0);
	for (size_t i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, opener, NULL) != 0)
			tap_bail("no thread");
	n_errors = run_changes(scene, N_OPENED_CHANGES, n_of);
	atomic_store(&stop, true);
	for (size_t i = 0; i < N_THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	tap_note("%d changes, %llu openings%s; lost their path at an exchange: %llu, off: %llu",
		N_OPENED_CHANGES, (unsigned long long)n_opened, rest ? " with rests" : "",
		(unsigned long long)n_pathless[PHASE_EXCHANGE],
		(unsigned long long)n_pathless[PHASE_OFF]);
	tap_ok(n_errors == 0 && n_opened > N_OPENED_CHANGES, "changes while files are opened and mapped");
	if (rest) {
		tap_ok(n_pathless[PHASE_EXCHANGE] * 20 <= n_of[PHASE_EXCHANGE],
			"an exchange waits for those who have opened a file");
		tap_ok(n_pathless[PHASE_OFF] * 20 <= n_of[PHASE_OFF],
			"an off waits for those who have opened a file");
		return;
	}
	/* No lid is ever free; a busy machine may hold an opener up for longer than an exchange waits. */
	tap_ok(n_pathless[PHASE_EXCHANGE] * 20 <= n_of[PHASE_EXCHANGE] ||
			n_pathless[PHASE_EXCHANGE] * n_of[PHASE_OFF] * 2 <
				n_pathless[PHASE_OFF] * n_of[PHASE_EXCHANGE],
		"an exchange waits for those who open files all the time");
}

static const char build_script[] =
	"set -e; cd \"$0\"; for v in 0 1 2; do"
	" d=lib$v/usr/lib/bsi-scene; mkdir -p $d;"
	" printf 'int b(void); int b(void) { return %d; }' $v >b.c;"
	" printf 'int b(void); int a(void); int a(void) { return 16 + 4 * %d + b(); }' $v >a.c;"
	" cc -shared -fPIC -Wl,-soname,libB.so -o $d/libB.so b.c;"
	" cc -shared -fPIC -Wl,-soname,libA.so -o $d/libA.so a.c -L$d -lB;"
	" done; printf 'int a(void); int main(void) { return a(); }' >p.c;"
	" cp lib0/usr/lib/bsi-scene/lib*.so /usr/lib/bsi-scene/;"
	" cc -o program p.c -L/usr/lib/bsi-scene -lA -Wl,--disable-new-dtags,-rpath,/usr/lib/bsi-scene"
	" -Wl,-rpath-link,/usr/lib/bsi-scene";

struct starts {
	_Atomic bool stop;
	_Atomic uint64_t n, n_wrong, n_mixed;
};

static _Noreturn void start_forever(struct starts *starts, const char *program)
{
	while (!atomic_load(&starts->stop)) {
		int status = scene_run((const char *[]){program, NULL}), a, b;

		atomic_fetch_add(&starts->n, 1);
		if (status < PROGRAM_EXIT_BASE || status >= PROGRAM_EXIT_BASE + 12) {
			atomic_fetch_add(&starts->n_wrong, 1);
			if (atomic_load(&starts->n_wrong) < 5)
				tap_note("the program ended with %d", status);
			continue;
		}
		a = (status - PROGRAM_EXIT_BASE) / 4;
		b = (status - PROGRAM_EXIT_BASE) % 4;
		atomic_fetch_add(&starts->n_mixed, a != b);
	}
	_exit(0);
}

static void test_program(struct scene *scene)
{
	struct graft_host host = scene_host(scene);
	struct graft_file files[] = {{.path = SCENE_DIR "/libB.so", .base_fd = -EBADF},
		{.path = SCENE_DIR "/libA.so", .base_fd = -EBADF}};
	struct graft_layer layers[3] = {0};
	struct graft_proof proofs[3] = {0};
	struct starts *starts;
	char tree[96], name[32], program[96];
	size_t n_errors = 0;
	pid_t pids[2];

	if (!scene_has("cc") ||
		scene_run((const char *[]){"sh", "-c", build_script, scene->work, NULL}) != 0) {
		tap_skip("a program with two libraries", "needs a compiler");
		return;
	}
	for (size_t v = 1; v <= 2; v++) {
		(void)snprintf(tree, sizeof tree, "%s/lib%zu", scene->work, v);
		(void)snprintf(name, sizeof name, "lib%zu.erofs", v);
		layers[v] = (struct graft_layer){.component = "libs", .proof = &proofs[v],
			.files = files, .n_files = 2};
		layers[v].image_fd = scene_make_image(scene, tree, name, &layers[v].digest,
			&proofs[v]);
	}
	starts = mmap(NULL, sizeof *starts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (starts == MAP_FAILED)
		tap_bail("mmap");
	(void)snprintf(program, sizeof program, "%s/program", scene->work);
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			start_forever(starts, program);
	}
	for (size_t i = 0; i < N_PROGRAM_CHANGES; i++) {
		static const size_t cycle[] = {1, 2, 1, 2, 0};
		size_t v = cycle[i % ARRAY_SIZE(cycle)];
		struct error error = {0};

		if (scene_change_layers(&host, &layers[v], v == 0 ? 0 : 1, NULL, &error) < 0) {
			tap_note("%s", error.text);
			n_errors++;
		}
	}
	atomic_store(&starts->stop, true);
	for (int i = 0; i < 2; i++)
		(void)waitpid(pids[i], NULL, 0);
	tap_note("%d changes, %llu starts, %llu with libraries of two versions", N_PROGRAM_CHANGES,
		(unsigned long long)starts->n, (unsigned long long)starts->n_mixed);
	tap_ok(n_errors == 0 && starts->n > 10, "changes while a program is started all the time");
	tap_ok(starts->n_wrong == 0, "the program loaded its libraries every time");
	(void)!scene_change_layers(&host, NULL, 0, NULL, NULL);
	for (size_t v = 1; v <= 2; v++)
		(void)close(layers[v].image_fd);
	(void)munmap(starts, sizeof *starts);
}

/* What readers of one file found: versions 0 (the former base), 1 (the patched file), 3 (the newer base). */
static _Atomic uint64_t n_found[10], n_unreadable, n_masked;

static void *watcher(void *arg)
{
	bool replaced = false;

	(void)arg;
	while (!atomic_load(&stop)) {
		int version = scene_version_at("/" SCENE_DIR "/f001");

		if (version < 0) {
			atomic_fetch_add(&n_unreadable, 1);
			continue;
		}
		atomic_fetch_add(&n_found[version], 1);
		atomic_fetch_add(&n_masked, replaced && version != 3);
		replaced = replaced || version == 3;
	}
	return NULL;
}

static bool put_base_file(const char *text)
{
	scene_write_file("/" SCENE_DIR "/new", text, 0644);
	return rename("/" SCENE_DIR "/new", "/" SCENE_DIR "/f001") == 0;
}

/* As apt's dpkg does it, while two threads read. */
static bool replace_under_watch(void)
{
	pthread_t threads[2];
	int status;
	pid_t pid;

	atomic_store(&stop, false);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		if (pthread_create(&threads[i], NULL, watcher, NULL) != 0)
			tap_bail("no thread");
	(void)usleep(1000);
	pid = fork();
	if (pid == 0)
		_exit(base_view_enter(BASE_VIEW_SLAVE, NULL) < 0 || !put_base_file("v3 newer\n"));
	(void)waitpid(pid, &status, 0);
	status |= scene_version_at("/" SCENE_DIR "/f001") != 3;
	(void)usleep(1000);
	atomic_store(&stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		(void)pthread_join(threads[i], NULL);
	return status == 0;
}

static void test_renames(const struct scene *scene)
{
	size_t n_ok = 0, n_former = 0;

	for (size_t i = 0; i < N_RENAMES; i++) {
		uint64_t former = atomic_load(&n_found[0]);

		n_ok += put_base_file("v0 older\n") && scene_change(scene, 1, 2, NULL, NULL) == 0 &&
			replace_under_watch() && scene_change(scene, 0, 2, NULL, NULL) == 0;
		n_former += atomic_load(&n_found[0]) > former;
	}
	tap_note("%d patched files replaced by a rename in a base view: %llu readings; the former base was "
		 "found at %zu of the renames, %llu times",
		N_RENAMES, (unsigned long long)(n_found[0] + n_found[1] + n_found[3]), n_former,
		(unsigned long long)n_found[0]);
	tap_ok(n_ok == N_RENAMES, "where a rename in a base view has returned, the newer file is there");
	tap_ok(n_unreadable == 0 && n_found[3] > N_RENAMES, "no open failed meanwhile");
	tap_ok(n_masked == 0, "who found the newer file never finds another one after it");
}

int main(int argc, char **argv)
{
	bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
	struct scene scene;

	scene_require_root();
	scene_open(&scene);
	scene_make_files(&scene, 2);
	test_program(&scene);
	test_readers(&scene, full ? N_CHANGES_FULL : N_CHANGES);
	test_openers(&scene, true);
	test_openers(&scene, false);
	test_renames(&scene);
	scene_close(&scene);
	tap_plan_end();
	return tap_exit_status();
}
