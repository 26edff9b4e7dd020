/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/path.h"

#define STATUS_MAX_BYTES (256U << 20)
#define LIST_MAX_BYTES (64U << 20)
#define DATABASE "var/lib/dpkg/"
#define XATTR_NAMES_MAX_BYTES 65536
#define XATTR_VALUE_MAX_BYTES 65536

/* Read a file of the tree's package database. */
static int read_database(const struct state *s, const char *name, size_t max, struct buffer *out)
{
	AUTO_CLOSE int fd = -EBADF;

	fd = file_open_in_root(s->root_fd, name, O_RDONLY | O_NONBLOCK);
	return fd < 0 ? fd : file_read_fd(fd, max, out);
}

static int database_error(const struct state *s, const char *name, int r, struct error *reterr)
{
	return error_set(reterr, r, "%s: %s: %s", s->name, name, error_text(r));
}

/* info/NAME.list, or info/NAME:ARCH.list for packages of several architectures. */
static int read_info(const struct state *s, const struct package *p, const char *suffix,
	struct buffer *out)
{
	char name[512];
	int r;

	(void)snprintf(name, sizeof name, DATABASE "info/%s.%s", p->name, suffix);
	r = read_database(s, name, LIST_MAX_BYTES, out);
	if (r != -ENOENT)
		return r;
	(void)snprintf(name, sizeof name, DATABASE "info/%s:%s.%s", p->name, p->architecture, suffix);
	return read_database(s, name, LIST_MAX_BYTES, out);
}

/* The tree may be merged or not; the database names either form. */
static int open_listed(const struct state *s, const char *path, const char *stored, int flags)
{
	int fd = file_open_in_root(s->root_fd, path, flags);

	return fd == -ENOENT ? file_open_in_root(s->root_fd, stored, flags) : fd;
}

int tree_open_file(const struct state *s, const struct state_file *f)
{
	return open_listed(s, f->path, f->stored_path, O_RDONLY | O_NONBLOCK);
}

/* Names with several links, to be joined when all are known. */
struct link_row {
	dev_t dev;
	ino_t ino;
	char *path;
};
struct links {
	struct link_row *rows;
	size_t n_rows, allocated;
};

static int add_link(struct links *links, const struct stat *st, const char *path)
{
	struct link_row *grown;

	if (links->n_rows == links->allocated) {
		size_t wanted = links->allocated ? 2 * links->allocated : 64;

		grown = reallocarray(links->rows, wanted, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		links->rows = grown;
		links->allocated = wanted;
	}
	links->rows[links->n_rows] = (struct link_row){st->st_dev, st->st_ino, strdup(path)};
	return links->rows[links->n_rows++].path ? 0 : -ENOMEM;
}

static void links_done(struct links *links)
{
	for (size_t i = 0; i < links->n_rows; i++)
		free(links->rows[i].path);
	free(links->rows);
}

static int read_target(int fd, struct state_file *f)
{
	char target[PATH_MAX_BYTES + 1];
	ssize_t n = readlinkat(fd, "", target, sizeof target);

	if (n < 0)
		return -errno;
	if ((size_t)n == sizeof target)
		return -ENAMETOOLONG;
	f->symlink_target = strndup(target, (size_t)n);
	return f->symlink_target ? 0 : -ENOMEM;
}

/* One line of a .list. What the tree lacks, and directories, are passed over. */
static int add_listed(struct state *s, const char *line, size_t package, struct links *links,
	struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	AUTO_FREE char *path = NULL;
	struct state_file *f;
	struct stat st;
	int r;

	line += strspn(line, "/");
	if (!*line || strcmp(line, ".") == 0)
		return 0;
	r = state_path(line, &path);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return error_set(reterr, r, "%s: package %s lists \"%s\", which leaves the root",
			s->name, s->packages[package].name, line);
	fd = open_listed(s, path, line, O_PATH);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return error_set(reterr, fd, "%s: %s: %s", s->name, line, error_text(fd));
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return 0;
	r = state_add_file(s, line, package, &f, reterr);
	if (r < 0)
		return r;
	f->mode = (uint32_t)st.st_mode;
	f->uid = (uint32_t)st.st_uid;
	f->gid = (uint32_t)st.st_gid;
	f->size_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	if (S_ISLNK(st.st_mode))
		return read_target(fd, f);
	return S_ISREG(st.st_mode) && st.st_nlink > 1 ? add_link(links, &st, f->path) : 0;
}

static int load_list(struct state *s, size_t package, struct links *links, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer list = buffer_of(LIST_MAX_BYTES + 1);
	char *at, *end;
	int r;

	r = read_info(s, &s->packages[package], "list", &list);
	if (r < 0)
		return error_set(reterr, r, "%s: the file list of package %s: %s", s->name,
			s->packages[package].name, error_text(r));
	buffer_put_u8(&list, '\0');
	if (list.err < 0)
		return list.err;
	at = (char *)list.data;
	for (end = at + list.len - 1; at < end;) {
		char *eol = memchr(at, '\n', (size_t)(end - at));

		if (!eol)
			eol = end;
		*eol = '\0';
		r = add_listed(s, at, package, links, reterr);
		if (r < 0)
			return r;
		at = eol + 1;
	}
	return 0;
}

/* Lines "<md5>  <path>"; a package without them is no fault. */
static int load_md5sums(struct state *s, size_t package)
{
	AUTO_DONE(buffer) struct buffer sums = buffer_of(LIST_MAX_BYTES + 1);
	char *at, *end;
	int r;

	r = read_info(s, &s->packages[package], "md5sums", &sums);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	buffer_put_u8(&sums, '\0');
	if (sums.err < 0)
		return sums.err;
	at = (char *)sums.data;
	for (end = at + sums.len - 1; at < end;) {
		char *eol = memchr(at, '\n', (size_t)(end - at));
		AUTO_FREE char *path = NULL;
		struct state_file *f;
		char hex[33] = {};

		if (!eol)
			eol = end;
		*eol = '\0';
		if (eol - at > 34 && state_path(at + 34, &path) == 0) {
			memcpy(hex, at, 32);
			f = state_find(s, path);
			if (f && f->package == package)
				f->has_md5 = hex_parse(hex, f->md5, sizeof f->md5) == 0;
		}
		at = eol + 1;
	}
	return 0;
}

static int compare_rows(const void *a, const void *b)
{
	const struct link_row *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* The first name of an inode is the file, the others are links to it. */
static int join_links(struct state *s, struct links *links)
{
	const char *first = NULL;

	if (links->n_rows > 0)
		qsort(links->rows, links->n_rows, sizeof *links->rows, compare_rows);
	for (size_t i = 0; i < links->n_rows; i++) {
		const struct link_row *row = &links->rows[i];
		struct state_file *f;

		if (i == 0 || row->dev != links->rows[i - 1].dev ||
			row->ino != links->rows[i - 1].ino) {
			first = row->path;
			continue;
		}
		f = state_find(s, row->path);
		if (!f || strcmp(row->path, first) == 0)
			continue;
		free(f->hardlink_to);
		f->hardlink_to = strdup(first);
		if (!f->hardlink_to)
			return -ENOMEM;
	}
	return 0;
}

static int load_packages(struct state *s, const struct buffer *status, struct error *reterr)
{
	const char *at = (const char *)status->data, *end = at + status->len, *text;
	size_t len, index;

	while (at < end && (len = package_paragraph(&at, end, &text)) > 0) {
		struct package p;
		int r = package_parse(text, len, &p, reterr);

		if (r < 0) {
			error_prefix(reterr, "%s: " DATABASE "status", s->name);
			return r;
		}
		if (p.is_broken)
			r = error_set(reterr, -BSI_E_REFUSED,
				"%s: package %s is %s: some of its files may be missing or of "
				"another version",
				s->name, p.name, p.status);
		else
			r = p.installed ? state_add_package(s, &p, &index) : state_pass_over(s, &p);
		package_done(&p);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_files(struct state *s, struct links *links, struct error *reterr)
{
	int r;

	for (size_t i = 0; i < s->n_packages; i++) {
		r = load_list(s, i, links, reterr);
		if (r < 0)
			return r;
	}
	r = state_settle(s, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n_packages; i++) {
		r = load_md5sums(s, i);
		if (r < 0)
			return database_error(s, "md5sums", r, reterr);
	}
	return join_links(s, links);
}

/*
 * dpkg's journal, which dpkg merges into the status when it is done: what is still there tells of a dpkg
 * that was killed, and the status knows nothing of it.
 */
static int check_journal(const struct state *s, struct error *reterr)
{
	int fd = file_open_in_root(s->root_fd, DATABASE "updates", O_RDONLY | O_DIRECTORY), r = 0;
	const struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return fd == -ENOENT ? 0 : database_error(s, DATABASE "updates", fd, reterr);
	dir = fdopendir(fd);
	if (!dir) {
		r = database_error(s, DATABASE "updates", -errno, reterr);
		(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (entry->d_name[strspn(entry->d_name, "0123456789")] == '\0')
			r = error_set(reterr, -BSI_E_REFUSED,
				"%s: dpkg was interrupted there (" DATABASE "updates/%s): end it "
				"first, as with 'dpkg --root=%s --configure -a'",
				s->name, entry->d_name, s->name);
	if (r == 0 && errno > 0)
		r = database_error(s, DATABASE "updates", -errno, reterr);
	(void)closedir(dir);
	return r;
}

int tree_load(struct state *s, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer status = buffer_of(STATUS_MAX_BYTES);
	struct links links = {};
	int r;

	r = read_database(s, DATABASE "status", STATUS_MAX_BYTES, &status);
	if (r == -ENOENT)
		return r; /* no root tree: the caller's to say */
	if (r < 0)
		return database_error(s, DATABASE "status", r, reterr);
	r = check_journal(s, reterr);
	if (r == 0)
		r = load_packages(s, &status, reterr);
	if (r == 0)
		r = load_files(s, &links, reterr);
	links_done(&links);
	return r == -ENOENT ? error_set(reterr, -BSI_E_FORMAT, "%s: %s", s->name, error_text(r)) : r;
}

/* What belongs to the file rather than to the file system that it lies on now. */
static bool is_kept(const char *name)
{
	return strncmp(name, "security.", 9) == 0 || strncmp(name, "user.", 5) == 0 ||
		strcmp(name, "system.posix_acl_access") == 0;
}

static int compare_xattrs(const void *a, const void *b)
{
	return strcmp(((const struct state_xattr *)a)->name, ((const struct state_xattr *)b)->name);
}

static int read_xattr(int fd, const char *name, struct state_file *f)
{
	AUTO_FREE uint8_t *value = malloc(XATTR_VALUE_MAX_BYTES);
	struct state_xattr *grown;
	ssize_t n;

	if (!value)
		return -ENOMEM;
	n = fgetxattr(fd, name, value, XATTR_VALUE_MAX_BYTES);
	if (n < 0)
		return -errno;
	grown = reallocarray(f->xattrs, f->n_xattrs + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	f->xattrs = grown;
	grown[f->n_xattrs] = (struct state_xattr){.name = strdup(name), .value_bytes = (size_t)n};
	if (!grown[f->n_xattrs].name)
		return -ENOMEM;
	grown[f->n_xattrs++].value = take_ptr(value);
	return 0;
}

static int read_xattrs(int fd, struct state_file *f)
{
	AUTO_FREE char *names = malloc(XATTR_NAMES_MAX_BYTES);
	ssize_t len;

	if (!names)
		return -ENOMEM;
	len = flistxattr(fd, names, XATTR_NAMES_MAX_BYTES);
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (ssize_t at = 0; at < len;) {
		const char *name = names + at;
		int r = is_kept(name) ? read_xattr(fd, name, f) : 0;

		if (r < 0)
			return r;
		at += (ssize_t)strlen(name) + 1;
	}
	if (f->n_xattrs > 0)
		qsort(f->xattrs, f->n_xattrs, sizeof *f->xattrs, compare_xattrs);
	return 0;
}

/* Both digests in one pass over the content. */
static int hash_both(int fd, EVP_MD_CTX *md5, struct state_file *f)
{
	AUTO(hasher) struct hasher *sha256 = NULL;
	uint8_t chunk[65536], found[EVP_MAX_MD_SIZE];
	uint64_t at = 0;
	int r;

	r = hasher_new(&sha256);
	if (r < 0)
		return r;
	if (EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1)
		return -EIO;
	for (;;) {
		ssize_t n = pread(fd, chunk, sizeof chunk, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		hasher_update(sha256, chunk, (size_t)n);
		if (EVP_DigestUpdate(md5, chunk, (size_t)n) != 1)
			return -EIO;
		at += (uint64_t)n;
	}
	if (EVP_DigestFinal_ex(md5, found, NULL) != 1)
		return -EIO;
	f->size_bytes = at;
	f->is_altered = f->has_md5 && memcmp(found, f->md5, sizeof f->md5) != 0;
	return hasher_final(sha256, &f->digest);
}

int tree_measure(struct state *s, struct state_file *f, struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	EVP_MD_CTX *md5;
	int r;

	if (!S_ISREG(f->mode)) {
		f->is_measured = true;
		return 0;
	}
	fd = tree_open_file(s, f);
	if (fd < 0)
		return error_set(reterr, fd, "%s: %s: %s", s->name, f->path, error_text(fd));
	md5 = EVP_MD_CTX_new();
	r = md5 ? hash_both(fd, md5, f) : -ENOMEM;
	EVP_MD_CTX_free(md5);
	if (r == 0)
		r = read_xattrs(fd, f);
	if (r < 0)
		return error_set(reterr, r, "%s: %s: %s", s->name, f->path, error_text(r));
	f->is_measured = true;
	return 0;
}
