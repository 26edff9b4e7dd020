/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/trust_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "store/durable.h"
#include "store/layout.h"

/* ".NAME.new" must be a file name too. */
#define NAME_MAX_BYTES 240

struct trust_path {
	char text[sizeof LAYOUT_TRUST "/" + NAME_MAX_BYTES];
};

static int trust_path(const char *name, struct trust_path *ret)
{
	if (path_check(name) < 0 || strchr(name, '/') || name[0] == '.' ||
		strlen(name) > NAME_MAX_BYTES)
		return -BSI_E_PATH;
	(void)snprintf(ret->text, sizeof ret->text, LAYOUT_TRUST "/%s", name);
	return 0;
}

int store_trust_load(void *ctx, const char *name, size_t max, struct buffer *out)
{
	const struct store *s = ctx;
	struct trust_path path;
	int r;

	r = trust_path(name, &path);
	return r < 0 ? r : file_read(s->dir_fd, path.text, max, out);
}

int store_trust_save(void *ctx, const char *name, const void *data, size_t len)
{
	const struct store *s = ctx;
	struct trust_path path;
	int r;

	r = store_check_locked(s, NULL);
	if (r == 0)
		r = trust_path(name, &path);
	return r < 0 ? r : durable_replace(s->dir_fd, path.text, data, len);
}

int store_trust_drop(void *ctx, const char *name)
{
	const struct store *s = ctx;
	struct trust_path path;
	int r;

	r = store_check_locked(s, NULL);
	if (r == 0)
		r = trust_path(name, &path);
	return r < 0 ? r : durable_remove(s->dir_fd, path.text);
}

static int drop_one(void *ctx, const char *name)
{
	return name[0] == '.' ? 0 : store_trust_drop(ctx, name);
}

int store_trust_clear(struct store *s, struct error *reterr)
{
	int r;

	r = store_check_locked(s, reterr);
	if (r < 0)
		return r;
	r = layout_each(s, LAYOUT_TRUST, drop_one, s);
	return r < 0 ? error_set(reterr, r, "trust: %s", error_text(r)) : 0;
}
