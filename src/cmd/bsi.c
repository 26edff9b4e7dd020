/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bsi, the launcher: a static program that moves into a base view and runs the engine there, on
 * base libraries. So a broken libc or libcrypto in an improvement never disables the command that
 * takes it off. Needs nothing but libc, and knows two things itself: `bsi base -- COMMAND`, and
 * where the engine lies.
 *
 * An ordinary user cannot make a base view; the engine then runs as it is, and only shows what
 * everybody may see.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graft/base_view.h"

#define ENGINE "libexec/bsi/bsi-engine"
#define EXIT_PRIVILEGE 3
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

/* Beside this program: /usr/bin/bsi has /usr/libexec/bsi/bsi-engine. */
static int engine_path(char out[static PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	for (unsigned up = 0; up < 2; up++) {
		slash = strrchr(self, '/');
		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	n = snprintf(out, PATH_MAX, "%s/" ENGINE, self);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static _Noreturn void run(char **argv)
{
	execvp(argv[0], argv);
	fprintf(stderr, "bsi: %s: %s\n", argv[0], strerror(errno));
	exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

/* bsi base [--follow] [--] COMMAND [ARGUMENT...] */
static int run_in_base_view(int argc, char **argv)
{
	enum base_view_flags flags = BASE_VIEW_PRIVATE;
	int at = 2, r;

	if (at < argc && strcmp(argv[at], "--follow") == 0) {
		flags = BASE_VIEW_SLAVE;
		at++;
	}
	if (at < argc && strcmp(argv[at], "--") == 0)
		at++;
	else if (at < argc && argv[at][0] == '-')
		at = argc;
	if (at >= argc) {
		fprintf(stderr, "Usage: bsi base [--follow] -- COMMAND [ARGUMENTS]\n\n"
				"Runs COMMAND with /usr as the base has it, under whatever is attached.\n"
				"With --follow, what the host mounts later arrives there too.\n"
				"The exit status is the command's. See bsi(1).\n");
		return 2;
	}
	r = base_view_enter(flags, NULL);
	if (r < 0) {
		fprintf(stderr, "bsi: base: a mount namespace of its own cannot be made: %s%s\n",
			strerror(-r), r == -EPERM ? "; run it as root" : "");
		return EXIT_PRIVILEGE;
	}
	run(argv + at);
}

int main(int argc, char **argv)
{
	char engine[PATH_MAX], namespace[32] = "--host-namespace=";
	char **arguments;
	int host_ns_fd = -1, r;

	if (argc > 1 && strcmp(argv[1], "base") == 0)
		return run_in_base_view(argc, argv);

	r = engine_path(engine);
	if (r < 0) {
		fprintf(stderr, "bsi: /proc/self/exe: %s\n", strerror(-r));
		return EXIT_CANNOT_RUN;
	}
	arguments = calloc((size_t)argc + 3, sizeof *arguments);
	if (!arguments) {
		fprintf(stderr, "bsi: %s\n", strerror(ENOMEM));
		return EXIT_CANNOT_RUN;
	}
	memcpy(arguments, argv, (size_t)argc * sizeof *arguments);
	arguments[0] = engine;

	if (geteuid() == 0) {
		r = base_view_enter(BASE_VIEW_PRIVATE, &host_ns_fd);
		/* a container without the right to mount: the engine says what does not work then */
		if (r < 0 && r != -EPERM) {
			fprintf(stderr, "bsi: no base view can be made: %s\n", strerror(-r));
			return EXIT_CANNOT_RUN;
		}
		if (r == 0) {
			(void)fcntl(host_ns_fd, F_SETFD, 0);
			(void)snprintf(namespace, sizeof namespace, "--host-namespace=%d", host_ns_fd);
			memmove(arguments + 2, arguments + 1, (size_t)argc * sizeof *arguments);
			arguments[1] = namespace;
		}
	}
	run(arguments);
}
