/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run that is cut at any of its system calls, and one in which any call on a file fails: what is
 * left is valid, what was reported as done is there, and the same run again comes to the same end.
 *
 * A kill does not lose what was never synced, so the order of fsync and rename is watched as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/cut.h"
#include "base/file.h"
#include "scratch.h"
#include "store/denied.h"
#include "store/download.h"
#include "store/history.h"
#include "store/image.h"
#include "store/settings.h"
#include "store/trust_files.h"

#define BASE "debian:12:amd64"
#define IMAGE_BYTES 20000
#define FLOOR_OLD 1000
#define FLOOR_NEW 2000

/* What a run has reported as done; shared with the process that does it. */
enum step {
	STEP_NONE,
	STEP_TRUST,
	STEP_FLOOR,
	STEP_IMAGE,
	STEP_GENERATION,
	STEP_CURRENT,
	STEP_HISTORY,
	STEP_CONFIG,
	STEP_END,
};

struct scene {
	const struct scratch *scratch;
	volatile enum step *done;
	struct digest old_image, new_image, payload;
};

static void fill(uint8_t byte, uint8_t data[static IMAGE_BYTES], struct digest *ret)
{
	memset(data, byte, IMAGE_BYTES);
	assert_int_equal(digest_of(data, IMAGE_BYTES, ret), 0);
}

static int put_image(struct store *s, uint8_t byte)
{
	AUTO(store_image) struct store_image *image = NULL;
	uint8_t data[IMAGE_BYTES];
	struct digest d;
	int r;

	fill(byte, data, &d);
	if (store_has_image(s, &d))
		return 0;
	r = store_image_begin(s, &d, IMAGE_BYTES, &image, NULL);
	for (size_t at = 0; r == 0 && at < IMAGE_BYTES; at += IMAGE_BYTES / 4)
		r = store_image_write(image, at, data + at, IMAGE_BYTES / 4);
	return r == 0 ? store_image_commit(image, NULL) : r;
}

static int put_payload(struct store *s, const struct digest *d)
{
	AUTO_CLOSE int fd = -EBADF;
	uint64_t have;
	int r;

	r = store_download_open(s, d, 3000, &fd, &have, NULL);
	return r == 0 ? file_pwrite_all(fd, "payload", 7, have) : r;
}

static bool is_current(struct store *s, const char *letter)
{
	AUTO(generation) struct generation *g = NULL;
	uint64_t n;

	return store_current_get(s, &n, NULL) == 0 && n > 0 &&
	       store_generation_load(s, n, &g, NULL) == 0 && strcmp(g->letter, letter) == 0;
}

static int put_generation(struct store *s, uint8_t byte, const char *letter, uint64_t *ret)
{
	char base[] = BASE, name[] = "openssl", set[] = "u1", manifest[] = "{\"x\":1}", own[8];
	uint8_t data[IMAGE_BYTES];
	struct generation_component c = {.name = name, .set = set};
	struct generation g = {.base = base, .letter = own, .build = byte, .components = &c,
		.n_components = 1, .manifest = (uint8_t *)manifest, .manifest_len = strlen(manifest)};

	(void)snprintf(own, sizeof own, "%s", letter);
	fill(byte, data, &c.image);
	return store_generation_write(s, &g, ret, NULL);
}

/* What an install does to the state, in its order; nothing twice. */
static int install(const struct scene *scene, uint8_t byte, const char *letter, int64_t floor_utc_s)
{
	const struct scratch *scratch = scene->scratch;
	AUTO_JSON json_t *config = json_pack("{s:s}", "letter", letter);
	AUTO(store) struct store *s = NULL;
	uint64_t n = 0;
	int r;

	r = store_open(scratch->dir_fd, &s, NULL);
	if (r == 0)
		r = store_lock(s, NULL);
	if (r == 0)
		r = store_trust_save(s, "timestamp.json", letter, 1);
	if (r == 0)
		r = store_trust_save(s, BASE ".json", letter, 1);
	if (r < 0)
		return r;
	*scene->done = STEP_TRUST;
	r = store_floor_set(s, floor_utc_s, NULL);
	if (r < 0)
		return r;
	*scene->done = STEP_FLOOR;
	if (is_current(s, letter))
		goto current;
	r = put_payload(s, &scene->payload);
	if (r == 0)
		r = put_image(s, byte);
	if (r == 0)
		r = store_download_done(s, &scene->payload);
	if (r < 0)
		return r;
	*scene->done = STEP_IMAGE;
	r = put_generation(s, byte, letter, &n);
	if (r < 0)
		return r;
	*scene->done = STEP_GENERATION;
	r = store_current_set(s, n, NULL);
	if (r < 0)
		return r;
current:
	*scene->done = STEP_CURRENT;
	r = store_history_add(s, floor_utc_s, "install", letter, NULL, NULL);
	if (r < 0)
		return r;
	*scene->done = STEP_HISTORY;
	r = store_denied_add(s, BASE, letter, byte, "tested", 1, NULL);
	if (r == 0)
		r = store_config_save(s, config, NULL);
	if (r < 0)
		return r;
	*scene->done = STEP_CONFIG;
	r = store_collect(s, NULL);
	if (r == 0)
		r = store_download_collect(s, NULL, 0, NULL);
	if (r == 0)
		*scene->done = STEP_END;
	return r;
}

static int install_old(void *ctx)
{
	return install(ctx, 1, "a", FLOOR_OLD) < 0;
}

static int install_new(void *ctx)
{
	return install(ctx, 2, "b", FLOOR_NEW) < 0;
}

/* Back to the base: what `bsi remove` does to the state. */
static int remove_all(void *ctx)
{
	const struct scene *scene = ctx;
	AUTO(store) struct store *s = NULL;
	int r;

	r = store_open(scene->scratch->dir_fd, &s, NULL);
	if (r == 0)
		r = store_lock(s, NULL);
	if (r == 0)
		r = store_denied_add(s, BASE, "a", 1, "removed by the owner", 1, NULL);
	if (r == 0)
		r = store_current_set(s, 0, NULL);
	if (r < 0)
		return 1;
	*scene->done = STEP_CURRENT;
	/* twice: what is previous goes as well */
	r = store_good_set(s, 0, NULL);
	if (r == 0)
		r = store_trust_drop(s, "timestamp.json");
	if (r == 0)
		r = store_collect(s, NULL);
	if (r == 0)
		*scene->done = STEP_END;
	return r < 0;
}

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s, call %ld: %s", what, at, #condition);                        \
	} while (0)

/* The generation that current names, whole, its images measured. */
static void check_current(const struct scene *scene, struct store *s, const char *what, long at)
{
	AUTO(generation) struct generation *g = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct digest found;
	struct error e = {0};
	uint64_t n;

	CHECK(store_current_get(s, &n, &e) == 0);
	if (n == 0)
		return;
	CHECK(store_generation_load(s, n, &g, &e) == 0);
	CHECK(digest_equal(&g->components[0].image,
		strcmp(g->letter, "a") == 0 ? &scene->old_image : &scene->new_image));
	CHECK(store_image_open(s, &g->components[0].image, &fd) == 0);
	CHECK(file_digest(fd, &found, NULL) == 0);
	CHECK(digest_equal(&found, &g->components[0].image));
}

/* Everything can be read, by somebody without the lock too. */
static void check_valid(const struct scene *scene, const char *what, long at)
{
	AUTO(store) struct store *s = NULL;
	AUTO(denied) struct denied *denied = NULL;
	AUTO_JSON json_t *config = NULL, *history = NULL;
	AUTO_FREE uint64_t *numbers = NULL;
	int64_t floor_utc_s;
	struct error e = {0};
	uint64_t n;
	size_t count;

	if (store_open(scene->scratch->dir_fd, &s, &e) < 0)
		fail_msg("%s, call %ld: %s", what, at, e.text);
	check_current(scene, s, what, at);
	CHECK(store_floor_get(s, &floor_utc_s, &e) == 0);
	CHECK(floor_utc_s == 0 || floor_utc_s == FLOOR_OLD || floor_utc_s == FLOOR_NEW);
	CHECK(store_denied_load(s, &denied, &e) == 0);
	CHECK(store_config_load(s, &config, &e) == 0);
	CHECK(store_history_list(s, 100, &history, &e) == 0);
	CHECK(store_good_get(s, &n, &e) == 0);
	CHECK(store_generation_list(s, &numbers, &count, &e) == 0);
	for (size_t i = 0; i < count; i++) {
		AUTO(generation) struct generation *g = NULL;

		if (store_generation_load(s, numbers[i], &g, &e) < 0)
			fail_msg("%s, call %ld: %s", what, at, e.text);
	}
}

/* What was reported as done is there. */
static void check_reported(const struct scene *scene, const char *what, long at)
{
	AUTO(store) struct store *s = scratch_open(scene->scratch);
	AUTO_DONE(buffer) struct buffer trust = buffer_of(16);
	AUTO_JSON json_t *config = NULL, *history = NULL;
	enum step done = *scene->done;
	int64_t floor_utc_s;

	if (done >= STEP_TRUST) {
		CHECK(store_trust_load(s, BASE ".json", 16, &trust) == 0);
		CHECK(trust.data[0] == 'b');
	}
	CHECK(store_floor_get(s, &floor_utc_s, NULL) == 0);
	CHECK(done < STEP_FLOOR || floor_utc_s == FLOOR_NEW);
	CHECK(done < STEP_IMAGE || store_has_image(s, &scene->new_image));
	CHECK(done < STEP_CURRENT || is_current(s, "b"));
	CHECK(store_history_list(s, 1, &history, NULL) == 0);
	CHECK(done < STEP_HISTORY || strcmp(json_string_value(json_object_get(
						    json_array_get(history, 0), "letter")),
					     "b") == 0);
	CHECK(store_config_load(s, &config, NULL) == 0);
	CHECK(done < STEP_CONFIG ||
		strcmp(json_string_value(json_object_get(config, "letter")), "b") == 0);
}

/* After the run was done again: the end of a run that nobody cut, and nothing left over. */
static void check_end_of_install(const struct scene *scene, bool had_old, const char *what, long at)
{
	static const char *const folders[] = {".", "trust", "images", "downloads", "generations"};
	AUTO(store) struct store *s = scratch_open(scene->scratch);
	AUTO(denied) struct denied *denied = NULL;
	uint64_t n = 0;

	CHECK(*scene->done == STEP_END);
	check_reported(scene, what, at);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		CHECK(scratch_count(scene->scratch, folders[i], 1) == 0);
	CHECK(scratch_count(scene->scratch, "generations", 0) == (had_old ? 2 : 1));
	CHECK(scratch_count(scene->scratch, "images", 0) == (had_old ? 2 : 1));
	CHECK(scratch_count(scene->scratch, "downloads", 0) == 0);
	CHECK(store_previous_get(s, &n, NULL) == 0);
	CHECK((n > 0) == had_old);
	CHECK(store_denied_load(s, &denied, NULL) == 0);
	CHECK(denied_find(denied, BASE, 2) != NULL);
}

static void check_end_of_removal(const struct scene *scene, const char *what, long at)
{
	AUTO(store) struct store *s = scratch_open(scene->scratch);
	AUTO(denied) struct denied *denied = NULL;
	uint64_t n = 7;

	CHECK(*scene->done == STEP_END);
	CHECK(store_current_get(s, &n, NULL) == 0 && n == 0);
	CHECK(!scratch_has(scene->scratch, "trust/timestamp.json"));
	CHECK(store_denied_load(s, &denied, NULL) == 0);
	CHECK(denied_find(denied, BASE, 1) != NULL);
	CHECK(scratch_count(scene->scratch, "generations", 0) == 1); /* the previous one */
}

/* One kind of run: from which state, and how its end is known. */
struct run {
	const char *name;
	bool has_old; /* letter (a) was installed before */
	int (*go)(void *ctx);
};

static const struct run runs[] = {
	{"install on a fresh device", false, install_new},
	{"install over another letter", true, install_new},
	{"remove", true, remove_all},
};

static void prepare(struct scene *scene, const struct run *run)
{
	scratch_clear(scene->scratch);
	if (run->has_old)
		assert_int_equal(install_old(scene), 0);
	*scene->done = STEP_NONE;
}

static void check_end(const struct scene *scene, const struct run *run, long at)
{
	if (run->go == remove_all)
		check_end_of_removal(scene, run->name, at);
	else
		check_end_of_install(scene, run->has_old, run->name, at);
}

static void check_after(struct scene *scene, const struct run *run, long at)
{
	const char *what = run->name;

	check_valid(scene, what, at);
	if (run->go == install_new)
		check_reported(scene, what, at);
	*scene->done = STEP_NONE;
	CHECK(run->go(scene) == 0);
	check_valid(scene, what, at);
	check_end(scene, run, at);
}

static struct scene scene_of(const struct scratch *scratch)
{
	struct scene scene = {.scratch = scratch};
	uint8_t data[IMAGE_BYTES];

	scene.done = mmap(NULL, sizeof *scene.done, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(scene.done != MAP_FAILED);
	fill(1, data, &scene.old_image);
	fill(2, data, &scene.new_image);
	assert_int_equal(digest_of("p", 1, &scene.payload), 0);
	return scene;
}

static void scene_done(struct scene *scene)
{
	(void)munmap((void *)(uintptr_t)scene->done, sizeof *scene->done);
}

static void test_cut_at_every_call(void **state)
{
	AUTO_DONE(scene) struct scene scene = scene_of(*state);

	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		long n = 0;

		for (;;) {
			struct cut_plan plan = {.at = ++n};
			struct cut_result result;

			prepare(&scene, &runs[i]);
			assert_int_equal(cut_run(&plan, runs[i].go, &scene, &result), 0);
			if (!result.was_cut) {
				assert_int_equal(result.status, 0);
				check_end(&scene, &runs[i], n);
				break;
			}
			check_after(&scene, &runs[i], n);
		}
		print_message("# %s: cut at each of %ld calls\n", runs[i].name, n - 1);
		/* a run that is over before its first fsync would prove nothing */
		assert_true(n > 100);
	}
}

/* A call that fails: an error that is reported, or an end that is right; and the same run goes on. */
static void fail_every_call(void **state, int error)
{
	AUTO_DONE(scene) struct scene scene = scene_of(*state);

	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		long n = 0, n_failed = 0;

		for (;;) {
			struct cut_plan plan = {.at = ++n, .error = error, .files_only = true};
			struct cut_result result;

			prepare(&scene, &runs[i]);
			assert_int_equal(cut_run(&plan, runs[i].go, &scene, &result), 0);
			if (!result.was_cut)
				break;
			if (result.status > 1)
				fail_msg("%s, call %ld: status %d", runs[i].name, n, result.status);
			n_failed += result.status;
			if (result.status == 0)
				check_end(&scene, &runs[i], n);
			check_after(&scene, &runs[i], n);
		}
		print_message("# %s: errno %d at each of %ld calls, %ld runs failed\n", runs[i].name,
			error, n - 1, n_failed);
		assert_true(n_failed > 20);
	}
}

static void test_full_disk_at_every_call(void **state)
{
	if (!cut_can_fail_calls())
		skip();
	fail_every_call(state, ENOSPC);
}

static void test_broken_disk_at_every_call(void **state)
{
	if (!cut_can_fail_calls())
		skip();
	fail_every_call(state, EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cut_at_every_call),
		TEST(test_full_disk_at_every_call),
		TEST(test_broken_disk_at_every_call),
	};

	return cmocka_run_group_tests_name("cut", tests, NULL, NULL);
}
