/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * State files: the first byte chooses one, the rest is its bytes, or its content inside of an
 * envelope that is right (the digest would keep everything else out). Whatever it is, loading it
 * gives a value or an error with words.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/denied.h"
#include "store/generation.h"
#include "store/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[][2] = {
	{"current", "bsi-current"},
	{"denied", "bsi-denied"},
	{"floor", "bsi-floor"},
	{"config", "bsi-config"},
	{"generations/1/generation.json", "bsi-generation"},
	{"number", "bsi-number"},
};

/* A state with one generation, made once. */
static int open_state(void)
{
	static char path[64];
	AUTO(store) struct store *s = NULL;
	int fd;

	(void)snprintf(path, sizeof path, "/dev/shm/bsi-fuzz-XXXXXX");
	if (!mkdtemp(path)) {
		(void)snprintf(path, sizeof path, "/tmp/bsi-fuzz-XXXXXX");
		if (!mkdtemp(path))
			abort();
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || store_open(fd, &s, NULL) < 0 || store_lock(s, NULL) < 0 ||
		file_make_dirs(fd, "generations/1", 0700) < 0 ||
		file_replace(fd, "generations/1/manifest.json", "{}", 2, 0600) < 0)
		abort();
	return fd;
}

static int state_fd = -1;

static void remove_state(void)
{
	char link[64], path[256];
	ssize_t n;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", state_fd);
	n = readlink(link, path, sizeof path - 1);
	if (n <= 0)
		return;
	path[n] = '\0';
	if (file_remove_tree(AT_FDCWD, path) < 0)
		(void)fprintf(stderr, "%s stays behind\n", path);
}

static void wrap(struct buffer *out, const char *format, const uint8_t *content, size_t size)
{
	struct digest digest;

	if (digest_of(content, size, &digest) < 0)
		abort();
	buffer_put_text(out, "{\"content\":");
	buffer_put(out, content, size);
	buffer_printf(out, ",\"digest\":\"%s\",\"format\":\"%s\",\"version\":1}",
		digest_format(&digest).text, format);
}

static void put(const char *path, const struct buffer *bytes)
{
	AUTO_CLOSE int fd = openat(state_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || file_write_all(fd, bytes->data, bytes->len) < 0)
		abort();
}

static void expect_words(int r, const struct error *e)
{
	if (r < 0 && r != -ENOMEM && e->text[0] == '\0')
		abort();
}

static void load_all(struct store *s)
{
	AUTO(generation) struct generation *g = NULL;
	AUTO(denied) struct denied *denied = NULL;
	AUTO_JSON json_t *config = NULL;
	struct error e = {0};
	int64_t floor_utc_s;
	uint64_t n;

	expect_words(store_current_get(s, &n, &e), &e);
	expect_words(store_floor_get(s, &floor_utc_s, &e), &e);
	expect_words(store_denied_load(s, &denied, &e), &e);
	expect_words(store_config_load(s, &config, &e), &e);
	expect_words(store_generation_load(s, 1, &g, &e), &e);
	if (store_lock(s, &e) == 0)
		expect_words(store_collect(s, &e), &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_DONE(buffer) struct buffer bytes = buffer_of((size_t)4 << 20);
	AUTO(store) struct store *s = NULL;
	unsigned file;

	if (size == 0 || size > (1U << 20))
		return 0;
	if (state_fd < 0) {
		state_fd = open_state();
		(void)atexit(remove_state);
	}
	file = data[0] % ARRAY_SIZE(files);
	if (data[0] & 0x80)
		buffer_put(&bytes, data + 1, size - 1);
	else
		wrap(&bytes, files[file][1], data + 1, size - 1);
	/* a collection may have taken it */
	if (file_make_dirs(state_fd, "generations/1", 0700) < 0)
		abort();
	put(files[file][0], &bytes);
	if (store_open(state_fd, &s, NULL) < 0)
		abort();
	load_all(s);
	return 0;
}
