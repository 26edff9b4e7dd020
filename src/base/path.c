/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/path.h"

#include <string.h>

#include "base/error.h"

static bool is_valid_component(const char *name, size_t len)
{
	if (len == 0 || len > PATH_NAME_MAX_BYTES)
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return false;
	return true;
}

int path_check(const char *path)
{
	if (strlen(path) > PATH_MAX_BYTES)
		return -BSI_E_PATH;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (!is_valid_component(path, len))
			return -BSI_E_PATH;
		if (path[len] == '\0')
			return 0;
		path += len + 1;
	}
}

bool path_is_below(const char *path, const char *root)
{
	size_t len = strlen(root);

	return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

const char *path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
