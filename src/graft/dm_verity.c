/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/dm_verity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/hex.h"

#define MISC_MAJOR 10 /* Documentation/admin-guide/devices.txt */
#define CONTROL_MINOR 236
#define LOOP_MAJOR 7
#define CONTROL "/dev/mapper/control"
#define LOADED "/sys/class/misc/device-mapper"

#define TARGET "verity"
#define SECTOR_BYTES 512U
#define BLOCK_BYTES 4096U
#define NAME_PREFIX "bsi-"
#define NAME_COMPONENT_MAX 40 /* of a component's name in a device's name */
#define NAME_DIGITS 16        /* of the image's digest in it */
#define UUID_PREFIX "CRYPT-VERITY-"
#define SAME_IMAGE_MAX 100    /* devices over one image at one time */
#define REQUEST_BYTES (16U << 10)
#define LIST_BYTES (1U << 20)

/* Flags for udev's rules, above the 16 bits of a cookie (libdevmapper.h, DM_UDEV_FLAGS_SHIFT). */
enum udev_flags {
	UDEV_NO_DM_RULES = 0x0001,
	UDEV_NO_SUBSYSTEM_RULES = 0x0002,
	UDEV_NO_DISK_RULES = 0x0004,
	UDEV_NO_OTHER_RULES = 0x0008,
	UDEV_PRIMARY_SOURCE = 0x0040,
	UDEV_LEAVE_ALONE = UDEV_NO_DM_RULES | UDEV_NO_SUBSYSTEM_RULES | UDEV_NO_DISK_RULES |
			   UDEV_NO_OTHER_RULES | UDEV_PRIMARY_SOURCE,
};
#define UDEV_FLAGS_SHIFT 16

/* What the kernel takes and gives; the data follows the header. */
struct request {
	struct dm_ioctl header;
	_Alignas(8) char data[];
};

static struct request *request_new(size_t data_bytes, const char *name)
{
	struct request *q = calloc(1, sizeof *q + data_bytes);

	if (!q)
		return NULL;
	q->header.version[0] = DM_VERSION_MAJOR;
	q->header.version[1] = 27; /* deferred removal; Linux 3.13 */
	q->header.data_size = (uint32_t)(sizeof *q + data_bytes);
	q->header.data_start = sizeof *q;
	(void)snprintf(q->header.name, sizeof q->header.name, "%s", name);
	return q;
}

static int control(int fd, unsigned long command, struct request *q)
{
	int r;

	do
		r = ioctl(fd, command, q);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int verity_open_control(const char *node)
{
	AUTO_FREE struct request *q = request_new(REQUEST_BYTES, TARGET);
	AUTO_CLOSE int fd = -EBADF;
	int r;

	if (!q)
		return -ENOMEM;
	if (mknod(node, S_IFCHR | 0600, makedev(MISC_MAJOR, CONTROL_MINOR)) < 0 && errno != EEXIST)
		return -errno;
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = control(fd, DM_GET_TARGET_VERSION, q);
	return r < 0 ? r : take_fd(&fd);
}

/* The device goes when nobody uses it any more, which may be now. */
static int release(int fd, const char *name)
{
	AUTO_FREE struct request *q = request_new(0, name);

	if (!q)
		return -ENOMEM;
	q->header.flags = DM_DEFERRED_REMOVE;
	q->header.event_nr = (uint32_t)UDEV_LEAVE_ALONE << UDEV_FLAGS_SHIFT;
	return control(fd, DM_DEV_REMOVE, q);
}

/* An image may be mounted while an older mount of it still has its device: that one has the name. */
static int create(int fd, const struct verity_device *d, char name[static DM_NAME_LEN])
{
	struct digest_hex image = digest_format(d->image), root = digest_format(d->root);

	for (int i = 1; i <= SAME_IMAGE_MAX; i++) {
		AUTO_FREE struct request *q = NULL;
		int len = snprintf(name, DM_NAME_LEN, NAME_PREFIX "%.*s-%.*s", NAME_COMPONENT_MAX,
			d->component, NAME_DIGITS, image.text);
		int r;

		if (i > 1)
			(void)snprintf(name + len, DM_NAME_LEN - (size_t)len, "-%d", i);
		q = request_new(0, name);
		if (!q)
			return -ENOMEM;
		(void)snprintf(q->header.uuid, sizeof q->header.uuid, UUID_PREFIX "%.32s-%.80s",
			root.text, name);
		r = control(fd, DM_DEV_CREATE, q);
		if (r != -EBUSY)
			return r;
	}
	return -EBUSY;
}

/* One target over all of the data. Format 1: salt before the block; the tree follows its superblock. */
static int load(int fd, const struct verity_device *d, const char *name)
{
	AUTO_FREE struct request *q = request_new(REQUEST_BYTES, name);
	struct dm_target_spec *spec;
	char salt[2 * VERITY_SALT_BYTES + 1];
	uint64_t n_blocks = d->tree_offset / BLOCK_BYTES;

	if (!q)
		return -ENOMEM;
	hex_format(d->salt, VERITY_SALT_BYTES, salt);
	spec = (struct dm_target_spec *)(void *)q->data;
	spec->length = d->tree_offset / SECTOR_BYTES;
	(void)snprintf(spec->target_type, sizeof spec->target_type, TARGET);
	(void)snprintf(q->data + sizeof *spec, REQUEST_BYTES - sizeof *spec,
		"1 %u:%u %u:%u %u %u %ju %ju sha256 %s %s", LOOP_MAJOR, d->loop_number, LOOP_MAJOR,
		d->loop_number, BLOCK_BYTES, BLOCK_BYTES, (uintmax_t)n_blocks,
		(uintmax_t)n_blocks + 1, digest_format(d->root).text, salt);
	q->header.flags = DM_READONLY_FLAG;
	q->header.target_count = 1;
	return control(fd, DM_TABLE_LOAD, q);
}

static int resume(int fd, const char *name, uint64_t *ret_dev)
{
	AUTO_FREE struct request *q = request_new(0, name);
	int r;

	if (!q)
		return -ENOMEM;
	q->header.event_nr = (uint32_t)UDEV_LEAVE_ALONE << UDEV_FLAGS_SHIFT;
	r = control(fd, DM_DEV_SUSPEND, q); /* without DM_SUSPEND_FLAG: resume */
	*ret_dev = q->header.dev;
	return r;
}

/* "V" as long as no read has failed, "C" from then on. */
static int check_status(int fd, const char *name)
{
	AUTO_FREE struct request *q = request_new(REQUEST_BYTES, name);
	const struct dm_target_spec *spec;
	int r;

	if (!q)
		return -ENOMEM;
	r = control(fd, DM_TABLE_STATUS, q);
	if (r < 0)
		return r;
	spec = (const struct dm_target_spec *)(const void *)q->data;
	return q->header.target_count == 1 && strcmp(spec->target_type, TARGET) == 0 &&
			       q->data[sizeof *spec] == 'V' ?
		       0 :
		       -BSI_E_UNSEALED;
}

/* Making a device with a wrong root succeeds: only a read tells. */
static int check_first_block(int control_fd, const char *name, int device_fd)
{
	char block[BLOCK_BYTES];
	int read = file_pread_all(device_fd, block, sizeof block, 0);
	int r = check_status(control_fd, name);

	return r < 0 ? r : read;
}

static int start(int control_fd, const struct verity_device *device, const char *name,
	const char *node, int *ret_fd)
{
	AUTO_CLOSE int fd = -EBADF;
	uint64_t dev = 0;
	int r = load(control_fd, device, name);

	if (r == 0)
		r = resume(control_fd, name, &dev);
	if (r == 0 && unlink(node) < 0 && errno != ENOENT)
		r = -errno;
	/* the kernel's own encoding of a number: 12 bits of major in the middle (new_encode_dev) */
	if (r == 0 && mknod(node, S_IFBLK | 0600,
			      makedev((unsigned)(dev >> 8 & 0xfff),
				      (unsigned)((dev & 0xff) | (dev >> 12 & 0xfff00)))) < 0)
		r = -errno;
	if (r == 0) {
		fd = open(node, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : 0;
	}
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int verity_open(int control_fd, const struct verity_device *device, const char *node, int *ret_fd,
	struct error *reterr)
{
	AUTO_CLOSE int fd = -EBADF;
	char name[DM_NAME_LEN];
	int r = create(control_fd, device, name), released;

	if (r < 0)
		return error_set(reterr, r, "device-mapper: %s", error_text(r));
	r = start(control_fd, device, name, node, &fd);
	released = release(control_fd, name); /* from here on nothing can stay behind */
	if (r == 0)
		r = released;
	if (r < 0)
		return error_set(reterr, r, "dm-verity: %s", error_text(r));
	r = check_first_block(control_fd, name, fd);
	if (r == -BSI_E_UNSEALED)
		return error_set(reterr, r, "its hash tree does not have the signed root");
	if (r < 0)
		return error_set(reterr, r, "dm-verity: %s", error_text(r));
	*ret_fd = take_fd(&fd);
	return 0;
}

/* A volume group may be called bsi too: only the UUID tells whose a device is. */
static bool is_ours(int fd, const char *name)
{
	AUTO_FREE struct request *q = NULL;
	const char *uuid;
	size_t len, name_len = strlen(name);

	if (strncmp(name, NAME_PREFIX, sizeof NAME_PREFIX - 1) != 0)
		return false;
	q = request_new(0, name);
	if (!q || control(fd, DM_DEV_STATUS, q) < 0)
		return false;
	uuid = q->header.uuid;
	len = strnlen(uuid, sizeof q->header.uuid);
	return len < sizeof q->header.uuid && len > name_len &&
	       strncmp(uuid, UUID_PREFIX, sizeof UUID_PREFIX - 1) == 0 &&
	       strcmp(uuid + len - name_len, name) == 0;
}

void verity_sweep(void)
{
	AUTO_FREE struct request *q = NULL;
	AUTO_CLOSE int fd = -EBADF;
	size_t at = 0;

	if (access(LOADED, F_OK) < 0)
		return;
	fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	q = fd < 0 ? NULL : request_new(LIST_BYTES, "");
	if (!q || control(fd, DM_LIST_DEVICES, q) < 0)
		return;
	/* Whether a device is in use is the kernel's to know: those stay until they are not. */
	while (at + sizeof(struct dm_name_list) <= LIST_BYTES) {
		const struct dm_name_list *row = (const void *)(q->data + at);

		if (row->dev == 0)
			break;
		if (is_ours(fd, row->name))
			(void)!release(fd, row->name);
		if (row->next == 0)
			break;
		at += row->next;
	}
}
