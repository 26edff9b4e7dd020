/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scene.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/file.h"
#include "store/denied.h"
#include "store/download.h"
#include "store/history.h"
#include "store/image.h"
#include "store/load.h"
#include "store/settings.h"
#include "store/trust_files.h"

#define IMAGE_BYTES 20000

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

bool scene_is_current(struct store *s, const char *letter)
{
	AUTO(generation) struct generation *g = NULL;
	uint64_t n;

	return store_current_get(s, &n, NULL) == 0 && n > 0 &&
	       store_generation_load(s, n, &g, NULL) == 0 && strcmp(g->letter, letter) == 0;
}

static int put_generation(struct store *s, uint8_t byte, const char *letter, uint64_t *ret)
{
	char base[] = SCENE_BASE, name[] = "openssl", set[] = "u1", manifest[] = "{\"x\":1}", own[8];
	uint8_t data[IMAGE_BYTES];
	struct generation_component c = {.name = name, .set = set};
	struct generation g = {.base = base, .letter = own, .build = byte, .components = &c,
		.n_components = 1, .manifest = (uint8_t *)manifest, .manifest_len = strlen(manifest)};

	(void)snprintf(own, sizeof own, "%s", letter);
	fill(byte, data, &c.image);
	return store_generation_write(s, &g, ret, NULL);
}

/* What takes long is done without the lock of the state. */
static int load(struct store *s, const struct scene *scene, uint8_t byte)
{
	int r = store_load_begin(s, SCENE_BASE, "a", 1, NULL);

	if (r < 0)
		return r;
	store_unlock(s);
	r = put_payload(s, &scene->payload);
	if (r == 0)
		r = put_image(s, byte);
	if (r == 0)
		r = store_download_done(s, &scene->payload);
	if (r == 0)
		r = store_lock(s, NULL);
	store_load_end(s);
	return r;
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
		r = store_trust_save(s, SCENE_BASE ".json", letter, 1);
	if (r < 0)
		return r;
	*scene->done = STEP_TRUST;
	r = store_floor_set(s, floor_utc_s, NULL);
	if (r < 0)
		return r;
	*scene->done = STEP_FLOOR;
	if (scene_is_current(s, letter))
		goto current;
	r = load(s, scene, byte);
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
	r = store_denied_add(s, SCENE_BASE, letter, byte, "tested", 1, NULL);
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
		r = store_denied_add(s, SCENE_BASE, "a", 1, "removed by the owner", 1, NULL);
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

const struct run runs[N_RUNS] = {
	{"install on a fresh device", false, false, install_new},
	{"install over others", true, false, install_new},
	{"remove", true, true, remove_all},
};

void scene_prepare(struct scene *scene, const struct run *run)
{
	scratch_clear(scene->scratch);
	if (run->has_old) {
		/* two, so that the run has a generation to remove */
		assert_int_equal(install(scene, 3, "c", FLOOR_OLD), 0);
		assert_int_equal(install_old(scene), 0);
	}
	*scene->done = STEP_NONE;
}

struct scene scene_of(const struct scratch *scratch)
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

void scene_done(struct scene *scene)
{
	(void)munmap((void *)(uintptr_t)scene->done, sizeof *scene->done);
}
