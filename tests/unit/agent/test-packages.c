/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/package_database.h"
#include "agent/package_journal.h"
#include "agent/package_text.h"
#include "agent/packages.h"
#include "base/file.h"

#define ROOT "/tmp/bsi-test-packages.XXXXXX"

static const char database[] =
	"Package: libtls3\nStatus: install ok installed\nVersion: 3.0-1\nSource: tls\n\n"
	"Package: libodd1\nStatus: install ok installed\nVersion: 9.0-1\nSource: odd (0.1-1)\n\n"
	"Package: whole\nStatus: install ok installed\nVersion: 1\n"
	"Built-Using: gcc-12 (= 12.2.0-14), tls (= 3.0-1), odd (= 0.2-1)\n\n"
	"Package: static\nStatus: install ok installed\nVersion: 2\n"
	"Static-Built-Using: rust (= 1),\n tls (= 3.0-1),\n\ttls (= 2.9-7)\nBuilt-Using: tls (= 3.0-1)\n\n"
	"Package: newer\nStatus: install ok installed\nVersion: 3\nBuilt-Using: tls (= 3.0-2)\n\n"
	"Package: vague\nStatus: install ok installed\nVersion: 4\nBuilt-Using: tls, tls (>= 1), tls (= 1\n\n"
	"Package: other\nStatus: install ok installed\nVersion: 5\nBuilt-Using: tls-extra (= 1)\n\n"
	"Package: gone\nStatus: deinstall ok config-files\nVersion: 6\nBuilt-Using: tls (= 3.0-1)\n";

static struct package_change changes[] = {
	{.name = (char[]){"libtls3"}, .to = (char[]){"3.0-2"}},
	{.name = (char[]){"libodd1"}, .to = (char[]){"9.0-2"}},
	{.name = (char[]){"absent"}, .to = (char[]){"1"}},
};
static const struct component component = {
	.name = (char[]){"tls"}, .packages = changes, .n_packages = 3};

static int make_root(char *root, const char *text)
{
	int root_fd, fd;

	assert_non_null(mkdtemp(root));
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(root_fd >= 0);
	assert_int_equal(mkdirat(root_fd, "var", 0755) | mkdirat(root_fd, "var/lib", 0755) |
				 mkdirat(root_fd, "var/lib/dpkg", 0755),
		0);
	fd = openat(root_fd, PACKAGE_STATUS_PATH, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
	return root_fd;
}

static void remove_root(const char *root, int root_fd)
{
	assert_int_equal(file_remove_tree(root_fd, "var"), 0);
	(void)close(root_fd);
	assert_int_equal(rmdir(root), 0);
}

static void test_users_are_those_built_before_the_fix(void **state)
{
	static const char *const expected[][3] = {
		{"whole", "tls", "3.0-1"},
		/* the source has other versions than its package: nothing says which has the fix */
		{"whole", "odd", "0.2-1"},
		{"static", "tls", "3.0-1"},
		{"static", "tls", "2.9-7"},
	};
	const size_t n = sizeof expected / sizeof *expected;
	struct package_users *users = NULL;
	char root[] = ROOT;
	int root_fd = make_root(root, database);

	(void)state;
	assert_int_equal(package_users_read(root_fd, &component, &users), 0);
	assert_int_equal(users->n, n);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(users->list[i].package, expected[i][0]);
		assert_string_equal(users->list[i].source, expected[i][1]);
		assert_string_equal(users->list[i].source_version, expected[i][2]);
	}
	package_users_free(users);
	remove_root(root, root_fd);
}

/* A change that dpkg noted, and has not written into its status file yet. */
static void note(int root_fd, const char *name, const char *text)
{
	char path[64];
	int fd;

	(void)mkdirat(root_fd, PACKAGE_JOURNAL_PATH, 0755);
	(void)snprintf(path, sizeof path, PACKAGE_JOURNAL_PATH "/%s", name);
	fd = openat(root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

/* "name version state arch" of each, in the order of the database. */
static char *listed(int root_fd)
{
	AUTO_DONE(package_database) struct package_database d = {0};
	AUTO_DONE(buffer) struct buffer text = buffer_of(10000);

	assert_int_equal(package_database_read(root_fd, &d), 0);
	for (size_t i = 0; i < d.n; i++)
		buffer_printf(&text, "%s %s %s %s\n", d.list[i].package,
			d.list[i].version ? d.list[i].version : "-",
			strrchr(d.list[i].status, ' ') + 1,
			d.list[i].architecture ? d.list[i].architecture : "-");
	buffer_put_u8(&text, 0);
	return (char *)buffer_take(&text, NULL);
}

static const char before_journal[] =
	"Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
	"Package: one\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
	"Package: lib\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\n\n"
	"Package: lib\nStatus: install ok installed\nArchitecture: i386\nMulti-Arch: same\nVersion: 1\n";

static void test_journal_is_above_the_status(void **state)
{
	static const struct {
		const char *name, *text, *listed;
	} rows[] = {
		{"0000",
			"Package: one\nStatus: install reinstreq half-installed\nArchitecture: amd64\nVersion: 1\n",
			"dpkg 1 installed amd64\none 1 half-installed amd64\nlib 1 installed amd64\nlib 1 "
			"installed i386\n"},
		/* what dpkg has not given its name yet, and what is no part of it */
		{"tmp.i", "Package: one\nStatus: install ok installed\nVersion: 7\n", NULL},
		{"00000000001", "Package: one\nStatus: install ok installed\nVersion: 7\n", NULL},
		{"0002", "Package: one\nStatus: install ok unpacked\nArchitecture: all\nVersion: 2\n",
			"dpkg 1 installed amd64\none 2 unpacked all\nlib 1 installed amd64\nlib 1 installed "
			"i386\n"},
		/* the order is that of their numbers */
		{"0001", "Package: one\nStatus: install ok half-configured\nArchitecture: all\nVersion: 5\n",
			NULL},
		{"0003",
			"Package: lib\nStatus: install ok unpacked\nArchitecture: i386\nMulti-Arch: same\nVersion: "
			"2\n",
			"dpkg 1 installed amd64\none 2 unpacked all\nlib 1 installed amd64\nlib 2 unpacked "
			"i386\n"},
		{"0004",
			"Package: lib\nStatus: install ok unpacked\nArchitecture: arm64\nMulti-Arch: same\nVersion: "
			"2\n",
			"dpkg 1 installed amd64\none 2 unpacked all\nlib 1 installed amd64\nlib 2 unpacked "
			"i386\nlib 2 unpacked arm64\n"},
		{"0005", "Package: one\nStatus: purge ok not-installed\n",
			"dpkg 1 installed amd64\none - not-installed -\nlib 1 installed amd64\nlib 2 unpacked "
			"i386\nlib 2 unpacked arm64\n"},
		{"0006", "", NULL},
	};
	char root[] = ROOT;
	int root_fd = make_root(root, before_journal);
	const char *expected = NULL;
	char *arch = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_FREE char *text = NULL;
		struct packages_stamp stamp = packages_stamp(root_fd);

		note(root_fd, rows[i].name, rows[i].text);
		text = listed(root_fd);
		expected = rows[i].listed ? rows[i].listed : expected;
		assert_string_equal(text, expected);
		/* who looked before looks again where anything was added */
		if (rows[i].listed)
			assert_string_not_equal(stamp.text, packages_stamp(root_fd).text);
	}
	/* dpkg, killed while it installs itself, is still of this system */
	note(root_fd, "0007",
		"Package: dpkg\nStatus: install reinstreq half-installed\nArchitecture: amd64\nVersion: 1\n");
	assert_int_equal(packages_architecture(root_fd, &arch), 0);
	assert_string_equal(arch, "amd64");
	free(arch);
	remove_root(root, root_fd);
}

/* A byte that ends texts in the status file hides the rest of it, and nothing of the journal. */
static void test_journal_is_read_behind_a_damaged_status(void **state)
{
	static const char status[] =
		"Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
		"Package: one\nStatus: install ok installed\nVersion: 1\n";
	char root[] = ROOT;
	int root_fd = make_root(root, status);
	AUTO_CLOSE int fd = openat(root_fd, PACKAGE_STATUS_PATH, O_WRONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;

	(void)state;
	note(root_fd, "0000", "Package: two\nStatus: install ok unpacked\nVersion: 2\n");
	assert_int_equal(pwrite(fd, "", 1, (off_t)(strstr(status, "Package: one") - status)), 1);
	text = listed(root_fd);
	assert_string_equal(text, "dpkg 1 installed amd64\ntwo 2 unpacked -\n");
	remove_root(root, root_fd);
}

static void test_journal_tells_which_version_is_here(void **state)
{
	struct package_change one[] = {{.name = (char[]){"one"}, .to = (char[]){"2"}}};
	const struct component c = {.name = (char[]){"one"}, .packages = one, .n_packages = 1};
	struct packages *packages = NULL;
	char root[] = ROOT;
	int root_fd = make_root(root, before_journal);

	(void)state;
	note(root_fd, "0000", "Package: one\nStatus: install ok half-configured\nArchitecture: amd64\nVersion: 2\n");
	assert_int_equal(packages_read(root_fd, &c, NULL, &packages), 0);
	assert_int_equal(packages->n_facts, 1);
	assert_string_equal(packages->facts[0].version, "2");
	packages_free(packages);
	/* nobody knows of which version its files are */
	note(root_fd, "0001", "Package: one\nStatus: install reinstreq half-installed\nArchitecture: amd64\nVersion: 2\n");
	assert_int_equal(packages_read(root_fd, &c, NULL, &packages), 0);
	assert_int_equal(packages->n_facts, 0);
	packages_free(packages);
	remove_root(root, root_fd);
}

static void test_without_a_database_there_are_none(void **state)
{
	struct package_users *users = NULL;
	char root[] = ROOT;
	int root_fd;

	(void)state;
	assert_non_null(mkdtemp(root));
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(package_users_read(root_fd, &component, &users), 0);
	assert_int_equal(users->n, 0);
	package_users_free(users);
	(void)close(root_fd);
	(void)rmdir(root);
}

/* Each in memory of its own, so that a sanitizer sees a step too far. */
static void read_all(const char *bytes, size_t len)
{
	char *text = malloc(len + 1), *at = text;
	struct package_paragraph p;

	assert_non_null(text);
	memcpy(text, bytes, len);
	text[len] = '\0';
	while (package_paragraph_next(&at, &p)) {
		char *list = p.built_using ? strdup(p.built_using) : NULL, *rest = list;
		const char *source, *version;

		while (rest && package_built_next(&rest, &source, &version)) {
			assert_null(strchr(source, ' '));
			assert_null(strchr(version, ')'));
		}
		free(list);
	}
	assert_true(at >= text && at <= text + len);
	free(text);
}

static void test_text_survives_truncation_and_bit_flips(void **state)
{
	char copy[sizeof database];

	(void)state;
	for (size_t len = 0; len < sizeof database; len++)
		read_all(database, len);
	for (size_t bit = 0; bit < (sizeof database - 1) * 8; bit++) {
		memcpy(copy, database, sizeof copy);
		copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
		read_all(copy, sizeof copy - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users_are_those_built_before_the_fix),
		cmocka_unit_test(test_journal_is_above_the_status),
		cmocka_unit_test(test_journal_is_read_behind_a_damaged_status),
		cmocka_unit_test(test_journal_tells_which_version_is_here),
		cmocka_unit_test(test_without_a_database_there_are_none),
		cmocka_unit_test(test_text_survives_truncation_and_bit_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
