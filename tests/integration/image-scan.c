/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-scan.h"

#include <err.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LIST_MAX 65536
#define SCAN_MAX 65536

_Static_assert(IMAGE_TYPE_MASK == S_IFMT && IMAGE_TYPE_REGULAR == S_IFREG &&
		       IMAGE_TYPE_DIRECTORY == S_IFDIR && IMAGE_TYPE_SYMLINK == S_IFLNK,
	"the values of this kernel");

/* First name of each inode with several. */
struct seen {
	dev_t dev;
	ino_t ino;
	const char *path;
};

static void *must(void *p)
{
	if (!p)
		err(1, "memory");
	return p;
}

/* Memory that scan_done() ends. */
static void *keep(struct scan *s, void *p)
{
	if (s->n_owned % 1024 == 0)
		s->owned = must(realloc(s->owned, (s->n_owned + 1024) * sizeof(void *)));
	s->owned[s->n_owned++] = must(p);
	return p;
}

static void scan_xattrs(struct scan *s, const char *file, struct image_entry *e)
{
	static char list[LIST_MAX];
	static uint8_t value[LIST_MAX];
	ssize_t len = llistxattr(file, list, sizeof(list));
	struct image_xattr *xattrs;

	if (len < 0)
		err(1, "llistxattr %s", file);
	if (len == 0)
		return;
	xattrs = keep(s, calloc(IMAGE_XATTRS_MAX, sizeof(*xattrs)));
	for (char *name = list; name < list + len; name += strlen(name) + 1) {
		ssize_t value_len = lgetxattr(file, name, value, sizeof(value));
		uint8_t *copy;

		if (value_len < 0)
			err(1, "lgetxattr %s %s", file, name);
		if (e->n_xattrs == IMAGE_XATTRS_MAX)
			errx(1, "%s: too many xattrs", file);
		copy = keep(s, malloc((size_t)value_len + 1));
		memcpy(copy, value, (size_t)value_len);
		xattrs[e->n_xattrs++] =
			(struct image_xattr){keep(s, strdup(name)), copy, (size_t)value_len};
	}
	e->xattrs = xattrs;
}

static struct image_entry scan_entry(struct scan *s, const FTSENT *f, const char *path)
{
	const struct stat *st = f->fts_statp;
	struct image_entry e = {
		.path = path, .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid};

	if (S_ISREG(st->st_mode))
		e.size = (uint64_t)st->st_size;
	if (S_ISLNK(st->st_mode)) {
		char *target = keep(s, calloc(1, IMAGE_SYMLINK_MAX_BYTES + 1));

		if (readlink(f->fts_accpath, target, IMAGE_SYMLINK_MAX_BYTES) < 0)
			err(1, "readlink %s", f->fts_path);
		e.symlink_target = target;
	}
	scan_xattrs(s, f->fts_accpath, &e);
	return e;
}

static const char *link_of(struct seen *seen, size_t *n_seen, const FTSENT *f, const char *path)
{
	const struct stat *st = f->fts_statp;

	if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
		return NULL;
	for (size_t i = 0; i < *n_seen; i++)
		if (seen[i].dev == st->st_dev && seen[i].ino == st->st_ino)
			return seen[i].path;
	seen[(*n_seen)++] = (struct seen){st->st_dev, st->st_ino, path};
	return NULL;
}

static void scan_mix(struct scan *s, unsigned int seed)
{
	for (size_t i = s->n; seed && i > 1; i--) {
		size_t j;
		struct image_entry e;
		char *file;

		seed = seed * 1103515245U + 12345U;
		j = (seed >> 8) % i;
		e = s->entries[i - 1];
		s->entries[i - 1] = s->entries[j];
		s->entries[j] = e;
		file = s->files[i - 1];
		s->files[i - 1] = s->files[j];
		s->files[j] = file;
	}
}

struct scan scan_directory(const char *dir, unsigned int seed)
{
	char *root = must(strdup(dir));
	char *const roots[] = {root, NULL};
	FTS *fts = must(fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL));
	struct seen *seen = must(calloc(SCAN_MAX, sizeof(*seen)));
	struct scan s = {.entries = must(calloc(SCAN_MAX, sizeof(*s.entries))),
		.files = must(calloc(SCAN_MAX, sizeof(char *)))};
	size_t n_seen = 0;
	FTSENT *f;

	while ((f = fts_read(fts))) {
		const char *path;

		if (f->fts_info == FTS_DP || f->fts_level == 0)
			continue;
		if (f->fts_info == FTS_ERR || f->fts_info == FTS_DNR || f->fts_info == FTS_NS)
			errx(1, "%s: %s", f->fts_path, strerror(f->fts_errno));
		if (s.n == SCAN_MAX)
			errx(1, "%s: too many files", dir);
		s.files[s.n] = keep(&s, strdup(f->fts_path));
		path = s.files[s.n] + strlen(dir) + 1;
		s.entries[s.n] = scan_entry(&s, f, path);
		s.entries[s.n].hardlink_to = link_of(seen, &n_seen, f, path);
		s.n++;
	}
	(void)fts_close(fts);
	free(root);
	free(seen);
	scan_mix(&s, seed);
	return s;
}

void scan_done(struct scan *s)
{
	for (size_t i = 0; i < s->n_owned; i++)
		free(s->owned[i]);
	free(s->owned);
	free(s->entries);
	free(s->files);
	*s = (struct scan){0};
}
