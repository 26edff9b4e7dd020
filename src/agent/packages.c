/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/packages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "agent/package_database.h"
#include "agent/package_journal.h"
#include "agent/package_text.h"
#include "base/error.h"
#include "base/hex.h"

#define INFO_PATH "var/lib/dpkg/info"
#define MD5_BYTES 16
#define MD5SUMS_MAX_BYTES (16U << 20)
#define CHUNK_BYTES 65536

void packages_free(struct packages *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_facts; i++) {
		free((char *)(uintptr_t)p->facts[i].name);
		free((char *)(uintptr_t)p->facts[i].version);
	}
	free(p->facts);
	free(p);
}

/* The last file of the journal, and how many there are; nothing where it is empty. */
static void stamp_journal(int root_fd, char *text, size_t size)
{
	AUTO_DONE(package_journal) struct package_journal journal = {0};
	struct stat st = {0};

	if (package_journal_open(root_fd, &journal) < 0 || journal.n == 0)
		return;
	/* where dpkg took it away just now, the status file is another one */
	if (fstatat(dirfd(journal.dir), journal.names[journal.n - 1].text, &st,
		    AT_SYMLINK_NOFOLLOW) < 0)
		st = (struct stat){0};
	(void)snprintf(text, size, "+%zu:%ju:%jd.%09ld", journal.n, (uintmax_t)st.st_ino,
		(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

struct packages_stamp packages_stamp(int root_fd)
{
	struct packages_stamp stamp = {"none"};
	struct stat st;
	size_t len;

	if (fstatat(root_fd, PACKAGE_STATUS_PATH, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return stamp;
	(void)snprintf(stamp.text, sizeof stamp.text, "%ju:%jd.%09ld", (uintmax_t)st.st_ino,
		(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	len = strlen(stamp.text);
	stamp_journal(root_fd, stamp.text + len, sizeof stamp.text - len);
	return stamp;
}

/* In whatever state dpkg is: one that was killed while it installed itself has it as well. */
static int find_architecture(const struct package_database *d, char **ret)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->list[i].package, "dpkg") == 0 && d->list[i].architecture)
			return (*ret = strdup(d->list[i].architecture)) ? 0 : -ENOMEM;
	return -ENOENT;
}

int packages_architecture(int root_fd, char **ret)
{
	AUTO_DONE(package_database) struct package_database d = {0};
	int r = package_database_read(root_fd, &d);

	return r < 0 ? r : find_architecture(&d, ret);
}

static int md5_of(int fd, uint8_t out[static MD5_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t chunk[CHUNK_BYTES];
	off_t at = 0;
	ssize_t n = -1;
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1;

	while (ok && (n = pread(fd, chunk, sizeof chunk, at)) > 0) {
		ok = EVP_DigestUpdate(ctx, chunk, (size_t)n) == 1;
		at += n;
	}
	ok = ok && n == 0 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

/* "usr/lib/x" in a database written before /usr was merged may stand as "lib/x". */
static bool is_same_path(const char *listed, const char *path)
{
	return strcmp(listed, path) == 0 ||
	       (strncmp(path, "usr/", 4) == 0 && strcmp(listed, path + 4) == 0);
}

/* The MD5 that the list gives for path, as hex inside the text; NULL if it does not list it. */
static const char *listed_md5(const char *list, const char *path)
{
	const size_t hex_len = 2 * (size_t)MD5_BYTES;

	while (*list) {
		const char *end = strchrnul(list, '\n');
		char name[1100];
		size_t len = (size_t)(end - list);

		if (len > hex_len + 2 && len - hex_len - 2 < sizeof name && list[hex_len] == ' ') {
			memcpy(name, list + hex_len + 2, len - hex_len - 2);
			name[len - hex_len - 2] = '\0';
			if (is_same_path(name, path))
				return list;
		}
		list = *end ? end + 1 : end;
	}
	return NULL;
}

static int read_md5sums(int root_fd, const struct package_paragraph *p, char **ret)
{
	char path[1024];
	int r;

	/* packages that may be installed for several architectures carry it in the file's name */
	(void)snprintf(path, sizeof path, INFO_PATH "/%s:%s.md5sums", p->package,
		p->architecture ? p->architecture : "");
	r = package_text_read(root_fd, path, MD5SUMS_MAX_BYTES, ret);
	if (r != -ENOENT)
		return r;
	(void)snprintf(path, sizeof path, INFO_PATH "/%s.md5sums", p->package);
	return package_text_read(root_fd, path, MD5SUMS_MAX_BYTES, ret);
}

/*
 * Whether those of the component's files that this package lists are its own, byte for byte, and
 * it lists at least one.
 */
static bool are_files_intact(int root_fd, const struct package_paragraph *p,
	const struct component *component, const int *files)
{
	AUTO_FREE char *list = NULL;
	size_t n = 0;

	if (read_md5sums(root_fd, p, &list) < 0)
		return false;
	for (size_t i = 0; i < component->n_files; i++) {
		const char *hex = listed_md5(list, component->files[i].path);
		uint8_t found[MD5_BYTES];
		char found_hex[2 * MD5_BYTES + 1];

		if (!hex)
			continue;
		n++;
		if (files[i] < 0 || md5_of(files[i], found) < 0)
			return false;
		hex_format(found, sizeof found, found_hex);
		if (strncmp(hex, found_hex, sizeof found_hex - 1) != 0)
			return false;
	}
	return n > 0;
}

static bool is_named(const struct component *component, const char *package)
{
	for (size_t i = 0; i < component->n_packages; i++)
		if (strcmp(component->packages[i].name, package) == 0)
			return true;
	return false;
}

/* Another architecture's copy of a package has none of the component's files. */
static bool is_own_architecture(const struct package_paragraph *p, const char *arch)
{
	return !arch || !p->architecture || strcmp(p->architecture, "all") == 0 ||
	       strcmp(p->architecture, arch) == 0;
}

static int add_fact(struct packages *ps, const struct package_paragraph *p, bool files_intact)
{
	struct package_fact *facts =
		reallocarray(ps->facts, ps->n_facts + 1, sizeof *ps->facts);
	struct package_fact *fact;

	if (!facts)
		return -ENOMEM;
	ps->facts = facts;
	fact = &facts[ps->n_facts];
	*fact = (struct package_fact){.name = strdup(p->package),
		.version = strdup(p->version),
		.files_intact = files_intact};
	ps->n_facts++;
	return fact->name && fact->version ? 0 : -ENOMEM;
}

int packages_read(int root_fd, const struct component *component, const int *files,
	struct packages **ret)
{
	AUTO(packages) struct packages *ps = calloc(1, sizeof *ps);
	AUTO_DONE(package_database) struct package_database d = {0};
	AUTO_FREE char *arch = NULL;
	int r;

	if (!ps)
		return -ENOMEM;
	r = package_database_read(root_fd, &d);
	if (r == 0)
		r = find_architecture(&d, &arch);
	/* a database without dpkg is none of this system */
	if (r == -ENOENT)
		d.n = 0;
	else if (r < 0)
		return r;
	for (size_t i = 0; i < d.n; i++) {
		const struct package_paragraph *p = &d.list[i];

		if (!package_is_installed(p) || !is_named(component, p->package) ||
			!is_own_architecture(p, arch))
			continue;
		r = add_fact(ps, p, are_files_intact(root_fd, p, component, files));
		if (r < 0)
			return r;
	}
	*ret = take_ptr(ps);
	return 0;
}
