/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * The one function that changes what is attached: attach, exchange and off are all "make it so".
 * It never looks at digests of files and never decides: the caller matched the base files, and
 * measured the images through the very descriptors that it passes.
 *
 * Design and kernel facts: docs/design-graft.md.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "graft/host.h"
#include "graft/seal.h"

#define GRAFT_FILES_MAX 4096       /* in one change; each costs a descriptor or two */
#define GRAFT_COMPONENT_MAX 100    /* bytes of a name: it is part of the mount's source */

struct graft_file {
	const char *path; /* below root and in the image alike: "usr/lib/x" */
	int base_fd;      /* the matched base file, opened in a base view; only its identity is used */
	bool privileged;  /* setuid, setgid or file capabilities: mounted without nosuid */
};

#define GRAFT_SALT_BYTES 32

/* What was signed of an image, so that the kernel can check it (docs/formats/manifest.md). */
struct graft_proof {
	struct digest root; /* of the hash tree */
	uint8_t salt[GRAFT_SALT_BYTES];
	uint64_t tree_offset;    /* of its superblock */
	struct digest fs_verity; /* of the whole file */
};

enum graft_layer_flags {
	GRAFT_LAYER_SEALED = 1 << 0, /* not without a seal of the kernel */
};

struct graft_layer {
	const char *component; /* [a-z0-9.+-] */
	struct digest digest;  /* of the image, its name */
	int image_fd;          /* open for reading; -1 is fine while nothing of it must be mounted */
	const struct graft_proof *proof; /* NULL: it can be measured only */
	enum graft_layer_flags flags;
	const struct graft_file *files; /* providers before their users */
	size_t n_files;
};

struct graft_report {
	size_t n_attached;  /* files that were base before */
	size_t n_exchanged; /* files that were of another image before */
	size_t n_off;       /* files that are base now */
	size_t n_kept;      /* files that were right already */
	size_t n_below;     /* older mounts that had to stay beneath ours: they go with off */
	size_t n_hidden;    /* mounts of ours that could not go: somebody's own mount lies on them */
	size_t n_unshared;  /* attached files whose parent mount is not shared: other namespaces do not follow */
	bool loop;          /* an image is mounted through a loop device */
	size_t n_images[GRAFT_SEAL_MAX]; /* that were mounted now, by what checks their reads */
	uint64_t prepare_us; /* before the moment: images mounted, files cloned */
	uint64_t push_us;    /* the moment: all new files moved on */
	uint64_t beneath_us; /* old ones taken away from beneath the new ones */
	uint64_t off_us;     /* files taken off */
	uint64_t work_us;    /* processor time of push, beneath and off together */
};

/* How many files a change left covered. */
static inline size_t graft_report_covered(const struct graft_report *r)
{
	return r->n_attached + r->n_exchanged + r->n_kept;
}

/*
 * Make what is attached equal to want, in one change; n_want == 0 takes everything off. What is
 * right already stays untouched, so repeating is free, and repeating after a kill converges.
 *
 * A step that fails before or while files are moved on is taken back in reverse: then everything
 * is as it was. Errors, with the file named:
 *   -BSI_E_MISMATCH     the host's file is not the one behind base_fd (replaced since the match)
 *   -BSI_E_UNSUPPORTED  this kernel cannot mount the image
 *   -BSI_E_FORMAT       the image lacks the file, or it is no regular file there
 *   -BSI_E_PATH, -BSI_E_LIMIT  a malformed request
 *   -BSI_E_UNSEALED     the image is not the signed one, or must have a seal of the kernel and gets none
 *   -BSI_E_PRIVILEGE    not root
 *   -ENOSPC             a mount namespace is full (fs.mount-max); the words name a process in it
 * An old mount that could not be unmounted is an error too, but then the rest of the change holds.
 * ret (may be NULL) is filled in any case.
 */
int graft_change(const struct graft_host *host, const struct graft_layer *want, size_t n_want,
	struct graft_report *ret, struct error *reterr) MUST_CHECK;
