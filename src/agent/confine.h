/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/*
 * Rights that a process gives up for good before it touches bytes from outside. A set of them holds
 * on every kernel: it has only the descriptors that it was given and can open no other, neither
 * file nor socket (its limit of descriptors is 0); it is another user without capabilities; it
 * cannot fork; memory, length of files and processor time are limited; it ends with its parent.
 * Where the kernel and the service let it, what is left can do less: no network, no path at all
 * (Landlock), no system call but a handful (call_filter.h).
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/error.h"

/* Made by sysusers.d. */
#define CONFINE_USER "bsi-decode"
/* Where that user is missing: the last number below nobody's, which belongs to nobody. */
#define CONFINE_SPARE_ID 65533

/* A build for a sanitizer: its shadow of all memory has no limit, and its reports want files. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE_IS_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define CONFINE_IS_INSTRUMENTED 1
#endif
#endif
#ifndef CONFINE_IS_INSTRUMENTED
#define CONFINE_IS_INSTRUMENTED 0
#endif

struct confine_limits {
	uint64_t memory_bytes; /* of address space, beyond what the process has when it begins */
	uint64_t file_bytes;   /* no file becomes longer than this by its writing */
	uint64_t processor_s;
};

struct confine_identity {
	uid_t uid;
	gid_t gid;
};

/* Who a confined process is: CONFINE_USER of this system's own list, or the spare number. */
struct confine_identity confine_identity(void);

/*
 * For the only thread of a child of parent.
 *
 * @who  taken where the process is root; another one has nothing to give up, and stays who it is
 * @fds  n_fds descriptors to keep, ascending
 *
 * 0, or an -errno with the words of what could not be given up: then nothing may be begun.
 */
int confine(const struct confine_identity *who, const struct confine_limits *limits, const int *fds,
	size_t n_fds, pid_t parent, struct error *reterr) MUST_CHECK;
