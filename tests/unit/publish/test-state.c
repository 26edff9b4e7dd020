/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "publish/state.h"

static void put(const char *folder, const char *path, const char *text)
{
	char parent[512];
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	(void)snprintf(parent, sizeof parent, "%s", path);
	if (strrchr(parent, '/')) {
		*strrchr(parent, '/') = '\0';
		assert_int_equal(file_make_dirs(fd, parent, 0755), 0);
	}
	assert_int_equal(file_replace(fd, path, text, strlen(text), 0644), 0);
	close(fd);
}

static void assert_file(struct state *s, const char *path, const char *text)
{
	struct state_file *f = state_find(s, path);
	struct error e = {};
	char content[64] = {};

	assert_non_null(f);
	assert_int_equal(state_measure(s, f, &e), 0);
	assert_int_equal(f->size_bytes, strlen(text));
	assert_int_equal(state_spool(s, &f, 1, &e), 0);
	assert_int_equal(state_read(s, f, 0, content, strlen(text), &e), 0);
	assert_string_equal(content, text);
}

static void test_state_paths(void **state)
{
	static const char *const rows[][2] = {
		{"./lib/x", "usr/lib/x"}, {"/bin/x", "usr/bin/x"}, {"sbin/x", "usr/sbin/x"},
		{"lib64/x", "usr/lib64/x"}, {"usr/lib/x", "usr/lib/x"}, {"etc/lib/x", "etc/lib/x"},
		{"library/x", "library/x"}, {"lib", "lib"},
	};
	static const char *const bad[] = {"", "..", "a/../b", "/", "./", "a//b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *path;

		assert_int_equal(state_path(rows[i][0], &path), 0);
		assert_string_equal(path, rows[i][1]);
		free(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *path;

		assert_int_equal(state_path(bad[i], &path), -BSI_E_PATH);
	}
}

static const struct fixture_file files[] = {
	{.path = "./lib/x/liba.so.1", .content = "library a"},
	{.path = "./usr/bin/b", .mode = 0755, .content = "program b"},
	{.path = "./usr/bin/c", .hardlink = "./usr/bin/b"},
	{.path = "./usr/bin/d", .symlink = "b"},
	{0},
};

static void test_state_of_debs(void **state)
{
	const struct fixture_deb deb = {.package = "x", .files = files};
	char *folder = fixture_folder(), *path = fixture_write(folder, &deb);
	const char *const arguments[] = {folder, path};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
		struct error e = {};
		struct state *s;

		assert_int_equal(state_open(arguments[i], &s, &e), 0);
		assert_int_equal(s->n_packages, 1);
		assert_int_equal(s->n_files, 4);
		assert_file(s, "usr/lib/x/liba.so.1", "library a");
		assert_file(s, "usr/bin/c", "program b");
		assert_int_equal(state_find(s, "usr/bin/c")->mode, S_IFREG | 0755);
		assert_string_equal(state_find(s, "usr/bin/d")->symlink_target, "b");
		assert_null(state_find(s, "lib/x/liba.so.1"));
		state_free(s);
	}
	free(path);
	fixture_remove(folder);
}

static void test_state_two_versions(void **state)
{
	const struct fixture_deb one = {.package = "x", .version = "1", .files = files};
	const struct fixture_deb two = {.package = "x", .version = "2", .files = files};
	char *folder = fixture_folder();
	struct error e = {};
	struct state *s;

	(void)state;
	free(fixture_write(folder, &one));
	free(fixture_write(folder, &two));
	assert_int_equal(state_open(folder, &s, &e), -BSI_E_REFUSED);
	assert_non_null(strstr(e.text, "package x"));
	fixture_remove(folder);
}

/* Two packages with one name for a file: which one a device has is not for us to guess. */
static void test_state_shared_names(void **state)
{
	static const struct {
		const char *package, *architecture;
		struct fixture_file one, other;
		int result;
	} rows[] = {
		{"light", NULL, {.path = "./usr/bin/d", .content = "a"},
			{.path = "./bin/d", .content = "b"}, -BSI_E_REFUSED},
		{"light", NULL, {.path = "./usr/bin/d", .content = "a"},
			{.path = "./usr/bin/d", .content = "a"}, 0},
		{"light", NULL, {.path = "./usr/bin/d", .content = "a"},
			{.path = "./usr/bin/d", .content = "a", .mode = 0755}, -BSI_E_REFUSED},
		{"light", NULL, {.path = "./usr/bin/d", .content = "a"},
			{.path = "./usr/bin/d", .content = "a", .uid = 7}, -BSI_E_REFUSED},
		{"light", NULL, {.path = "./usr/bin/d", .symlink = "a"},
			{.path = "./usr/bin/d", .symlink = "b"}, -BSI_E_REFUSED},
		{"light", NULL, {.path = "./usr/bin/d", .symlink = "a"},
			{.path = "./usr/bin/d", .symlink = "a"}, 0},
		{"light", NULL, {.path = "./usr/bin/d", .symlink = "a"},
			{.path = "./usr/bin/d", .content = "a"}, -BSI_E_REFUSED},
		/* packages of several architectures */
		{"heavy", "arm64", {.path = "./usr/bin/d", .content = "a"},
			{.path = "./usr/bin/d", .content = "b"}, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fixture_file one[] = {rows[i].one, {0}}, other[] = {rows[i].other, {0}};
		const struct fixture_deb heavy = {.package = "heavy", .files = one};
		const struct fixture_deb second = {.package = rows[i].package,
			.version = "1.0-2",
			.architecture = rows[i].architecture,
			.files = other};
		char *folder = fixture_folder();
		struct error e = {};
		struct state *s = NULL;

		free(fixture_write(folder, &heavy));
		free(fixture_write(folder, &second));
		assert_int_equal(state_open(folder, &s, &e), rows[i].result);
		if (rows[i].result < 0) {
			assert_non_null(strstr(e.text, "heavy"));
			assert_non_null(strstr(e.text, "light"));
			assert_non_null(strstr(e.text, "usr/bin/d"));
		} else {
			assert_int_equal(s->n_files, 1);
		}
		state_free(s);
		fixture_remove(folder);
	}
}

/* Hard links are what their inode is. */
static void test_state_shared_hardlinks(void **state)
{
	const struct fixture_file linked[] = {{.path = "./usr/bin/c", .content = "a"},
		{.path = "./usr/bin/d", .hardlink = "./usr/bin/c"}, {0}};
	(void)state;
	for (int same = 0; same < 2; same++) {
		const struct fixture_file plain[] = {
			{.path = "./usr/bin/d", .content = same ? "a" : "b"}, {0}};
		const struct fixture_deb x = {.package = "x", .files = linked};
		const struct fixture_deb y = {.package = "y", .files = plain};
		char *folder = fixture_folder();
		struct error e = {};
		struct state *s = NULL;

		free(fixture_write(folder, &x));
		free(fixture_write(folder, &y));
		assert_int_equal(state_open(folder, &s, &e), same ? 0 : -BSI_E_REFUSED);
		state_free(s);
		fixture_remove(folder);
	}
}

static void test_state_nothing(void **state)
{
	char *folder = fixture_folder();
	struct error e = {};
	struct state *s;

	(void)state;
	assert_int_equal(state_open(folder, &s, &e), -BSI_E_FORMAT);
	assert_non_null(strstr(e.text, folder));
	assert_int_equal(state_open("/nonexistent/x.deb", &s, &e), -ENOENT);
	fixture_remove(folder);
}

#define STATUS                                                                                     \
	"Package: x\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"            \
	"Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"

static char *make_tree(const char *list)
{
	char *root = fixture_folder(), link[512];

	put(root, "var/lib/dpkg/status", STATUS);
	put(root, "var/lib/dpkg/info/x.list", list);
	put(root, "var/lib/dpkg/info/x.md5sums",
		"a9c449d4fa44e9e5a41c574ae55ce4d9  usr/bin/good\n"
		"a9c449d4fa44e9e5a41c574ae55ce4d9  usr/bin/altered\n");
	put(root, "usr/bin/good", "program");
	put(root, "usr/bin/altered", "another program");
	put(root, "usr/lib/y/libx.so.1", "library");
	(void)snprintf(link, sizeof link, "%s/lib", root);
	assert_int_equal(symlink("usr/lib", link), 0);
	return root;
}

static void test_state_of_tree(void **state)
{
	char *root = make_tree("/.\n/usr\n/usr/bin\n/usr/bin/good\n/usr/bin/altered\n/lib/y\n"
			       "/lib/y/libx.so.1\n/usr/share/doc/x/absent\n");
	struct error e = {};
	struct state *s;

	(void)state;
	assert_int_equal(state_open(root, &s, &e), 0);
	assert_int_equal(s->n_packages, 1);
	assert_int_equal(s->n_passed, 1);
	assert_string_equal(s->passed[0].name, "gone");
	assert_string_equal(s->passed[0].status, "config-files");
	assert_int_equal(s->n_files, 3);
	assert_file(s, "usr/lib/y/libx.so.1", "library");
	assert_file(s, "usr/bin/good", "program");
	assert_file(s, "usr/bin/altered", "another program");
	assert_false(state_find(s, "usr/bin/good")->is_altered);
	assert_true(state_find(s, "usr/bin/altered")->is_altered);
	state_free(s);
	fixture_remove(root);
}

static void test_state_tree_broken_package(void **state)
{
	char *root = make_tree("/usr/bin/good\n");
	struct error e = {};
	struct state *s;

	(void)state;
	put(root, "var/lib/dpkg/status",
		STATUS "\nPackage: cut\nStatus: install ok half-installed\nArchitecture: amd64\n"
		       "Version: 1\n");
	assert_int_equal(state_open(root, &s, &e), -BSI_E_REFUSED);
	assert_non_null(strstr(e.text, "cut"));
	assert_non_null(strstr(e.text, "half-installed"));
	fixture_remove(root);
}

/* Symlinks in the tree, absolute ones too, never lead to the machine's own files. */
static void test_state_tree_is_a_root(void **state)
{
	char *root = make_tree("/usr/bin/good\n/usr/share/z/passwd\n/usr/bin/link\n"), path[512];
	struct error e = {};
	struct state *s;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/usr/share", root);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/usr/share/z", root);
	assert_int_equal(symlink("/etc", path), 0);
	(void)snprintf(path, sizeof path, "%s/usr/bin/link", root);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(state_open(root, &s, &e), 0);
	assert_null(state_find(s, "usr/share/z/passwd"));
	assert_true(S_ISLNK(state_find(s, "usr/bin/link")->mode));
	state_free(s);
	put(root, "etc/passwd", "inside");
	assert_int_equal(state_open(root, &s, &e), 0);
	assert_file(s, "usr/share/z/passwd", "inside");
	state_free(s);
	fixture_remove(root);
}

static void test_state_tree_list_that_leaves(void **state)
{
	char *root = make_tree("/usr/bin/../../../etc/passwd\n");
	struct error e = {};
	struct state *s;

	(void)state;
	assert_int_equal(state_open(root, &s, &e), -BSI_E_PATH);
	fixture_remove(root);
}

static void test_state_tree_links(void **state)
{
	char *root = make_tree("/usr/bin/good\n/usr/bin/also\n"), from[512], to[512];
	struct error e = {};
	struct state *s;

	(void)state;
	(void)snprintf(from, sizeof from, "%s/usr/bin/good", root);
	(void)snprintf(to, sizeof to, "%s/usr/bin/also", root);
	assert_int_equal(link(from, to), 0);
	assert_int_equal(state_open(root, &s, &e), 0);
	assert_string_equal(state_find(s, "usr/bin/good")->hardlink_to, "usr/bin/also");
	assert_file(s, "usr/bin/good", "program");
	state_free(s);
	fixture_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_paths),
		cmocka_unit_test(test_state_of_debs),
		cmocka_unit_test(test_state_two_versions),
		cmocka_unit_test(test_state_shared_names),
		cmocka_unit_test(test_state_shared_hardlinks),
		cmocka_unit_test(test_state_nothing),
		cmocka_unit_test(test_state_of_tree),
		cmocka_unit_test(test_state_tree_broken_package),
		cmocka_unit_test(test_state_tree_is_a_root),
		cmocka_unit_test(test_state_tree_list_that_leaves),
		cmocka_unit_test(test_state_tree_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
