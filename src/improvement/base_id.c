/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "improvement/base_id.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "improvement/os_release.h"

#define PARTS_MIN 3
#define PARTS_MAX 4

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* "id" and "arch" are the narrow kind, "version" and "image" the wide one. */
static const char narrow[] = LOWER DIGITS "._-";
static const char wide[] = LOWER UPPER DIGITS "._+~^-";

static bool is_valid_part(const char *part, size_t len, const char *alphabet)
{
	if (len == 0 || len > BASE_ID_PART_MAX_BYTES)
		return false;
	if (!strchr(LOWER UPPER DIGITS, part[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr(alphabet, part[i]))
			return false;
	return true;
}

static bool is_valid_text(const char *part, const char *alphabet)
{
	return part && is_valid_part(part, strlen(part), alphabet);
}

struct part {
	const char *at;
	size_t len;
};

/* The number of parts, or -BSI_E_FORMAT. */
static int split(const char *text, struct part parts[static PARTS_MAX])
{
	unsigned n = 0;

	if (strnlen(text, BASE_ID_MAX_BYTES + 1) > BASE_ID_MAX_BYTES)
		return -BSI_E_FORMAT;
	for (;;) {
		if (n == PARTS_MAX)
			return -BSI_E_FORMAT;
		parts[n] = (struct part){text, strcspn(text, ":")};
		text += parts[n].len;
		n++;
		if (*text == '\0')
			break;
		text++;
	}
	if (n < PARTS_MIN)
		return -BSI_E_FORMAT;
	for (unsigned i = 0; i < n; i++) {
		bool is_narrow = i == 0 || i == n - 1;

		if (!is_valid_part(parts[i].at, parts[i].len, is_narrow ? narrow : wide))
			return -BSI_E_FORMAT;
	}
	return (int)n;
}

int base_id_check(const char *text)
{
	struct part parts[PARTS_MAX];
	int n = split(text, parts);

	return n < 0 ? n : 0;
}

void base_id_free(struct base_id *base)
{
	if (!base)
		return;
	free(base->id);
	free(base->version);
	free(base->image);
	free(base->arch);
	free(base);
}

int base_id_parse(const char *text, struct base_id **ret)
{
	AUTO(base_id) struct base_id *base = NULL;
	struct part parts[PARTS_MAX], *arch;
	int n;

	n = split(text, parts);
	if (n < 0)
		return n;
	base = calloc(1, sizeof *base);
	if (!base)
		return -ENOMEM;
	arch = &parts[n - 1];
	base->id = strndup(parts[0].at, parts[0].len);
	base->version = strndup(parts[1].at, parts[1].len);
	base->arch = strndup(arch->at, arch->len);
	if (n == PARTS_MAX)
		base->image = strndup(parts[2].at, parts[2].len);
	if (!base->id || !base->version || !base->arch || (n == PARTS_MAX && !base->image))
		return -ENOMEM;
	*ret = take_ptr(base);
	return 0;
}

static int join(const char *id, const char *version, const char *image, const char *arch,
	char **ret)
{
	char *text;
	int n;

	if (!is_valid_text(id, narrow) || !is_valid_text(version, wide) ||
		!is_valid_text(arch, narrow) || (image && !is_valid_text(image, wide)))
		return -BSI_E_FORMAT;
	n = asprintf(&text, "%s:%s%s%s:%s", id, version, image ? ":" : "", image ? image : "",
		arch);
	if (n < 0)
		return -ENOMEM;
	if (n > BASE_ID_MAX_BYTES) {
		free(text);
		return -BSI_E_FORMAT;
	}
	*ret = text;
	return 0;
}

int base_id_format(const struct base_id *base, char **ret)
{
	return join(base->id, base->version, base->image, base->arch, ret);
}

/* A member of os-release that counts as missing when it is empty. */
static int get_member(const void *text, size_t len, const char *key, char **ret,
	struct error *reterr)
{
	AUTO_FREE char *value = NULL;
	int r;

	r = os_release_get(text, len, key, &value);
	if (r == -ENOENT || (r == 0 && value[0] == '\0')) {
		*ret = NULL;
		return 0;
	}
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return error_set(reterr, -BSI_E_BASE, "%s in os-release is malformed", key);
	*ret = take_ptr(value);
	return 0;
}

int base_id_from_os_release(const void *text, size_t len, const char *arch, char **ret,
	struct error *reterr)
{
	AUTO_FREE char *id = NULL, *version = NULL, *image = NULL;
	int r;

	r = get_member(text, len, "ID", &id, reterr);
	if (r == 0)
		r = get_member(text, len, "VERSION_ID", &version, reterr);
	if (r == 0)
		r = get_member(text, len, "IMAGE_VERSION", &image, reterr);
	if (r == 0 && !image)
		r = get_member(text, len, "BUILD_ID", &image, reterr);
	if (r < 0)
		return r;
	if (!id || !version)
		return error_set(reterr, -BSI_E_BASE,
			"os-release has no %s, so this base has no name", id ? "VERSION_ID" : "ID");
	r = join(id, version, image, arch, ret);
	if (r == -BSI_E_FORMAT)
		return error_set(reterr, -BSI_E_BASE,
			"\"%s:%s%s%s:%s\" from os-release cannot be the name of a base", id,
			version, image ? ":" : "", image ? image : "", arch);
	return r;
}

const char *base_id_arch(const char *machine)
{
	static const char *const known[][2] = {
		{"x86_64", "amd64"},   {"aarch64", "arm64"},   {"armv7l", "armhf"},
		{"i386", "i386"},      {"i486", "i386"},       {"i586", "i386"},
		{"i686", "i386"},      {"ppc64le", "ppc64el"}, {"mips64", "mips64el"},
		{"loongarch64", "loong64"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i][0], machine) == 0)
			return known[i][1];
	return machine;
}

int target_name_check(const char *name)
{
	size_t len = strspn(name, LOWER UPPER DIGITS "._-");

	if (len == 0 || len > BASE_ID_MAX_BYTES || name[len] != '\0' || name[0] == '.')
		return -BSI_E_PATH;
	return 0;
}

int base_id_target(const char *base, const char *name, char **ret)
{
	char *path;

	if (base_id_check(base) < 0 || target_name_check(name) < 0)
		return -BSI_E_PATH;
	if (asprintf(&path, "%s/%s", base, name) < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}
