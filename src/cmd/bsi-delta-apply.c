/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bsi-delta apply. The result is made under a temporary name beside its place and renamed when the
 * decoder has verified it: nothing partial is ever left under the final name.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/path.h"
#include "cmd/bsi-delta.h"
#include "cmd/progress.h"

#define MEMORY_MIB_DEFAULT 4096U
#define MEMORY_MIB_MAX (1U << 24)

struct apply {
	const char *old, *new;
	const char *name;  /* of the result, in its directory */
	char *temporary;   /* the name until it is verified */
	int delta_fd, out_fd, root_fd, old_fd, parent_fd;
	uint64_t file_start; /* offset of the file at hand among all contents */
	struct tree *tree;   /* NULL: one file */
	size_t entry;
	uint64_t written, total;
	struct progress progress;
	bool is_made;
};

static int64_t apply_read(void *ctx, void *into, size_t len)
{
	const struct apply *a = ctx;
	ssize_t n;

	do {
		n = read(a->delta_fd, into, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int apply_load(void *ctx, uint32_t index, const struct delta_reference *reference,
	uint8_t *into, struct error *reterr)
{
	const struct apply *a = ctx;
	const char *name = a->tree ? reference->path : a->old;
	AUTO_CLOSE int fd = -EBADF;
	uint64_t at = 0;

	(void)index;
	if (a->tree && path_check(reference->path) < 0)
		return error_set(reterr, -BSI_E_PATH, "a base file of the delta has no proper name");
	fd = a->tree ? file_open_beneath(a->old_fd, name, O_RDONLY, 0) :
		       open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(reterr, a->tree ? fd : -errno, "\"%s\" cannot be read", name);
	while (at < reference->bytes) {
		ssize_t n = pread(fd, into + at, (size_t)(reference->bytes - at), (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(reterr, -errno, "\"%s\" cannot be read", name);
		if (n == 0)
			return error_set(reterr, -BSI_E_MISMATCH,
				"\"%s\" is shorter than the file this delta was made from", name);
		at += (uint64_t)n;
	}
	return 0;
}

static int apply_make_temporary(struct apply *a, struct error *reterr)
{
	if (a->tree) {
		if (mkdirat(a->parent_fd, a->temporary, 0700) < 0)
			return error_set(reterr, -errno, "\"%s\" cannot be made", a->temporary);
		a->is_made = true;
		a->root_fd = openat(a->parent_fd, a->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return a->root_fd < 0 ? -errno : 0;
	}
	a->out_fd = openat(a->parent_fd, a->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (a->out_fd < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be made", a->temporary);
	a->is_made = true;
	return 0;
}

static int apply_meta(void *ctx, const uint8_t *meta, size_t len, const struct delta_header *h,
	struct error *reterr)
{
	struct apply *a = ctx;
	struct stat st;
	uint64_t n_files = 0;
	int r;

	a->total = h->output_bytes;
	if (stat(a->old, &st) < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be read", a->old);
	if (!len) {
		if (h->n_files != 1 || S_ISDIR(st.st_mode))
			return error_set(reterr, -BSI_E_USAGE, "this delta makes one file of one file");
		return apply_make_temporary(a, reterr);
	}
	if (!S_ISDIR(st.st_mode))
		return error_set(reterr, -BSI_E_USAGE, "this delta makes a directory: OLD must be one");
	a->old_fd = open(a->old, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->old_fd < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be read", a->old);
	r = tree_parse(meta, len, &a->tree, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < a->tree->n_entries; i++)
		n_files += S_ISREG(a->tree->entries[i].mode);
	if (n_files != h->n_files)
		return error_set(reterr, -BSI_E_FORMAT, "the list of files in the delta is malformed");
	r = apply_make_temporary(a, reterr);
	for (size_t i = 0; r >= 0 && i < a->tree->n_entries; i++)
		if (S_ISDIR(a->tree->entries[i].mode) &&
			mkdirat(a->root_fd, a->tree->entries[i].path, 0700) < 0)
			r = error_set(reterr, -errno, "\"%s\" cannot be made",
				a->tree->entries[i].path);
	return r;
}

static int apply_begin(void *ctx, uint32_t index, const struct delta_file *file,
	struct error *reterr)
{
	struct apply *a = ctx;
	const struct tree_entry *e;

	(void)index;
	(void)file;
	if (!a->tree)
		return 0;
	a->file_start = a->written;
	while (!S_ISREG(a->tree->entries[a->entry].mode))
		a->entry++;
	e = &a->tree->entries[a->entry++];
	if (a->out_fd >= 0)
		(void)close(take_fd(&a->out_fd));
	a->out_fd = file_open_beneath(a->root_fd, e->path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (a->out_fd < 0)
		return error_set(reterr, a->out_fd, "\"%s\" cannot be made", e->path);
	if (fchmod(a->out_fd, e->mode & 07777) < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be made", e->path);
	return 0;
}

static int apply_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct apply *a = ctx;

	a->written = offset + len;
	progress_show(&a->progress, a->new, a->written, a->total);
	return file_pwrite_all(a->out_fd, data, len, offset - a->file_start);
}

/* Symlinks, and the modes of directories, when nothing is to be made in them any more. */
static int apply_finish_tree(struct apply *a, struct error *reterr)
{
	for (size_t i = a->tree->n_entries; i--;) {
		const struct tree_entry *e = &a->tree->entries[i];
		AUTO_CLOSE int fd = -EBADF;

		if (S_ISREG(e->mode))
			continue;
		if (S_ISLNK(e->mode)) {
			if (symlinkat(e->target, a->root_fd, e->path) < 0)
				return error_set(reterr, -errno, "\"%s\" cannot be made", e->path);
			continue;
		}
		fd = file_open_beneath(a->root_fd, e->path, O_RDONLY | O_DIRECTORY, 0);
		if (fd < 0 || fchmod(fd, e->mode & 07777) < 0)
			return error_set(reterr, fd < 0 ? fd : -errno, "\"%s\" cannot be made",
				e->path);
	}
	return fchmod(a->root_fd, 0755) < 0 ? -errno : 0;
}

static int apply_rename(struct apply *a, struct error *reterr)
{
	int fd = a->tree ? a->root_fd : a->out_fd;

	if (fsync(fd) < 0 || renameat(a->parent_fd, a->temporary, a->parent_fd, a->name) < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be written", a->new);
	a->is_made = false;
	return fsync(a->parent_fd) < 0 ? -errno : 0;
}

static void apply_done(struct apply *a)
{
	if (a->is_made && !a->tree)
		(void)unlinkat(a->parent_fd, a->temporary, 0);
	else if (a->is_made && file_remove_tree(a->parent_fd, a->temporary) < 0)
		(void)fprintf(stderr, "bsi-delta: \"%s\" is left and cannot be removed\n", a->temporary);
	auto_closep(&a->delta_fd);
	auto_closep(&a->out_fd);
	auto_closep(&a->root_fd);
	auto_closep(&a->old_fd);
	auto_closep(&a->parent_fd);
	tree_free(a->tree);
	free(a->temporary);
}

int delta_verb_apply(struct verb_call *call, struct error *reterr)
{
	AUTO_DONE(apply) struct apply a = {.old = call_argument(call, 0), .delta_fd = -EBADF,
		.new = call_argument(call, 2), .out_fd = -EBADF, .root_fd = -EBADF,
		.old_fd = -EBADF, .parent_fd = -EBADF, .progress = progress_start()};
	struct delta_source source = {&a, apply_read};
	struct delta_io io = {.ctx = &a, .meta = apply_meta, .load = apply_load,
		.begin = apply_begin, .write = apply_write};
	uint64_t memory_mib = MEMORY_MIB_DEFAULT;
	int r;

	r = call_number(call, "memory", MEMORY_MIB_MAX, &memory_mib, reterr);
	if (r < 0)
		return r;
	a.delta_fd = open(call_argument(call, 1), O_RDONLY | O_CLOEXEC);
	if (a.delta_fd < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be read", call_argument(call, 1));
	a.parent_fd = open_parent(a.new, &a.name);
	if (a.parent_fd < 0)
		return error_set(reterr, a.parent_fd, "\"%s\" cannot be made", a.new);
	if (asprintf(&a.temporary, "%s.part%ld", a.name, (long)getpid()) < 0) {
		a.temporary = NULL;
		return -ENOMEM;
	}
	r = delta_decode(&source, memory_mib << 20, &io, reterr);
	progress_end(&a.progress);
	if (r < 0)
		return reterr->code == r ? r : error_set(reterr, r, "\"%s\" cannot be made: %s", a.new,
							  error_text(r));
	if (a.tree)
		r = apply_finish_tree(&a, reterr);
	if (r >= 0)
		r = apply_rename(&a, reterr);
	return r;
}
