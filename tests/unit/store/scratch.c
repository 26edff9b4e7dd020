/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "store/image.h"
#include "store/load.h"

int scratch_setup(void **state)
{
	struct scratch *s = calloc(1, sizeof *s);

	if (!s)
		return -1;
	/* in memory where there is such a place: many tests fsync thousands of times */
	(void)snprintf(s->path, sizeof s->path, "/dev/shm/bsi-store-XXXXXX");
	if (!mkdtemp(s->path)) {
		(void)snprintf(s->path, sizeof s->path, "/tmp/bsi-store-XXXXXX");
		if (!mkdtemp(s->path))
			return -1;
	}
	s->dir_fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = s;
	return s->dir_fd < 0 ? -1 : 0;
}

int scratch_teardown(void **state)
{
	struct scratch *s = *state;
	int r = file_remove_tree(AT_FDCWD, s->path);

	(void)close(s->dir_fd);
	free(s);
	return r;
}

static DIR *open_folder(const struct scratch *scratch, const char *folder)
{
	int fd = openat(scratch->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		fail_msg("\"%s\" cannot be opened", folder);
	return dir;
}

void scratch_clear(const struct scratch *scratch)
{
	DIR *dir = open_folder(scratch, ".");
	struct dirent *entry;

	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			assert_int_equal(file_remove_tree(scratch->dir_fd, entry->d_name), 0);
	(void)closedir(dir);
}

struct store *scratch_open(const struct scratch *scratch)
{
	struct store *s = NULL;
	struct error e = {0};

	if (store_open(scratch->dir_fd, &s, &e) < 0)
		fail_msg("%s", e.text);
	return s;
}

struct store *scratch_lock(const struct scratch *scratch)
{
	struct store *s = scratch_open(scratch);
	struct error e = {0};

	if (store_lock(s, &e) < 0 || store_load_begin(s, "debian:12:amd64", "b", 2, &e) < 0)
		fail_msg("%s", e.text);
	return s;
}

void scratch_write(const struct scratch *scratch, const char *path, const void *data, size_t len)
{
	AUTO_CLOSE int fd = openat(scratch->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, len), 0);
}

char *scratch_read(const struct scratch *scratch, const char *path, size_t *ret_len)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of(16U << 20);

	assert_int_equal(file_read(scratch->dir_fd, path, 16U << 20, &bytes), 0);
	if (ret_len)
		*ret_len = bytes.len;
	buffer_put_u8(&bytes, 0);
	return (char *)buffer_take(&bytes, NULL);
}

int scratch_has(const struct scratch *scratch, const char *path)
{
	struct stat st;

	return fstatat(scratch->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

unsigned scratch_count(const struct scratch *scratch, const char *folder, int hidden)
{
	DIR *dir = open_folder(scratch, folder);
	struct dirent *entry;
	unsigned n = 0;

	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			n += !hidden || entry->d_name[0] == '.';
	(void)closedir(dir);
	return n;
}

struct digest scratch_image(struct store *s, uint8_t byte, size_t bytes)
{
	AUTO(store_image) struct store_image *image = NULL;
	AUTO_FREE uint8_t *data = malloc(bytes);
	struct error e = {0};
	struct digest d;

	assert_non_null(data);
	memset(data, byte, bytes);
	assert_int_equal(digest_of(data, bytes, &d), 0);
	if (store_image_begin(s, &d, bytes, &image, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(store_image_write(image, 0, data, bytes), 0);
	if (store_image_commit(image, &e) < 0)
		fail_msg("%s", e.text);
	return d;
}

uint64_t scratch_generation(struct store *s, const char *letter, uint64_t build,
	const struct digest *image)
{
	char base[] = "debian:12:amd64", name[] = "openssl", set[] = "u1", manifest[] = "{\"x\":1}";
	char *own_letter = strdup(letter);
	struct generation_component c = {name, *image, set};
	struct generation g = {.base = base, .letter = own_letter, .build = build,
		.created_utc_s = 1764000000, .components = &c, .n_components = 1,
		.manifest = (uint8_t *)manifest, .manifest_len = strlen(manifest)};
	struct error e = {0};
	uint64_t number = 0;

	assert_non_null(own_letter);
	if (store_generation_write(s, &g, &number, &e) < 0)
		fail_msg("%s", e.text);
	free(own_letter);
	return number;
}
