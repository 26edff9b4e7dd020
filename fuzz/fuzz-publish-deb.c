/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A package from memory: paths that come out stay below the root, sizes are what was read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "publish/deb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TOTAL_MAX_BYTES (64U << 20) /* a compressed input may be very small */

struct sum {
	uint64_t wanted, entry, total;
};

static int begin(void *ctx, const struct deb_entry *e, struct error *reterr)
{
	struct sum *s = ctx;

	(void)reterr;
	if (path_check(e->path) < 0 || (e->hardlink_to && path_check(e->hardlink_to) < 0))
		abort();
	s->wanted = e->size_bytes;
	s->entry = 0;
	return 0;
}

static int content(void *ctx, const void *data, size_t len)
{
	struct sum *s = ctx;

	(void)data;
	s->entry += len;
	s->total += len;
	return s->total > TOTAL_MAX_BYTES ? -BSI_E_LIMIT : 0;
}

static int end(void *ctx, struct error *reterr)
{
	struct sum *s = ctx;

	(void)reterr;
	if (s->entry != s->wanted)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum sum = {0};
	const struct deb_sink sink = {
		.ctx = &sum, .begin = begin, .content = content, .end = end};
	struct error e = {0};
	struct package p;
	int fd = memfd_create("deb", MFD_CLOEXEC), r;

	if (fd < 0)
		abort();
	r = file_write_all(fd, data, size);
	if (r == 0)
		r = deb_read(fd, "fuzz", &sink, &p, &e);
	if (r == 0)
		package_done(&p);
	(void)close(fd);
	return 0;
}
