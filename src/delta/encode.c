/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/encode.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/map.h"
#include "delta/plan.h"
#include "delta/stream.h"

#define THREADS_MAX 64U

/* Files are planned side by side, each by itself: so the plans are the same in any order. */
struct work {
	const struct delta_set *set;
	const struct delta_encode_options *options;
	struct plan *plans;
	bool careful;
	const size_t *order; /* the longest first */
	pthread_mutex_t lock; /* of what follows, and of the caller's progress */
	size_t next;
	int err;
};

struct by_length {
	size_t len, file;
};

static int longest_first(const void *a, const void *b)
{
	const struct by_length *x = a, *y = b;

	if (x->len != y->len)
		return x->len > y->len ? -1 : 1;
	return x->file < y->file ? -1 : x->file > y->file;
}

static int work_order(const struct delta_set *set, size_t **ret)
{
	AUTO_FREE struct by_length *files = calloc(set->n_files + 1, sizeof(*files));
	size_t *order = calloc(set->n_files + 1, sizeof(*order));

	if (!files || !order) {
		free(order);
		return -ENOMEM;
	}
	for (size_t i = 0; i < set->n_files; i++)
		files[i] = (struct by_length){set->files[i].len, i};
	qsort(files, set->n_files, sizeof(files[0]), longest_first);
	for (size_t i = 0; i < set->n_files; i++)
		order[i] = files[i].file;
	*ret = order;
	return 0;
}

static void *work_run(void *ctx)
{
	struct work *w = ctx;

	for (;;) {
		size_t file;
		int r;

		(void)pthread_mutex_lock(&w->lock);
		file = w->err < 0 || w->next == w->set->n_files ? SIZE_MAX : w->order[w->next++];
		(void)pthread_mutex_unlock(&w->lock);
		if (file == SIZE_MAX)
			return NULL;
		r = plan_file(w->set, file, w->careful, &w->plans[file]);
		(void)pthread_mutex_lock(&w->lock);
		if (r < 0 && w->err >= 0)
			w->err = r;
		if (w->options && w->options->progress)
			w->options->progress(w->options->ctx, ENCODE_STEP_PLANNED,
					     w->set->files[file].len);
		(void)pthread_mutex_unlock(&w->lock);
	}
}

static int encode_plans(const struct delta_set *set, const struct delta_encode_options *options,
			bool careful, struct plan *plans)
{
	AUTO_FREE size_t *order = NULL;
	struct work w = {.set = set, .options = options, .plans = plans,
			 .careful = careful, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t threads[THREADS_MAX];
	unsigned want = options ? options->n_threads : 0, n = 0;
	int r = work_order(set, &order);

	if (r < 0)
		return r;
	w.order = order;
	if (want > set->n_files)
		want = (unsigned)set->n_files;
	/* this thread works too; one that does not start is no fault */
	while (n + 1 < want && n < THREADS_MAX && pthread_create(&threads[n], NULL, work_run, &w) == 0)
		n++;
	(void)work_run(&w);
	while (n)
		(void)pthread_join(threads[--n], NULL);
	return w.err;
}

static int encode_limits(const struct delta_set *set, struct error *reterr)
{
	if (set->n_references > DELTA_REFERENCES_MAX || set->n_files > DELTA_FILES_MAX)
		return error_set(reterr, -BSI_E_LIMIT, "a delta holds at most %u files",
				 DELTA_FILES_MAX);
	for (size_t i = 0; i < set->n_references; i++)
		if (set->references[i].len > DELTA_FILE_BYTES_MAX)
			return error_set(reterr, -BSI_E_LIMIT, "\"%s\" is too large for a delta",
					 set->references[i].path);
	for (size_t i = 0; i < set->n_files; i++) {
		uint64_t old = 0;

		for (unsigned j = 0; j < set->files[i].n_references; j++)
			old += set->references[set->files[i].references[j]].len;
		if (set->files[i].len > DELTA_FILE_BYTES_MAX || old > DELTA_FILE_BYTES_MAX)
			return error_set(reterr, -BSI_E_LIMIT, "a file is too large for a delta");
	}
	return 0;
}

/* Plan, write, prove. */
static int encode_try(const struct delta_set *set, const struct delta_encode_options *options,
		      bool careful, struct buffer *out, struct error *reterr)
{
	AUTO_FREE struct plan *plans = calloc(set->n_files + 1, sizeof(*plans));
	size_t start = out->len;
	int r;

	if (!plans)
		return -ENOMEM;
	r = encode_plans(set, options, careful, plans);
	if (r >= 0)
		r = stream_write(set, plans, options, out, reterr);
	if (r >= 0)
		r = stream_prove(set, plans, out->data + start, out->len - start, reterr);
	for (size_t i = 0; i < set->n_files; i++)
		plan_done(&plans[i]);
	return r;
}

int delta_encode(const struct delta_set *set, const struct delta_encode_options *options,
		 struct buffer *out, struct error *reterr)
{
	struct delta_encode_options quiet = {.n_threads = options ? options->n_threads : 0,
					     .stats = options ? options->stats : NULL};
	size_t start = out->len;
	int r = encode_limits(set, reterr);

	if (r < 0)
		return r;
	r = encode_try(set, options, false, out, reterr);
	if (r != -BSI_E_STATE)
		return r;
	/* some file's best way is at fault: find it, and do without */
	out->len = start;
	if (reterr)
		*reterr = (struct error){0};
	return encode_try(set, &quiet, true, out, reterr);
}
