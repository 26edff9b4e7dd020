/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsi-delta encode and bench. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/bsi-delta.h"
#include "cmd/progress.h"

#define THREADS_MAX 64U

static uint64_t job_bytes(const struct delta_set *set)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < set->n_files; i++)
		bytes += set->files[i].len;
	return bytes;
}

struct encode_progress {
	struct progress shown;
	uint64_t done, total;
};

static void encode_progress(void *ctx, enum encode_step step, uint64_t bytes)
{
	struct encode_progress *p = ctx;

	(void)step;
	p->done += bytes;
	progress_show(&p->shown, "encoding", p->done, p->total);
}

static int encode_job(struct verb_call *call, const struct delta_job *job, struct buffer *out,
	struct error *reterr)
{
	const struct delta_set *set = delta_job_set(job);
	struct encode_progress progress = {
		.shown = progress_start(), .total = job_bytes(set) * ENCODE_STEP_MAX};
	struct delta_encode_options options = {.progress = encode_progress, .ctx = &progress};
	long n_processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n_threads = n_processors > 0 ? (uint64_t)n_processors : 1;
	int r = call_number(call, "threads", THREADS_MAX, &n_threads, reterr);

	if (r < 0)
		return r;
	options.n_threads = (unsigned)(n_threads < THREADS_MAX ? n_threads : THREADS_MAX);
	progress_show(&progress.shown, "encoding", 0, progress.total);
	r = delta_encode(set, &options, out, reterr);
	progress_end(&progress.shown);
	return r;
}

int delta_verb_encode(struct verb_call *call, struct error *reterr)
{
	AUTO(delta_job) struct delta_job *job = NULL;
	AUTO_DONE(buffer) struct buffer out = buffer_of(SIZE_MAX);
	const char *path = call_argument(call, 2), *name;
	AUTO_CLOSE int dir_fd = -EBADF;
	const struct delta_set *set;
	json_t *document;
	int r = delta_job_new(call_argument(call, 0), call_argument(call, 1), &job, reterr);

	if (r >= 0)
		r = encode_job(call, job, &out, reterr);
	if (r < 0)
		return r;
	dir_fd = open_parent(path, &name);
	r = dir_fd < 0 ? dir_fd : file_replace(dir_fd, name, out.data, out.len, 0644);
	if (r < 0)
		return error_set(reterr, r, "\"%s\" cannot be written", path);
	set = delta_job_set(job);
	if (!call_has(call, "json"))
		return 0;
	document = json_pack("{s:I, s:I, s:I, s:I}", "delta_bytes", (json_int_t)out.len, "new_bytes",
		(json_int_t)job_bytes(set), "n_files", (json_int_t)set->n_files, "n_references",
		(json_int_t)set->n_references);
	call_print_json(document);
	json_decref(document);
	return 0;
}

static int64_t bench_now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The decoder over memory, compared with what it should make. */
struct bench_io {
	const struct delta_set *set;
	const struct buffer *delta;
	size_t at, file;
	uint64_t file_start;
	bool differs;
};

static int64_t bench_read(void *ctx, void *into, size_t len)
{
	struct bench_io *b = ctx;
	size_t left = b->delta->len - b->at;

	if (len > left)
		len = left;
	memcpy(into, b->delta->data + b->at, len);
	b->at += len;
	return (int64_t)len;
}

static int bench_load(void *ctx, uint32_t index, const struct delta_reference *reference,
	uint8_t *into, struct error *reterr)
{
	const struct bench_io *b = ctx;

	(void)reterr;
	memcpy(into, b->set->references[index].data, (size_t)reference->bytes);
	return 0;
}

static int bench_write(void *ctx, uint64_t offset, const void *data, size_t len)
{
	struct bench_io *b = ctx;

	while (offset - b->file_start >= b->set->files[b->file].len)
		b->file_start += b->set->files[b->file++].len;
	if (memcmp(b->set->files[b->file].data + (offset - b->file_start), data, len) != 0)
		b->differs = true;
	return 0;
}

int delta_verb_bench(struct verb_call *call, struct error *reterr)
{
	AUTO(delta_job) struct delta_job *job = NULL;
	AUTO_DONE(buffer) struct buffer out = buffer_of(SIZE_MAX);
	struct bench_io b = {.delta = &out};
	struct delta_source source = {&b, bench_read};
	struct delta_io io = {.ctx = &b, .load = bench_load, .write = bench_write};
	int64_t start = bench_now_us(), encoded, decoded;
	struct rusage usage;
	uint64_t bytes;
	json_t *document;
	int r = delta_job_new(call_argument(call, 0), call_argument(call, 1), &job, reterr);

	if (r >= 0)
		r = encode_job(call, job, &out, reterr);
	if (r < 0)
		return r;
	encoded = bench_now_us();
	b.set = delta_job_set(job);
	r = delta_decode(&source, UINT64_MAX, &io, reterr);
	if (r >= 0 && b.differs)
		r = error_set(reterr, -BSI_E_DIGEST, "the result differs");
	if (r < 0)
		return r;
	decoded = bench_now_us();
	(void)getrusage(RUSAGE_SELF, &usage);
	bytes = job_bytes(b.set);
	if (!call_has(call, "json")) {
		printf("%zu bytes for %" PRIu64 " (%zu files); encode %.2f s, apply %.2f s, %.1f MB/s\n",
			out.len, bytes, b.set->n_files, (double)(encoded - start) / 1e6,
			(double)(decoded - encoded) / 1e6,
			(double)bytes / (double)(decoded - encoded + 1));
		return 0;
	}
	document = json_pack("{s:I, s:I, s:I, s:I, s:I}", "delta_bytes", (json_int_t)out.len,
		"new_bytes", (json_int_t)bytes, "encode_us", (json_int_t)(encoded - start),
		"apply_us", (json_int_t)(decoded - encoded), "peak_kib", (json_int_t)usage.ru_maxrss);
	call_print_json(document);
	json_decref(document);
	return 0;
}
