/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/archives.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "publish/deb.h"
#include "publish/scratch.h"

/* The first pass over one package. */
struct loading {
	struct state *state;
	size_t package;
	struct hasher *hasher;
	struct state_file *file; /* begun; NULL for a directory */
};

static int copy_xattrs(const struct deb_entry *entry, struct state_file *f)
{
	if (entry->n_xattrs == 0)
		return 0;
	f->xattrs = calloc(entry->n_xattrs, sizeof *f->xattrs);
	if (!f->xattrs)
		return -ENOMEM;
	for (size_t i = 0; i < entry->n_xattrs; i++) {
		const struct deb_xattr *from = &entry->xattrs[i];
		struct state_xattr *to = &f->xattrs[f->n_xattrs++];

		to->name = strdup(from->name);
		to->value = malloc(from->value_bytes + 1);
		if (!to->name || !to->value)
			return -ENOMEM;
		if (from->value_bytes > 0)
			memcpy(to->value, from->value, from->value_bytes);
		to->value_bytes = from->value_bytes;
	}
	return 0;
}

static int load_begin(void *ctx, const struct deb_entry *entry, struct error *reterr)
{
	struct loading *l = ctx;
	struct state_file *f;
	int r;

	l->file = NULL;
	if (S_ISDIR(entry->mode) && !entry->hardlink_to)
		return 0;
	r = state_add_file(l->state, entry->path, l->package, &f, reterr);
	if (r < 0)
		return r;
	f->mode = entry->mode;
	f->uid = entry->uid;
	f->gid = entry->gid;
	f->size_bytes = entry->size_bytes;
	f->is_measured = true;
	if (entry->symlink_target) {
		f->symlink_target = strdup(entry->symlink_target);
		if (!f->symlink_target)
			return -ENOMEM;
	}
	if (entry->hardlink_to) {
		r = state_path(entry->hardlink_to, &f->hardlink_to);
		if (r < 0)
			return r;
	}
	l->file = f;
	return copy_xattrs(entry, f);
}

static int load_content(void *ctx, const void *data, size_t len)
{
	hasher_update(((struct loading *)ctx)->hasher, data, len);
	return 0;
}

static int load_end(void *ctx, struct error *reterr)
{
	struct loading *l = ctx;

	(void)reterr;
	if (!l->file || !S_ISREG(l->file->mode))
		return 0;
	return hasher_final(l->hasher, &l->file->digest);
}

static int open_deb(const char *path, struct error *reterr)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_set(reterr, -errno, "%s: %s", path, strerrordesc_np(errno));
	return fd;
}

static int load_deb(struct state *s, const char *path, struct error *reterr)
{
	AUTO(hasher) struct hasher *hasher = NULL;
	AUTO_CLOSE int fd = -EBADF;
	struct package empty = {}, package;
	struct loading l = {.state = s};
	const struct deb_sink sink = {
		.ctx = &l, .begin = load_begin, .content = load_content, .end = load_end};
	int r;

	r = hasher_new(&hasher);
	if (r < 0)
		return r;
	l.hasher = hasher;
	fd = open_deb(path, reterr);
	if (fd < 0)
		return fd;
	/* the control data is known at the end only: its row comes first, empty */
	empty.name = strdup(path);
	if (!empty.name)
		return -ENOMEM;
	r = state_add_package(s, &empty, &l.package);
	if (r < 0) {
		package_done(&empty);
		return r;
	}
	r = deb_read(fd, path, &sink, &package, reterr);
	if (r < 0)
		return r;
	package_done(&s->packages[l.package]);
	s->packages[l.package] = package;
	return 0;
}

/* Two versions of one package in one state cannot both be what a device has. */
static int check_double(const struct state *s, struct error *reterr)
{
	for (size_t i = 0; i < s->n_packages; i++)
		for (size_t k = i + 1; k < s->n_packages; k++)
			if (strcmp(s->packages[i].name, s->packages[k].name) == 0 &&
				strcmp(s->packages[i].architecture,
					s->packages[k].architecture) == 0)
				return error_set(reterr, -BSI_E_REFUSED,
					"%s and %s are both package %s: one state holds one "
					"version of it",
					s->debs[i], s->debs[k], s->packages[i].name);
	return 0;
}

int archives_load(struct state *s, struct error *reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_debs; i++)
		r = load_deb(s, s->debs[i], reterr);
	if (r == 0)
		r = check_double(s, reterr);
	return r < 0 ? r : state_settle(s, reterr);
}

/* The second pass over one package. */
struct spooling {
	struct state *state;
	size_t package;
	struct state_file *const *files;
	size_t n_files;
	struct state_file *file; /* being written; NULL for one that is not wanted */
	uint64_t written;
};

static int spool_begin(void *ctx, const struct deb_entry *entry, struct error *reterr)
{
	struct spooling *s = ctx;

	(void)reterr;
	s->file = NULL;
	for (size_t i = 0; i < s->n_files && !s->file; i++)
		if (s->files[i]->package == s->package &&
			strcmp(s->files[i]->stored_path, entry->path) == 0)
			s->file = s->files[i];
	s->written = 0;
	return 0;
}

static int spool_content(void *ctx, const void *data, size_t len)
{
	struct spooling *s = ctx;
	int r;

	if (!s->file)
		return 0;
	r = file_pwrite_all(s->state->spool_fd, data, len, s->state->spool_bytes + s->written);
	s->written += len;
	return r;
}

static int spool_end(void *ctx, struct error *reterr)
{
	struct spooling *s = ctx;

	if (!s->file)
		return 0;
	if (s->written != s->file->size_bytes)
		return error_set(reterr, -BSI_E_FORMAT, "%s: %s changed while it was read",
			s->state->debs[s->package], s->file->path);
	s->file->spool_offset = s->state->spool_bytes;
	s->file->is_spooled = true;
	s->state->spool_bytes += s->written;
	return 0;
}

int archives_spool(struct state *s, struct state_file *const *files, size_t n,
	struct error *reterr)
{
	AUTO_FREE bool *is_wanted = calloc(s->n_debs + 1, sizeof *is_wanted);
	int r;

	if (!is_wanted)
		return -ENOMEM;
	if (s->spool_fd < 0) {
		s->spool_fd = scratch_open(reterr);
		if (s->spool_fd < 0)
			return s->spool_fd;
	}
	for (size_t i = 0; i < n; i++)
		is_wanted[files[i]->package] = true;
	for (size_t i = 0; i < s->n_debs; i++) {
		struct spooling spooling = {
			.state = s, .package = i, .files = files, .n_files = n};
		const struct deb_sink sink = {.ctx = &spooling,
			.begin = spool_begin,
			.content = spool_content,
			.end = spool_end};
		AUTO_CLOSE int fd = -EBADF;

		if (!is_wanted[i])
			continue;
		fd = open_deb(s->debs[i], reterr);
		if (fd < 0)
			return fd;
		r = deb_read(fd, s->debs[i], &sink, NULL, reterr);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n; i++)
		if (!files[i]->is_spooled)
			return error_set(reterr, -BSI_E_FORMAT, "%s: %s changed while it was read",
				s->debs[files[i]->package], files[i]->path);
	return 0;
}
