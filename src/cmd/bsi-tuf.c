/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plain TUF client on rooms trust and fetch, with the command line that the conformance suite of
 * the TUF project drives. It keeps metadata in one directory and targets in another, and knows
 * nothing of improvements. The exit status is 0 or 1 and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "fetch/session.h"
#include "fetch/url.h"
#include "trust/bounds.h"
#include "trust/name.h"
#include "trust/update.h"

#define TARGETS_MAX 256
#define PARTIAL_NAME ".partial" /* a download that is not verified yet */

static const char usage[] =
	"Usage: bsi-tuf --metadata-dir DIR init ROOT_FILE\n"
	"       bsi-tuf --metadata-dir DIR --metadata-url URL refresh\n"
	"       bsi-tuf --metadata-dir DIR --metadata-url URL --target-name NAME...\n"
	"               --target-dir DIR --target-base-url URL download\n"
	"A client of The Update Framework, for conformance tests. Exit status: 0 or 1.\n";

struct options {
	const char *metadata_dir, *metadata_url, *target_dir, *target_base_url;
	const char *targets[TARGETS_MAX];
	size_t n_targets;
};

struct client {
	const struct options *options;
	int metadata_fd, target_fd;
	struct fetch_session *session;
	struct trust_updater *updater;
};

static int io_load(void *ctx, const char *name, size_t max_bytes, struct buffer *out)
{
	const struct client *c = ctx;

	return file_read(c->metadata_fd, name, max_bytes, out);
}

static int io_save(void *ctx, const char *name, const void *data, size_t len)
{
	const struct client *c = ctx;

	return file_replace(c->metadata_fd, name, data, len, 0644);
}

static int io_drop(void *ctx, const char *name)
{
	const struct client *c = ctx;

	if (unlinkat(c->metadata_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return file_sync_parent(c->metadata_fd, name);
}

static int io_fetch(void *ctx, const char *url_path, size_t max_bytes, struct buffer *out,
	struct error *reterr)
{
	const struct client *c = ctx;
	AUTO_FREE char *url = fetch_url_join(c->options->metadata_url, url_path);

	if (!url)
		return -ENOMEM;
	return fetch_get_buffer(c->session, url, max_bytes, out, NULL, reterr);
}

static int open_dir(const char *path, struct error *reterr)
{
	int fd;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return error_set(reterr, -errno, "\"%s\" cannot be made", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be opened", path);
	return fd;
}

static int command_init(const struct options *o, const char *root_file, struct error *reterr)
{
	AUTO_DONE(buffer) struct buffer root = buffer_of(TRUST_ROOT_MAX_BYTES);
	AUTO(trust_updater) struct trust_updater *updater = NULL;
	AUTO_CLOSE int root_fd = -EBADF, dir_fd = -EBADF;
	struct client c = {.options = o};
	const struct trust_io io = {.ctx = &c, .load = io_load, .save = io_save, .drop = io_drop};
	int r;

	root_fd = open(root_file, O_RDONLY | O_CLOEXEC);
	if (root_fd < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be opened", root_file);
	r = file_read_fd(root_fd, root.max, &root);
	if (r < 0)
		return error_set(reterr, r, "\"%s\" cannot be read", root_file);
	dir_fd = open_dir(o->metadata_dir, reterr);
	if (dir_fd < 0)
		return dir_fd;
	c.metadata_fd = dir_fd;
	r = io_save(&c, "root.json", root.data, root.len);
	if (r < 0)
		return error_set(reterr, r, "the root cannot be stored");
	/* it is the first link of the chain: say at once if it is none */
	return trust_updater_new(&io, 0, &updater, reterr);
}

/* Whether the file there is the target already, so that nothing need be fetched. */
static int check_target(int fd, const struct trust_target *target)
{
	struct stat st;
	void *data;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != target->length)
		return -BSI_E_DIGEST;
	if (st.st_size == 0)
		return trust_hashes_check(&target->hashes, "", 0);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	r = trust_hashes_check(&target->hashes, data, (size_t)st.st_size);
	(void)munmap(data, (size_t)st.st_size);
	return r;
}

static bool have_target(const struct client *c, const char *file, const struct trust_target *target)
{
	AUTO_CLOSE int fd = file_open_beneath(c->target_fd, file, O_RDONLY | O_NOFOLLOW, 0);

	return fd >= 0 && check_target(fd, target) == 0;
}

static int fetch_target(const struct client *c, const char *file,
	const struct trust_target *target, struct error *reterr)
{
	AUTO_FREE char *url = fetch_url_join(c->options->target_base_url, target->url_path);
	AUTO_CLOSE int fd = -EBADF;
	struct fetch_request request = {
		.url = url,
		.max_bytes = target->length > 0 ? target->length : 1,
		.exact_bytes = target->length,
	};
	int r;

	if (!url)
		return -ENOMEM;
	fd = file_open_beneath(c->target_fd, PARTIAL_NAME, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW,
		0644);
	if (fd < 0)
		return error_set(reterr, fd, "no file can be made in \"%s\"",
			c->options->target_dir);
	request.out_fd = fd;
	r = fetch_get(c->session, &request, NULL, reterr);
	if (r < 0)
		return r;
	r = check_target(fd, target);
	if (r < 0)
		return error_set(reterr, r, "\"%s\" is not the file that was signed", url);
	if (fsync(fd) < 0 || renameat(c->target_fd, PARTIAL_NAME, c->target_fd, file) < 0)
		return error_set(reterr, -errno, "\"%s\" cannot be stored", file);
	return file_sync_parent(c->target_fd, file);
}

static int download_target(const struct client *c, const char *name, struct error *reterr)
{
	AUTO_DONE(trust_target) struct trust_target target = {};
	AUTO_FREE char *path = NULL;
	int r;

	r = trust_updater_target(c->updater, name, &target, reterr);
	if (r < 0)
		return r;
	/* one flat directory: the whole name, encoded, is the file's */
	r = trust_role_file(name, &path);
	if (r < 0)
		return r;
	if (have_target(c, path, &target))
		return 0;
	r = fetch_target(c, path, &target, reterr);
	if (r < 0)
		(void)unlinkat(c->target_fd, PARTIAL_NAME, 0);
	return r;
}

static int run_session(struct client *c, bool download, struct error *reterr)
{
	const struct trust_io io = {
		.ctx = c, .load = io_load, .save = io_save, .drop = io_drop, .fetch = io_fetch};
	int r;

	r = trust_updater_new(&io, (int64_t)time(NULL), &c->updater, reterr);
	if (r < 0)
		return r;
	r = fetch_session_new(NULL, &c->session, reterr);
	if (r < 0)
		return r;
	r = trust_updater_refresh(c->updater, reterr);
	for (size_t i = 0; r == 0 && download && i < c->options->n_targets; i++)
		r = download_target(c, c->options->targets[i], reterr);
	return r;
}

static int command_update(const struct options *o, bool download, struct error *reterr)
{
	AUTO_CLOSE int metadata_fd = -EBADF, target_fd = -EBADF;
	struct client c = {.options = o};
	int r;

	if (!o->metadata_url ||
		(download && (!o->target_dir || !o->target_base_url || o->n_targets == 0)))
		return error_set(reterr, -BSI_E_USAGE, "an option is missing; see --help");
	metadata_fd = open_dir(o->metadata_dir, reterr);
	if (metadata_fd < 0)
		return metadata_fd;
	if (download) {
		target_fd = open_dir(o->target_dir, reterr);
		if (target_fd < 0)
			return target_fd;
	}
	c.metadata_fd = metadata_fd;
	c.target_fd = target_fd;
	r = run_session(&c, download, reterr);
	trust_updater_free(c.updater);
	fetch_session_free(c.session);
	return r;
}

static const struct option long_options[] = {
	{"metadata-dir", required_argument, NULL, 'm'},
	{"metadata-url", required_argument, NULL, 'u'},
	{"target-name", required_argument, NULL, 'n'},
	{"target-dir", required_argument, NULL, 't'},
	{"target-base-url", required_argument, NULL, 'b'},
	{"help", no_argument, NULL, 'h'},
	{},
};

/* 1 where the help was asked for. */
static int parse_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'm':
			o->metadata_dir = optarg;
			break;
		case 'u':
			o->metadata_url = optarg;
			break;
		case 't':
			o->target_dir = optarg;
			break;
		case 'b':
			o->target_base_url = optarg;
			break;
		case 'n':
			if (o->n_targets == TARGETS_MAX)
				return -BSI_E_LIMIT;
			o->targets[o->n_targets++] = optarg;
			break;
		case 'h':
			return 1;
		default:
			return -BSI_E_USAGE;
		}
	}
	return 0;
}

static int run(int argc, char **argv, struct error *reterr)
{
	struct options o = {};
	const char *command;
	int r;

	r = parse_options(argc, argv, &o);
	if (r > 0) {
		(void)fputs(usage, stdout);
		return 0;
	}
	command = r == 0 && optind < argc ? argv[optind] : "";
	if (o.metadata_dir && strcmp(command, "init") == 0 && optind + 2 == argc)
		return command_init(&o, argv[optind + 1], reterr);
	if (o.metadata_dir && strcmp(command, "refresh") == 0 && optind + 1 == argc)
		return command_update(&o, false, reterr);
	if (o.metadata_dir && strcmp(command, "download") == 0 && optind + 1 == argc)
		return command_update(&o, true, reterr);
	(void)fputs(usage, stderr);
	return error_set(reterr, -BSI_E_USAGE, "the command line is not understood");
}

int main(int argc, char **argv)
{
	struct error e = {};
	int r;

	r = run(argc, argv, &e);
	if (r == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "bsi-tuf: %s\n", e.text[0] ? e.text : error_text(r));
	return EXIT_FAILURE;
}
