/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Who still runs code that was replaced: the processes that map a replaced file. Files are known
 * by device and inode as the kernel prints them in /proc/PID/maps, never by path: after a change
 * the path of an old mapping says nothing. On file systems where maps and stat() disagree (btrfs
 * subvolumes) a mapping is confirmed through /proc/PID/map_files.
 *
 * Files of images that are no longer attached have device numbers that nobody recorded; they are
 * recognised as EROFS files of a detached mount, or by the mount table of a namespace that kept
 * them, and told apart by the digest of their content.
 *
 * Copies of a base file that lie elsewhere (a chroot, a container, memory alone) are told by their
 * content too. What cannot be told is said to be so, with the reason: nothing is guessed. Memory
 * that a compiler at run time fills is no reason, and neither is a program on a disk that was linked
 * statically: that it contains something is not seen from outside.
 *
 * The calling process itself is never listed: the engine runs on the base by design.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/digest.h"
#include "base/error.h"
#include "graft/host.h"

#define EXPOSURE_COMM_MAX 64 /* bytes with NUL; the kernel's own limit is 16, threads of it 64 */

enum exposure_kind {
	EXPOSURE_BASE,    /* a base file that is covered now; known by its descriptor */
	EXPOSURE_OLDER,   /* a file of an earlier image; known by its digest */
	EXPOSURE_CURRENT, /* a file of what is attached; known by its digest; never exposed */
	EXPOSURE_DEVICE,  /* any file of an attached image; known by its superblock: who uses it */
	EXPOSURE_COPY,    /* a base file's content, wherever it lies; known by its digest. Without a
			     target of this kind copies and memory are not looked at */
	EXPOSURE_UNKNOWN, /* of an entry alone: it may be old code, and cannot be told */
};

struct exposure_target {
	enum exposure_kind kind;
	const char *component, *path; /* borrowed; path below host->root */
	int fd;                       /* EXPOSURE_BASE: readable descriptor of the file, borrowed */
	struct digest digest;         /* OLDER, CURRENT, COPY: of the file's content */
	dev_t dev;                    /* EXPOSURE_DEVICE: graft_mount.dev */
};

/* One file that one process maps, or that the mount table of its namespace keeps. */
struct exposure_entry {
	pid_t pid;
	uint64_t start_ticks;         /* /proc/PID/stat, field 22: pid and this name a process */
	uid_t uid;
	char comm[EXPOSURE_COMM_MAX]; /* untrusted text, control bytes replaced */
	enum exposure_kind kind;
	char *component, *path;       /* NULL where nobody knows any more: an earlier image's file */
	char *detail;                 /* COPY: where it lies; UNKNOWN: why it cannot be told; else NULL.
					 Untrusted text, control bytes replaced */
	bool in_mounts;               /* not mapped: its namespace keeps an older mount, which programs
					 started there will use */
};

struct exposure_report {
	struct exposure_entry *entries; /* by pid, each (pid, target) once */
	size_t n_entries;
	size_t n_exposed;   /* different processes that map old code */
	size_t n_processes; /* looked at */
	size_t n_unknown;   /* others, of which it cannot be told */
	uint64_t scan_us;
};

/*
 * Look at every process in /proc. Processes that vanish meanwhile are no error; kernel threads
 * have no mappings. Without root most processes count as unknown.
 * host may be NULL: then mount tables of namespaces are not looked at.
 * The caller owns *ret; Returns 0 or -errno.
 */
int exposure_scan(const struct graft_host *host, const struct exposure_target *targets,
	size_t n_targets, struct exposure_report **ret, struct error *reterr) MUST_CHECK;
void exposure_report_free(struct exposure_report *report);
DEFINE_FREEP(exposure_report)
