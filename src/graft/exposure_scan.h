/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* What the parts of exposure_scan() share. Nothing outside of this room includes it. */
#include "graft/exposure.h"

enum exposure_doubt {
	DOUBT_IMAGE,     /* a file of an image of ours, or of somebody else's */
	DOUBT_NAMESAKE,  /* called like a patched file */
	DOUBT_MEMORY,    /* executable, and a file of memory alone (memfd_create(2)) */
	DOUBT_DELETED,   /* executable, and its file has no name any more */
	DOUBT_ANONYMOUS, /* executable, and of no file */
};

/* What a process maps and only its content can tell. */
struct exposure_candidate {
	struct exposure_entry entry; /* the process; the rest is still open */
	enum exposure_doubt doubt;
	uint64_t start, end; /* the mapping; of memory without a file: where it may begin */
	dev_t dev;
	uint64_t ino;
	bool is_known_old; /* an image of ours for sure, whether it can be read or not */
	bool is_in_place;  /* a namesake that lies where a system has it */
	const struct exposure_target *namesake;
	char *where; /* its path as the kernel prints it; NULL where nobody asks */
};

/* A growing list of entries; the first -ENOMEM sticks in err. */
struct exposure_list {
	struct exposure_entry *entries;
	size_t n_entries, allocated;
	int err;
};

/* A copy of entry, with texts of its own; component and path may be NULL. */
void exposure_list_add(struct exposure_list *list, const struct exposure_entry *entry,
	const char *component, const char *path);
/* The same with a detail, which is made clean; words and where are joined. */
void exposure_list_add_detail(struct exposure_list *list, const struct exposure_entry *entry,
	const struct exposure_target *target, const char *words, const char *where);

/* pid, start, uid and name of the process behind an open /proc/PID. */
void exposure_identify(int process_fd, pid_t pid, struct exposure_entry *ret);

/* Tell candidates by their content and add those that are no current file. They are read in a
 * child with a deadline, since a file of an unknown file system may never answer. */
int exposure_resolve(const struct exposure_candidate *candidates, size_t n_candidates,
	const struct exposure_target *targets, size_t n_targets, struct exposure_list *list)
	MUST_CHECK;

/* Devices, as /proc/PID/maps shows them. */
struct exposure_devices {
	dev_t *devices;
	size_t n_devices, allocated;
};
bool exposure_devices_has(const struct exposure_devices *set, dev_t dev);
int exposure_devices_add(struct exposure_devices *set, dev_t dev) MUST_CHECK;

/*
 * Look at the mount table of each namespace: what images of ours are mounted (current: on the
 * host; old: only elsewhere), and in which namespaces an older file or the bare base is what a
 * program started there would use.
 */
int exposure_look_at_mounts(const struct graft_host *host, const struct exposure_target *targets,
	size_t n_targets, struct exposure_devices *ret_current, struct exposure_devices *ret_old,
	struct exposure_list *list, struct error *reterr) MUST_CHECK;
