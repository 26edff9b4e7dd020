/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refuse CALL=ERROR[,CALL=ERROR...] COMMAND [ARGUMENT...]: the command on a kernel that lacks
 * something. A seccomp filter answers the named system calls with the error that such a kernel
 * gives; the program itself, and all else of the kernel, is real.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULES_MAX 8
#define EXIT_BAD_USAGE 99

struct name {
	const char *text;
	long number;
};

static const struct name calls[] = {
	{"fsopen", SYS_fsopen},
	{"fsconfig", SYS_fsconfig},
	{"fsmount", SYS_fsmount},
	{"open_tree", SYS_open_tree},
	{"move_mount", SYS_move_mount},
	{"mount_setattr", SYS_mount_setattr},
	{"openat2", SYS_openat2},
};

static const struct name errors[] = {
	{"ENODEV", ENODEV},
	{"ENOSYS", ENOSYS},
	{"EPERM", EPERM},
};

static long look_up(const struct name *names, size_t n_names, const char *text, size_t len)
{
	for (size_t i = 0; i < n_names; i++)
		if (strlen(names[i].text) == len && memcmp(names[i].text, text, len) == 0)
			return names[i].number;
	return -1;
}

int main(int argc, char **argv)
{
	struct sock_filter code[2 * RULES_MAX + 2];
	struct sock_fprog program = {.filter = code};
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		(unsigned)offsetof(struct seccomp_data, nr));
	for (const char *at = argc > 2 ? argv[1] : ""; *at;) {
		size_t len = strcspn(at, "="), rest = strcspn(at, ",");
		long call = look_up(calls, sizeof calls / sizeof *calls, at, len), error = -1;

		if (len < rest)
			error = look_up(errors, sizeof errors / sizeof *errors, at + len + 1,
				rest - len - 1);
		if (call < 0 || error < 0 || n > 2 * RULES_MAX)
			break;
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call,
			0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
			SECCOMP_RET_ERRNO | (unsigned)error);
		at += rest;
		if (*at == ',')
			at++;
		if (*at == '\0') {
			code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
				SECCOMP_RET_ALLOW);
			program.len = n;
		}
	}
	if (program.len == 0) {
		fprintf(stderr, "refuse CALL=ERROR[,CALL=ERROR...] COMMAND [ARGUMENT...]\n");
		return EXIT_BAD_USAGE;
	}
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		perror("refuse: a filter");
		return EXIT_BAD_USAGE;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return EXIT_BAD_USAGE;
}
