/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A payload in a store's folder becomes an image there, and nothing that a worker says is believed.
 */
#include "../image/fixture.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../store/scratch.h"
#include "agent/unpack.h"
#include "base/digest.h"
#include "base/file.h"
#include "store/image.h"

/* The fixture's image as a signed component, its payload as a file, and a store to unpack into. */
struct scene {
	struct scratch *scratch;
	struct store *store;
	struct memory image;
	char kind[8];
	struct component component;
	struct payload payload;
	struct fit_component fit;
	int payload_fd;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	AUTO_DONE(image_recipe) struct image_recipe recipe = fixture_recipe();
	AUTO_DONE(memory) struct memory payload = {0};
	struct image_seal seal;

	assert_non_null(s);
	assert_int_equal(scratch_setup((void **)&s->scratch), 0);
	s->store = scratch_lock(s->scratch);
	seal = fixture_image(&s->image);
	fixture_payload(&payload, 1);
	s->payload_fd = memfd_create("payload", MFD_CLOEXEC);
	assert_int_equal(write(s->payload_fd, payload.data, payload.len), payload.len);

	s->component.image = (struct image_ref){
		.size = s->image.len, .root = seal.root, .tree_offset = seal.tree_offset};
	memcpy(s->component.image.salt, fixture_salt, sizeof fixture_salt);
	assert_int_equal(digest_of(s->image.data, s->image.len, &s->component.image.digest), 0);
	memcpy(s->kind, "full", sizeof "full");
	s->payload = (struct payload){.kind = s->kind,
		.version = PAYLOAD_FULL_VERSION,
		.size = payload.len,
		.memory_bytes = payload_memory_bytes(&recipe)};
	s->fit = (struct fit_component){.component = &s->component, .image_fd = -EBADF};
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	(void)close(s->payload_fd);
	memory_done(&s->image);
	store_free(s->store);
	assert_int_equal(scratch_teardown((void **)&s->scratch), 0);
	free(s);
	return 0;
}

/* What unpack returns, and where it is content the store, which measures the digest. */
static int go(struct scene *s, struct error *e)
{
	AUTO(store_image) struct store_image *image = NULL;
	int r = store_image_begin(
		s->store, &s->component.image.digest, s->component.image.size, &image, e);

	assert_int_equal(r, 0);
	r = unpack(&s->fit, &s->payload, s->payload_fd, image, e);
	return r < 0 ? r : store_image_commit(image, e);
}

static void test_unpack_makes_the_image(void **state)
{
	struct scene *s = *state;
	struct error e = {0};

	assert_int_equal(go(s, &e), 0);
	assert_true(store_has_image(s->store, &s->component.image.digest));
}

static void test_unpack_refuses_more_memory_than_is_stated(void **state)
{
	struct scene *s = *state;
	struct error e = {0};

	s->payload.memory_bytes--;
	assert_int_equal(go(s, &e), -BSI_E_LIMIT);
	assert_non_null(strstr(e.text, "of memory"));
	assert_false(store_has_image(s->store, &s->component.image.digest));
}

static void test_unpack_refuses_a_longer_image(void **state)
{
	struct scene *s = *state;
	struct error e = {0};

	s->component.image.size -= 4096;
	assert_int_equal(go(s, &e), -BSI_E_LIMIT);
}

static void test_unpack_refuses_a_cut_payload(void **state)
{
	struct scene *s = *state;
	struct error e = {0};

	assert_int_equal(ftruncate(s->payload_fd, (off_t)s->payload.size / 2), 0);
	assert_int_equal(go(s, &e), -BSI_E_FORMAT);
}

/* The worker finds nothing wrong with these: the image is measured after it. */
static void test_unpack_measures_the_seal(void **state)
{
	struct scene *s = *state;
	struct error e = {0};

	s->component.image.root.bytes[0] ^= 1;
	assert_int_equal(go(s, &e), -BSI_E_UNSEALED);
	assert_non_null(strstr(e.text, "signed seal"));
}

static void test_unpack_measures_where_the_tree_is(void **state)
{
	struct scene *s = *state;
	struct error e = {0};

	s->component.image.tree_offset -= 4096;
	assert_true(go(s, &e) < 0);
	assert_false(store_has_image(s->store, &s->component.image.digest));
}

static void test_unpack_leaves_the_payload_alone(void **state)
{
	struct scene *s = *state;
	struct digest before, after;
	struct error e = {0};
	uint64_t size;

	assert_int_equal(file_digest(s->payload_fd, &before, &size), 0);
	assert_int_equal(go(s, &e), 0);
	assert_int_equal(file_digest(s->payload_fd, &after, &size), 0);
	assert_true(digest_equal(&before, &after));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_unpack_makes_the_image),
		TEST(test_unpack_refuses_more_memory_than_is_stated),
		TEST(test_unpack_refuses_a_longer_image),
		TEST(test_unpack_refuses_a_cut_payload),
		TEST(test_unpack_measures_the_seal),
		TEST(test_unpack_measures_where_the_tree_is),
		TEST(test_unpack_leaves_the_payload_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
