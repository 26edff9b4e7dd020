/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/maps.h"

#include <string.h>
#include <sys/sysmacros.h>

/* Names that a process gives to its memory look like this; others in brackets are the kernel's. */
#define OWN_NAME "[anon"
#define PERMISSIONS_LEN 4 /* "r-xp" */

struct cursor {
	const char *at, *end;
};

static int digit_of(char c, unsigned base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* A number that ends before stop, or at the end of the line where stop is NUL. */
static bool take_number(struct cursor *c, unsigned base, char stop, uint64_t *ret)
{
	uint64_t value = 0;
	const char *first = c->at;

	for (; c->at < c->end; c->at++) {
		int digit = digit_of(*c->at, base);

		if (digit < 0)
			break;
		if (value > (UINT64_MAX - (uint64_t)digit) / base)
			return false;
		value = value * base + (uint64_t)digit;
	}
	if (c->at == first)
		return false;
	if (c->at == c->end)
		return stop == '\0' ? (*ret = value, true) : false;
	if (*c->at != (stop == '\0' ? ' ' : stop))
		return false;
	c->at++;
	*ret = value;
	return true;
}

/* "r-xp" and one blank. */
static bool take_permissions(struct cursor *c, bool *ret_is_executable)
{
	if (c->end - c->at <= PERMISSIONS_LEN || c->at[PERMISSIONS_LEN] != ' ')
		return false;
	*ret_is_executable = c->at[2] == 'x';
	c->at += PERMISSIONS_LEN + 1;
	return true;
}

static bool is_of_kernel(const struct map_row *row)
{
	return row->ino == 0 && row->path_len > 0 && row->path[0] == '[' &&
	       (row->path_len < sizeof OWN_NAME - 1 ||
		       memcmp(row->path, OWN_NAME, sizeof OWN_NAME - 1) != 0);
}

/* start-end rwxp offset major:minor inode      path */
bool map_row_parse(const char *line, size_t len, struct map_row *ret)
{
	struct cursor c = {line, line + len};
	struct map_row row = {0};
	uint64_t offset, major, minor;

	if (!take_number(&c, 16, '-', &row.start) || !take_number(&c, 16, ' ', &row.end) ||
		!take_permissions(&c, &row.is_executable) || !take_number(&c, 16, ' ', &offset) ||
		!take_number(&c, 16, ':', &major) || !take_number(&c, 16, ' ', &minor) ||
		!take_number(&c, 10, '\0', &row.ino))
		return false;
	if (row.end <= row.start || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	while (c.at < c.end && *c.at == ' ')
		c.at++;
	row.path = c.at;
	row.path_len = (size_t)(c.end - c.at);
	if (is_of_kernel(&row))
		return false;
	row.is_bare_root = row.path_len == 1 && *row.path == '/';
	row.dev = makedev((unsigned)major, (unsigned)minor);
	*ret = row;
	return true;
}
