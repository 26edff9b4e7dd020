/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft-scene.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "graft/base_view.h"
#include "image/file_seal.h"
#include "image/tree.h"

static unsigned n_tests, n_failed;

bool tap_ok(bool passed, const char *fmt, ...)
{
	va_list args;

	n_tests++;
	n_failed += !passed;
	printf("%s %u - ", passed ? "ok" : "not ok", n_tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	(void)fflush(stdout);
	return passed;
}

void tap_note(const char *fmt, ...)
{
	va_list args;

	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	(void)fflush(stdout);
}

void tap_skip(const char *what, const char *reason)
{
	n_tests++;
	printf("ok %u - %s # SKIP %s\n", n_tests, what, reason);
	(void)fflush(stdout);
}

_Noreturn void tap_bail(const char *fmt, ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	(void)fflush(stdout);
	_exit(EXIT_FAILURE);
}

void tap_plan_end(void)
{
	printf("1..%u\n", n_tests);
	(void)fflush(stdout);
}

int tap_exit_status(void)
{
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int scene_run(const char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		/* Programs chatter on stdout, which is TAP here. */
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		tap_bail("%s: %s", argv[0], strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool scene_has(const char *program)
{
	return scene_run((const char *[]){"sh", "-c", "command -v \"$0\" >&2", program, NULL}) == 0;
}

void scene_require_root(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {
		printf("1..0 # SKIP needs root and mounts\n");
		exit(EXIT_SUCCESS);
	}
	if (!scene_has("mkfs.erofs")) {
		printf("1..0 # SKIP needs mkfs.erofs\n");
		exit(EXIT_SUCCESS);
	}
}

void scene_write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0)
		tap_bail("%s: %s", path, strerror(errno));
	(void)close(fd);
}

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		tap_bail("mkdir %s: %s", path, strerror(errno));
}

void scene_open(struct scene *scene)
{
	char options[256], path[128];

	*scene = (struct scene){.host_fd = -EBADF, .image_fd = {-EBADF, -EBADF, -EBADF}};
	(void)snprintf(scene->work, sizeof scene->work, "/var/tmp/bsi-scene-XXXXXX");
	if (!mkdtemp(scene->work) || chmod(scene->work, 0755) < 0)
		tap_bail("%s: %s", scene->work, strerror(errno));
	(void)snprintf(path, sizeof path, "%s/upper", scene->work);
	make_dir(path);
	(void)snprintf(path, sizeof path, "%s/overlay", scene->work);
	make_dir(path);

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		tap_bail("mount: %s", strerror(errno));
	(void)snprintf(options, sizeof options, "lowerdir=/usr,upperdir=%s/upper,workdir=%s/overlay",
		scene->work, scene->work);
	if (mount("scene", "/usr", "overlay", 0, options) < 0)
		tap_bail("overlay on /usr: %s", strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		tap_bail("mount: %s", strerror(errno));
	scene->host_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	make_dir("/" SCENE_DIR);
}

static int image_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	return file_pwrite_all(*(int *)ctx, data, len, offset);
}

static int image_read(void *ctx, uint64_t offset, void *data, size_t len)
{
	return file_pread_all(*(int *)ctx, data, len, offset);
}

/* The hash tree behind the image, and what would be signed of both. */
static int seal_image(const char *path, struct graft_proof *ret)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
	const struct image_sink sink = {&fd, image_write};
	const struct image_source source = {&fd, image_read};
	static const uint8_t salt[IMAGE_SALT_BYTES] = {5};
	AUTO(image_tree) struct image_tree *tree = NULL;
	uint8_t block[IMAGE_BLOCK_BYTES];
	struct image_seal seal;
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	int r = size < 0 ? -errno : image_tree_new((uint64_t)size, salt, &sink, &tree);

	for (off_t at = 0; r == 0 && at < size; at += (off_t)sizeof block) {
		r = file_pread_all(fd, block, sizeof block, (uint64_t)at);
		if (r == 0)
			r = image_tree_feed(tree, block, sizeof block);
	}
	if (r == 0)
		r = image_tree_finish(tree, &seal);
	if (r < 0)
		return r;
	*ret = (struct graft_proof){.root = seal.root, .tree_offset = seal.tree_offset};
	memcpy(ret->salt, salt, sizeof salt);
	return image_file_seal(&source, seal.image_bytes, &ret->fs_verity);
}

int scene_make_image(struct scene *scene, const char *dir, const char *name, struct digest *ret,
	struct graft_proof *ret_proof)
{
	char path[128];
	uint64_t size;
	int fd, r;

	(void)snprintf(path, sizeof path, "%s/%s", scene->work, name);
	if (scene_run((const char *[]){"mkfs.erofs", "--quiet", "-d0", "-T0",
		    "-Eforce-inode-extended,noinline_data",
		    "-U00000000-0000-0000-0000-000000000000", path, dir, NULL}) != 0)
		tap_bail("mkfs.erofs %s", path);
	r = seal_image(path, ret_proof);
	if (r < 0)
		tap_bail("the seal of %s: %s", path, error_text(r));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || file_digest(fd, ret, &size) < 0)
		tap_bail("%s: %s", path, strerror(errno));
	return fd;
}

static void make_version(struct scene *scene, size_t version)
{
	char tree[96], path[192], text[64], name[32];

	(void)snprintf(tree, sizeof tree, "%s/v%zu", scene->work, version);
	make_dir(tree);
	for (const char *part = SCENE_DIR; part; part = strchr(part + 1, '/')) {
		const char *end = strchr(part + 1, '/');

		(void)snprintf(path, sizeof path, "%s/%.*s", tree,
			(int)(end ? end - SCENE_DIR : (ptrdiff_t)strlen(SCENE_DIR)), SCENE_DIR);
		make_dir(path);
	}
	for (size_t i = 0; i < scene->n_files; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", tree, scene->paths[i]);
		(void)snprintf(text, sizeof text, "v%zu f%03zu\n", version, i);
		scene_write_file(path, text, 0644);
	}
	(void)snprintf(name, sizeof name, "v%zu.erofs", version);
	scene->image_fd[version] =
		scene_make_image(scene, tree, name, &scene->image_digest[version],
			&scene->image_proof[version]);
}

void scene_make_files(struct scene *scene, size_t n_files)
{
	char path[128], text[64];

	scene->n_files = n_files;
	for (size_t i = 0; i < n_files; i++) {
		(void)snprintf(scene->paths[i], sizeof scene->paths[i], SCENE_DIR "/f%03zu", i);
		(void)snprintf(path, sizeof path, "/%s", scene->paths[i]);
		(void)snprintf(text, sizeof text, "v0 f%03zu\n", i);
		scene_write_file(path, text, 0644);
	}
	for (size_t v = 1; v < SCENE_VERSIONS_MAX; v++)
		make_version(scene, v);
}

void scene_close(struct scene *scene)
{
	struct graft_host host = scene_host(scene);
	struct error error;

	(void)!graft_change(&host, NULL, 0, NULL, &error);
	for (size_t v = 0; v < SCENE_VERSIONS_MAX; v++)
		auto_closep(&scene->image_fd[v]);
	(void)umount2("/usr", MNT_DETACH);
	(void)!scene_run((const char *[]){"rm", "-rf", scene->work, NULL});
	auto_closep(&scene->host_fd);
}

struct graft_host scene_host(const struct scene *scene)
{
	return (struct graft_host){.mount_ns_fd = scene->host_fd, .root = "/"};
}

/* In a base view of its own: open the base files as the engine does, and change. */
static int change_in_view(const struct graft_host *host, const struct graft_layer *layers,
	size_t n_layers, struct graft_report *report, struct error *reterr)
{
	struct graft_layer *own = calloc(n_layers + 1, sizeof *own);
	int r = base_view_enter(BASE_VIEW_PRIVATE, NULL);

	if (r < 0 || !own)
		return error_set(reterr, r, "base view: %s", error_text(r));
	for (size_t i = 0; i < n_layers; i++) {
		struct graft_file *files = calloc(layers[i].n_files + 1, sizeof *files);

		own[i] = layers[i];
		own[i].files = files;
		for (size_t k = 0; files && k < layers[i].n_files; k++) {
			char path[1100];

			files[k] = layers[i].files[k];
			(void)snprintf(path, sizeof path, "%s/%s", host->root, files[k].path);
			files[k].base_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		}
	}
	return graft_change(host, own, n_layers, report, reterr);
}

int scene_change_layers(const struct graft_host *host, const struct graft_layer *layers,
	size_t n_layers, struct graft_report *ret, struct error *reterr)
{
	AUTO_CLOSE int out_fd = memfd_create("result", MFD_CLOEXEC);
	struct {
		int r;
		struct graft_report report;
		struct error error;
	} result = {0};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		result.r = change_in_view(host, layers, n_layers, &result.report, &result.error);
		_exit(file_write_all(out_fd, &result, sizeof result) < 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return error_set(reterr, -ECHILD, "the change was killed");
	if (pread(out_fd, &result, sizeof result, 0) != (ssize_t)sizeof result)
		return error_set(reterr, -EIO, "no result");
	if (ret)
		*ret = result.report;
	if (reterr)
		*reterr = result.error;
	return result.r;
}

int scene_change(const struct scene *scene, size_t version, size_t n_files,
	struct graft_report *ret, struct error *reterr)
{
	struct graft_host host = scene_host(scene);
	struct graft_file files[SCENE_FILES_MAX];
	struct graft_layer layer = {
		.component = "scene",
		.digest = scene->image_digest[version],
		.image_fd = scene->image_fd[version],
		.proof = &scene->image_proof[version],
		.files = files,
		.n_files = n_files,
	};

	for (size_t i = 0; i < n_files; i++)
		files[i] = (struct graft_file){.path = scene->paths[i], .base_fd = -EBADF};
	return scene_change_layers(&host, &layer, version == 0 ? 0 : 1, ret, reterr);
}

int scene_version_at(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4];

	if (fd < 0 || read(fd, text, sizeof text) < 2 || text[0] != 'v')
		return -1;
	return text[1] - '0';
}
