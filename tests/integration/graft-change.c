/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real mounts, step by step: what is attached, what is refused, and what is left behind. */
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
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft-scene.h"
#include "graft/base_view.h"
#include "graft/lift.h"
#include "graft/sealing.h"
#include "graft/state.h"

#define N_FILES 40
#define N_MANY 300
#define N_KILLS 40
#define N_FREE_MOUNTS 20
#define NOBODY 65534

/* How many of the first n files show that version. */
static size_t count_version(const struct scene *scene, size_t n, int version)
{
	size_t found = 0;
	char path[80];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(path, sizeof path, "/%s", scene->paths[i]);
		found += scene_version_at(path) == version;
	}
	return found;
}

static size_t count_mounts(const struct scene *scene)
{
	AUTO(graft_state) struct graft_state *state = NULL;
	struct graft_host host = scene_host(scene);

	if (graft_state_read(&host, &state, NULL) < 0)
		tap_bail("the state cannot be read");
	return state->n_mounts;
}

static size_t count_lids(const struct scene *scene)
{
	AUTO(graft_state) struct graft_state *state = NULL;
	struct graft_host host = scene_host(scene);

	if (graft_state_read(&host, &state, NULL) < 0)
		tap_bail("the state cannot be read");
	return state->n_lids;
}

static bool change_ok(const struct scene *scene, size_t version, size_t n, struct graft_report *report)
{
	struct error error = {0};
	int r = scene_change(scene, version, n, report, &error);

	if (r < 0)
		tap_note("change to version %zu: %s", version, error.text);
	return r == 0;
}

static void take_all_off(const struct scene *scene)
{
	if (!change_ok(scene, 0, 0, NULL) || count_mounts(scene) != 0)
		tap_bail("not everything could be taken off");
}

static void test_contents(const struct scene *scene)
{
	struct stat before[N_FILES], after;
	struct graft_report report;
	size_t n_touched = 0;
	char path[80];

	for (size_t i = 0; i < N_FILES; i++) {
		(void)snprintf(path, sizeof path, "/%s", scene->paths[i]);
		if (stat(path, &before[i]) < 0)
			tap_bail("%s", path);
	}
	tap_ok(change_ok(scene, 1, N_FILES, &report) && report.n_attached == N_FILES &&
			count_version(scene, N_FILES, 1) == N_FILES,
		"attach shows the patched files");
	tap_ok(change_ok(scene, 1, N_FILES, &report) && report.n_kept == N_FILES &&
			report.n_attached == 0 && report.n_exchanged == 0,
		"repeating changes nothing");
	tap_ok(change_ok(scene, 2, N_FILES, &report) && report.n_exchanged == N_FILES &&
			count_version(scene, N_FILES, 2) == N_FILES,
		"exchange shows the newer files");
	tap_ok(count_mounts(scene) == N_FILES && report.n_below == 0,
		"the stack stays one deep after an exchange");
	tap_ok(change_ok(scene, 2, N_FILES / 2, &report) && report.n_off == N_FILES / 2 &&
			report.n_kept == N_FILES / 2 &&
			count_version(scene, N_FILES, 0) == N_FILES / 2,
		"files that are wanted no more are taken off, the others stay");
	tap_ok(change_ok(scene, 0, 0, &report) && report.n_off == N_FILES / 2 &&
			count_version(scene, N_FILES, 0) == N_FILES && count_mounts(scene) == 0,
		"off shows the base");
	for (size_t i = 0; i < N_FILES; i++) {
		(void)snprintf(path, sizeof path, "/%s", scene->paths[i]);
		n_touched += stat(path, &after) < 0 || after.st_ino != before[i].st_ino ||
			after.st_ctim.tv_nsec != before[i].st_ctim.tv_nsec ||
			after.st_mtim.tv_nsec != before[i].st_mtim.tv_nsec;
	}
	tap_ok(n_touched == 0, "no inode or time of the base has changed");
}

static void test_state(const struct scene *scene)
{
	AUTO(graft_state) struct graft_state *state = NULL;
	struct graft_host host = scene_host(scene);
	struct statvfs fs;
	size_t n_right = 0;

	(void)change_ok(scene, 1, N_FILES, NULL);
	if (graft_state_read(&host, &state, NULL) < 0)
		tap_bail("state");
	for (size_t i = 0; i < state->n_mounts && i < N_FILES; i++) {
		const struct graft_mount *m = &state->mounts[i];

		n_right += strcmp(m->component, "scene") == 0 && m->visible && m->parent_shared &&
			!m->over_ours && digest_equal(&m->digest, &scene->image_digest[1]) &&
			strcmp(m->path, scene->paths[i]) == 0;
	}
	tap_ok(state->n_mounts == N_FILES && n_right == N_FILES,
		"the mount table tells component, image and path, in order");
	tap_ok(statvfs("/" SCENE_DIR "/f000", &fs) == 0 && (fs.f_flag & ST_RDONLY) &&
			(fs.f_flag & ST_NOSUID) && (fs.f_flag & ST_NODEV),
		"a file mount is read-only, nosuid, nodev");
	tap_ok(statvfs("/usr", &fs) == 0 && !(fs.f_flag & ST_RDONLY), "/usr stays writable");
	take_all_off(scene);
}

static bool has_loop_of(const struct scene *scene)
{
	return scene_run((const char *[]){"sh", "-c",
		       "cat /sys/block/loop*/loop/backing_file 2>&- | grep -q \"$0\"",
		       scene->work, NULL}) == 0;
}

static int change_host(const struct scene *scene, const struct graft_host *host, size_t version,
	struct graft_report *report, struct error *error)
{
	struct graft_file files[N_FILES];
	struct graft_layer layer = {.component = "scene", .image_fd = scene->image_fd[version],
		.digest = scene->image_digest[version], .proof = &scene->image_proof[version],
		.files = files, .n_files = N_FILES};

	for (size_t i = 0; i < N_FILES; i++)
		files[i] = (struct graft_file){.path = scene->paths[i], .base_fd = -EBADF};
	return scene_change_layers(host, &layer, version == 0 ? 0 : 1, report, error);
}

static void test_loop(const struct scene *scene)
{
	struct graft_host host = scene_host(scene);
	struct graft_report report;
	struct error error = {0};
	int r;

	if (access("/dev/loop-control", W_OK) < 0) {
		tap_skip("loop device", "no /dev/loop-control");
		return;
	}
	host.flags = GRAFT_HOST_LOOP;
	r = change_host(scene, &host, 1, &report, &error);
	tap_ok(r == 0 && report.loop && count_version(scene, N_FILES, 1) == N_FILES &&
			has_loop_of(scene),
		"attach through a loop device %s", error.text);
	r = change_host(scene, &host, 2, &report, &error);
	tap_ok(r == 0 && count_version(scene, N_FILES, 2) == N_FILES, "exchange of loop devices");
	take_all_off(scene);
	tap_ok(!has_loop_of(scene), "the loop devices are gone with the last mounts");
}

/* Where the kernel has a seal the mounts name it; where it has none, nothing is attached that needs one. */
static void test_seal(const struct scene *scene)
{
	struct graft_host host = scene_host(scene);
	struct graft_file file = {.path = scene->paths[0], .base_fd = -EBADF};
	struct graft_layer layer = {.component = "scene", .image_fd = scene->image_fd[1],
		.digest = scene->image_digest[1], .proof = &scene->image_proof[1],
		.flags = GRAFT_LAYER_SEALED, .files = &file, .n_files = 1};
	AUTO(graft_state) struct graft_state *state = NULL;
	enum graft_seal seal;
	struct graft_report report;
	struct error error = {0};
	int r = sealing_probe(&host, scene->image_fd[1], &seal, &error);

	tap_ok(r == 0, "the kernel's best seal: %s", r == 0 ? graft_seal_text(seal) : error.text);
	r = scene_change_layers(&host, &layer, 1, &report, &error);
	if (seal == GRAFT_MEASURED)
		tap_ok(r == -BSI_E_UNSEALED && count_mounts(scene) == 0,
			"what must have a seal is not attached without: %s", error.text);
	else
		tap_ok(r == 0 && graft_state_read(&host, &state, &error) == 0 &&
				state->n_mounts == 1 && state->mounts[0].seal != GRAFT_MEASURED &&
				report.n_images[state->mounts[0].seal] == 1,
			"the mount says which seal it has %s", error.text);
	take_all_off(scene);

	layer.flags = 0;
	r = scene_change_layers(&host, &layer, 1, &report, &error);
	tap_ok(r == 0 && count_mounts(scene) == 1 &&
			(seal != GRAFT_MEASURED || report.n_images[GRAFT_MEASURED] == 1),
		"what need not is %s", error.text);
	layer.flags = GRAFT_LAYER_SEALED;
	r = scene_change_layers(&host, &layer, 1, &report, &error);
	tap_ok(count_mounts(scene) == 1 &&
			(seal == GRAFT_MEASURED ? r == -BSI_E_UNSEALED : r == 0 && report.n_kept == 1),
		"what is attached is not taken for sealed %s", error.text);
	take_all_off(scene);
}

static void test_bad_image(struct scene *scene)
{
	static const struct {
		const char *name;
		off_t size, damage_at;
	} cases[] = {
		{"an empty image", 0, -1},
		{"a truncated image", 700, -1},
		{"a damaged superblock", 8192, 1024},
	};
	char path[128], good[128];
	int good_fd = scene->image_fd[1];
	struct error error = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;

		(void)snprintf(good, sizeof good, "%s/v1.erofs", scene->work);
		(void)snprintf(path, sizeof path, "%s/bad", scene->work);
		(void)!scene_run((const char *[]){"cp", good, path, NULL});
		scene->image_fd[1] = open(path, O_RDWR | O_CLOEXEC);
		if (ftruncate(scene->image_fd[1], cases[i].size) < 0)
			tap_bail("ftruncate");
		if (cases[i].damage_at >= 0 &&
			pwrite(scene->image_fd[1], "bad!", 4, cases[i].damage_at) != 4)
			tap_bail("pwrite");
		r = scene_change(scene, 1, N_FILES, NULL, &error);
		tap_ok(r < 0 && strstr(error.text, "scene") && count_mounts(scene) == 0,
			"%s is refused: %s", cases[i].name, error.text);
		(void)close(scene->image_fd[1]);
	}
	scene->image_fd[1] = good_fd;
}

static void test_bad_requests(const struct scene *scene)
{
	static const struct {
		const char *path, *path2;
		int code;
	} cases[] = {
		{"../etc/passwd", NULL, -BSI_E_PATH},
		{"/usr/lib/x", NULL, -BSI_E_PATH},
		{SCENE_DIR "/f000", SCENE_DIR "/f000", -BSI_E_PATH},
		{SCENE_DIR "/missing", NULL, -BSI_E_FORMAT},
		{SCENE_DIR, NULL, -BSI_E_FORMAT},
	};
	struct graft_host host = scene_host(scene);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct graft_file files[2] = {{.path = cases[i].path, .base_fd = -EBADF},
			{.path = cases[i].path2, .base_fd = -EBADF}};
		struct graft_layer layer = {.component = "scene", .image_fd = scene->image_fd[1],
			.digest = scene->image_digest[1], .files = files,
			.n_files = cases[i].path2 ? 2 : 1};
		struct error error = {0};
		int r = scene_change_layers(&host, &layer, 1, NULL, &error);

		tap_ok(r == cases[i].code && count_mounts(scene) == 0, "refused: %s", error.text);
	}
}

/* Not through scene_change(): the descriptor must be older than the replacement. */
static void test_replaced(const struct scene *scene)
{
	struct graft_host host = scene_host(scene);
	struct graft_file files[3];
	struct graft_layer layer = {.component = "scene", .image_fd = scene->image_fd[1],
		.digest = scene->image_digest[1], .files = files, .n_files = 3};
	struct error error = {0};
	char path[80];
	int r;

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof path, "/%s", scene->paths[i]);
		files[i] = (struct graft_file){.path = scene->paths[i],
			.base_fd = open(path, O_RDONLY | O_CLOEXEC)};
	}
	scene_write_file("/" SCENE_DIR "/new", "v0 newer\n", 0644);
	if (rename("/" SCENE_DIR "/new", "/" SCENE_DIR "/f002") < 0)
		tap_bail("rename");
	r = graft_change(&host, &layer, 1, NULL, &error);
	tap_ok(r == -BSI_E_MISMATCH && strstr(error.text, "f002") && count_mounts(scene) == 0,
		"a base file replaced after the match: %s", error.text);
	for (size_t i = 0; i < 3; i++)
		(void)close(files[i].base_fd);
}

/* A package manager in a base view that replaces one file all the time. */
static _Noreturn void replace_forever(void)
{
	if (base_view_enter(BASE_VIEW_SLAVE, NULL) < 0)
		_exit(1);
	for (useconds_t n = 0;; n++) {
		scene_write_file("/" SCENE_DIR "/new", "v0 newer\n", 0644);
		if (rename("/" SCENE_DIR "/new", "/" SCENE_DIR "/f020") < 0 && errno != EBUSY)
			_exit(1);
		(void)usleep(n % 50 * 1000); /* at every distance from a change */
	}
}

static void test_replaced_all_the_time(const struct scene *scene)
{
	size_t n_ok = 0, n_refused = 0, n_wrong = 0, n_mixed = 0;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		replace_forever();
	for (size_t i = 0; i < 60; i++) {
		size_t version = 1 + i % 2;
		struct error error = {0};
		int r = scene_change(scene, version, N_FILES, NULL, &error);

		n_ok += r == 0;
		n_refused += r == -BSI_E_MISMATCH && strstr(error.text, "f020");
		if (r != 0 && r != -BSI_E_MISMATCH) {
			tap_note("%s", error.text);
			n_wrong++;
		}
		/* All but that file: all new, or all as before. */
		n_mixed += r == 0 && count_version(scene, N_FILES, (int)version) < N_FILES - 1;
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	tap_note("%zu changes while a file was replaced all the time: %zu done, %zu refused", n_ok + n_refused,
		n_ok, n_refused);
	tap_ok(n_wrong == 0 && n_mixed == 0 && WIFSIGNALED(status),
		"a file replaced at any moment is noticed or covered, nothing else fails");
	tap_ok(change_ok(scene, 1, N_FILES, NULL) && count_version(scene, N_FILES, 1) == N_FILES &&
			count_mounts(scene) == N_FILES,
		"the next change converges");
	take_all_off(scene);
}

static void test_package_manager(const struct scene *scene)
{
	pid_t pid;
	int status;

	(void)change_ok(scene, 1, N_FILES, NULL);
	pid = fork();
	if (pid == 0) {
		if (base_view_enter(BASE_VIEW_SLAVE, NULL) < 0 ||
			count_version(scene, N_FILES, 0) != N_FILES)
			_exit(1);
		scene_write_file("/" SCENE_DIR "/new", "v0 newer\n", 0644);
		_exit(rename("/" SCENE_DIR "/new", "/" SCENE_DIR "/f005") < 0);
	}
	tap_ok(waitpid(pid, &status, 0) == pid && status == 0,
		"in a base view every file is the base, and can be replaced");
	tap_ok(count_version(scene, N_FILES, 1) == N_FILES - 1 &&
			scene_version_at("/" SCENE_DIR "/f005") == 0 &&
			count_mounts(scene) == N_FILES - 1,
		"the replaced file is not covered any more, the others are");
	take_all_off(scene);
}

static void test_base_views(const struct scene *scene)
{
	int to_child[2], from_child[2];
	size_t n_right = 0;

	for (int slave = 0; slave <= 1; slave++) {
		char versions[2] = {0}, go = 'g';
		pid_t pid;

		(void)change_ok(scene, 1, 2, NULL);
		if (pipe2(to_child, O_CLOEXEC) < 0 || pipe2(from_child, O_CLOEXEC) < 0)
			tap_bail("pipe");
		pid = fork();
		if (pid == 0) {
			if (base_view_enter(slave ? BASE_VIEW_SLAVE : BASE_VIEW_PRIVATE, NULL) < 0)
				_exit(1);
			versions[0] = (char)('0' + scene_version_at("/" SCENE_DIR "/f000"));
			(void)!write(from_child[1], &versions[0], 1);
			(void)!read(to_child[0], &go, 1);
			versions[1] = (char)('0' + scene_version_at("/" SCENE_DIR "/f002"));
			(void)!write(from_child[1], &versions[1], 1);
			_exit(0);
		}
		if (read(from_child[0], &versions[0], 1) != 1)
			tap_bail("no answer");
		(void)change_ok(scene, 1, 3, NULL);
		if (write(to_child[1], &go, 1) != 1 || read(from_child[0], &versions[1], 1) != 1)
			tap_bail("no answer");
		(void)waitpid(pid, NULL, 0);
		n_right += versions[0] == '0' && versions[1] == (slave ? '1' : '0');
		for (int i = 0; i < 2; i++) {
			(void)close(to_child[i]);
			(void)close(from_child[i]);
		}
		tap_ok(scene_version_at("/" SCENE_DIR "/f000") == 1, "the host keeps its mounts");
		take_all_off(scene);
	}
	tap_ok(n_right == 2, "a private view gets no later mounts, a slave does");
}

static void test_mount_of_others(const struct scene *scene)
{
	struct graft_report report;

	(void)change_ok(scene, 1, N_FILES, NULL);
	if (mount("/etc/passwd", "/" SCENE_DIR "/f003", NULL, MS_BIND, NULL) < 0)
		tap_bail("bind: %s", strerror(errno));
	tap_ok(change_ok(scene, 0, 0, &report) && report.n_hidden == 1 && count_mounts(scene) == 1,
		"somebody's own mount on a patched file is left alone by off, and reported");
	tap_ok(scene_version_at("/" SCENE_DIR "/f003") < 0, "it is still what one sees");
	if (umount2("/" SCENE_DIR "/f003", MNT_DETACH) < 0)
		tap_bail("umount");
	tap_ok(scene_version_at("/" SCENE_DIR "/f003") == 1 && change_ok(scene, 0, 0, &report) &&
			report.n_off == 1,
		"once it is gone, off takes ours");
	take_all_off(scene);
}

/* In a namespace whose mounts are private nothing can go from beneath. */
static int unshared_parent(const struct scene *scene)
{
	struct scene own = *scene;
	struct graft_report report;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 1;
	own.host_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (!change_ok(&own, 1, N_FILES, &report) || report.n_unshared != N_FILES)
		return 2;
	if (!change_ok(&own, 2, N_FILES, &report) || report.n_below != N_FILES ||
		count_version(&own, N_FILES, 2) != N_FILES)
		return 3;
	if (!change_ok(&own, 2, N_FILES, &report) || report.n_kept != N_FILES ||
		report.n_below != N_FILES)
		return 4;
	if (!change_ok(&own, 0, 0, &report) || count_mounts(&own) != 0 ||
		count_version(&own, N_FILES, 0) != N_FILES)
		return 5;
	return 0;
}

static void test_unshared_parent(const struct scene *scene)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(unshared_parent(scene));
	(void)waitpid(pid, &status, 0);
	tap_ok(status == 0,
		"mounts that are not shared: old ones stay beneath, are counted, and go with off (%d)",
		WEXITSTATUS(status));
}

static void wait_for_version(const struct scene *scene, size_t i, int version)
{
	char path[80];

	(void)snprintf(path, sizeof path, "/%s", scene->paths[i]);
	for (unsigned n_tries = 0; scene_version_at(path) != version; n_tries++)
		if (n_tries == 10000000)
			tap_bail("the change never came");
}

static void test_kill(const struct scene *scene)
{
	size_t n_cut = 0, n_base = 0, n_unconverged = 0;
	struct timespec pause = {0};
	struct graft_report report = {0};
	uint64_t whole_us;

	/* Spread the kills over what a whole exchange takes. */
	(void)change_ok(scene, 2, N_MANY, NULL);
	(void)change_ok(scene, 1, N_MANY, &report);
	whole_us = report.prepare_us + report.push_us + report.beneath_us + 5000;
	for (size_t i = 0; i < N_KILLS; i++) {
		size_t version = i % 2 ? 1 : 2, n_new;
		pid_t pid = fork();

		if (pid == 0) {
			(void)setpgid(0, 0);
			_exit(scene_change(scene, version, N_MANY, NULL, NULL) != 0);
		}
		(void)setpgid(pid, pid);
		/* Every second kill comes when a certain file shows the new version: in the moment. */
		if (i / 2 % 2)
			wait_for_version(scene, i * 7 % N_MANY, (int)version);
		pause.tv_nsec = i / 2 % 2 ? 0 : (long)(whole_us * 1000 / N_KILLS * i % 1000000000);
		(void)nanosleep(&pause, NULL);
		(void)kill(-pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		(void)usleep(2000); /* grandchildren die as quickly, but are not ours to wait for */
		n_new = count_version(scene, N_MANY, (int)version);
		n_cut += (n_new > 0 && n_new < N_MANY) || count_mounts(scene) != N_MANY;
		n_base += count_version(scene, N_MANY, 0);
		n_unconverged += !change_ok(scene, version, N_MANY, NULL) ||
			count_version(scene, N_MANY, (int)version) != N_MANY ||
			count_mounts(scene) != N_MANY;
	}
	tap_note("%d kills during an exchange of %d files: %zu cut it in two", N_KILLS, N_MANY, n_cut);
	tap_ok(n_base == 0, "no file showed the base after a kill");
	tap_ok(n_unconverged == 0, "repeating converged after every kill, one mount for each file");
	take_all_off(scene);
}

static pid_t start_off(const struct scene *scene, bool as_launcher)
{
	pid_t pid = fork();

	if (pid != 0) {
		(void)setpgid(pid, pid);
		return pid;
	}
	(void)setpgid(0, 0);
	_exit((as_launcher ? lift_all(NULL) : scene_change(scene, 0, 0, NULL, NULL)) != 0);
}

static void kill_off(pid_t pid)
{
	(void)kill(-pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)usleep(2000); /* as above */
}

/* In a base view nothing of ours is left, lids neither, and a package manager can replace a file. */
static bool base_view_is_bare(const struct scene *scene, size_t n)
{
	bool is_covered = true;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (base_view_enter(BASE_VIEW_SLAVE, NULL) < 0 || base_view_is_covered(&is_covered) < 0)
			_exit(1);
		if (is_covered || count_version(scene, n, 0) != n)
			_exit(2);
		scene_write_file("/" SCENE_DIR "/new", "v0\n", 0644);
		_exit(rename("/" SCENE_DIR "/new", "/" SCENE_DIR "/f000") < 0 ? 3 : 0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Somebody who has opened a patched file holds an off up while its lids lie there; then it is killed. */
static void test_kill_off(const struct scene *scene)
{
	size_t n_lidded = 0, n_wrong = 0, n_unconverged = 0;

	for (size_t i = 0; i < N_KILLS / 2; i++) {
		AUTO_CLOSE int held_fd = -EBADF;
		pid_t pid;
		int r = 0;

		(void)change_ok(scene, 1, N_FILES, NULL);
		held_fd = open("/" SCENE_DIR "/f001", O_RDONLY | O_CLOEXEC);
		pid = start_off(scene, i % 2);
		wait_for_version(scene, i * 7 % N_FILES, 0);
		(void)usleep((useconds_t)(i * 400));
		kill_off(pid);
		n_lidded += count_lids(scene) > 0;
		/* every file is patched or base, and none that has a lid counts as attached */
		n_wrong += count_version(scene, N_FILES, 0) + count_version(scene, N_FILES, 1) != N_FILES;
		switch (i / 2 % 3) {
		case 0: /* the next change attaches */
			n_unconverged += !change_ok(scene, 1, N_FILES, NULL) ||
				count_version(scene, N_FILES, 1) != N_FILES ||
				count_mounts(scene) != N_FILES || count_lids(scene) != 0;
			break;
		case 1: /* it takes off, the launcher this time */
			r = lift_all(NULL);
			n_unconverged += r < 0 || count_mounts(scene) + count_lids(scene) != 0;
			break;
		default: /* packages come first */
			n_unconverged += !base_view_is_bare(scene, N_FILES);
		}
		take_all_off(scene);
		n_unconverged += count_lids(scene) != 0 || count_version(scene, N_FILES, 0) != N_FILES;
	}
	tap_note("%d kills during an off of %d files: %zu left lids", N_KILLS / 2, N_FILES, n_lidded);
	tap_ok(n_lidded > 0, "an off that is killed leaves lids, and they are known as ours");
	tap_ok(n_wrong == 0, "every file is the patched or the base one");
	tap_ok(n_unconverged == 0, "the next change, detach or base view takes the lids off");
}

static bool has_path(int fd, const char *path)
{
	char link[64], found[128];
	ssize_t n;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, found, sizeof found);
	return n == (ssize_t)strlen(path) && memcmp(found, path, (size_t)n) == 0;
}

/* Two programs: one has opened the patched file and not mapped it yet; one starts while the lid lies there. */
static void test_off_under_users(const struct scene *scene, bool as_launcher)
{
	static const char path[] = "/" SCENE_DIR "/f001";
	bool kept = false, pinned = false;
	size_t n_wrong = 0;

	/* On a machine with other work one of the two may come too late. */
	for (size_t i = 0; i < 20 && !(kept && pinned); i++) {
		AUTO_CLOSE int patched_fd = -EBADF;
		AUTO_CLOSE int base_fd = -EBADF;
		void *page;
		int status;
		pid_t pid;

		(void)change_ok(scene, 1, 2, NULL);
		patched_fd = open(path, O_RDONLY | O_CLOEXEC);
		pid = start_off(scene, as_launcher);
		wait_for_version(scene, 1, 0);
		kept |= has_path(patched_fd, path);
		base_fd = open(path, O_RDONLY | O_CLOEXEC);
		page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, base_fd, 0);
		auto_closep(&patched_fd);
		(void)waitpid(pid, &status, 0);
		n_wrong += status != 0 || count_mounts(scene) + count_lids(scene) != 0 ||
			count_version(scene, 2, 0) != 2;
		pinned |= !has_path(base_fd, path); /* its lid went, while it had the file */
		(void)munmap(page, 1);
	}
	tap_ok(kept, "%s: who has opened a patched file keeps its path while others find the base",
		as_launcher ? "launcher" : "engine");
	tap_ok(pinned && n_wrong == 0, "%s: who maps the base meanwhile, and keeps it, is no hindrance",
		as_launcher ? "launcher" : "engine");
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(3);
	(void)close(fd);
}

/* Mount source on directory/0, directory/1 … until it fails; how many it was. */
static int bind_numbered(const char *source, const char *directory, int n_max, unsigned long flags)
{
	char path[64];
	int n;

	(void)mkdir(directory, 0700);
	for (n = 0; n < n_max; n++) {
		(void)snprintf(path, sizeof path, "%s/%d", directory, n);
		(void)mkdir(path, 0700);
		if (mount(source, path, NULL, flags, NULL) < 0)
			break;
	}
	return n;
}

/* A user's own namespace, filled up but for a few mounts; ready is said on the pipe. */
static _Noreturn void fill_namespace(int ready_fd)
{
	int n = 0, n_single;
	char path[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		_exit(1);
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", "0 0 1");
	write_text("/proc/self/gid_map", "0 0 1");
	if (mount("fill", "/mnt", "tmpfs", 0, NULL) < 0)
		_exit(2);
	/* A group of mounts, then copies of the whole group, then single ones up to the limit. */
	n += bind_numbered("/proc/self", "/mnt/a", 1000, MS_BIND);
	n += bind_numbered("/mnt/a", "/mnt/b", 1000, MS_BIND | MS_REC);
	n_single = bind_numbered("/mnt/a", "/mnt/c", 2000, MS_BIND);
	if (errno != ENOSPC || n_single < N_FREE_MOUNTS)
		_exit(4);
	for (int i = n_single; i > n_single - N_FREE_MOUNTS; i--) {
		(void)snprintf(path, sizeof path, "/mnt/c/%d", i - 1);
		if (umount2(path, MNT_DETACH) < 0)
			_exit(5);
	}
	(void)!write(ready_fd, &n, sizeof n);
	for (;;)
		(void)pause();
}

static void test_full_namespace(const struct scene *scene)
{
	struct error error = {0};
	int ends[2], n = 0, r;
	char expected[32];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		tap_bail("pipe");
	pid = fork();
	if (pid == 0)
		fill_namespace(ends[1]);
	(void)close(ends[1]);
	if (read(ends[0], &n, sizeof n) != (ssize_t)sizeof n) {
		tap_skip("a namespace full of mounts", "no user namespaces here");
		(void)close(ends[0]);
		(void)waitpid(pid, NULL, 0);
		return;
	}
	(void)close(ends[0]);
	(void)snprintf(expected, sizeof expected, "process %d ", (int)pid);
	r = scene_change(scene, 1, N_FILES, NULL, &error);
	tap_ok(r == -ENOSPC && strstr(error.text, expected), "a namespace full of mounts: %s",
		error.text);
	tap_ok(count_mounts(scene) == 0 && count_version(scene, N_FILES, 0) == N_FILES,
		"what was attached before it was full is taken back");
	r = scene_change(scene, 1, N_FREE_MOUNTS / 2, NULL, &error);
	tap_ok(r == 0, "what fits is attached %s", r == 0 ? "" : error.text);
	r = scene_change(scene, 2, N_FILES, NULL, &error);
	tap_ok(r == -ENOSPC && count_mounts(scene) == N_FREE_MOUNTS / 2 &&
			count_version(scene, N_FREE_MOUNTS / 2, 1) == N_FREE_MOUNTS / 2,
		"an exchange that does not fit leaves what was there");
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	take_all_off(scene);
}

/* The effective user of a program run by nobody, or the capabilities it gets. */
static int run_as_nobody(const char *program, const char *argument, char *out, size_t out_len)
{
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		tap_bail("pipe");
	pid = fork();
	if (pid == 0) {
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0 || dup2(ends[1], STDOUT_FILENO) < 0)
			_exit(1);
		execl(program, program, argument, (char *)NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	n = read(ends[0], out, out_len - 1);
	out[n < 0 ? 0 : n] = '\0';
	while (n > 0) {
		char rest[512];

		n = read(ends[0], rest, sizeof rest);
	}
	(void)close(ends[0]);
	(void)waitpid(pid, &status, 0);
	return status;
}

static void test_privileged(struct scene *scene)
{
	struct graft_host host = scene_host(scene);
	struct graft_file files[] = {{.path = SCENE_DIR "/id", .base_fd = -EBADF, .privileged = true},
		{.path = SCENE_DIR "/cat", .base_fd = -EBADF, .privileged = true},
		{.path = SCENE_DIR "/id2", .base_fd = -EBADF}};
	struct graft_proof proof = {0};
	struct graft_layer layer = {
		.component = "privileged", .proof = &proof, .files = files, .n_files = 3};
	char script[600], tree[80], text[4096], uid[32];
	struct error error = {0};
	const char *caps;
	int r;

	(void)snprintf(tree, sizeof tree, "%s/privileged", scene->work);
	(void)snprintf(script, sizeof script,
		"set -e; mkdir -p %s/" SCENE_DIR "; cd %s/" SCENE_DIR
		"; cp /usr/bin/id id; cp /usr/bin/id id2; cp /usr/bin/cat cat;"
		" cp id id2 cat /" SCENE_DIR "/; chmod 4755 id id2; setcap cap_net_raw+ep cat",
		tree, tree);
	if (!scene_has("setcap") || scene_run((const char *[]){"sh", "-c", script, NULL}) != 0) {
		tap_skip("setuid and file capabilities", "needs setcap");
		return;
	}
	layer.image_fd = scene_make_image(scene, tree, "privileged.erofs", &layer.digest,
		&proof);
	r = scene_change_layers(&host, &layer, 1, NULL, &error);
	tap_ok(r == 0, "attach setuid programs %s", error.text);
	(void)run_as_nobody("/" SCENE_DIR "/id", "-u", uid, sizeof uid);
	tap_ok(strcmp(uid, "0\n") == 0, "setuid works through a file mount");
	(void)run_as_nobody("/" SCENE_DIR "/id2", "-u", uid, sizeof uid);
	tap_ok(strcmp(uid, "65534\n") == 0, "and not where the manifest does not say so");
	(void)run_as_nobody("/" SCENE_DIR "/cat", "/proc/self/status", text, sizeof text);
	caps = strstr(text, "CapPrm:\t");
	tap_ok(caps && strncmp(caps + 8, "0000000000002000", 16) == 0,
		"file capabilities work through a file mount");
	(void)close(layer.image_fd);
	take_all_off(scene);
}

static void test_other_root(const struct scene *scene)
{
	struct graft_host host = scene_host(scene);
	struct graft_report report;
	struct error error = {0};
	char path[80];
	int r;

	(void)!scene_run((const char *[]){"mkdir", "-p", "/mnt/root/" SCENE_DIR, NULL});
	for (size_t i = 0; i < N_FILES; i++) {
		(void)snprintf(path, sizeof path, "/mnt/root/%s", scene->paths[i]);
		scene_write_file(path, "v0\n", 0644);
	}
	host.root = "/mnt/root";
	r = change_host(scene, &host, 1, &report, &error);
	tap_ok(r == 0 && scene_version_at("/mnt/root/" SCENE_DIR "/f000") == 1 &&
			scene_version_at("/" SCENE_DIR "/f000") == 0,
		"another root is changed alone %s", error.text);
	r = change_host(scene, &host, 2, &report, &error);
	tap_ok(r == 0 && report.n_exchanged == N_FILES &&
			scene_version_at("/mnt/root/" SCENE_DIR "/f000") == 2,
		"exchange below another root");
	r = change_host(scene, &host, 0, &report, &error);
	tap_ok(r == 0 && report.n_off == N_FILES &&
			scene_version_at("/mnt/root/" SCENE_DIR "/f000") == 0,
		"off below another root");

	(void)!scene_run((const char *[]){"sh", "-c",
		"cd /mnt/root/usr/lib && mv bsi-scene elsewhere && ln -s elsewhere bsi-scene", NULL});
	r = change_host(scene, &host, 1, &report, &error);
	tap_ok(r < 0, "a directory that is a symlink is not followed: %s", error.text);
}

int main(void)
{
	struct scene scene;

	scene_require_root();
	scene_open(&scene);
	if (mount("scene", "/mnt", "tmpfs", 0, NULL) < 0)
		tap_bail("mount");
	scene_make_files(&scene, N_MANY);

	test_contents(&scene);
	test_state(&scene);
	test_loop(&scene);
	test_seal(&scene);
	test_bad_image(&scene);
	test_bad_requests(&scene);
	test_replaced(&scene);
	test_replaced_all_the_time(&scene);
	test_package_manager(&scene);
	test_base_views(&scene);
	test_mount_of_others(&scene);
	test_unshared_parent(&scene);
	test_kill(&scene);
	test_kill_off(&scene);
	test_off_under_users(&scene, false);
	test_off_under_users(&scene, true);
	test_privileged(&scene);
	test_other_root(&scene);
	test_full_namespace(&scene);

	scene_close(&scene);
	tap_plan_end();
	return tap_exit_status();
}
