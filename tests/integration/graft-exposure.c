/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who still runs old code: real processes that map real files of every kind. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "graft-scene.h"
#include "graft/exposure.h"

#define N_FILES 4
#define N_CROWD 300
#define NOBODY 65534

/* A process that maps a file of its mount namespace, until it is killed. */
struct user {
	pid_t pid;
	int order_fd, answer_fd;
};

static _Noreturn void use(int order_fd, int answer_fd, const char *path, bool private_ns)
{
	int fd;
	char order;

	if (private_ns && (unshare(CLONE_NEWNS) < 0 ||
				  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		_exit(1);
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (path && (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED))
		_exit(1);
	auto_closep(&fd);
	(void)!write(answer_fd, "r", 1);
	/* Any order binds the last file over a place of its own. */
	while (read(order_fd, &order, 1) == 1) {
		(void)mount("/" SCENE_DIR "/f003", "/mnt/single", NULL, MS_BIND, NULL);
		(void)!write(answer_fd, "b", 1);
	}
	_exit(0);
}

static struct user start_user(const char *path, bool private_ns)
{
	int order[2], answer[2];
	struct user user = {0};
	char ready;

	if (pipe2(order, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		tap_bail("pipe");
	user.pid = fork();
	if (user.pid == 0) {
		(void)close(order[1]);
		(void)close(answer[0]);
		use(order[0], answer[1], path, private_ns);
	}
	(void)close(order[0]);
	(void)close(answer[1]);
	user.order_fd = order[1];
	user.answer_fd = answer[0];
	if (read(user.answer_fd, &ready, 1) != 1)
		tap_bail("a process that maps %s did not start", path ? path : "nothing");
	return user;
}

static void end_user(struct user *user)
{
	(void)kill(user->pid, SIGKILL);
	(void)waitpid(user->pid, NULL, 0);
	(void)close(user->order_fd);
	(void)close(user->answer_fd);
}

struct targets {
	struct exposure_target list[4 * N_FILES];
	size_t n;
};

static void digest_text(const char *text, struct digest *ret)
{
	if (digest_of(text, strlen(text), ret) < 0)
		tap_bail("digest");
}

/* The base files, and by digest the files of the version attached and of an older one. */
static struct targets make_targets(const struct scene *scene, const int *base_fds, int current, int older)
{
	struct targets targets = {0};
	char text[32];

	for (size_t i = 0; i < N_FILES; i++) {
		targets.list[targets.n++] = (struct exposure_target){.kind = EXPOSURE_BASE,
			.component = "scene", .path = scene->paths[i], .fd = base_fds[i]};
		targets.list[targets.n] = (struct exposure_target){.kind = EXPOSURE_COPY,
			.component = "scene", .path = scene->paths[i], .fd = -EBADF};
		(void)snprintf(text, sizeof text, "v0 f%03zu\n", i);
		digest_text(text, &targets.list[targets.n++].digest);
		for (int k = 0; k < 2; k++) {
			struct exposure_target *t = &targets.list[targets.n];
			int version = k == 0 ? current : older;

			if (version == 0)
				continue;
			*t = (struct exposure_target){
				.kind = k == 0 ? EXPOSURE_CURRENT : EXPOSURE_OLDER,
				.component = "scene", .path = scene->paths[i], .fd = -EBADF};
			(void)snprintf(text, sizeof text, "v%d f%03zu\n", version, i);
			digest_text(text, &t->digest);
			targets.n++;
		}
	}
	return targets;
}

static struct exposure_report *scan(const struct scene *scene, const int *base_fds, int current,
	int older)
{
	struct targets targets = make_targets(scene, base_fds, current, older);
	struct graft_host host = scene_host(scene);
	struct exposure_report *report = NULL;
	struct error error = {0};

	if (exposure_scan(&host, targets.list, targets.n, &report, &error) < 0)
		tap_bail("scan: %s", error.text);
	return report;
}

static const struct exposure_entry *find(const struct exposure_report *report, pid_t pid,
	bool in_mounts, const char *path)
{
	for (size_t i = 0; i < report->n_entries; i++) {
		const struct exposure_entry *e = &report->entries[i];

		if (e->pid == pid && e->in_mounts == in_mounts &&
			(path ? e->path && strcmp(e->path, path) == 0 : !e->path))
			return e;
	}
	return NULL;
}

/* In whatever process of the host's namespace, but not in one of a private one. */
static bool has_mount_entry(const struct exposure_report *report, const char *path)
{
	size_t n = 0;

	for (size_t i = 0; i < report->n_entries; i++)
		n += report->entries[i].in_mounts && report->entries[i].path &&
			strcmp(report->entries[i].path, path) == 0;
	return n == 2;
}

static void change(const struct scene *scene, size_t version)
{
	struct error error = {0};

	if (scene_change(scene, version, N_FILES, NULL, &error) < 0)
		tap_bail("change: %s", error.text);
}

static void test_generations(const struct scene *scene, const int *base_fds)
{
	struct user base = start_user("/" SCENE_DIR "/f000", false), first, second;
	const struct exposure_entry *entry;

	change(scene, 1);
	first = start_user("/" SCENE_DIR "/f001", false);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 1, 0);

		entry = find(report, base.pid, false, scene->paths[0]);
		tap_ok(report->n_exposed == 1 && entry && entry->kind == EXPOSURE_BASE &&
				strcmp(entry->component, "scene") == 0 && entry->start_ticks > 0 &&
				entry->uid == 0 && strncmp(entry->comm, "graft-exposure", 14) == 0,
			"after attach: the process that maps the base file, and no other");
	}
	change(scene, 2);
	second = start_user("/" SCENE_DIR "/f001", false);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 2, 1);

		entry = find(report, first.pid, false, scene->paths[1]);
		tap_ok(report->n_exposed == 2 && entry && entry->kind == EXPOSURE_OLDER &&
				find(report, base.pid, false, scene->paths[0]),
			"after exchange: also the one that maps the earlier image's file, by digest");
	}
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 2, 0);

		entry = find(report, first.pid, false, NULL);
		tap_ok(report->n_exposed == 2 && entry && entry->kind == EXPOSURE_OLDER &&
				!entry->component,
			"an earlier file that nobody knows any more is listed without a name");
	}
	change(scene, 0);
	change(scene, 1);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 1, 2);

		tap_ok(report->n_exposed == 2 && !find(report, first.pid, false, scene->paths[1]) &&
				find(report, second.pid, false, scene->paths[1]),
			"the same image attached again: its earlier users are not exposed");
	}
	end_user(&base);
	end_user(&first);
	end_user(&second);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 1, 2);

		tap_ok(report->n_exposed == 0, "nobody is left when they have ended");
	}
	change(scene, 0);
}

/* Started while a lid lay there: it has mapped the base, by a mount that is gone. */
static void test_started_under_lid(const struct scene *scene, const int *base_fds)
{
	AUTO(exposure_report) struct exposure_report *report = NULL;
	AUTO_CLOSE int patched_fd = -EBADF;
	const struct exposure_entry *entry;
	struct user user;
	pid_t pid;

	change(scene, 1);
	patched_fd = open("/" SCENE_DIR "/f002", O_RDONLY | O_CLOEXEC);
	pid = fork();
	if (pid == 0)
		_exit(scene_change(scene, 0, 0, NULL, NULL) < 0);
	while (scene_version_at("/" SCENE_DIR "/f002") != 0)
		;
	user = start_user("/" SCENE_DIR "/f002", false);
	auto_closep(&patched_fd);
	(void)waitpid(pid, NULL, 0);
	change(scene, 1);
	report = scan(scene, base_fds, 1, 0);
	entry = find(report, user.pid, false, scene->paths[2]);
	tap_ok(report->n_exposed == 1 && entry && entry->kind == EXPOSURE_BASE,
		"who mapped the base while it went off is found once it is attached again");
	end_user(&user);
	change(scene, 0);
}

static void test_namespaces(const struct scene *scene, const int *base_fds)
{
	struct user private = start_user(NULL, true), single;
	const struct exposure_entry *entry;
	char answer;

	change(scene, 1);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 1, 0);
		size_t n_bare = 0;

		for (size_t i = 0; i < N_FILES; i++)
			n_bare += find(report, private.pid, true, scene->paths[i]) != NULL;
		tap_ok(n_bare == N_FILES && report->n_exposed == 0,
			"a private namespace that never got the mounts is named for each file");
	}
	end_user(&private);

	private = start_user(NULL, true);
	single = start_user(NULL, false);
	if (write(single.order_fd, "b", 1) != 1 || read(single.answer_fd, &answer, 1) != 1)
		tap_bail("no bind");
	change(scene, 2);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 2, 0);

		entry = find(report, private.pid, true, scene->paths[0]);
		tap_ok(entry && entry->kind == EXPOSURE_OLDER && report->n_exposed == 0,
			"a private namespace that keeps an older image is named");
		tap_ok(has_mount_entry(report, scene->paths[3]),
			"so is a bind that somebody made of a patched file on the host");
	}
	end_user(&private);
	end_user(&single);
	(void)umount2("/mnt/single", MNT_DETACH);
	change(scene, 0);
}

static void test_single_file_bind(const struct scene *scene, const int *base_fds)
{
	struct user bound;
	char answer;

	change(scene, 1);
	bound = start_user(NULL, true);
	if (write(bound.order_fd, "b", 1) != 1 || read(bound.answer_fd, &answer, 1) != 1)
		tap_bail("no bind");
	change(scene, 0);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 0, 1);

		tap_ok(find(report, bound.pid, true, scene->paths[3]) != NULL,
			"a file bound singly while attached is named after off");
	}
	end_user(&bound);
}

/* Detached, path "/", and no business of ours. */
static void test_foreign_detached(const struct scene *scene, const int *base_fds)
{
	struct user user;

	scene_write_file("/mnt/foreign", "foreign\n", 0644);
	if (mount("/mnt/foreign", "/mnt/single", NULL, MS_BIND, NULL) < 0)
		tap_bail("bind");
	user = start_user("/mnt/single", false);
	if (umount2("/mnt/single", MNT_DETACH) < 0)
		tap_bail("umount");
	change(scene, 1);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 1, 0);

		tap_ok(report->n_exposed == 0 && !find(report, user.pid, false, NULL),
			"a detached file of another file system is nothing to report");
	}
	end_user(&user);
	change(scene, 0);
}

static void test_without_privilege(const struct scene *scene, const int *base_fds)
{
	struct user user = start_user("/" SCENE_DIR "/f000", false);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct targets targets = make_targets(scene, base_fds, 0, 0);
		struct exposure_report *report = NULL;

		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0 ||
			exposure_scan(NULL, targets.list, targets.n, &report, NULL) < 0)
			_exit(1);
		_exit(report->n_unknown > 0 && report->n_unknown <= report->n_processes &&
					report->n_exposed == 0 ?
				0 :
				2);
	}
	(void)waitpid(pid, &status, 0);
	tap_ok(status == 0, "processes whose maps cannot be read count as unknown");
	end_user(&user);
}

/*
 * Where maps and stat() disagree: btrfs subvolumes, and overlays whose layers are different file
 * systems. The kernel prints the superblock's device for two files with the same inode number.
 */
static void test_twins(const struct scene *scene, const char *name, const char *script)
{
	struct exposure_target target = {.kind = EXPOSURE_BASE, .component = "scene", .path = "one"};
	AUTO(exposure_report) struct exposure_report *report = NULL;
	struct user one, two;

	if (scene_run((const char *[]){"sh", "-c", script, scene->work, NULL}) != 0) {
		tap_skip(name, "cannot be made here");
		return;
	}
	one = start_user("/mnt/twins/one/f", false);
	two = start_user("/mnt/twins/two/g", false);
	target.fd = open("/mnt/twins/one/f", O_RDONLY | O_CLOEXEC);
	if (exposure_scan(NULL, &target, 1, &report, NULL) < 0)
		tap_bail("scan");
	tap_ok(report->n_exposed == 1 && find(report, one.pid, false, "one"),
		"%s: the process that maps this file, not its twin", name);
	(void)close(target.fd);
	end_user(&one);
	end_user(&two);
	(void)umount2("/mnt/twins", MNT_DETACH);
}

static const char btrfs_script[] =
	"set -e; truncate -s 256M \"$0/btrfs\"; mkfs.btrfs -q \"$0/btrfs\";"
	" mount -o loop \"$0/btrfs\" /mnt/twins;"
	" btrfs subvolume create /mnt/twins/one >&2; btrfs subvolume create /mnt/twins/two >&2;"
	" echo one >/mnt/twins/one/f; echo two >/mnt/twins/two/g";
static const char overlay_script[] =
	"set -e; cd /mnt; mkdir 1 2; mount -t tmpfs one 1; mount -t tmpfs two 2; mkdir 1/one 2/two;"
	" echo one >1/one/f; echo two >2/two/g;"
	" test $(stat -c %i 1/one/f) = $(stat -c %i 2/two/g);"
	" mount -t overlay twins -o lowerdir=/mnt/1:/mnt/2,xino=off /mnt/twins";

static void test_many(const struct scene *scene, const int *base_fds)
{
	struct user *users = calloc(N_CROWD, sizeof *users);

	for (size_t i = 0; users && i < N_CROWD; i++)
		users[i] = start_user(i % 10 == 0 ? "/" SCENE_DIR "/f000" : NULL, false);
	change(scene, 1);
	{
		AUTO(exposure_report) struct exposure_report *report = scan(scene, base_fds, 1, 0);

		tap_note("%zu processes looked at in %.1f ms", report->n_processes,
			(double)report->scan_us / 1000);
		tap_ok(report->n_exposed == N_CROWD / 10, "every tenth of %d processes is exposed",
			N_CROWD);
	}
	for (size_t i = 0; users && i < N_CROWD; i++)
		end_user(&users[i]);
	free(users);
	change(scene, 0);
}

int main(void)
{
	int base_fds[N_FILES];
	struct scene scene;
	char path[80];

	scene_require_root();
	scene_open(&scene);
	scene_make_files(&scene, N_FILES);
	if (mount("scene", "/mnt", "tmpfs", 0, NULL) < 0 || mkdir("/mnt/twins", 0755) < 0)
		tap_bail("mount: %s", strerror(errno));
	scene_write_file("/mnt/single", "", 0644);
	for (size_t i = 0; i < N_FILES; i++) {
		(void)snprintf(path, sizeof path, "/%s", scene.paths[i]);
		base_fds[i] = open(path, O_RDONLY | O_CLOEXEC);
	}

	test_generations(&scene, base_fds);
	test_started_under_lid(&scene, base_fds);
	test_namespaces(&scene, base_fds);
	test_single_file_bind(&scene, base_fds);
	test_foreign_detached(&scene, base_fds);
	test_without_privilege(&scene, base_fds);
	test_twins(&scene, "btrfs", btrfs_script);
	test_twins(&scene, "overlay of two file systems", overlay_script);
	test_many(&scene, base_fds);

	for (size_t i = 0; i < N_FILES; i++)
		(void)close(base_fds[i]);
	scene_close(&scene);
	tap_plan_end();
	return tap_exit_status();
}
