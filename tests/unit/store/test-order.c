/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kill does not lose what was never synced, so the order of writes, fsync and rename is watched:
 * nothing gets a name before its bytes are on the disk, no name is given while an earlier one is
 * not, and nothing is reported as done before. Names that begin with a dot are nobody's loss.
 *
 * The same run with one fsync left out of the account has to show for most of them: so the watching
 * works, and they are needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/cut.h"
#include "scene.h"

#define PATH_BYTES 512
#define UNSYNCED_MAX 64

struct watch {
	const struct scene *scene;
	char root[PATH_BYTES];
	char unsynced[UNSYNCED_MAX][PATH_BYTES]; /* files with bytes, folders with names */
	unsigned n_unsynced;
	enum step reported;
	unsigned n_syncs, ignored; /* the fsync that is left out; 0: none */
	unsigned n_wrong;
	char wrong[2 * PATH_BYTES]; /* the first one */
};

static bool copy_from(pid_t pid, uint64_t address, void *out, size_t len)
{
	struct iovec local = {out, len};
	struct iovec remote = {(void *)(uintptr_t)address, len};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static bool text_from(pid_t pid, uint64_t address, char out[static PATH_BYTES])
{
	for (size_t i = 0; i < PATH_BYTES; i++) {
		if (!copy_from(pid, address + i, out + i, 1))
			return false;
		if (out[i] == '\0')
			return true;
	}
	return false;
}

static bool path_of_fd(pid_t pid, uint64_t fd, char out[static PATH_BYTES])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof link, "/proc/%ld/%s%d", (long)pid,
		(int)fd == AT_FDCWD ? "cwd" : "fd/", (int)fd == AT_FDCWD ? 0 : (int)fd);
	if ((int)fd == AT_FDCWD)
		link[strlen(link) - 1] = '\0';
	n = readlink(link, out, PATH_BYTES - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* A name of the watched process as a path of ours, its folder resolved, itself not. */
static bool resolve(pid_t pid, uint64_t dir, uint64_t address, char out[static PATH_BYTES])
{
	static const char self[] = "/proc/self/";
	char name[PATH_BYTES], path[2 * PATH_BYTES + 32], folder[PATH_BYTES];
	char *slash, *real;

	if (!text_from(pid, address, name))
		return false;
	if (strncmp(name, self, strlen(self)) == 0)
		(void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name + strlen(self));
	else if (name[0] == '/')
		(void)snprintf(path, sizeof path, "%s", name);
	else if (path_of_fd(pid, dir, folder))
		(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	else
		return false;
	slash = strrchr(path, '/');
	*slash = '\0';
	real = realpath(path, NULL);
	if (!real)
		return false;
	(void)snprintf(out, PATH_BYTES, "%s/%s", real, slash + 1);
	free(real);
	return true;
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* Ours, and of some consequence: parts of downloads are never believed, the locks hold nothing. */
static bool counts(const struct watch *w, const char *path)
{
	const char *name = path + strlen(w->root);

	if (strcmp(path, w->root) != 0 && !is_below(path, w->root))
		return false;
	return strncmp(name, "/downloads", strlen("/downloads")) != 0 && strcmp(name, "/lock") != 0 &&
	       strcmp(name, "/loading") != 0;
}

static void mark(struct watch *w, const char *path)
{
	if (!counts(w, path))
		return;
	for (unsigned i = 0; i < w->n_unsynced; i++)
		if (strcmp(w->unsynced[i], path) == 0)
			return;
	assert_true(w->n_unsynced < UNSYNCED_MAX);
	(void)snprintf(w->unsynced[w->n_unsynced++], PATH_BYTES, "%s", path);
}

static void forget(struct watch *w, const char *path)
{
	for (unsigned i = 0; i < w->n_unsynced; i++) {
		if (strcmp(w->unsynced[i], path) != 0 && !is_below(w->unsynced[i], path))
			continue;
		w->n_unsynced--;
		if (i != w->n_unsynced)
			memcpy(w->unsynced[i], w->unsynced[w->n_unsynced], PATH_BYTES);
		i--;
	}
}

static void synced(struct watch *w, const char *path)
{
	for (unsigned i = 0; i < w->n_unsynced; i++) {
		if (strcmp(w->unsynced[i], path) != 0)
			continue;
		w->n_unsynced--;
		if (i != w->n_unsynced)
			memcpy(w->unsynced[i], w->unsynced[w->n_unsynced], PATH_BYTES);
		return;
	}
}

static void mark_folder_of(struct watch *w, const char *path)
{
	char folder[PATH_BYTES];
	char *slash;

	(void)snprintf(folder, sizeof folder, "%s", path);
	slash = strrchr(folder, '/');
	if (slash[1] == '.')
		return;
	*slash = '\0';
	mark(w, folder);
}

static void wrong(struct watch *w, const char *when, const char *path)
{
	if (w->n_wrong++ == 0)
		(void)snprintf(w->wrong, sizeof w->wrong, "%s: %s", when, path);
}

/* Nothing may be unsynced; what lies half made beside it (a dot in its name) may. */
static void demand_all(struct watch *w, const char *when, const char *moved)
{
	for (unsigned i = 0; i < w->n_unsynced; i++) {
		const char *path = w->unsynced[i];
		bool is_moved = moved && (strcmp(path, moved) == 0 || is_below(path, moved));

		if (is_moved || !strstr(path + strlen(w->root), "/."))
			wrong(w, when, path);
	}
}

static void saw_open(struct watch *w, const struct cut_call *call, uint64_t flags)
{
	char path[PATH_BYTES];
	struct stat st;

	if (!(flags & O_CREAT) || !resolve(call->pid, call->args[0], call->args[1], path) ||
		!counts(w, path))
		return;
	if (lstat(path, &st) < 0) {
		mark_folder_of(w, path);
		mark(w, path);
	} else if ((flags & O_TRUNC) && st.st_size > 0) {
		mark(w, path);
	}
}

static void saw_rename(struct watch *w, const struct cut_call *call)
{
	char from[PATH_BYTES], to[PATH_BYTES];
	const char *name;

	if (!resolve(call->pid, call->args[0], call->args[1], from) ||
		!resolve(call->pid, call->args[2], call->args[3], to) || !counts(w, to))
		return;
	name = strrchr(to, '/') + 1;
	if (name[0] != '.')
		demand_all(w, "renamed", from);
	forget(w, from);
	mark_folder_of(w, from);
	mark_folder_of(w, to);
}

static void saw_unlink(struct watch *w, const struct cut_call *call)
{
	char path[PATH_BYTES];
	struct stat st;

	if (!resolve(call->pid, call->args[0], call->args[1], path) || lstat(path, &st) < 0)
		return;
	forget(w, path);
	if (!strstr(path + strlen(w->root), "/."))
		mark_folder_of(w, path);
}

static void saw_sync(struct watch *w, const struct cut_call *call)
{
	char path[PATH_BYTES];

	if (!path_of_fd(call->pid, call->args[0], path) || !counts(w, path))
		return;
	if (++w->n_syncs != w->ignored)
		synced(w, path);
}

static void see(void *ctx, const struct cut_call *call)
{
	struct watch *w = ctx;
	struct open_how how = {0};
	char path[PATH_BYTES];

	if (*w->scene->done != w->reported)
		demand_all(w, "reported", NULL);
	w->reported = *w->scene->done;
	switch (call->nr) {
	case SYS_openat2:
		if (copy_from(call->pid, call->args[2], &how, sizeof how))
			saw_open(w, call, how.flags);
		break;
	case SYS_openat:
		saw_open(w, call, call->args[2]);
		break;
	case SYS_write:
	case SYS_pwrite64:
	case SYS_ftruncate:
	case SYS_fallocate:
		if (path_of_fd(call->pid, call->args[0], path))
			mark(w, path);
		break;
	case SYS_mkdirat:
		if (resolve(call->pid, call->args[0], call->args[1], path))
			mark_folder_of(w, path);
		break;
#ifdef SYS_unlink
	case SYS_unlink: {
		struct cut_call at = {call->pid, SYS_unlinkat,
			{(uint64_t)(int64_t)AT_FDCWD, call->args[0]}};

		saw_unlink(w, &at);
		break;
	}
#endif
	case SYS_unlinkat:
		saw_unlink(w, call);
		break;
#ifdef SYS_renameat
	case SYS_renameat:
#endif
	case SYS_renameat2:
		saw_rename(w, call);
		break;
	case SYS_fsync:
	case SYS_fdatasync:
		saw_sync(w, call);
		break;
	default:
		break;
	}
}

static void watch_run(struct watch *w, struct scene *scene, const struct run *run,
	unsigned ignored)
{
	struct cut_plan plan = {.see = see, .ctx = w};
	struct cut_result result;

	scene_prepare(scene, run);
	*w = (struct watch){.scene = scene, .ignored = ignored};
	(void)snprintf(w->root, sizeof w->root, "%s", scene->scratch->path);
	assert_int_equal(cut_run(&plan, run->go, scene, &result), 0);
	assert_int_equal(result.status, 0);
	assert_int_equal(*scene->done, STEP_END);
}

static void test_order_of_syncs(void **state)
{
	AUTO_DONE(scene) struct scene scene = scene_of(*state);
	struct watch *w = calloc(1, sizeof *w);

	assert_non_null(w);
	for (size_t i = 0; i < N_RUNS; i++) {
		unsigned n_syncs, n_seen = 0;

		watch_run(w, &scene, &runs[i], 0);
		if (w->n_wrong > 0)
			fail_msg("%s: %u, first %s", runs[i].name, w->n_wrong, w->wrong);
		n_syncs = w->n_syncs;
		for (unsigned k = 1; k <= n_syncs; k++) {
			watch_run(w, &scene, &runs[i], k);
			n_seen += w->n_wrong > 0;
		}
		print_message("# %s: %u syncs, %u of them missed when left out\n", runs[i].name,
			n_syncs, n_seen);
		/*
		 * The rest: SQLite's journal, whose rules are its own; and those that make up for a
		 * run that was killed, or that are followed by another one before it matters.
		 */
		assert_true(n_syncs >= 7 && 4 * n_seen >= 3 * n_syncs);
	}
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_of_syncs, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
