/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/trust_files.h"
#include "trust/bounds.h"

void trial_done(struct trial *t)
{
	for (size_t i = 0; i < t->n_files; i++) {
		free(t->files[i].name);
		buffer_done(&t->files[i].bytes);
	}
	t->n_files = 0;
}

const struct trial_file *trial_find(const struct trial *t, const char *name)
{
	for (size_t i = 0; i < t->n_files; i++)
		if (strcmp(t->files[i].name, name) == 0)
			return &t->files[i];
	return NULL;
}

int trial_load(void *ctx, const char *name, size_t max_bytes, struct buffer *out)
{
	const struct trial *t = ctx;
	const struct trial_file *file = trial_find(t, name);

	if (!file && t->below)
		return store_trust_load(t->below, name, max_bytes, out);
	if (!file || file->bytes.len == 0)
		return -ENOENT;
	if (file->bytes.len > max_bytes)
		return -BSI_E_LIMIT;
	buffer_put(out, file->bytes.data, file->bytes.len);
	return out->err;
}

/* The file's buffer, empty. */
static int begin_file(struct trial *t, const char *name, struct buffer **ret)
{
	struct trial_file *file = NULL;

	for (size_t i = 0; i < t->n_files; i++)
		if (strcmp(t->files[i].name, name) == 0)
			file = &t->files[i];
	if (!file) {
		if (t->n_files == TRIAL_FILES_MAX)
			return -BSI_E_LIMIT;
		file = &t->files[t->n_files];
		file->name = strdup(name);
		if (!file->name)
			return -ENOMEM;
		file->bytes = buffer_of(TRUST_TARGETS_MAX_BYTES);
		t->n_files++;
	}
	buffer_clear(&file->bytes);
	*ret = &file->bytes;
	return 0;
}

int trial_save(void *ctx, const char *name, const void *data, size_t len)
{
	struct buffer *bytes = NULL;
	int r = begin_file(ctx, name, &bytes);

	if (r < 0)
		return r;
	buffer_put(bytes, data, len);
	return bytes->err;
}

int trial_drop(void *ctx, const char *name)
{
	struct buffer *bytes = NULL;

	return begin_file(ctx, name, &bytes);
}
