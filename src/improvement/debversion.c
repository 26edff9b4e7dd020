/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/debversion.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"

/* A version taken apart; nothing is copied. */
struct parts {
	const char *epoch, *upstream, *revision;
	size_t epoch_len, upstream_len, revision_len;
	bool has_epoch, has_revision;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct parts take_apart(const char *version)
{
	struct parts p = {.epoch = "", .revision = ""};
	const char *colon = strchr(version, ':'), *dash;

	if (colon) {
		p.has_epoch = true;
		p.epoch = version;
		p.epoch_len = (size_t)(colon - version);
		version = colon + 1;
	}
	p.upstream = version;
	p.upstream_len = strlen(version);
	dash = strrchr(version, '-');
	if (dash) {
		p.has_revision = true;
		p.upstream_len = (size_t)(dash - version);
		p.revision = dash + 1;
		p.revision_len = strlen(p.revision);
	}
	return p;
}

static bool is_made_of(const char *text, size_t len, const char *others)
{
	for (size_t i = 0; i < len; i++)
		if (!is_digit(text[i]) && !is_alpha(text[i]) && !strchr(others, text[i]))
			return false;
	return true;
}

/* dpkg keeps an epoch in an int. */
static bool is_valid_epoch(const char *text, size_t len)
{
	int value = 0;

	for (size_t i = 0; i < len; i++)
		if (!is_digit(text[i]) || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, text[i] - '0', &value))
			return false;
	return len > 0;
}

int debversion_check(const char *version)
{
	struct parts p;

	if (strnlen(version, DEBVERSION_MAX_BYTES + 1) > DEBVERSION_MAX_BYTES)
		return -BSI_E_FORMAT;
	p = take_apart(version);
	if (p.has_epoch && !is_valid_epoch(p.epoch, p.epoch_len))
		return -BSI_E_FORMAT;
	if (p.upstream_len == 0 || !is_digit(p.upstream[0]))
		return -BSI_E_FORMAT;
	if (!is_made_of(p.upstream, p.upstream_len, ".-+~:"))
		return -BSI_E_FORMAT;
	if (p.has_revision &&
		(p.revision_len == 0 || !is_made_of(p.revision, p.revision_len, ".+~")))
		return -BSI_E_FORMAT;
	return 0;
}

/* Where a byte sorts outside of numbers: '~', then the end, then letters, then the others. */
static int order(const char *text, size_t at, size_t len)
{
	unsigned char c = at < len ? (unsigned char)text[at] : '\0';

	if (at >= len || is_digit((char)c))
		return 0;
	if (c == '~')
		return -1;
	return is_alpha((char)c) ? c : c + 256;
}

/* Digits of any length as a number: the longer one without leading zeros is larger. */
static int compare_numbers(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int r;

	while (a_len > 0 && *a == '0')
		a++, a_len--;
	while (b_len > 0 && *b == '0')
		b++, b_len--;
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	r = a_len > 0 ? memcmp(a, b, a_len) : 0;
	return r;
}

static size_t count_digits(const char *text, size_t at, size_t len)
{
	size_t n = 0;

	while (at + n < len && is_digit(text[at + n]))
		n++;
	return n;
}

/* Alternating: a stretch without digits, byte by byte, then a number. */
static int compare_part(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t i = 0, j = 0;

	while (i < a_len || j < b_len) {
		size_t a_digits, b_digits;
		int r;

		while ((i < a_len && !is_digit(a[i])) || (j < b_len && !is_digit(b[j]))) {
			r = order(a, i, a_len) - order(b, j, b_len);
			if (r != 0)
				return r;
			i++, j++;
		}
		a_digits = count_digits(a, i, a_len);
		b_digits = count_digits(b, j, b_len);
		r = compare_numbers(a + i, a_digits, b + j, b_digits);
		if (r != 0)
			return r;
		i += a_digits;
		j += b_digits;
	}
	return 0;
}

int debversion_compare(const char *a, const char *b)
{
	struct parts p = take_apart(a), q = take_apart(b);
	int r;

	r = compare_numbers(p.epoch, p.epoch_len, q.epoch, q.epoch_len);
	if (r == 0)
		r = compare_part(p.upstream, p.upstream_len, q.upstream, q.upstream_len);
	if (r == 0)
		r = compare_part(p.revision, p.revision_len, q.revision, q.revision_len);
	return r;
}
