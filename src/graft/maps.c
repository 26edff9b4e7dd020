/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graft/maps.h"

#include <sys/sysmacros.h>

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

static bool skip_field(struct cursor *c)
{
	while (c->at < c->end && *c->at != ' ')
		c->at++;
	if (c->at == c->end)
		return false;
	c->at++;
	return true;
}

/* start-end rwxp offset major:minor inode      path */
bool map_row_parse(const char *line, size_t len, struct map_row *ret)
{
	struct cursor c = {line, line + len};
	struct map_row row = {0};
	uint64_t offset, major, minor;

	if (!take_number(&c, 16, '-', &row.start) || !take_number(&c, 16, ' ', &row.end) ||
		!skip_field(&c) || !take_number(&c, 16, ' ', &offset) ||
		!take_number(&c, 16, ':', &major) || !take_number(&c, 16, ' ', &minor) ||
		!take_number(&c, 10, '\0', &row.ino))
		return false;
	if (row.ino == 0 || row.end <= row.start || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	while (c.at < c.end && *c.at == ' ')
		c.at++;
	row.is_bare_root = c.end - c.at == 1 && *c.at == '/';
	row.dev = makedev((unsigned)major, (unsigned)minor);
	*ret = row;
	return true;
}
