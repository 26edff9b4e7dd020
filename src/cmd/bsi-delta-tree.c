/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees of files: read from disk, and as the meta bytes of a delta. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "cmd/bsi-delta.h"

#define TREE_ENTRIES_MAX 1000000U
#define TREE_VERSION 1U

int map_file(int dir_fd, const char *path, const uint8_t **ret_data, size_t *ret_len)
{
	AUTO_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *data;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_len = (size_t)st.st_size;
	*ret_data = (const uint8_t *)"";
	if (!st.st_size)
		return 0;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	*ret_data = data;
	return 0;
}

int open_parent(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *parent = NULL;
	int fd;

	*ret_name = slash ? slash + 1 : path;
	parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!parent)
		return -ENOMEM;
	if (!**ret_name)
		return -EISDIR;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void unmap_file(const uint8_t *data, size_t len)
{
	if (data && len)
		(void)munmap((void *)(uintptr_t)data, len);
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_entries; i++) {
		free(t->entries[i].path);
		free(t->entries[i].target);
		unmap_file(t->entries[i].data, t->entries[i].len);
	}
	free(t->entries);
	free(t);
}

static struct tree_entry *tree_add(struct tree *t)
{
	if (t->n_entries == t->allocated) {
		size_t more = t->allocated ? t->allocated * 2 : 64;
		struct tree_entry *entries = reallocarray(t->entries, more, sizeof(*entries));

		if (!entries)
			return NULL;
		t->entries = entries;
		t->allocated = more;
	}
	memset(&t->entries[t->n_entries], 0, sizeof(t->entries[0]));
	return &t->entries[t->n_entries++];
}

static int tree_load_entry(struct tree *t, const FTSENT *at, const char *path,
	struct error *reterr)
{
	struct tree_entry *e = tree_add(t);
	int r;

	if (!e)
		return -ENOMEM;
	e->path = strdup(path);
	e->mode = at->fts_statp->st_mode;
	if (!e->path)
		return -ENOMEM;
	if (S_ISLNK(e->mode)) {
		char target[4096];
		ssize_t n = readlink(at->fts_accpath, target, sizeof target - 1);

		if (n < 0)
			return error_set(reterr, -errno, "\"%s\" cannot be read", path);
		e->target = strndup(target, (size_t)n);
		return e->target ? 0 : -ENOMEM;
	}
	if (S_ISDIR(e->mode))
		return 0;
	if (!S_ISREG(e->mode))
		return error_set(reterr, -EINVAL, "\"%s\" is neither file, directory nor symlink", path);
	r = map_file(AT_FDCWD, at->fts_accpath, &e->data, &e->len);
	if (r < 0)
		return error_set(reterr, r, "\"%s\" cannot be read", path);
	return 0;
}

static int entry_by_path(const void *a, const void *b)
{
	const struct tree_entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void fts_closep(FTS **fts)
{
	if (*fts)
		(void)fts_close(*fts);
}

int tree_load(const char *path, struct tree **ret, struct error *reterr)
{
	AUTO(tree) struct tree *t = calloc(1, sizeof(*t));
	char *paths[] = {(char *)(uintptr_t)path, NULL};
	__attribute__((cleanup(fts_closep))) FTS *fts =
		fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *at;

	if (!t || !fts)
		return -ENOMEM;
	while ((at = fts_read(fts))) {
		const char *below = at->fts_path + strlen(path);
		int r;

		while (*below == '/')
			below++;
		if (at->fts_info == FTS_DP || !*below)
			continue;
		if (at->fts_info == FTS_ERR || at->fts_info == FTS_DNR || at->fts_info == FTS_NS)
			return error_set(reterr, -at->fts_errno, "\"%s\" cannot be read",
				at->fts_path);
		if (path_check(below) < 0)
			return error_set(reterr, -BSI_E_PATH, "\"%s\" is no name for a delta", below);
		r = tree_load_entry(t, at, below, reterr);
		if (r < 0)
			return r;
	}
	if (t->n_entries)
		qsort(t->entries, t->n_entries, sizeof(t->entries[0]), entry_by_path);
	*ret = take_ptr(t);
	return 0;
}

void tree_format(const struct tree *t, struct buffer *out)
{
	buffer_put_varint(out, TREE_VERSION);
	buffer_put_varint(out, t->n_entries);
	for (size_t i = 0; i < t->n_entries; i++) {
		const struct tree_entry *e = &t->entries[i];

		buffer_put_varint(out, e->mode & (S_IFMT | 07777));
		buffer_put(out, e->path, strlen(e->path) + 1);
		if (e->target)
			buffer_put(out, e->target, strlen(e->target) + 1);
	}
}

/* A text that ends with NUL inside the input; the caller frees it. */
static char *tree_parse_text(struct reader *r, size_t max)
{
	const uint8_t *end = memchr(r->at, 0, reader_left(r));
	const uint8_t *text;

	if (!end || (size_t)(end - r->at) > max)
		return NULL;
	text = reader_take(r, (uint64_t)(end - r->at) + 1);
	return text ? strdup((const char *)text) : NULL;
}

static int tree_parse_entry(struct tree *t, struct reader *r, struct error *reterr)
{
	struct tree_entry *e = tree_add(t);

	if (!e)
		return -ENOMEM;
	e->mode = (mode_t)reader_count(r, S_IFMT | 07777);
	e->path = tree_parse_text(r, PATH_MAX_BYTES);
	if (!e->path || path_check(e->path) < 0)
		return error_set(reterr, -BSI_E_PATH, "a path in the delta is malformed");
	if (t->n_entries > 1 && strcmp(e[-1].path, e->path) >= 0)
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\" is out of order in the delta", e->path);
	if (!S_ISREG(e->mode) && !S_ISDIR(e->mode) && !S_ISLNK(e->mode))
		return error_set(reterr, -BSI_E_FORMAT, "\"%s\" has no type in the delta", e->path);
	if (S_ISLNK(e->mode)) {
		e->target = tree_parse_text(r, PATH_MAX_BYTES * 4);
		if (!e->target || !*e->target)
			return error_set(reterr, -BSI_E_FORMAT, "\"%s\" has no target", e->path);
	}
	return r->err;
}

int tree_parse(const uint8_t *meta, size_t len, struct tree **ret, struct error *reterr)
{
	AUTO(tree) struct tree *t = calloc(1, sizeof(*t));
	struct reader r = reader_of(meta, len);
	uint64_t version = reader_varint(&r), n = reader_count(&r, TREE_ENTRIES_MAX);
	int err;

	if (!t)
		return -ENOMEM;
	if (!r.err && version != TREE_VERSION)
		return error_set(reterr, -BSI_E_VERSION, "the delta makes no tree that is known here");
	for (uint64_t i = 0; i < n && !r.err; i++) {
		err = tree_parse_entry(t, &r, reterr);
		if (err < 0)
			return err;
	}
	err = reader_finish(&r);
	if (err < 0)
		return error_set(reterr, err, "the list of files in the delta is malformed");
	*ret = take_ptr(t);
	return 0;
}
