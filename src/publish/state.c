/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publish/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "publish/archives.h"
#include "publish/tree.h"

int state_path(const char *stored, char **ret)
{
	static const char *const merged[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
	const char *prefix = "";
	size_t first, len;
	char *path;

	while (stored[0] == '/' || (stored[0] == '.' && stored[1] == '/'))
		stored += stored[0] == '/' ? 1 : 2;
	if (path_check(stored) < 0)
		return -BSI_E_PATH;
	first = strcspn(stored, "/");
	for (size_t i = 0; i < ARRAY_SIZE(merged); i++)
		if (stored[first] == '/' && strlen(merged[i]) == first &&
			memcmp(stored, merged[i], first) == 0)
			prefix = "usr/";
	len = strlen(prefix) + strlen(stored) + 1;
	path = malloc(len);
	if (!path)
		return -ENOMEM;
	(void)snprintf(path, len, "%s%s", prefix, stored);
	if (path_check(path) < 0) {
		free(path);
		return -BSI_E_PATH;
	}
	*ret = path;
	return 0;
}

static void *grow(void *array, size_t *allocated, size_t n, size_t row_bytes)
{
	size_t wanted = *allocated ? 2 * *allocated : 64;
	void *grown;

	if (n < *allocated)
		return array;
	grown = reallocarray(array, wanted, row_bytes);
	if (grown)
		*allocated = wanted;
	return grown;
}

int state_add_package(struct state *s, struct package *taken, size_t *ret_index)
{
	struct package *grown;

	if (s->n_packages == STATE_PACKAGES_MAX)
		return -BSI_E_LIMIT;
	grown = grow(s->packages, &s->packages_allocated, s->n_packages, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	s->packages = grown;
	*ret_index = s->n_packages;
	s->packages[s->n_packages++] = *taken;
	*taken = (struct package){};
	return 0;
}

int state_pass_over(struct state *s, const struct package *p)
{
	struct state_passed *grown, *row;

	if (s->n_passed == STATE_PACKAGES_MAX)
		return -BSI_E_LIMIT;
	grown = reallocarray(s->passed, s->n_passed + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	s->passed = grown;
	row = &grown[s->n_passed];
	*row = (struct state_passed){.name = strdup(p->name)};
	if (!row->name)
		return -ENOMEM;
	(void)snprintf(row->status, sizeof row->status, "%s", p->status);
	s->n_passed++;
	return 0;
}

int state_add_file(struct state *s, const char *stored_path, size_t package,
	struct state_file **ret, struct error *reterr)
{
	struct state_file *grown, f = {.package = package};
	int r;

	if (s->n_files == STATE_FILES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "%s has more than %d files", s->name,
			STATE_FILES_MAX);
	grown = grow(s->files, &s->files_allocated, s->n_files, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	s->files = grown;
	r = state_path(stored_path, &f.path);
	if (r == -BSI_E_PATH)
		return error_set(reterr, r, "package %s: path \"%s\" leaves the root or is malformed",
			s->packages[package].name, stored_path);
	if (r < 0)
		return r;
	f.stored_path = strdup(stored_path);
	if (!f.stored_path) {
		free(f.path);
		return -ENOMEM;
	}
	s->files[s->n_files] = f;
	*ret = &s->files[s->n_files++];
	return 0;
}

static void file_done(struct state_file *f)
{
	free(f->path);
	free(f->stored_path);
	free(f->symlink_target);
	free(f->hardlink_to);
	for (size_t i = 0; i < f->n_xattrs; i++) {
		free(f->xattrs[i].name);
		free(f->xattrs[i].value);
	}
	free(f->xattrs);
	*f = (struct state_file){};
}

void state_free(struct state *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_files; i++)
		file_done(&s->files[i]);
	for (size_t i = 0; i < s->n_packages; i++)
		package_done(&s->packages[i]);
	for (size_t i = 0; i < s->n_passed; i++)
		free(s->passed[i].name);
	for (size_t i = 0; i < s->n_debs; i++)
		free(s->debs[i]);
	free(s->passed);
	if (s->root_fd >= 0)
		(void)close(s->root_fd);
	if (s->spool_fd >= 0)
		(void)close(s->spool_fd);
	if (s->open_fd >= 0)
		(void)close(s->open_fd);
	free(s->files);
	free(s->packages);
	free(s->debs);
	free(s->name);
	free(s);
}

/* Equal paths in the order of their packages, so that sorting is the same everywhere. */
static int compare_files(const void *a, const void *b)
{
	const struct state_file *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	if (order != 0)
		return order;
	return (x->package > y->package) - (x->package < y->package);
}

static int copy_xattrs(const struct state_file *from, struct state_file *to)
{
	to->xattrs = calloc(from->n_xattrs + 1, sizeof *to->xattrs);
	if (!to->xattrs)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_xattrs; i++) {
		const struct state_xattr *x = &from->xattrs[i];
		struct state_xattr *copy = &to->xattrs[to->n_xattrs++];

		copy->name = strdup(x->name);
		copy->value = malloc(x->value_bytes + 1);
		if (!copy->name || !copy->value)
			return -ENOMEM;
		if (x->value_bytes > 0)
			memcpy(copy->value, x->value, x->value_bytes);
		copy->value_bytes = x->value_bytes;
	}
	return 0;
}

/* An archive describes an inode under its first name only. */
static int take_inode(struct state_file *f, const struct state_file *to)
{
	f->mode = to->mode;
	f->uid = to->uid;
	f->gid = to->gid;
	f->size_bytes = to->size_bytes;
	f->digest = to->digest;
	return f->n_xattrs == 0 && to->n_xattrs > 0 ? copy_xattrs(to, f) : 0;
}

static int resolve_hardlinks(struct state *s, struct error *reterr)
{
	for (size_t i = 0; i < s->n_files; i++) {
		struct state_file *f = &s->files[i];
		const struct state_file *to;
		int r;

		if (!f->hardlink_to)
			continue;
		to = state_find(s, f->hardlink_to);
		if (!to || to->hardlink_to || !S_ISREG(to->mode))
			return error_set(reterr, -BSI_E_FORMAT,
				"%s: %s is a hard link to %s, which is no file of the package",
				s->name, f->path, f->hardlink_to);
		r = take_inode(f, to);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The entry that describes a name's inode, within its package; files are sorted, not yet unique. */
static const struct state_file *inode_of(const struct state *s, const struct state_file *f)
{
	struct state_file key = {.path = f->hardlink_to, .package = f->package};

	return f->hardlink_to
		? bsearch(&key, s->files, s->n_files, sizeof *s->files, compare_files)
		: f;
}

static bool is_same_file(const struct state *s, const struct state_file *a,
	const struct state_file *b)
{
	a = inode_of(s, a);
	b = inode_of(s, b);
	if (!a || !b || a->mode != b->mode || a->uid != b->uid || a->gid != b->gid)
		return false;
	if (S_ISLNK(a->mode))
		return strcmp(a->symlink_target, b->symlink_target) == 0;
	return a->size_bytes == b->size_bytes && digest_equal(&a->digest, &b->digest);
}

/* Which of two files a device has is not for us to guess. A root tree has one file for each name. */
static int check_shared(const struct state *s, struct error *reterr)
{
	const struct state_file *first = NULL;

	for (size_t i = 0; s->root_fd < 0 && i < s->n_files; i++) {
		const struct state_file *f = &s->files[i];
		const char *one, *other;

		if (!first || strcmp(first->path, f->path) != 0) {
			first = f;
			continue;
		}
		one = s->packages[first->package].name;
		other = s->packages[f->package].name;
		/* packages of several architectures share files; either's entry will do */
		if (strcmp(one, other) != 0 && !is_same_file(s, first, f))
			return error_set(reterr, -BSI_E_REFUSED,
				"%s: packages %s and %s each have another %s: one state is what one "
				"device has; give two --from",
				s->name, one, other, f->path);
	}
	return 0;
}

int state_settle(struct state *s, struct error *reterr)
{
	size_t kept = 0;
	int r;

	if (s->n_files > 0)
		qsort(s->files, s->n_files, sizeof *s->files, compare_files);
	r = check_shared(s, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n_files; i++) {
		if (kept > 0 && strcmp(s->files[kept - 1].path, s->files[i].path) == 0) {
			file_done(&s->files[i]);
			continue;
		}
		s->files[kept++] = s->files[i];
	}
	s->n_files = kept;
	return resolve_hardlinks(s, reterr);
}

static int compare_path(const void *key, const void *row)
{
	return strcmp(key, ((const struct state_file *)row)->path);
}

struct state_file *state_find(const struct state *s, const char *path)
{
	return s->n_files == 0 ? NULL
			       : bsearch(path, s->files, s->n_files, sizeof *s->files, compare_path);
}

struct package *state_package(const struct state *s, const char *name, const char *architecture)
{
	struct package *found = NULL;

	for (size_t i = 0; i < s->n_packages; i++) {
		struct package *p = &s->packages[i];

		if (strcmp(p->name, name) != 0)
			continue;
		if (strcmp(p->architecture, architecture) == 0)
			return p;
		/* a package may become independent of the architecture, or cease to be */
		if (strcmp(p->architecture, "all") == 0 || strcmp(architecture, "all") == 0)
			found = p;
	}
	return found;
}

/* Where the name ends in ".deb". */
static bool is_deb_name(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".deb") == 0;
}

static int add_deb(struct state *s, const char *directory, const char *name)
{
	char **grown, *path;

	if (s->n_debs == STATE_DEBS_MAX)
		return -BSI_E_LIMIT;
	grown = reallocarray(s->debs, s->n_debs + 1, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	s->debs = grown;
	if (asprintf(&path, "%s%s%s", directory, *directory ? "/" : "", name) < 0)
		return -ENOMEM;
	s->debs[s->n_debs++] = path;
	return 0;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_folder(struct state *s, struct error *reterr)
{
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	dir = opendir(s->name);
	if (!dir)
		return error_set(reterr, -errno, "%s: %s", s->name, strerrordesc_np(errno));
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (is_deb_name(entry->d_name))
			r = add_deb(s, s->name, entry->d_name);
	(void)closedir(dir);
	if (r < 0)
		return r;
	if (s->n_debs == 0)
		return error_set(reterr, -BSI_E_FORMAT,
			"%s is no root tree (var/lib/dpkg/status is missing) and holds no .deb files",
			s->name);
	qsort(s->debs, s->n_debs, sizeof *s->debs, compare_text);
	return 0;
}

static int list_names(struct state *s)
{
	for (const char *at = s->name; *at;) {
		size_t len = strcspn(at, ",");
		AUTO_FREE char *name = strndup(at, len);
		int r;

		if (!name)
			return -ENOMEM;
		r = *name ? add_deb(s, "", name) : 0;
		if (r < 0)
			return r;
		at += len;
		at += *at == ',';
	}
	return 0;
}

static int load(struct state *s, struct error *reterr)
{
	struct stat st;
	int r;

	if (stat(s->name, &st) == 0 && S_ISDIR(st.st_mode)) {
		s->root_fd = open(s->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (s->root_fd < 0)
			return error_set(reterr, -errno, "%s: %s", s->name,
				strerrordesc_np(errno));
		r = tree_load(s, reterr);
		if (r != -ENOENT)
			return r;
		(void)close(s->root_fd);
		s->root_fd = -EBADF;
		r = list_folder(s, reterr);
	} else {
		r = list_names(s);
	}
	return r < 0 ? r : archives_load(s, reterr);
}

int state_open(const char *argument, struct state **ret, struct error *reterr)
{
	AUTO(state) struct state *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->root_fd = s->spool_fd = s->open_fd = -EBADF;
	s->name = strdup(argument);
	if (!s->name)
		return -ENOMEM;
	r = load(s, reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

int state_measure(struct state *s, struct state_file *f, struct error *reterr)
{
	if (f->is_measured || s->root_fd < 0)
		return 0;
	return tree_measure(s, f, reterr);
}

int state_access(const struct state_file *f, struct file_access *ret)
{
	struct access_value values[ACCESS_ATTRIBUTE_MAX] = {0};
	struct file_access access = {.uid = f->uid, .gid = f->gid, .mode = f->mode & 07777};
	int r;

	for (size_t i = 0; i < f->n_xattrs; i++)
		for (size_t k = 0; k < ACCESS_ATTRIBUTE_MAX; k++)
			if (strcmp(f->xattrs[i].name, access_attribute_names[k]) == 0)
				values[k] = (struct access_value){
					f->xattrs[i].value, f->xattrs[i].value_bytes};
	r = access_set_attributes(&access, values);
	if (r == 0)
		*ret = access;
	return r;
}

/* The file whose content this name has. */
static const struct state_file *content_of(const struct state *s, const struct state_file *f)
{
	return f->hardlink_to ? state_find(s, f->hardlink_to) : f;
}

int state_spool(struct state *s, struct state_file *const *files, size_t n, struct error *reterr)
{
	AUTO_FREE struct state_file **wanted = NULL;
	size_t n_wanted = 0;

	if (s->root_fd >= 0)
		return 0;
	wanted = calloc(n + 1, sizeof *wanted);
	if (!wanted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct state_file *f = files[i];

		if (f->hardlink_to)
			f = state_find(s, f->hardlink_to);
		if (f && S_ISREG(f->mode) && !f->is_spooled)
			wanted[n_wanted++] = f;
	}
	return n_wanted == 0 ? 0 : archives_spool(s, wanted, n_wanted, reterr);
}

/* The descriptor and offset at which the content begins. */
static int content_fd(struct state *s, const struct state_file *f, uint64_t *ret_offset)
{
	int fd;

	if (s->root_fd < 0) {
		*ret_offset = f->spool_offset;
		return f->is_spooled ? s->spool_fd : -EINVAL;
	}
	*ret_offset = 0;
	if (s->open_file == f)
		return s->open_fd;
	fd = tree_open_file(s, f);
	if (fd < 0)
		return fd;
	if (s->open_fd >= 0)
		(void)close(s->open_fd);
	s->open_fd = fd;
	s->open_file = f;
	return fd;
}

int state_read(struct state *s, const struct state_file *f, uint64_t offset, void *out, size_t len,
	struct error *reterr)
{
	uint8_t *at = out;
	uint64_t start;
	int fd;

	f = content_of(s, f);
	fd = f ? content_fd(s, f, &start) : -EINVAL;
	if (fd < 0)
		return error_set(reterr, fd, "%s: %s cannot be read: %s", s->name,
			f ? f->path : "a hard link", error_text(fd));
	while (len > 0) {
		ssize_t n = pread(fd, at, len, (off_t)(start + offset));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(reterr, -errno, "%s: %s: %s", s->name, f->path,
				strerrordesc_np(errno));
		if (n == 0)
			return error_set(reterr, -BSI_E_FORMAT, "%s: %s changed while it was read",
				s->name, f->path);
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

struct elf_reading {
	struct state *state;
	const struct state_file *file;
	struct error *reterr;
};

static int read_for_elf(void *ctx, uint64_t offset, void *out, size_t len)
{
	struct elf_reading *e = ctx;

	return state_read(e->state, e->file, offset, out, len, e->reterr);
}

int state_elf(struct state *s, const struct state_file *f, struct linkage *ret, struct error *reterr)
{
	struct elf_reading reading = {.state = s, .file = f, .reterr = reterr};
	struct linkage_source source = {
		.ctx = &reading, .size_bytes = f->size_bytes, .read = read_for_elf};
	int r;

	*ret = (struct linkage){};
	if (!S_ISREG(f->mode))
		return 0;
	r = linkage_read(&source, ret);
	/* objects that are ELF in name only (test data, firmware) are content like any other */
	return r == -BSI_E_FORMAT || r == -BSI_E_LIMIT ? 0 : r;
}
