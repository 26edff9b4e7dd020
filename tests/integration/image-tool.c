/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tests/integration/image.sh builds and looks at images with:
 *   image-tool build DIR IMAGE [--payload FILE] [--workers N] [--level N] [--seed N] [--piece N]
 *   image-tool decode PAYLOAD IMAGE SALT IMAGE-BYTES [--memory N] [--piece N]
 *   image-tool check IMAGE TREE-OFFSET SALT ROOT
 *   image-tool list IMAGE TREE-OFFSET
 *   image-tool mount IMAGE DIR
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "image-scan.h"
#include "image/file_seal.h"
#include "image/payload.h"
#include "image/reader.h"
#include "image/writer.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define BSI_SANITIZED
#endif
#endif

struct options {
	const char *payload;
	unsigned long workers, level, seed, piece, memory;
};

static struct options options = {
	.workers = 1, .level = PAYLOAD_LEVEL, .piece = 65536, .memory = 64UL << 20};

static void must(int r, const struct error *e, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s (%d)", what, e && e->code == r ? e->text : error_text(r), r);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoumax(text, &end, 10);
	if (errno || *end || end == text)
		errx(2, "\"%s\" is no number", text);
	return v;
}

static int open_for(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static int image_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	return file_pwrite_all(*(int *)ctx, data, len, offset);
}

static int payload_write(void *ctx, const void *data, size_t len)
{
	return file_write_all(*(int *)ctx, data, len);
}

static int image_read(void *ctx, uint64_t offset, void *data, size_t len)
{
	return file_pread_all(*(int *)ctx, data, len, offset);
}

static void seal_print(const struct image_seal *seal)
{
	char salt[2 * IMAGE_SALT_BYTES + 1];

	hex_format(seal->salt, IMAGE_SALT_BYTES, salt);
	printf("root=%s\nsalt=%s\ntree_offset=%" PRIu64 "\nimage_bytes=%" PRIu64 "\n",
		digest_format(&seal->root).text, salt, seal->tree_offset, seal->image_bytes);
}

/* The process's peak; a sanitizer's own memory would hide ours. */
static void peak_print(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(BSI_SANITIZED)
	AUTO_DONE(buffer) struct buffer status = buffer_of(65536);
	AUTO_CLOSE int fd = open_for("/proc/self/status", O_RDONLY);
	const char *at;

	must(file_read_fd(fd, 65536, &status), NULL, "/proc/self/status");
	buffer_put_u8(&status, 0);
	must(status.err, NULL, "/proc/self/status");
	at = strstr((const char *)status.data, "VmHWM:");
	if (at)
		printf("peak_kib=%" PRIuMAX "\n", strtoumax(at + 6, NULL, 10));
#endif
}

static void content_feed(const char *path, struct image_writer *w, struct payload_encoder *e)
{
	AUTO_CLOSE int fd = open_for(path, O_RDONLY);
	AUTO_FREE uint8_t *piece = malloc(options.piece);
	ssize_t n;

	if (!piece)
		err(1, "memory");
	while ((n = read(fd, piece, options.piece)) > 0) {
		must(image_writer_feed(w, piece, (size_t)n), NULL, path);
		if (e)
			must(payload_encoder_feed(e, piece, (size_t)n), NULL, path);
	}
	if (n < 0)
		err(1, "%s", path);
}

static int do_build(char **argv)
{
	AUTO_DONE(scan) struct scan s = scan_directory(argv[0], (unsigned int)options.seed);
	AUTO_CLOSE int fd = open_for(argv[1], O_RDWR | O_CREAT | O_TRUNC);
	AUTO_CLOSE int out =
		options.payload ? open_for(options.payload, O_WRONLY | O_CREAT | O_TRUNC) : -EBADF;
	const struct image_sink sink = {&fd, image_write};
	const struct image_source source = {&fd, image_read};
	const struct byte_sink payload_sink = {&out, payload_write};
	AUTO_DONE(image_recipe) struct image_recipe recipe = {0};
	AUTO(image_writer) struct image_writer *w = NULL;
	AUTO(payload_encoder) struct payload_encoder *e = NULL;
	uint8_t salt[IMAGE_SALT_BYTES];
	struct image_seal seal;
	struct digest file_seal;
	struct error error = {0};

	must(image_recipe_plan(s.entries, s.n, &recipe, &error), &error, argv[0]);
	must(image_recipe_salt(&recipe, salt), NULL, "salt");
	must(image_writer_new(&recipe, salt, &sink, &w), NULL, argv[1]);
	if (options.payload)
		must(payload_encoder_new(&recipe, (int)options.level, (unsigned int)options.workers,
			     &payload_sink, &e),
			NULL, options.payload);
	for (size_t i = 0; i < recipe.n_extents; i++)
		content_feed(s.files[recipe.extents[i].entry], w, e);
	must(image_writer_finish(w, &seal, &error), &error, argv[1]);
	if (e)
		must(payload_encoder_finish(e, &error), &error, options.payload);
	seal_print(&seal);
	must(image_file_seal(&source, seal.image_bytes, &file_seal), NULL, argv[1]);
	printf("fs_verity=%s\n", digest_format(&file_seal).text);
	printf("meta_bytes=%zu\nmemory_bytes=%" PRIu64 "\n", recipe.meta_len,
		payload_memory_bytes(&recipe));
	return 0;
}

static int do_decode(char **argv)
{
	AUTO_CLOSE int in = open_for(argv[0], O_RDONLY);
	AUTO_CLOSE int fd = open_for(argv[1], O_RDWR | O_CREAT | O_TRUNC);
	const struct image_sink sink = {&fd, image_write};
	AUTO(payload_decoder) struct payload_decoder *d = NULL;
	AUTO_FREE uint8_t *piece = malloc(options.piece);
	uint8_t salt[IMAGE_SALT_BYTES];
	struct image_seal seal;
	struct error error = {0};
	ssize_t n;

	if (!piece)
		err(1, "memory");
	must(hex_parse(argv[2], salt, sizeof(salt)), NULL, argv[2]);
	must(payload_decoder_new(options.memory, number(argv[3]), salt, &sink, &d), NULL, argv[0]);
	while ((n = read(in, piece, options.piece)) > 0)
		must(payload_decoder_feed(d, piece, (size_t)n, &error), &error, argv[0]);
	if (n < 0)
		err(1, "%s", argv[0]);
	must(payload_decoder_finish(d, &seal, &error), &error, argv[0]);
	seal_print(&seal);
	peak_print();
	return 0;
}

static int do_check(char **argv)
{
	AUTO_CLOSE int fd = open_for(argv[0], O_RDONLY);
	const struct image_source source = {&fd, image_read};
	AUTO(image_reader) struct image_reader *r = NULL;
	struct image_seal seal = {.tree_offset = number(argv[1])};
	struct error error = {0};

	must(hex_parse(argv[2], seal.salt, sizeof(seal.salt)), NULL, argv[2]);
	must(digest_parse(argv[3], &seal.root), NULL, argv[3]);
	seal.image_bytes = seal.tree_offset + image_tree_bytes(seal.tree_offset);
	must(image_tree_verify(&source, &seal, &error), &error, argv[0]);
	must(image_reader_new(&source, seal.tree_offset, &r, &error), &error, argv[0]);
	must(image_reader_check_canonical(r, &error), &error, argv[0]);
	puts("good");
	return 0;
}

static int do_list(char **argv)
{
	AUTO_CLOSE int fd = open_for(argv[0], O_RDONLY);
	const struct image_source source = {&fd, image_read};
	AUTO(image_reader) struct image_reader *r = NULL;
	const struct image_entry *entries;
	struct error error = {0};
	size_t n;

	must(image_reader_new(&source, number(argv[1]), &r, &error), &error, argv[0]);
	entries = image_reader_entries(r, &n);
	for (size_t i = 0; i < n; i++)
		printf("%o %u %u %" PRIu64 " %zu %s%s%s\n", entries[i].mode, entries[i].uid,
			entries[i].gid, entries[i].size, entries[i].n_xattrs, entries[i].path,
			entries[i].symlink_target ? " -> " : "",
			entries[i].symlink_target ? entries[i].symlink_target : "");
	return 0;
}

/* mount(8) always makes a loop device; the kernel can take the file itself since 6.12. */
static int do_mount(char **argv)
{
	int fs = (int)syscall(SYS_fsopen, "erofs", 1U);
	int mount_fd;

	if (fs < 0)
		err(1, "fsopen");
	if (syscall(SYS_fsconfig, fs, 1U, "source", argv[0], 0) < 0 ||
		syscall(SYS_fsconfig, fs, 6U, NULL, NULL, 0) < 0)
		err(errno == ENOTBLK ? 3 : 1, "fsconfig");
	mount_fd = (int)syscall(SYS_fsmount, fs, 1U, 1U);
	if (mount_fd < 0)
		err(1, "fsmount");
	if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, argv[1], 4U) < 0)
		err(1, "move_mount");
	return 0;
}

static const struct verb {
	const char *name;
	int n_args;
	int (*run)(char **argv);
} verbs[] = {
	{"build", 2, do_build},
	{"decode", 4, do_decode},
	{"check", 4, do_check},
	{"list", 2, do_list},
	{"mount", 2, do_mount},
};

static void options_parse(char **argv)
{
	const struct {
		const char *name;
		unsigned long *value;
	} numbers[] = {
		{"--workers", &options.workers},
		{"--level", &options.level},
		{"--seed", &options.seed},
		{"--piece", &options.piece},
		{"--memory", &options.memory},
	};

	for (; argv[0] && argv[1]; argv += 2) {
		bool known = strcmp(argv[0], "--payload") == 0;

		if (known)
			options.payload = argv[1];
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
			if (strcmp(argv[0], numbers[i].name) != 0)
				continue;
			*numbers[i].value = number(argv[1]);
			known = true;
		}
		if (!known)
			errx(2, "option \"%s\" is not known", argv[0]);
	}
	if (argv[0])
		errx(2, "\"%s\" wants a value", argv[0]);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		if (argc - 2 < verbs[i].n_args)
			errx(2, "%s wants %d arguments", verbs[i].name, verbs[i].n_args);
		options_parse(argv + 2 + verbs[i].n_args);
		return verbs[i].run(argv + 2);
	}
	errx(2, "build, decode, check, list or mount");
}
