/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "graft/image_mount.h"
#include "graft/mount_api.h"

static bool is_push(const struct graft_step *step)
{
	return step->action == GRAFT_ATTACH || step->action == GRAFT_EXCHANGE;
}

int stage_check_base(const struct graft_step *step, int fd, struct error *reterr)
{
	struct stat here, matched;

	if (fstat(fd, &here) < 0 || fstat(step->file->base_fd, &matched) < 0)
		return error_set(reterr, -errno, "'%s': %s", step->path, error_text(-errno));
	if (here.st_dev != matched.st_dev || here.st_ino != matched.st_ino)
		return error_set(reterr, -BSI_E_MISMATCH,
			"'%s' was replaced since it was matched", step->path);
	return 0;
}

/* Take our own mounts off here, where only this process is, and see what they lie on. */
static int check_beneath(int root_fd, const char *root, const struct graft_step *step,
	struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", root, step->path) >= (int)sizeof path)
		return error_set(reterr, -ENAMETOOLONG, "'%s' is too long", step->path);
	for (size_t i = 0; i < step->n_old; i++)
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
			return error_set(reterr, -errno, "'%s' cannot be uncovered: %s", path,
				error_text(-errno));
	fd = file_open_beneath(root_fd, step->path, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return error_set(reterr, fd, "'%s': %s", path, error_text(fd));
	return stage_check_base(step, fd, reterr);
}

static int check_bases(const struct graft_host *host, const struct graft_plan *plan,
	struct error *reterr)
{
	char root[PATH_MAX];
	AUTO_CLOSE int root_fd = graft_host_open_root(host, root, sizeof root);

	if (root_fd < 0)
		return error_set(reterr, root_fd, "%s: %s", host->root, error_text(root_fd));
	for (size_t i = 0; i < plan->n_steps; i++) {
		int r = plan->steps[i].action != GRAFT_EXCHANGE ?
			0 : check_beneath(root_fd, root, &plan->steps[i], reterr);

		if (r < 0)
			return r;
	}
	return 0;
}

int stage_enter(struct error *reterr)
{
	if (unshare(CLONE_NEWNS) < 0)
		return error_set(reterr, -errno, "a mount namespace of its own: %s",
			error_text(-errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set(reterr, -errno, "making the namespace private: %s",
			error_text(-errno));
	return 0;
}

/* One file of the mounted image as a mount of its own. */
static int clone_file(int image_root_fd, const struct graft_step *step, int *ret_clone,
	struct error *reterr)
{
	AUTO_CLOSE int file_fd = -EBADF;
	AUTO_CLOSE int clone_fd = -EBADF;
	struct stat st;
	int r;

	file_fd = file_open_beneath(image_root_fd, step->path, O_PATH | O_NOFOLLOW, 0);
	if (file_fd < 0 || fstat(file_fd, &st) < 0)
		return error_set(reterr, -BSI_E_FORMAT, "the image of component %s has no '%s': %s",
			step->layer->component, step->path,
			error_text(file_fd < 0 ? file_fd : -errno));
	if (!S_ISREG(st.st_mode))
		return error_set(reterr, -BSI_E_FORMAT,
			"'%s' in the image of component %s is no regular file", step->path,
			step->layer->component);

	clone_fd = mount_api_clone(file_fd);
	if (clone_fd < 0)
		return error_set(reterr, clone_fd, "a mount of '%s': %s", step->path,
			error_text(clone_fd));
	/* Without privileges nosuid costs nothing, and bubblewrap leaves such mounts alone. */
	r = step->file->privileged ? 0 : mount_api_set(clone_fd, MOUNT_API_NOSUID);
	if (r < 0)
		return error_set(reterr, r, "nosuid for '%s': %s", step->path, error_text(r));
	*ret_clone = take_fd(&clone_fd);
	return 0;
}

int stage_build(const struct graft_host *host, const struct graft_plan *plan, int *ret_clones,
	struct graft_report *report, struct error *reterr)
{
	const struct graft_layer *mounted = NULL;
	AUTO_CLOSE int image_root_fd = -EBADF;
	int r;

	r = stage_enter(reterr);
	if (r == 0)
		r = check_bases(host, plan, reterr); /* before anything here covers the root */
	if (r == 0)
		r = image_mount_prepare(reterr);

	for (size_t i = 0; r == 0 && i < plan->n_steps; i++) {
		const struct graft_step *step = &plan->steps[i];

		if (!is_push(step))
			continue;
		if (step->layer != mounted) { /* a layer's steps follow each other */
			auto_closep(&image_root_fd);
			r = image_mount(host, step->layer, &image_root_fd, report, reterr);
			mounted = step->layer;
		}
		if (r == 0)
			r = clone_file(image_root_fd, step, &ret_clones[i], reterr);
	}
	return r;
}
