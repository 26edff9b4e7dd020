/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/image_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graft/dm_verity.h"
#include "graft/fs_verity.h"
#include "graft/loop.h"
#include "graft/mount_api.h"
#include "graft/mount_table.h"

#define SCRATCH_DIR "/run"
#define MOUNT_DIR "/run/bsi/mount"
#define LOOP_NODE "/run/bsi/loop" /* of the device below a sealed one */
#define CONTROL_NODE "/run/bsi/control"
#define SOURCE_MAX                                                                                 \
	(sizeof MOUNT_SOURCE_PREFIX + sizeof "fs-verity" + GRAFT_COMPONENT_MAX + 1 + DIGEST_HEX_LEN)
_Static_assert(SOURCE_MAX < 256, "fsconfig takes strings up to 255 bytes");
_Static_assert(GRAFT_SALT_BYTES == VERITY_SALT_BYTES, "one salt");

/* One image on its way to a mount. */
struct mounting {
	const struct graft_host *host;
	const struct graft_layer *layer;
	char source[SOURCE_MAX]; /* in the manner of the way that is tried */
	int fs_fd;               /* a context with the superblock made; -EBADF until then */
	char message[256];       /* what the file system said when it failed */
};

int image_mount_prepare(struct error *reterr)
{
	static const char *const folders[] = {"/run/bsi", "/run/bsi/image", "/run/bsi/image/fs-verity",
		"/run/bsi/image/dm-verity", MOUNT_DIR};
	int r = 0;

	/* Not nodev: nodes of devices are made here under the image's name. */
	if (mount("bsi", SCRATCH_DIR, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0700,size=1m") < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
		r = mkdir(folders[i], 0700) < 0 ? -errno : 0;
	return r < 0 ? error_set(reterr, r, "scratch space on %s: %s", SCRATCH_DIR, error_text(r))
		     : 0;
}

int image_mount_open_control(void)
{
	return verity_open_control(CONTROL_NODE);
}

static void name_source(struct mounting *m, enum graft_seal seal)
{
	(void)snprintf(m->source, sizeof m->source, MOUNT_SOURCE_PREFIX "%s%s%s-%s",
		seal == GRAFT_MEASURED ? "" : graft_seal_text(seal),
		seal == GRAFT_MEASURED ? "" : "/", m->layer->component,
		digest_format(&m->layer->digest).text);
}

static int unsealed(const struct graft_layer *layer, const char *why, struct error *reterr)
{
	return error_set(reterr, -BSI_E_UNSEALED, "the image of component %s: %s", layer->component,
		why);
}

/* A context with the superblock made from what lies at source. */
static int make_superblock(struct mounting *m)
{
	AUTO_CLOSE int fs_fd = mount_api_open("erofs");
	int r;

	m->message[0] = '\0';
	if (fs_fd < 0)
		return fs_fd;
	r = mount_api_config(fs_fd, MOUNT_API_SET_STRING, "source", m->source);
	if (r == 0) /* or a read-only device is opened for writing */
		r = mount_api_config(fs_fd, MOUNT_API_SET_FLAG, "ro", NULL);
	if (r == 0)
		r = mount_api_config(fs_fd, MOUNT_API_CREATE, NULL, NULL);
	if (r < 0) {
		mount_api_message(fs_fd, m->message, sizeof m->message);
		return r;
	}
	m->fs_fd = take_fd(&fs_fd);
	return 0;
}

static int from_file(struct mounting *m)
{
	char link[64];

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", m->layer->image_fd);
	if ((unlink(m->source) < 0 && errno != ENOENT) || symlink(link, m->source) < 0)
		return -errno;
	return make_superblock(m);
}

static int from_loop(struct mounting *m)
{
	AUTO_CLOSE int loop_fd = -EBADF; /* held until the superblock holds the device */
	int r = loop_open(m->source, m->layer->image_fd, &loop_fd, NULL);

	if (r < 0) {
		(void)snprintf(m->message, sizeof m->message, "no loop device");
		return r;
	}
	return make_superblock(m);
}

static int by_dm_verity(struct mounting *m, struct error *reterr)
{
	const struct graft_proof *proof = m->layer->proof;
	AUTO_CLOSE int control_fd = image_mount_open_control();
	AUTO_CLOSE int loop_fd = -EBADF;
	AUTO_CLOSE int device_fd = -EBADF; /* both held until the superblock holds the device */
	struct verity_device device = {.component = m->layer->component,
		.image = &m->layer->digest,
		.root = &proof->root,
		.salt = proof->salt,
		.tree_offset = proof->tree_offset};
	int r;

	if (control_fd < 0)
		return error_set(reterr, control_fd, "this kernel has no dm-verity (%s)",
			error_text(control_fd));
	r = loop_open(LOOP_NODE, m->layer->image_fd, &loop_fd, &device.loop_number);
	if (r < 0)
		return error_set(reterr, r, "no loop device for dm-verity (%s)", error_text(r));
	r = verity_open(control_fd, &device, m->source, &device_fd, reterr);
	if (r < 0)
		return r;
	r = make_superblock(m);
	return r < 0 ? error_set(reterr, r, "its device cannot be mounted: %s", error_text(r)) : 0;
}

/* A seal is for good: it is not made for a kernel that then cannot mount the file as it is. */
static int seal_file(struct mounting *m, struct error *reterr)
{
	int r = fs_verity_probe(m->layer->image_fd) == 0 ? from_file(m) : 0;

	auto_closep(&m->fs_fd);
	if (r < 0)
		return error_set(reterr, r, "it cannot be mounted from its file: %s", error_text(r));
	return fs_verity_seal(m->layer->image_fd, &m->layer->proof->fs_verity, reterr);
}

int image_mount_seal(const struct graft_host *host, const struct graft_layer *layer,
	struct error *reterr)
{
	struct mounting m = {.host = host, .layer = layer, .fs_fd = -EBADF};
	struct error why = {0};
	int r;

	if (!layer->proof || layer->image_fd < 0)
		return 0;
	name_source(&m, GRAFT_FS_VERITY);
	r = seal_file(&m, &why);
	/* what cannot be sealed so is no error here: the mount finds another way */
	return r == -BSI_E_UNSEALED ? unsealed(layer, why.text, reterr) : 0;
}

static int by_fs_verity(struct mounting *m, int (*from)(struct mounting *m), struct error *reterr)
{
	int r = from == from_file ?
		seal_file(m, reterr) :
		fs_verity_seal(m->layer->image_fd, &m->layer->proof->fs_verity, reterr);

	if (r < 0)
		return r;
	r = from(m);
	return r < 0 ? error_set(reterr, r, "its sealed file cannot be mounted: %s", error_text(r))
		     : 0;
}

/* One way to mount an image. */
struct way {
	enum graft_seal seal;
	bool is_loop;
};

/*
 * The order of preference. A sealed file needs no device at all, where the kernel mounts files
 * (6.12); where it takes a loop device anyway, dm-verity checks what comes out of it.
 */
static const struct way ways[] = {
	{GRAFT_FS_VERITY, false},
	{GRAFT_DM_VERITY, true},
	{GRAFT_FS_VERITY, true},
	{GRAFT_MEASURED, false},
	{GRAFT_MEASURED, true},
};

static bool is_open(const struct mounting *m, const struct way *way)
{
	if (way->seal == GRAFT_MEASURED)
		return !(m->layer->flags & GRAFT_LAYER_SEALED) &&
		       (way->is_loop || !(m->host->flags & GRAFT_HOST_LOOP));
	return m->layer->proof && (way->is_loop || !(m->host->flags & GRAFT_HOST_LOOP));
}

static int go(struct mounting *m, const struct way *way, struct error *reterr)
{
	name_source(m, way->seal);
	switch (way->seal) {
	case GRAFT_DM_VERITY:
		return by_dm_verity(m, reterr);
	case GRAFT_FS_VERITY:
		return by_fs_verity(m, way->is_loop ? from_loop : from_file, reterr);
	case GRAFT_MEASURED:
	case GRAFT_SEAL_MAX:
	default:
		return way->is_loop ? from_loop(m) : from_file(m);
	}
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

/*
 * The first way that leads to a superblock. An image that does not agree with its proof gets none:
 * only what a kernel lacks is a reason to try the next way.
 */
static int find_way(struct mounting *m, const struct way **ret, struct error *reterr)
{
	struct error why[GRAFT_SEAL_MAX] = {{0}};
	int r = -BSI_E_UNSEALED;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!is_open(m, &ways[i]))
			continue;
		r = go(m, &ways[i], &why[ways[i].seal]);
		if (r == 0) {
			*ret = &ways[i];
			return 0;
		}
		if (r == -BSI_E_UNSEALED)
			return unsealed(m->layer, why[ways[i].seal].text, reterr);
		/* what a kernel cannot mount from a file it can from a loop device, and no other */
		if (ways[i].seal == GRAFT_MEASURED && r != -ENOTBLK)
			break;
	}
	if (m->layer->flags & GRAFT_LAYER_SEALED)
		return error_set(reterr, -BSI_E_UNSEALED,
			"the image of component %s can have no seal of the kernel: %s; %s",
			m->layer->component, why[GRAFT_DM_VERITY].text, why[GRAFT_FS_VERITY].text);
	return mount_error(m->layer, r, m->message, reterr);
}

int image_mount(const struct graft_host *host, const struct graft_layer *layer, int *ret_root_fd,
	struct graft_report *report, struct error *reterr)
{
	struct mounting m = {.host = host, .layer = layer, .fs_fd = -EBADF};
	AUTO_CLOSE int fs_fd = -EBADF;
	AUTO_CLOSE int mount_fd = -EBADF;
	AUTO_CLOSE int dir_fd = -EBADF;
	const struct way *way = NULL;
	int r = find_way(&m, &way, reterr);

	if (r < 0)
		return r;
	fs_fd = m.fs_fd;
	mount_fd = mount_api_mount(fs_fd, MOUNT_API_RDONLY | MOUNT_API_NODEV);
	if (mount_fd < 0)
		return mount_error(layer, mount_fd, "", reterr);
	/* Before Linux 6.15 only what is mounted in one's own namespace can be cloned. */
	dir_fd = open(MOUNT_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = dir_fd < 0 ? -errno : mount_api_move(mount_fd, dir_fd);
	if (r < 0)
		return mount_error(layer, r, "", reterr);
	report->loop |= way->is_loop;
	report->n_images[way->seal]++;
	*ret_root_fd = take_fd(&mount_fd);
	return 0;
}
