/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ANCESTORS_MAX 256

/* Of /proc/PID/stat, counted from 1 at the process id; the second one is the name. */
#define FIELD_NAME 2
#define FIELD_PARENT 4
#define FIELD_START 22

int process_parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (digit > max || value > (max - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*ret = value;
	return 0;
}

/* The n-th field behind the blank-separated one at `at`; NULL if there are fewer. */
static const char *skip_fields(const char *at, int n)
{
	for (; at && n > 0; n--) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at;
}

int process_parse(const char *text, struct process *ret)
{
	/* the name stands in brackets, and may hold blanks and brackets itself */
	const char *name = strchr(text, '('), *end = strrchr(text, ')');
	const char *parent_at = skip_fields(end, FIELD_PARENT - FIELD_NAME);
	const char *start_at = skip_fields(end, FIELD_START - FIELD_NAME);
	struct process p = {0};
	uint64_t pid, parent;

	if (!name || !start_at || end < name || (size_t)(end - name - 1) >= sizeof p.name ||
		process_parse_number(text, INT32_MAX, &pid) < 0 ||
		process_parse_number(parent_at, INT32_MAX, &parent) < 0 ||
		process_parse_number(start_at, UINT64_MAX, &p.start_ticks) < 0)
		return -EINVAL;
	memcpy(p.name, name + 1, (size_t)(end - name - 1));
	p.pid = (pid_t)pid;
	p.parent = (pid_t)parent;
	*ret = p;
	return 0;
}

int process_read(pid_t pid, struct process *ret)
{
	char path[64], text[1024];
	AUTO_CLOSE int fd = -EBADF;
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, sizeof text - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return process_parse(text, ret);
}

bool process_is_ancestor(pid_t pid)
{
	struct process p = {.parent = getppid()};

	for (int i = 0; i < ANCESTORS_MAX && p.parent > 0; i++) {
		if (p.parent == pid)
			return true;
		if (process_read(p.parent, &p) < 0)
			return false;
	}
	return false;
}
