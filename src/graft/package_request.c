/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/package_request.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "graft/package_work.h"
#include "graft/process.h"

#define LISTS "/var/lib/dpkg/info"
#define PACKAGE_MAX 256 /* bytes of a package's name with NUL */

static enum package_request worse(enum package_request a, enum package_request b)
{
	if (a == PACKAGE_REQUEST_HERE || b == PACKAGE_REQUEST_HERE)
		return PACKAGE_REQUEST_HERE;
	return a > b ? a : b;
}

/* dpkg may know the file by its name from before /lib became a link to /usr/lib. */
static bool is_same_path(const char *listed, size_t len, const char *path)
{
	static const char usr[] = "/usr";

	if (strlen(path) == len && memcmp(listed, path, len) == 0)
		return true;
	return strncmp(path, usr, sizeof usr - 1) == 0 && strlen(path) == len + sizeof usr - 1 &&
	       memcmp(listed, path + sizeof usr - 1, len) == 0;
}

static enum package_request look_in_list(const char *list, const char *path)
{
	enum package_request found = PACKAGE_REQUEST_ELSEWHERE;
	AUTO_FREE char *line = NULL;
	FILE *file = fopen(list, "re");
	size_t size = 0;
	ssize_t n;

	if (!file)
		return PACKAGE_REQUEST_UNTOLD;
	while (found == PACKAGE_REQUEST_ELSEWHERE && (n = getline(&line, &size, file)) > 0)
		if (is_same_path(line, (size_t)n - (line[n - 1] == '\n'), path))
			found = PACKAGE_REQUEST_HERE;
	(void)fclose(file);
	return found;
}

/* A package's name, perhaps with ":ARCHITECTURE", which is cut off: all of them are looked at. */
static bool is_package_name(char *name)
{
	char *colon = strchr(name, ':');

	if (colon)
		*colon = '\0';
	for (const char *at = name; *at; at++)
		if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) &&
			!strchr("+-.", *at))
			return false;
	return isalnum((unsigned char)name[0]);
}

/* Whether a file of the database is the list of a package, whatever its architecture. */
static bool is_list_of(const char *file, const char *name)
{
	static const char suffix[] = ".list";
	size_t len = strlen(file), name_len = strlen(name);

	return len >= name_len + sizeof suffix - 1 && strncmp(file, name, name_len) == 0 &&
	       strcmp(file + len - (sizeof suffix - 1), suffix) == 0 &&
	       (file[name_len] == ':' || len == name_len + sizeof suffix - 1);
}

static enum package_request of_package(char *name, const char *path)
{
	enum package_request found = PACKAGE_REQUEST_ELSEWHERE;
	char list[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	if (!is_package_name(name))
		return PACKAGE_REQUEST_UNTOLD;
	dir = opendir(LISTS);
	if (!dir)
		return PACKAGE_REQUEST_UNTOLD;
	while ((entry = readdir(dir))) {
		if (!is_list_of(entry->d_name, name))
			continue;
		(void)snprintf(list, sizeof list, LISTS "/%s", entry->d_name);
		found = worse(found, look_in_list(list, path));
	}
	(void)closedir(dir);
	return found;
}

/* The name in a .deb, as dpkg-deb tells it; "" if it does not. */
static void ask_archive(const char *archive, char ret[static PACKAGE_MAX])
{
	int pipe_fds[2], status = -1;
	ssize_t n, len = 0;
	pid_t pid;

	ret[0] = '\0';
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		(void)dup2(pipe_fds[1], STDOUT_FILENO);
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		(void)execlp("dpkg-deb", "dpkg-deb", "--field", archive, "Package", (char *)NULL);
		_exit(1);
	}
	(void)close(pipe_fds[1]);
	while (pid > 0 && len < PACKAGE_MAX - 1 &&
		(n = read(pipe_fds[0], ret + len, (size_t)(PACKAGE_MAX - 1 - len))) > 0)
		len += n;
	(void)close(pipe_fds[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0) {
		ret[len] = '\0';
		ret[strcspn(ret, "\n")] = '\0';
	} else {
		ret[0] = '\0';
	}
}

static enum package_request of_argument(const char *argument, bool is_archive, const char *path)
{
	char name[PACKAGE_MAX];

	if (is_archive)
		ask_archive(argument, name);
	else
		(void)snprintf(
			name, sizeof name, "%s", strlen(argument) < sizeof name ? argument : "");
	return of_package(name, path);
}

/* All arguments that are no options; none at all: dpkg takes what is pending, or reads a list. */
static enum package_request of_command(FILE *command, bool is_archive, const char *path)
{
	enum package_request found = PACKAGE_REQUEST_ELSEWHERE;
	AUTO_FREE char *argument = NULL;
	size_t size = 0, n_names = 0;
	bool has_options = true;

	if (getdelim(&argument, &size, '\0', command) < 0)
		return PACKAGE_REQUEST_UNTOLD;
	while (found != PACKAGE_REQUEST_HERE && getdelim(&argument, &size, '\0', command) > 0) {
		if (has_options && argument[0] == '-') {
			has_options = strcmp(argument, "--") != 0;
			/* its lists are not those that are looked at here */
			if (strncmp(argument, "--admindir", strlen("--admindir")) == 0)
				found = PACKAGE_REQUEST_UNTOLD;
			continue;
		}
		n_names++;
		found = worse(found, of_argument(argument, is_archive, path));
	}
	return n_names > 0 ? found : PACKAGE_REQUEST_UNTOLD;
}

enum package_request package_request_of(const char *path)
{
	static const char *const harmless[] = {
		"configure", "triggers-only", "add-architecture", "remove-architecture", NULL};
	const char *action = getenv("DPKG_HOOK_ACTION");
	enum package_request found = PACKAGE_REQUEST_UNTOLD;
	struct process dpkg;
	char command_path[64];
	FILE *command;
	bool is_archive;

	for (size_t i = 0; action && harmless[i]; i++)
		if (strcmp(action, harmless[i]) == 0)
			return PACKAGE_REQUEST_ELSEWHERE;
	if (!action || package_work_find_dpkg(&dpkg) < 0)
		return PACKAGE_REQUEST_UNTOLD;
	is_archive = strcmp(action, "install") == 0 || strcmp(action, "unpack") == 0;
	if (!is_archive && strcmp(action, "remove") != 0 && strcmp(action, "purge") != 0)
		return PACKAGE_REQUEST_UNTOLD;
	(void)snprintf(command_path, sizeof command_path, "/proc/%d/cmdline", (int)dpkg.pid);
	command = fopen(command_path, "re");
	if (command) {
		found = of_command(command, is_archive, path);
		(void)fclose(command);
	}
	return found;
}
