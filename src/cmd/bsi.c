/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bsi, the launcher: a static program that moves into a base view and runs the engine there, on
 * base libraries. So a broken libc or libcrypto in an improvement never disables the command that
 * takes it off. Needs nothing but libc. It does itself what must work while packages are half
 * installed: `bsi base -- COMMAND`, `bsi detach`, and dpkg's hooks; and it knows where the engine
 * lies.
 *
 * An ordinary user cannot make a base view; the engine then runs as it is, and only shows what
 * everybody may see.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft/base_view.h"
#include "graft/held.h"
#include "graft/inventory.h"
#include "graft/lift.h"
#include "graft/package_request.h"
#include "graft/package_work.h"

#define ENGINE "libexec/bsi/bsi-engine"
#define RUN_DIR "/run/bsi"
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_PRIVILEGE 3
#define EXIT_HELD 10 /* data/dpkg.cfg.in knows it, too */
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

/* The engine with these arguments, in a base view. */
static int run_engine(int argc, char **argv)
{
	char engine[PATH_MAX], namespace[32] = "--host-namespace=";
	char **arguments;
	int host_ns_fd = -1, r;

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
		if (r < 0 && r != -EPERM && r != -EBUSY) {
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

/* What to do about a right that is missing. */
static const char *remedy(int r)
{
	if (r == -EPERM && geteuid() != 0)
		return "run it as root";
	if (r == -EPERM || r == -EBUSY)
		return "this is root of a container: run it on the machine";
	return "'bsi doctor' says more";
}

/* For a verb of the launcher's own: what was asked for goes to standard output. */
static int usage(int argc, char **argv, const char *text)
{
	bool is_asked = argc == 3 && strcmp(argv[2], "--help") == 0;

	fputs(text, is_asked ? stdout : stderr);
	return is_asked ? EXIT_SUCCESS : EXIT_USAGE;
}

/* bsi base [--follow] [--lenient] [--] COMMAND [ARGUMENT...] */
static int run_in_base_view(int argc, char **argv)
{
	enum base_view_flags flags = BASE_VIEW_PRIVATE;
	bool is_lenient = false;
	int at = 2, r;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (strcmp(argv[at], "--follow") == 0)
			flags = BASE_VIEW_SLAVE;
		else if (strcmp(argv[at], "--lenient") == 0)
			is_lenient = true;
		else
			break;
	}
	if (at < argc && strcmp(argv[at], "--") == 0)
		at++;
	else if (at < argc && argv[at][0] == '-')
		at = argc;
	if (at >= argc)
		return usage(argc, argv,
			"Usage: bsi base [--follow] [--lenient] -- COMMAND [ARGUMENTS]\n\n"
			"Runs COMMAND with /usr as the base has it, under whatever is attached.\n"
			"With --follow, what the host mounts later arrives there too.\n"
			"With --lenient, COMMAND runs as it is where no namespace can be made.\n"
			"The exit status is the command's. See bsi(1).\n");
	r = base_view_enter(flags, NULL);
	if (r < 0 && !((r == -EPERM || r == -EBUSY) && is_lenient)) {
		fprintf(stderr, "bsi: base: a mount namespace of its own cannot be made: %s; %s\n",
			strerror(-r), remedy(r));
		return EXIT_PRIVILEGE;
	}
	run(argv + at);
}

/*
 * Go where improvements are attached: the mount namespace of process 1. Hooks and maintainer
 * scripts may run in another one (below apt's wrapper they do). Nothing to do where process 1 lives
 * here, or has another root than we have: then this is a chroot, and its mounts are none of ours.
 */
enum host_place { HOST_IS_HERE, HOST_JOINED, HOST_IS_ELSEWHERE };

static enum host_place join_host(void)
{
	AUTO_CLOSE int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
	struct stat here, there;

	if (fd < 0 || stat("/", &here) < 0 || stat("/proc/1/root", &there) < 0 ||
		here.st_dev != there.st_dev || here.st_ino != there.st_ino)
		return HOST_IS_ELSEWHERE;
	if (stat("/proc/self/ns/mnt", &here) == 0 && fstat(fd, &there) == 0 &&
		here.st_ino == there.st_ino)
		return HOST_IS_HERE;
	return setns(fd, CLONE_NEWNS) == 0 ? HOST_JOINED : HOST_IS_ELSEWHERE;
}

/* The component's name alone, of "COMPONENT-DIGEST". */
static int component_len(const char *name)
{
	const char *dash = strrchr(name, '-');

	return (int)(dash ? (size_t)(dash - name) : strlen(name));
}

static void say_held(const char *who, const struct held_image *image, const char *next)
{
	fprintf(stderr, "bsi: %s: %.*s is held: ", who, component_len(image->name), image->name);
	if (image->is_for_boot)
		fprintf(stderr, "it changes at the next boot; %s\n", next);
	else
		fprintf(stderr, "it is used by %s: close them, %s\n",
			image->users[0] ? image->users : "many programs", next);
}

/* Off, here, with what is held or without; *ret_held is the caller's. */
static int uncover(bool is_forced, struct held **ret_held)
{
	int r = 0;

	held_free(take_ptr(*ret_held));
	if (!is_forced)
		r = held_look(RUN_DIR, ret_held);
	return r < 0 ? r : lift_all(*ret_held);
}

/*
 * Off, here and on the host; what should be attached is not changed by it. What may not go under the
 * programs that run stays, unless the owner insists.
 */
static int detach(int argc, char **argv)
{
	bool is_forced = argc == 3 && strcmp(argv[2], "--force") == 0;
	AUTO(held) struct held *held = NULL;
	int r;

	if (argc != 2 && !is_forced)
		return usage(argc, argv,
			"Usage: bsi detach [--force]\n\n"
			"Takes everything off until the next 'bsi attach' or boot, but for what may not\n"
			"change under the programs that run. With --force that too. See bsi(1).\n");
	r = uncover(is_forced, &held);
	if (r == 0 && join_host() == HOST_JOINED)
		r = uncover(is_forced, &held);
	if (r < 0) {
		fprintf(stderr, "bsi: detach: %s; %s\n", strerror(-r), remedy(r));
		return r == -EPERM ? EXIT_PRIVILEGE : EXIT_FAILED;
	}
	/* what was true for everybody a moment ago */
	(void)unlink(RUN_DIR "/status.json");
	for (size_t i = 0; held && i < held->n_images; i++)
		say_held("detach", &held->images[i], "or insist with 'bsi detach --force'");
	return held && held->n_images > 0 ? EXIT_HELD : 0;
}

/* The first held image of which dpkg will replace a file, or may; NULL if there is none. */
static const struct held_image *find_in_the_way(const struct held *held)
{
	AUTO(mount_table) struct mount_table *table = NULL;

	if (held->n_images == 0)
		return NULL;
	if (mount_table_load("/proc/self/mountinfo", &table) < 0)
		return &held->images[0];
	for (size_t i = 0; i < table->n_rows; i++)
		if (held_has(held, &table->rows[i]) &&
			package_request_of(table->rows[i].point) != PACKAGE_REQUEST_ELSEWHERE)
			return held_find(held, &table->rows[i]);
	return NULL;
}

/*
 * Before dpkg works: off in its own mount namespace, where a mount is in its way. Below apt's wrapper
 * nothing is attached there, and the host stays as it is. What may not go under the programs that run
 * stays attached, and where dpkg would stop at it half-way, it is stopped before it begins.
 */
static int before_packages(void)
{
	AUTO(held) struct held *held = NULL;
	const struct held_image *in_the_way = NULL;
	bool is_attached = false;
	int r = base_view_is_covered(&is_attached), looked;

	/* a mount that stayed would stop dpkg half-way: the base wins */
	if (r == 0 && is_attached && (looked = held_look(RUN_DIR, &held)) < 0)
		fprintf(stderr, "bsi: before dpkg: who uses what is attached cannot be seen (%s), so it goes off\n",
			strerror(-looked));
	if (r == 0 && held)
		in_the_way = find_in_the_way(held);
	if (in_the_way) {
		say_held("before dpkg", in_the_way,
			"or replace its files all the same, as apt does: 'bsi base --follow -- dpkg ...'");
		return EXIT_HELD;
	}
	if (r == 0 && is_attached)
		r = package_work_begin(RUN_DIR);
	if (r == 0 && is_attached)
		r = lift_all(held);
	if (r < 0)
		fprintf(stderr, "bsi: before dpkg: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILED : 0;
}

/* bsi hook pre|post. Returns true if the engine has something to do: attach. */
static bool hook(int argc, char **argv, int *ret_status)
{
	const char *root = getenv("DPKG_ROOT");

	*ret_status = 0;
	if (argc != 3 || (strcmp(argv[2], "pre") != 0 && strcmp(argv[2], "post") != 0)) {
		*ret_status = usage(argc, argv,
			"Usage: bsi hook pre|post\n\n"
			"What dpkg calls before and after it changes packages. See bsi(1).\n");
		return false;
	}
	if (root && *root && strcmp(root, "/") != 0)
		return false; /* dpkg works on another system */
	if (strcmp(argv[2], "pre") == 0) {
		*ret_status = before_packages();
		return false;
	}
	(void)!package_work_end(RUN_DIR);
	/* nothing of what is attached was replaced, and nothing else is waited for */
	return join_host() != HOST_IS_ELSEWHERE && !inventory_is_true(RUN_DIR);
}

int main(int argc, char **argv)
{
	static char name[] = "bsi", attach[] = "attach", wait[] = "--wait";
	char *attach_arguments[] = {name, attach, wait, NULL};
	int status;

	if (argc > 1 && strcmp(argv[1], "base") == 0)
		return run_in_base_view(argc, argv);
	if (argc > 1 && strcmp(argv[1], "detach") == 0)
		return detach(argc, argv);
	if (argc > 1 && strcmp(argv[1], "hook") == 0)
		return hook(argc, argv, &status) ? run_engine(3, attach_arguments) : status;
	return run_engine(argc, argv);
}
