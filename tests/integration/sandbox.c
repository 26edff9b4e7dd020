/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sandboxes and the graft: mount namespaces as systemd and bubblewrap make them, born before,
 * while and after, and all the time. Each must see the right content, none may gain or lose write
 * access, none may fail to start, and mounts that a service has of its own must stay.
 *
 * sandbox [--full]   200 changes in the loop (1000)
 * sandbox --probe    what runs inside: answers each byte on its input by what it sees
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft-scene.h"
#include "graft/mount_table.h"

#define N_FILES 2
#define N_LOOP_CHANGES 200
#define N_LOOP_CHANGES_FULL 1000
#define N_STARTERS 3
#define KEPT_MAX 6 /* sandboxes that a starter leaves alive to the end of the loop */
#define PROBE_PATH "/" SCENE_DIR "/probe"

/* What a sandbox answers; versions as scene_version_at() gives them. */
struct view {
	signed char provider, user, by_lib; /* by_lib: the provider below /lib, if that is there */
	signed char can_write;
};

struct sandbox {
	pid_t pid;
	int order_fd, answer_fd;
	size_t kind;
};

/* Inside */

static struct view look(void)
{
	struct view view = {
		.provider = (signed char)scene_version_at("/" SCENE_DIR "/f000"),
		.user = (signed char)scene_version_at("/" SCENE_DIR "/f001"),
		.by_lib = (signed char)scene_version_at("/lib/bsi-scene/f000"),
	};
	char path[64];
	int fd;

	(void)snprintf(path, sizeof path, PROBE_PATH "-%d", (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	view.can_write = fd >= 0;
	if (fd >= 0) {
		(void)close(fd);
		(void)unlink(path);
	}
	return view;
}

static int probe(int in_fd, int out_fd)
{
	char order;

	while (read(in_fd, &order, 1) == 1) {
		struct view view = look();

		if (write(out_fd, &view, sizeof view) != (ssize_t)sizeof view)
			return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/*
 * As systemd's bind_remount_recursive(): the tree becomes a mount, and each mount in it read-only.
 * One below the top that cannot be changed, since it has vanished, is passed over there too.
 */
static int make_read_only(const char *top)
{
	AUTO(mount_table) struct mount_table *table = NULL;
	size_t top_len = strlen(top);

	if (strcmp(top, "/") != 0 && mount(top, top, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	if (mount_table_load("/proc/self/mountinfo", &table) < 0)
		return -EIO;
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct mount_row *row = &table->rows[i];
		unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY;
		struct statvfs fs;

		if (strcmp(top, "/") != 0 && (strncmp(row->point, top, top_len) != 0 ||
						     (row->point[top_len] != '/' &&
							     row->point[top_len] != '\0')))
			continue;
		if (strncmp(row->point, "/dev", 4) == 0 || strncmp(row->point, "/proc", 5) == 0 ||
			strncmp(row->point, "/sys", 4) == 0 || mount_table_over(table, row))
			continue;
		if (statvfs(row->point, &fs) < 0)
			continue;
		flags |= (fs.f_flag & ST_NOSUID ? MS_NOSUID : 0U) |
			(fs.f_flag & ST_NODEV ? MS_NODEV : 0U) |
			(fs.f_flag & ST_NOEXEC ? MS_NOEXEC : 0U) | MS_RELATIME;
		if (mount(NULL, row->point, NULL, flags, NULL) < 0 &&
			strcmp(row->point, top) == 0)
			return -errno;
	}
	return 0;
}

static int enter_service(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -errno;
	return 0;
}

/* The last thing systemd does: what the service mounts itself may propagate below it. */
static int finish_service(int r)
{
	if (r == 0 && mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return -errno;
	return r;
}

static int enter_strict(void)
{
	int r = enter_service();

	return finish_service(r < 0 ? r : make_read_only("/"));
}

static int enter_full(void)
{
	int r = enter_service();

	if (r == 0)
		r = make_read_only("/usr");
	return finish_service(r < 0 ? r : make_read_only("/etc"));
}

static int enter_private_tmp(void)
{
	int r = enter_service();

	if (r == 0 && mount("private", "/var/tmp", "tmpfs", 0, "mode=1777") < 0)
		r = -errno;
	return finish_service(r);
}

static int enter_plain(void)
{
	return enter_service();
}

/* With mounts of its own on patched files, as BindPaths= and InaccessiblePaths= make them. */
static int enter_own_mounts(void)
{
	int r = enter_service();

	if (r == 0 && (mount("/mnt/own", "/" SCENE_DIR "/f000", NULL, MS_BIND, NULL) < 0 ||
			      mount("/mnt/inaccessible", "/" SCENE_DIR "/f001", NULL, MS_BIND, NULL) < 0))
		r = -errno;
	return finish_service(r);
}

/* InaccessiblePaths= on the directory above, and ProtectSystem=full. */
static int enter_inaccessible_dir(void)
{
	int r = enter_service();

	if (r == 0)
		r = make_read_only("/usr");
	if (r == 0 && mount("/mnt/inaccessible-dir", "/" SCENE_DIR, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	return finish_service(r);
}

/* Outside */

enum expect { EXPECT_FOLLOWS, EXPECT_OWN, EXPECT_NOTHING };

static const struct kind {
	const char *name;
	enum expect expect;
	bool can_write;
	int (*enter)(void);
	const char *bwrap[24]; /* arguments up to "--" */
} kinds[] = {
	{"ProtectSystem=strict", EXPECT_FOLLOWS, false, enter_strict, {NULL}},
	{"ProtectSystem=full", EXPECT_FOLLOWS, false, enter_full, {NULL}},
	{"PrivateTmp=yes", EXPECT_FOLLOWS, true, enter_private_tmp, {NULL}},
	{"plain slave", EXPECT_FOLLOWS, true, enter_plain, {NULL}},
	{"own mounts on patched files", EXPECT_OWN, true, enter_own_mounts, {NULL}},
	{"inaccessible directory", EXPECT_NOTHING, false, enter_inaccessible_dir, {NULL}},
	{"bwrap, all of / read-only", EXPECT_FOLLOWS, false, NULL,
		{"--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", NULL}},
	{"bwrap, user namespace", EXPECT_FOLLOWS, false, NULL,
		{"--unshare-user", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", NULL}},
	{"bwrap, /usr writable", EXPECT_FOLLOWS, true, NULL,
		{"--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", NULL}},
	{"bwrap, /usr alone", EXPECT_FOLLOWS, false, NULL,
		{"--unshare-user", "--unshare-pid", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib",
			"/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", NULL}},
	{"bwrap, /usr/lib and /lib alone", EXPECT_FOLLOWS, false, NULL,
		{"--unshare-user", "--ro-bind", "/usr/lib", "/usr/lib", "--ro-bind", "/lib", "/lib",
			"--ro-bind", "/usr/lib64", "/usr/lib64", "--ro-bind", "/lib64", "/lib64", NULL}},
};
#define N_KINDS ARRAY_SIZE(kinds)

static char self_path[512];
static bool has_bwrap;

static bool is_possible(size_t kind)
{
	return kinds[kind].enter || has_bwrap;
}

static _Noreturn void exec_bwrap(const struct kind *kind)
{
	const char *argv[40] = {"bwrap"};
	size_t n = 1;

	for (size_t i = 0; kind->bwrap[i]; i++)
		argv[n++] = kind->bwrap[i];
	for (const char *const *more = (const char *[]){"--tmpfs", "/tmp", "--ro-bind", self_path,
		     "/tmp/probe", "--", "/tmp/probe", "--probe", NULL};
		*more; more++)
		argv[n++] = *more;
	execvp("bwrap", (char *const *)(uintptr_t)argv);
	_exit(127);
}

static _Noreturn void be_sandbox(size_t kind, int order_fd, int answer_fd)
{
	int r;

	/* Whoever holds the other end of an order pipe keeps that sandbox alive. */
	if (dup2(order_fd, STDIN_FILENO) < 0 || dup2(answer_fd, STDOUT_FILENO) < 0 ||
		close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(126);
	if (!kinds[kind].enter)
		exec_bwrap(&kinds[kind]);
	r = kinds[kind].enter();
	if (r < 0)
		(void)fprintf(stderr, "%s: %s\n", kinds[kind].name, strerror(-r));
	_exit(r < 0 ? EXIT_FAILURE : probe(STDIN_FILENO, STDOUT_FILENO));
}

static bool ask(const struct sandbox *sandbox, struct view *ret)
{
	return write(sandbox->order_fd, "?", 1) == 1 &&
		read(sandbox->answer_fd, ret, sizeof *ret) == (ssize_t)sizeof *ret;
}

static void end_sandbox(struct sandbox *sandbox)
{
	(void)close(sandbox->order_fd); /* the end of its input ends it, and bwrap with it */
	(void)close(sandbox->answer_fd);
	(void)waitpid(sandbox->pid, NULL, 0);
}

/* False if it does not start; then nothing is left of it. */
static bool start_sandbox(size_t kind, struct sandbox *ret, struct view *ret_view)
{
	int order[2], answer[2];

	if (pipe2(order, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		tap_bail("pipe");
	*ret = (struct sandbox){.kind = kind, .pid = fork()};
	if (ret->pid == 0) {
		(void)close(order[1]);
		(void)close(answer[0]);
		be_sandbox(kind, order[0], answer[1]);
	}
	(void)close(order[0]);
	(void)close(answer[1]);
	ret->order_fd = order[1];
	ret->answer_fd = answer[0];
	if (ask(ret, ret_view))
		return true;
	end_sandbox(ret);
	return false;
}

/* Whether a sandbox of that kind sees that version everywhere, with the write access it should. */
static bool is_right(size_t kind, const struct view *view, int version)
{
	if (view->can_write != (kinds[kind].can_write && kinds[kind].expect != EXPECT_NOTHING))
		return false;
	switch (kinds[kind].expect) {
	case EXPECT_FOLLOWS:
		return view->provider == version && view->user == version &&
			(view->by_lib == version || view->by_lib == -1);
	case EXPECT_OWN:
		return view->provider == 9 && view->user == -1;
	case EXPECT_NOTHING:
		return view->provider == -1 && view->user == -1;
	}
	return false;
}

static void change(const struct scene *scene, size_t version)
{
	struct error error = {0};

	if (scene_change(scene, version, N_FILES, NULL, &error) < 0)
		tap_bail("change: %s", error.text);
}

/* Start one of each kind now, then go through the versions, and look after each change. */
static void test_born(const struct scene *scene, const char *when, const size_t *versions, size_t n)
{
	struct sandbox sandboxes[N_KINDS] = {0};
	size_t n_started = 0, n_wrong = 0, n_possible = 0;

	change(scene, versions[0]);
	for (size_t k = 0; k < N_KINDS; k++) {
		struct view view;

		if (!is_possible(k))
			continue;
		n_possible++;
		if (start_sandbox(k, &sandboxes[n_started], &view))
			n_started++;
		else
			tap_note("%s did not start", kinds[k].name);
	}
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			change(scene, versions[i]);
		for (size_t s = 0; s < n_started; s++) {
			struct view view = {-2, -2, -2, -2};

			if (ask(&sandboxes[s], &view) &&
				is_right(sandboxes[s].kind, &view, (int)versions[i]))
				continue;
			n_wrong++;
			tap_note("%s, at step %zu with version %zu: sees %d, %d, %d, writes %d",
				kinds[sandboxes[s].kind].name, i, versions[i], view.provider, view.user,
				view.by_lib, view.can_write);
		}
	}
	for (size_t s = 0; s < n_started; s++)
		end_sandbox(&sandboxes[s]);
	tap_ok(n_started == n_possible, "%s: %zu kinds of sandboxes start", when, n_possible);
	tap_ok(n_wrong == 0, "%s: right content and unchanged write access after %zu changes", when,
		n - 1);
	change(scene, 0);
}

/* The loop */

enum stage { STAGE_RUN, STAGE_ATTACHED, STAGE_OFF };

struct loop {
	_Atomic int stage;
	_Atomic unsigned n_arrived;
	_Atomic uint64_t n_starts, n_not_started, n_unreadable, n_write_changed, n_wrong_end;
};

static void check_kept(struct loop *loop, const struct sandbox *kept, size_t n_kept, int version)
{
	for (size_t i = 0; i < n_kept; i++) {
		struct view view = {-2, -2, -2, -2};

		if (ask(&kept[i], &view) && is_right(kept[i].kind, &view, version))
			continue;
		atomic_fetch_add(&loop->n_wrong_end, 1);
		tap_note("%s, at the end with version %d: sees %d, %d, %d, writes %d",
			kinds[kept[i].kind].name, version, view.provider, view.user, view.by_lib,
			view.can_write);
	}
}

static void wait_for_stage(const struct loop *loop, enum stage stage)
{
	while (atomic_load(&loop->stage) < (int)stage)
		(void)usleep(1000);
}

static void start_one(struct loop *loop, size_t kind, struct sandbox *kept, size_t *n_kept)
{
	struct sandbox sandbox;
	struct view view;

	atomic_fetch_add(&loop->n_starts, 1);
	if (!start_sandbox(kind, &sandbox, &view)) {
		atomic_fetch_add(&loop->n_not_started, 1);
		tap_note("%s did not start", kinds[kind].name);
		return;
	}
	/* Which version is a matter of luck now; that there is one is not. */
	if (kinds[kind].expect == EXPECT_FOLLOWS && (view.provider < 0 || view.user < 0))
		atomic_fetch_add(&loop->n_unreadable, 1);
	if (view.can_write != (kinds[kind].can_write && kinds[kind].expect != EXPECT_NOTHING))
		atomic_fetch_add(&loop->n_write_changed, 1);
	if (*n_kept == KEPT_MAX) {
		end_sandbox(&kept[0]);
		memmove(kept, kept + 1, (KEPT_MAX - 1) * sizeof *kept);
		--*n_kept;
	}
	kept[(*n_kept)++] = sandbox;
}

static _Noreturn void start_forever(struct loop *loop, size_t first_kind)
{
	struct sandbox kept[KEPT_MAX];
	size_t n_kept = 0;

	for (size_t k = first_kind; atomic_load(&loop->stage) == STAGE_RUN; k++)
		if (is_possible(k % N_KINDS))
			start_one(loop, k % N_KINDS, kept, &n_kept);
	atomic_fetch_add(&loop->n_arrived, 1);
	wait_for_stage(loop, STAGE_ATTACHED);
	check_kept(loop, kept, n_kept, 2);
	atomic_fetch_add(&loop->n_arrived, 1);
	wait_for_stage(loop, STAGE_OFF);
	check_kept(loop, kept, n_kept, 0);
	for (size_t i = 0; i < n_kept; i++)
		end_sandbox(&kept[i]);
	_exit(EXIT_SUCCESS);
}

static void wait_for_starters(const struct loop *loop, unsigned n)
{
	while (atomic_load(&loop->n_arrived) < n)
		(void)usleep(1000);
}

static void test_loop(const struct scene *scene, size_t n_changes)
{
	static const size_t cycle[] = {1, 2, 1, 0, 2, 0};
	struct loop *loop = mmap(NULL, sizeof *loop, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[N_STARTERS];

	if (loop == MAP_FAILED)
		tap_bail("mmap");
	for (size_t i = 0; i < N_STARTERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			start_forever(loop, i * N_KINDS / N_STARTERS);
	}
	for (size_t i = 0; i < n_changes; i++)
		change(scene, cycle[i % ARRAY_SIZE(cycle)]);
	change(scene, 2);
	/* Nobody may be half born when the end is looked at. */
	atomic_store(&loop->stage, STAGE_ATTACHED);
	wait_for_starters(loop, 2 * N_STARTERS);
	change(scene, 0);
	atomic_store(&loop->stage, STAGE_OFF);
	for (size_t i = 0; i < N_STARTERS; i++)
		(void)waitpid(pids[i], NULL, 0);

	tap_note("%zu changes, %llu sandboxes started meanwhile", n_changes,
		(unsigned long long)loop->n_starts);
	tap_ok(loop->n_starts > N_KINDS, "sandboxes were started all the time");
	tap_ok(loop->n_not_started == 0, "none failed to start (%llu)",
		(unsigned long long)loop->n_not_started);
	tap_ok(loop->n_unreadable == 0, "each found its files (%llu did not)",
		(unsigned long long)loop->n_unreadable);
	tap_ok(loop->n_write_changed == 0, "none gained or lost write access (%llu did)",
		(unsigned long long)loop->n_write_changed);
	tap_ok(loop->n_wrong_end == 0, "those alive at the end follow (%llu did not)",
		(unsigned long long)loop->n_wrong_end);
	(void)munmap(loop, sizeof *loop);
}

static void make_own_files(void)
{
	if (mount("scene", "/mnt", "tmpfs", 0, NULL) < 0)
		tap_bail("mount: %s", strerror(errno));
	scene_write_file("/mnt/own", "v9 own\n", 0644);
	scene_write_file("/mnt/inaccessible", "", 0);
	if (mkdir("/mnt/inaccessible-dir", 0) < 0 ||
		mount("/mnt/inaccessible-dir", "/mnt/inaccessible-dir", NULL, MS_BIND, NULL) < 0 ||
		mount(NULL, "/mnt/inaccessible-dir", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
		tap_bail("%s", strerror(errno));
}

int main(int argc, char **argv)
{
	static const size_t before[] = {0, 1, 2, 1, 0, 2, 0}, during[] = {1, 2, 0, 1, 2},
			    after[] = {2, 1, 0, 2, 0};
	bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
	struct scene scene;

	if (argc > 1 && strcmp(argv[1], "--probe") == 0)
		return probe(STDIN_FILENO, STDOUT_FILENO);
	scene_require_root();
	if (readlink("/proc/self/exe", self_path, sizeof self_path - 1) < 0)
		tap_bail("/proc/self/exe");
	has_bwrap = scene_has("bwrap");
	if (!has_bwrap)
		tap_note("without bubblewrap");
	scene_open(&scene);
	scene_make_files(&scene, N_FILES);
	make_own_files();

	test_born(&scene, "born before", before, ARRAY_SIZE(before));
	test_born(&scene, "born while attached", during, ARRAY_SIZE(during));
	change(&scene, 1);
	test_born(&scene, "born after an exchange", after, ARRAY_SIZE(after));
	test_loop(&scene, full ? N_LOOP_CHANGES_FULL : N_LOOP_CHANGES);

	scene_close(&scene);
	tap_plan_end();
	return tap_exit_status();
}
