/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/call_filter.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>

/* Tried on these. On others the calls that take these arguments may be other ones. */
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE

#define LOAD(member)                                                                               \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, member))
#define MASK(bits) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)(bits))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (uint32_t)(action))
/* Goes on behind the next `skip` lines unless the value is k. */
#define UNLESS(k, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), 0, skip)

#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define REFUSE RETURN(SECCOMP_RET_ERRNO | EPERM)

/* The number is loaded before and after each of these. */
#define CALL(name) UNLESS(SYS_##name, 1), ALLOW
/* Only where these bits of an argument (its low half, where they all are) have this value. */
#define CALL_WITH(name, arg, bits, value)                                                          \
	UNLESS(SYS_##name, 5), LOAD(args[arg]), MASK(bits), UNLESS(value, 1), ALLOW, REFUSE

static const struct sock_filter program[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),

	/* what is open */
	CALL(pread64),
	CALL(pwrite64),
	CALL(write),

	/* memory: its own, of no file, never executable */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL_WITH(mprotect, 2, PROT_EXEC, 0),
	UNLESS(SYS_mmap, 8),
	LOAD(args[2]),
	MASK(PROT_EXEC),
	UNLESS(0, 4),
	LOAD(args[3]),
	MASK(MAP_ANONYMOUS | MAP_TYPE),
	UNLESS(MAP_ANONYMOUS | MAP_PRIVATE, 1),
	ALLOW,
	REFUSE,

	/* a lock is left; nobody else is there to wait for */
	CALL_WITH(futex, 1, FUTEX_CMD_MASK, FUTEX_WAKE),

	/* the end, and the way back from a signal's handler */
	CALL(exit_group),
	CALL(exit),
	CALL(rt_sigreturn),
	REFUSE,
};

int call_filter_install(void)
{
	struct sock_fprog filter = {.len = (unsigned short)(sizeof program / sizeof program[0])};

	/* the kernel reads it only */
	filter.filter = (struct sock_filter *)(uintptr_t)program;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 ? -errno : 0;
}

#else

int call_filter_install(void)
{
	return -ENOSYS;
}

#endif
