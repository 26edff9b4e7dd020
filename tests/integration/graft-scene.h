/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The stage for tests with real mounts: a mount namespace of its own, in it an overlay over the
 * machine's /usr that takes the writes, and a shared / as systemd makes it. There the tests attach
 * images (made by mkfs.erofs, and sealed as ours are) over files of a small base in /usr/lib/bsi-scene. Nothing of it
 * reaches the machine. Output is TAP.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "graft/change.h"

#define SCENE_DIR "usr/lib/bsi-scene"
#define SCENE_FILES_MAX 300
#define SCENE_VERSIONS_MAX 3 /* version 0 is the base */

struct scene {
	char work[64]; /* directory on the machine's disk: images, scratch */
	int host_fd;   /* the namespace that plays the host */
	size_t n_files;
	int image_fd[SCENE_VERSIONS_MAX];
	struct digest image_digest[SCENE_VERSIONS_MAX];
	struct graft_proof image_proof[SCENE_VERSIONS_MAX];
	char paths[SCENE_FILES_MAX][64]; /* "usr/lib/bsi-scene/f000" */
};

/* Skip the whole program (exit 0, "1..0 # SKIP") unless it may and can mount. */
void scene_require_root(void);

/* Leave the machine: new namespace, overlay on /usr, shared /. Needs one thread. */
void scene_open(struct scene *scene);
/* n files of the base, and an image of each further version; each file says "vV fNNN\n". */
void scene_make_files(struct scene *scene, size_t n_files);
/* An image of everything below dir, its hash tree behind it, left open for reading. */
int scene_make_image(struct scene *scene, const char *dir, const char *name, struct digest *ret,
	struct graft_proof *ret_proof);
void scene_close(struct scene *scene);

struct graft_host scene_host(const struct scene *scene);

/*
 * Attach the first n files of that version; version 0 takes all off. As the engine does it: a
 * child in a private base view opens the base files and calls graft_change().
 */
int scene_change(const struct scene *scene, size_t version, size_t n_files,
	struct graft_report *ret, struct error *reterr);
/* The same with layers of one's own, whose base_fd are filled in here. */
int scene_change_layers(const struct graft_host *host, const struct graft_layer *layers,
	size_t n_layers, struct graft_report *ret, struct error *reterr);

/* The version that path shows here: 0.., or -1 if it cannot be read. */
int scene_version_at(const char *path);

/* Run a program without shell; its exit status, or 128 + signal. */
int scene_run(const char *const argv[]);
void scene_write_file(const char *path, const char *text, mode_t mode);
bool scene_has(const char *program);

/* TAP */
void tap_plan_end(void); /* prints the plan; exit status by tap_exit_status() */
int tap_exit_status(void);
bool tap_ok(bool passed, const char *fmt, ...) PRINTF_LIKE(2, 3);
void tap_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
void tap_skip(const char *what, const char *reason);
/* For what must hold for a test to make sense at all. */
_Noreturn void tap_bail(const char *fmt, ...) PRINTF_LIKE(1, 2);
