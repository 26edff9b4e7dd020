/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/fit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"

void fit_free(struct fit *fit)
{
	if (!fit)
		return;
	for (size_t i = 0; i < fit->n_components; i++) {
		struct fit_component *c = &fit->components[i];

		for (size_t k = 0; c->files && k < c->component->n_files; k++)
			if (c->files[k] >= 0)
				(void)close(c->files[k]);
		free(c->files);
		if (c->image_fd >= 0)
			(void)close(c->image_fd);
	}
	free(fit->components);
	free(fit);
}

bool fit_is_barred(const struct fit *fit)
{
	for (size_t i = 0; fit && i < fit->n_components; i++)
		if (fit->components[i].is_barred)
			return true;
	return false;
}

bool fit_has_file(const struct fit_component *c, size_t file)
{
	return c->match.verdict == MATCH_SET &&
	       c->component->sets[c->match.set].files[file].present;
}

/* A manifest may name more files than a process may open by default. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* A missing file, a directory on the way that is none, and what is no regular file: not there. */
static int open_base_file(int root_fd, const char *path, int *ret)
{
	AUTO_CLOSE int fd = -EBADF;
	struct stat st;

	/* no symlink on the way: the graft would not follow it either */
	fd = file_open_beneath(root_fd, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ENXIO) {
		*ret = -EBADF;
		return 0;
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = S_ISREG(st.st_mode) ? take_fd(&fd) : -EBADF;
	return 0;
}

int fit_open(int root_fd, const struct manifest *manifest, struct fit **ret, struct error *reterr)
{
	AUTO(fit) struct fit *fit = calloc(1, sizeof *fit);
	int r;

	if (!fit)
		return -ENOMEM;
	raise_descriptor_limit();
	fit->manifest = manifest;
	fit->packages = packages_stamp(root_fd);
	fit->components = calloc(manifest->n_components + 1, sizeof *fit->components);
	if (!fit->components)
		return -ENOMEM;
	for (size_t i = 0; i < manifest->n_components; i++) {
		const struct component *component = &manifest->components[i];
		struct fit_component *c = &fit->components[i];

		c->component = component;
		c->match.verdict = MATCH_MISMATCH;
		c->image_fd = -EBADF;
		c->files = malloc((component->n_files + 1) * sizeof *c->files);
		if (!c->files)
			return -ENOMEM;
		for (size_t k = 0; k < component->n_files; k++)
			c->files[k] = -EBADF;
		fit->n_components++;
		for (size_t k = 0; k < component->n_files; k++) {
			r = open_base_file(root_fd, component->files[k].path, &c->files[k]);
			if (r < 0)
				return error_set(reterr, r, "%s: %s", component->files[k].path,
					error_text(r));
		}
	}
	*ret = take_ptr(fit);
	return 0;
}

/*
 * The value as heap memory; NULL where the file or its file system has none. Most have none, and the
 * kernel clears as much memory as it is offered, so it is asked for the size first.
 */
static int read_attribute(int fd, const char *name, uint8_t **ret, size_t *ret_len)
{
	AUTO_FREE uint8_t *value = NULL;
	ssize_t n = fgetxattr(fd, name, NULL, 0);

	if (n >= 0) {
		value = malloc(ACCESS_ATTRIBUTE_MAX_BYTES);
		if (!value)
			return -ENOMEM;
		n = fgetxattr(fd, name, value, ACCESS_ATTRIBUTE_MAX_BYTES);
	}
	if (n < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
	*ret = take_ptr(value);
	*ret_len = (size_t)n;
	return 0;
}

static int read_access(int fd, struct file_access *ret)
{
	AUTO_FREE uint8_t *capabilities = NULL, *acl = NULL;
	size_t capabilities_len = 0, acl_len = 0;
	struct access_value values[ACCESS_ATTRIBUTE_MAX];
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct file_access){.uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode & 07777};
	r = read_attribute(fd, access_attribute_names[ACCESS_CAPABILITIES], &capabilities,
		&capabilities_len);
	if (r == 0)
		r = read_attribute(fd, access_attribute_names[ACCESS_ACL], &acl, &acl_len);
	if (r < 0)
		return r;
	values[ACCESS_CAPABILITIES] = (struct access_value){capabilities, capabilities_len};
	values[ACCESS_ACL] = (struct access_value){acl, acl_len};
	return access_set_attributes(ret, values);
}

static int measure_component(int root_fd, struct fit_component *c, struct error *reterr)
{
	AUTO_FREE struct base_fact *facts = NULL;
	AUTO(packages) struct packages *packages = NULL;
	int r;

	facts = calloc(c->component->n_files + 1, sizeof *facts);
	if (!facts)
		return -ENOMEM;
	for (size_t k = 0; k < c->component->n_files; k++) {
		if (c->files[k] < 0)
			continue;
		r = file_digest(c->files[k], &facts[k].digest, NULL);
		if (r == 0)
			r = read_access(c->files[k], &facts[k].access);
		if (r < 0)
			return error_set(reterr, r, "%s: %s", c->component->files[k].path,
				error_text(r));
		facts[k].present = true;
	}
	match_component(c->component, facts, NULL, 0, &c->match);
	/* packages can only turn a mismatch into the proof of a fix; digests come before them */
	if (c->match.verdict != MATCH_MISMATCH)
		return 0;
	r = packages_read(root_fd, c->component, c->files, &packages);
	if (r < 0)
		return error_set(reterr, r, "the package database: %s", error_text(r));
	match_component(c->component, facts, packages->facts, packages->n_facts, &c->match);
	return 0;
}

int fit_measure(int root_fd, const struct manifest *manifest, struct fit **ret,
	struct error *reterr)
{
	AUTO(fit) struct fit *fit = NULL;
	int r;

	r = fit_open(root_fd, manifest, &fit, reterr);
	for (size_t i = 0; r == 0 && i < fit->n_components; i++)
		r = measure_component(root_fd, &fit->components[i], reterr);
	if (r < 0)
		return r;
	*ret = take_ptr(fit);
	return 0;
}
