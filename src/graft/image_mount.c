/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/image_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "graft/mount_api.h"
#include "graft/mount_table.h"

#define SCRATCH_DIR "/run"
#define IMAGE_PARENT_DIR "/run/bsi"
#define IMAGE_DIR "/run/bsi/image"
#define MOUNT_DIR "/run/bsi/mount"
#define LOOP_MAJOR 7 /* Documentation/admin-guide/devices.txt */
#define LOOP_TRIES_MAX 64 /* others take free devices at the same time */
#define SOURCE_MAX (sizeof MOUNT_SOURCE_PREFIX + GRAFT_COMPONENT_MAX + 1 + DIGEST_HEX_LEN)
_Static_assert(SOURCE_MAX < 256, "fsconfig takes strings up to 255 bytes");

int image_mount_prepare(struct error *reterr)
{
	/* Not nodev: a loop device's node is made here under the image's name. */
	if (mount("bsi", SCRATCH_DIR, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0700,size=1m") < 0 ||
		mkdir(IMAGE_PARENT_DIR, 0700) < 0 || mkdir(IMAGE_DIR, 0700) < 0 ||
		mkdir(MOUNT_DIR, 0700) < 0)
		return error_set(reterr, -errno, "scratch space on %s: %s", SCRATCH_DIR,
			error_text(-errno));
	return 0;
}

/* A context with the superblock made, or the kernel's reason why not. */
static int make_superblock(const char *source, int *ret_fs_fd, char *message, size_t message_len)
{
	AUTO_CLOSE int fs_fd = mount_api_open("erofs");
	int r;

	message[0] = '\0';
	if (fs_fd < 0)
		return fs_fd;
	r = mount_api_config(fs_fd, MOUNT_API_SET_STRING, "source", source);
	if (r == 0) /* or a read-only device is opened for writing */
		r = mount_api_config(fs_fd, MOUNT_API_SET_FLAG, "ro", NULL);
	if (r == 0)
		r = mount_api_config(fs_fd, MOUNT_API_CREATE, NULL, NULL);
	if (r < 0) {
		mount_api_message(fs_fd, message, message_len);
		return r;
	}
	*ret_fs_fd = take_fd(&fs_fd);
	return 0;
}

static int from_file(const char *source, int image_fd, int *ret_fs_fd, char *message, size_t message_len)
{
	char link[64];

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", image_fd);
	if (symlink(link, source) < 0)
		return -errno;
	return make_superblock(source, ret_fs_fd, message, message_len);
}

/* Tie a free loop device to the image, with its node at source. The device goes with its last user. */
static int attach_loop(const char *source, int image_fd, int *ret_loop_fd)
{
	AUTO_CLOSE int control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	const struct loop_config config = {
		.fd = (uint32_t)image_fd,
		.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};

	if (control_fd < 0)
		return -errno;
	for (int i = 0; i < LOOP_TRIES_MAX; i++) {
		AUTO_CLOSE int loop_fd = -EBADF;
		int number = ioctl(control_fd, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -errno;
		if ((unlink(source) < 0 && errno != ENOENT) ||
			mknod(source, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned)number)) < 0)
			return -errno;
		loop_fd = open(source, O_RDONLY | O_CLOEXEC);
		if (loop_fd < 0)
			return -errno;
		if (ioctl(loop_fd, LOOP_CONFIGURE, &config) == 0) {
			*ret_loop_fd = take_fd(&loop_fd);
			return 0;
		}
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}

static int from_loop(const char *source, int image_fd, int *ret_fs_fd, char *message, size_t message_len)
{
	AUTO_CLOSE int loop_fd = -EBADF; /* held until the superblock holds the device */
	int r = attach_loop(source, image_fd, &loop_fd);

	if (r < 0) {
		(void)snprintf(message, message_len, "no loop device");
		return r;
	}
	return make_superblock(source, ret_fs_fd, message, message_len);
}

static int mount_error(const struct graft_layer *layer, int r, const char *message,
	struct error *reterr)
{
	int code = r;

	if (r == -ENODEV || r == -ENOSYS)
		code = -BSI_E_UNSUPPORTED; /* no EROFS in this kernel */
	else if (r == -EINVAL || r == -EUCLEAN || r == -EBADMSG)
		code = -BSI_E_FORMAT;
	return error_set(reterr, code, "the image of component %s cannot be mounted: %s%s%s",
		layer->component, message, message[0] ? ": " : "", error_text(r));
}

int image_mount(const struct graft_host *host, const struct graft_layer *layer, int *ret_root_fd,
	bool *ret_loop, struct error *reterr)
{
	AUTO_CLOSE int fs_fd = -EBADF;
	AUTO_CLOSE int mount_fd = -EBADF;
	AUTO_CLOSE int dir_fd = -EBADF;
	char source[SOURCE_MAX], message[256];
	int r = -ENOTBLK;

	(void)snprintf(source, sizeof source, MOUNT_SOURCE_PREFIX "%s-%s", layer->component,
		digest_format(&layer->digest).text);
	if (!(host->flags & GRAFT_HOST_LOOP))
		r = from_file(source, layer->image_fd, &fs_fd, message, sizeof message);
	if (r == -ENOTBLK) {
		r = from_loop(source, layer->image_fd, &fs_fd, message, sizeof message);
		*ret_loop = true;
	}
	if (r < 0)
		return mount_error(layer, r, message, reterr);

	mount_fd = mount_api_mount(fs_fd, MOUNT_API_RDONLY | MOUNT_API_NODEV);
	if (mount_fd < 0)
		return mount_error(layer, mount_fd, "", reterr);
	/* Before Linux 6.15 only what is mounted in one's own namespace can be cloned. */
	dir_fd = open(MOUNT_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = dir_fd < 0 ? -errno : mount_api_move(mount_fd, dir_fd);
	if (r < 0)
		return mount_error(layer, r, "", reterr);
	*ret_root_fd = take_fd(&mount_fd);
	return 0;
}
