/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define RUN_FILE_MAX_BYTES (1U << 20)

static int open_run(const char *path, bool may_make)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && may_make && mkdir(path, 0755) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int run_dir_load(const char *run, const char *name, json_t **ret)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(RUN_FILE_MAX_BYTES);
	AUTO_CLOSE int fd = open_run(run, false);
	int r;

	if (fd < 0)
		return fd;
	r = file_read(fd, name, RUN_FILE_MAX_BYTES, &text);
	return r < 0 ? r : json_parse(text.data, text.len, name, ret, NULL);
}

void run_dir_save(const char *run, const char *name, const json_t *document, mode_t mode)
{
	AUTO_DONE(buffer) struct buffer text = buffer_of(RUN_FILE_MAX_BYTES);
	AUTO_CLOSE int fd = open_run(run, true);

	if (fd < 0 || json_canonical(document, &text) < 0)
		return;
	buffer_put_u8(&text, '\n');
	if (text.err == 0)
		(void)!file_replace(fd, name, text.data, text.len, mode);
}

static bool is_document(const char *name)
{
	static const char suffix[] = ".json";
	size_t len = strlen(name);

	return len > strlen(suffix) && strcmp(name + len - strlen(suffix), suffix) == 0;
}

void run_dir_forget(const char *run)
{
	const struct dirent *entry;
	DIR *dir = opendir(run);

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (is_document(entry->d_name))
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
}
