/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "publish/deb.h"

/* What a reading saw, as text. */
struct seen {
	struct buffer text;
	struct buffer content;
};

static int see_begin(void *ctx, const struct deb_entry *e, struct error *reterr)
{
	struct seen *s = ctx;

	(void)reterr;
	buffer_printf(&s->text, "%s %o %u", e->path, e->mode, e->uid);
	if (e->symlink_target)
		buffer_printf(&s->text, " -> %s", e->symlink_target);
	if (e->hardlink_to)
		buffer_printf(&s->text, " = %s", e->hardlink_to);
	for (size_t i = 0; i < e->n_xattrs; i++)
		buffer_printf(&s->text, " %s:%zu", e->xattrs[i].name, e->xattrs[i].value_bytes);
	buffer_clear(&s->content);
	return 0;
}

static int see_content(void *ctx, const void *data, size_t len)
{
	buffer_put(&((struct seen *)ctx)->content, data, len);
	return 0;
}

static int see_end(void *ctx, struct error *reterr)
{
	struct seen *s = ctx;

	(void)reterr;
	buffer_printf(&s->text, " [%.*s]\n", (int)s->content.len, (const char *)s->content.data);
	return 0;
}

static int read_fd(int fd, struct seen *s, struct package *p, struct error *e)
{
	const struct deb_sink sink = {
		.ctx = s, .begin = see_begin, .content = see_content, .end = see_end};
	int r;

	s->text = buffer_of(1 << 20);
	s->content = buffer_of(1 << 20);
	r = deb_read(fd, "test.deb", &sink, p, e);
	buffer_put_u8(&s->text, 0);
	return r;
}

static void seen_done(struct seen *s)
{
	buffer_done(&s->text);
	buffer_done(&s->content);
}

static int read_deb(const struct fixture_deb *deb, struct seen *s, struct package *p,
	struct error *e)
{
	char *folder = fixture_folder(), *path = fixture_write(folder, deb);
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	assert_true(fd >= 0);
	r = read_fd(fd, s, p, e);
	close(fd);
	free(path);
	fixture_remove(folder);
	return r;
}

static const struct fixture_file files[] = {
	{.path = "./usr/bin/x", .mode = 04755, .content = "program"},
	{.path = "./usr/lib/libx.so", .symlink = "libx.so.1"},
	{.path = "./usr/lib/libx.so.1", .content = "library", .uid = 7},
	{.path = "./usr/lib/liby.so.1", .hardlink = "./usr/lib/libx.so.1"},
	{.path = "./usr/bin/ping", .mode = 0755, .content = "p", .has_capability = 1},
	{0},
};

static void test_deb_entries(void **state)
{
	static const char *const filters[] = {"gzip", "xz", "zstd", "none"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		const struct fixture_deb deb = {.package = "x",
			.version = "1.2-3",
			.source = "src",
			.files = files,
			.filter = filters[i],
			.scripts = "#!/bin/sh\nsetcap x\n"};
		struct package p;
		struct error e = {};
		struct seen s;

		assert_int_equal(read_deb(&deb, &s, &p, &e), 0);
		assert_string_equal(p.name, "x");
		assert_string_equal(p.version, "1.2-3");
		assert_string_equal(p.source, "src");
		assert_non_null(strstr(p.scripts, "setcap"));
		assert_string_equal((char *)s.text.data,
			"usr/bin/x 104755 0 [program]\n"
			"usr/lib/libx.so 120644 0 -> libx.so.1 []\n"
			"usr/lib/libx.so.1 100644 7 [library]\n"
			"usr/lib/liby.so.1 644 0 = usr/lib/libx.so.1 []\n"
			"usr/bin/ping 100755 0 security.capability:20 [p]\n");
		package_done(&p);
		seen_done(&s);
	}
}

static void test_deb_paths_that_leave(void **state)
{
	static const char *const paths[] = {
		"../x", "./usr/../../x", "/etc/passwd", "./usr//x", "./a/./b", "usr/.."};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct fixture_file bad[] = {{.path = paths[i], .content = "x"}, {0}};
		const struct fixture_deb deb = {.package = "x", .files = bad};
		struct package p;
		struct error e = {};
		struct seen s;

		assert_int_equal(read_deb(&deb, &s, &p, &e), -BSI_E_PATH);
		assert_non_null(strstr(e.text, paths[i]));
		seen_done(&s);
	}
}

static void test_deb_hardlink_that_leaves(void **state)
{
	const struct fixture_file bad[] = {{.path = "./usr/x", .hardlink = "../../etc/shadow"}, {0}};
	const struct fixture_deb deb = {.package = "x", .files = bad};
	struct package p;
	struct error e = {};
	struct seen s;

	(void)state;
	assert_int_equal(read_deb(&deb, &s, &p, &e), -BSI_E_PATH);
	seen_done(&s);
}

static void test_deb_md5sums(void **state)
{
	static const struct {
		const char *md5sums;
		int result;
	} rows[] = {
		{"a9c449d4fa44e9e5a41c574ae55ce4d9  usr/bin/x\n", 0},
		{"00000000000000000000000000000000  usr/bin/x\n", -BSI_E_DIGEST},
		{"a9c449d4fa44e9e5a41c574ae55ce4d9  usr/bin/x\n"
		 "a9c449d4fa44e9e5a41c574ae55ce4d9  usr/bin/missing\n",
			-BSI_E_FORMAT},
		{"no md5sums at all\n", 0},
	};
	static const struct fixture_file one[] = {{.path = "./usr/bin/x", .content = "program"}, {0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fixture_deb deb = {
			.package = "x", .files = one, .md5sums = rows[i].md5sums};
		struct package p;
		struct error e = {};
		struct seen s;
		int r = read_deb(&deb, &s, &p, &e);

		assert_int_equal(r, rows[i].result);
		if (r == 0)
			package_done(&p);
		seen_done(&s);
	}
}

static int memory_file(const void *data, size_t len)
{
	int fd = memfd_create("deb", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, len), 0);
	return fd;
}

static void load(const struct fixture_deb *deb, struct buffer *out)
{
	char *folder = fixture_folder(), *path = fixture_write(folder, deb);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*out = buffer_of(1 << 21);
	assert_int_equal(file_read_fd(fd, 1 << 21, out), 0);
	close(fd);
	free(path);
	fixture_remove(folder);
}

/* A package that is cut anywhere is an error, whatever its compression. */
static void test_deb_truncation(void **state)
{
	static const char *const filters[] = {"gzip", "xz", "zstd"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		const struct fixture_deb deb = {
			.package = "x", .files = files, .filter = filters[i]};
		struct buffer bytes;

		load(&deb, &bytes);
		/* the last byte may be padding of the ar archive */
		for (size_t len = 0; len + 1 < bytes.len; len++) {
			struct error e = {};
			struct package p;
			struct seen s;
			int fd = memory_file(bytes.data, len), r;

			r = read_fd(fd, &s, &p, &e);
			assert_true(r == -BSI_E_FORMAT || r == -BSI_E_VERSION);
			assert_true(e.text[0] != '\0');
			seen_done(&s);
			close(fd);
		}
		buffer_done(&bytes);
	}
}

static void test_deb_bit_flips(void **state)
{
	const struct fixture_deb deb = {.package = "x", .files = files, .filter = "none"};
	struct buffer bytes;
	size_t n_refused = 0;

	(void)state;
	load(&deb, &bytes);
	for (size_t bit = 0; bit < bytes.len * 8; bit += 7) {
		struct error e = {};
		struct package p;
		struct seen s;
		int fd, r;

		bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		fd = memory_file(bytes.data, bytes.len);
		r = read_fd(fd, &s, &p, &e);
		assert_true(r <= 0);
		n_refused += r < 0;
		if (r == 0)
			package_done(&p);
		seen_done(&s);
		close(fd);
		bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_true(n_refused > 50);
	buffer_done(&bytes);
}

static void test_deb_other_files(void **state)
{
	static const char *const texts[] = {
		"", "!<arch>\n", "!<arch>\ndebian-binary   0           0     0     100644  4         `\n3.0\n",
		"PK\003\004 a zip file", "\037\213\010\000"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct error e = {};
		struct package p;
		struct seen s;
		int fd = memory_file(texts[i], strlen(texts[i])), r;

		r = read_fd(fd, &s, &p, &e);
		assert_true(r == -BSI_E_FORMAT || r == -BSI_E_VERSION);
		assert_non_null(strstr(e.text, "test.deb"));
		seen_done(&s);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deb_entries),
		cmocka_unit_test(test_deb_paths_that_leave),
		cmocka_unit_test(test_deb_hardlink_that_leaves),
		cmocka_unit_test(test_deb_md5sums),
		cmocka_unit_test(test_deb_truncation),
		cmocka_unit_test(test_deb_bit_flips),
		cmocka_unit_test(test_deb_other_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
